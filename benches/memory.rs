//! Resident memory of the server with many transfers at once.
//!
//! `cargo bench --bench memory` runs 64 uploads and 64 downloads of 1 GiB at once, then 64 pushes of images that have
//! layers in common, each on a server of its own, and prints what that server holds in memory. It needs 66 GiB of disk;
//! `-- --transfers 16 --size 256MiB` needs less and must show the same, and `--transfers 0` leaves the transfers out. Of
//! the pushes, `--pushes` is the number and `--layer 32MiB` the size of each layer. At last it reads seven versions of a
//! site of 100,000 files; `--files` is another number.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark prints what the wall clock says")]

#[path = "memory/pushes.rs"]
mod pushes;
#[path = "memory/sites.rs"]
mod sites;
mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use larder::domain::{Digest, Hasher};
use support::{QUIET, Server, argument, directory, size_argument};

const CHUNK: u64 = 1 << 20;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let number = |name| argument(name, "64").parse::<u64>().expect("a number");
    let (transfers, pushes) = (number("transfers"), number("pushes"));
    if transfers > 0 {
        let size = size_argument("size", "1GiB").next_multiple_of(CHUNK);
        let what = format!("{transfers} uploads and {transfers} downloads of {} MiB at once", size >> 20);
        measure(&runtime, &what, 2 * transfers * size, async |server| transfer(server, transfers, size).await);
    }
    if pushes > 0 {
        let size = size_argument("layer", "32MiB").next_multiple_of(CHUNK);
        let (shared, own) = (pushes::SHARED, pushes::OWN);
        let what = format!("{pushes} pushes of {shared} shared and {own} other layers of {} MiB at once", size >> 20);
        let bytes = pushes * (shared + own) * size;
        measure(&runtime, &what, bytes, async |server| pushes::push_all(server, pushes, size).await);
    }
    let files = argument("files", "100000").parse::<u64>().expect("a number");
    if files > 0 {
        runtime.block_on(sites::read_all(files));
    }
}

/// Loads a server of its own, and prints how long that took and what the server held meanwhile.
fn measure(runtime: &tokio::runtime::Runtime, what: &str, bytes: u64, load: impl AsyncFnOnce(&Server) -> Duration) {
    let directory = directory();
    let server = Server::start_with(directory.path(), &[QUIET]);
    let idle = server.status("VmRSS");
    let elapsed = runtime.block_on(load(&server));
    let rate = 1000 * u128::from(bytes >> 20) / elapsed.as_millis().max(1);
    println!("{what}: {:.1} s, {rate} MiB/s", elapsed.as_secs_f64());
    println!("resident memory: {} MiB idle, {} MiB at its highest", idle >> 10, server.status("VmHWM") >> 10);
}

fn client() -> reqwest::Client {
    larder::client::http_client_builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client")
}

async fn transfer(server: &Server, transfers: u64, size: u64) -> Duration {
    let (client, chunk) = (client(), filling());
    let first = upload(&client, server, Content::new(u64::MAX, size, &chunk)).await;
    let began = Instant::now();
    let uploads = (0..transfers).map(|seed| upload(&client, server, Content::new(seed, size, &chunk)));
    let downloads = (0..transfers).map(|_| download(&client, server, first));
    let (uploaded, downloaded) =
        tokio::join!(futures_util::future::join_all(uploads), futures_util::future::join_all(downloads));
    assert_eq!(uploaded.len() as u64, transfers);
    assert!(downloaded.iter().all(|length| *length == size), "every download is complete");
    began.elapsed()
}

/// The bytes that all content but its beginning is made of.
fn filling() -> Bytes {
    Bytes::from(vec![7_u8; 1 << 20])
}

/// Bytes that begin with a seed, made as they are needed.
#[derive(Clone)]
struct Content {
    first: Bytes,
    rest: Bytes,
    size: u64,
}

impl Content {
    fn new(seed: u64, size: u64, filling: &Bytes) -> Self {
        let mut first = filling.to_vec();
        first[..8].copy_from_slice(&seed.to_be_bytes());
        Self { first: first.into(), rest: filling.clone(), size }
    }

    fn chunks(self) -> impl Iterator<Item = Bytes> {
        (0..self.size / CHUNK).map(move |at| if at == 0 { self.first.clone() } else { self.rest.clone() })
    }

    async fn digest(&self) -> Digest {
        let content = self.clone();
        let hash = move || {
            let mut hasher = Hasher::new();
            content.chunks().for_each(|chunk| hasher.update(&chunk));
            hasher.finish()
        };
        tokio::task::spawn_blocking(hash).await.expect("a hash")
    }

    fn body(self) -> reqwest::Body {
        reqwest::Body::wrap_stream(futures_util::stream::iter(self.chunks().map(Ok::<_, std::io::Error>)))
    }
}

/// Uploads content.
async fn upload(client: &reqwest::Client, server: &Server, content: Content) -> Digest {
    let digest = content.digest().await;
    let request = client.put(format!("{}/blobs/{digest}", server.url)).bearer_auth(&server.token);
    let response = request.header("content-length", content.size).body(content.body()).send().await;
    assert_eq!(response.expect("an upload").status(), 201);
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
