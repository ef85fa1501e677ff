//! Resident memory of the server with many transfers at once.
//!
//! `cargo bench --bench memory` runs 64 uploads and 64 downloads of 1 GiB at once and prints what the server holds
//! in memory. It needs 66 GiB of disk; `-- --transfers 16 --size 256MiB` needs less and must show the same.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark prints what the wall clock says")]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use larder::domain::{Digest, Hasher};
use support::{QUIET, Server, argument, directory, size_argument};

const CHUNK: u64 = 1 << 20;

fn main() {
    let transfers: u64 = argument("transfers", "64").parse().expect("a number of transfers");
    let size = size_argument("size", "1GiB").next_multiple_of(CHUNK);
    let directory = directory();
    let server = Server::start_with(directory.path(), &[QUIET]);
    let idle = server.status("VmRSS");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let elapsed = runtime.block_on(load(&server, transfers, size));
    let mebibytes = u128::from(2 * transfers * (size >> 20));
    let (seconds, rate) = (elapsed.as_secs_f64(), 1000 * mebibytes / elapsed.as_millis().max(1));
    println!(
        "{transfers} uploads and {transfers} downloads of {} MiB at once: {seconds:.1} s, {rate} MiB/s",
        size >> 20
    );
    println!("resident memory: {} MiB idle, {} MiB at its highest", idle >> 10, server.status("VmHWM") >> 10);
}

async fn load(server: &Server, transfers: u64, size: u64) -> Duration {
    let client = larder::client::http_client_builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
    let chunk = Bytes::from(vec![7_u8; 1 << 20]);
    let first = upload(&client, server, u64::MAX, size, &chunk).await;
    let began = Instant::now();
    let uploads = (0..transfers).map(|seed| upload(&client, server, seed, size, &chunk));
    let downloads = (0..transfers).map(|_| download(&client, server, first));
    let (uploaded, downloaded) =
        tokio::join!(futures_util::future::join_all(uploads), futures_util::future::join_all(downloads));
    assert_eq!(uploaded.len() as u64, transfers);
    assert!(downloaded.iter().all(|length| *length == size), "every download is complete");
    began.elapsed()
}

/// Uploads `size` bytes that begin with `seed`, made as they are sent.
async fn upload(client: &reqwest::Client, server: &Server, seed: u64, size: u64, chunk: &Bytes) -> Digest {
    let mut first = chunk.to_vec();
    first[..8].copy_from_slice(&seed.to_be_bytes());
    let first = Bytes::from(first);
    let chunks = size / CHUNK;
    let piece = move |first: &Bytes, chunk: &Bytes, at: u64| if at == 0 { first.clone() } else { chunk.clone() };
    let digest = {
        let (first, chunk) = (first.clone(), chunk.clone());
        let hash = move || {
            let mut hasher = Hasher::new();
            (0..chunks).for_each(|at| hasher.update(&piece(&first, &chunk, at)));
            hasher.finish()
        };
        tokio::task::spawn_blocking(hash).await.expect("a hash")
    };
    let chunk = chunk.clone();
    let body =
        futures_util::stream::iter((0..chunks).map(move |at| Ok::<_, std::io::Error>(piece(&first, &chunk, at))));
    let request = client.put(format!("{}/blobs/{digest}", server.url)).bearer_auth(&server.token);
    let request = request.header("content-length", size).body(reqwest::Body::wrap_stream(body));
    let response = request.send().await.expect("an upload");
    assert_eq!(response.status(), 201);
    digest
}

async fn download(client: &reqwest::Client, server: &Server, digest: Digest) -> u64 {
    let response = client.get(format!("{}/blobs/{digest}", server.url)).send().await.expect("a download");
    let mut body = response.bytes_stream();
    let mut length = 0;
    while let Some(chunk) = body.next().await {
        length += chunk.expect("a complete body").len() as u64;
    }
    length
}
