//! Larder in front of an S3 engine, beside the engine itself, with one client and in one run.
//!
//! `cargo bench --bench bucket` starts Ceph's object gateway as the tests do, and a server on a bucket in it. It uploads and
//! downloads a blob of 1 GiB (`-- --size`) in turns, through Larder and directly, `--rounds 5` of each, and prints medians
//! and their ratio. What is downloaded was read once before. The direct upload is a multipart upload of the same part size with as many parts at once. Then
//! `--transfers 64` run at once, half of them uploads, and it prints what the server held in memory.
//!
//! Both uploads are signed together with their bodies, as Larder and the SDK do over plain HTTP. `--sign false` measures
//! what they do over TLS, where bodies are not hashed for the signature; but the transfers stay in the clear.
//!
//! `--endpoint URL` measures another engine; it takes the credentials from the environment, and the bucket from
//! `--bucket`, which must exist.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark prints what the wall clock says"
)]

mod support;

#[path = "bucket/direct.rs"]
mod direct;
#[expect(dead_code, reason = "other benchmarks use the rest of it")]
#[path = "bucket/engine.rs"]
mod engine;

use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use larder::domain::{Digest, Hasher};
use reqwest::Client;
use support::{Server, argument, directory, size_argument};

use direct::Direct;
use engine::Engine;

const CHUNK: u64 = 1 << 20;

fn main() {
    let size = size_argument("size", "1GiB").next_multiple_of(CHUNK);
    let rounds: u64 = argument("rounds", "5").parse().expect("a number of rounds");
    let transfers: u64 = argument("transfers", "64").parse().expect("a number of transfers");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let engine = Engine::find();
    runtime.block_on(engine.make_bucket());
    let directory = directory();
    let server = Server::start_with(directory.path(), &engine.variables());
    let bench = Bench { client: client(), direct: Direct::new(&engine, client()), server, size };
    runtime.block_on(bench.compare(rounds));
    let idle = bench.server.status("VmHWM");
    if transfers > 0 {
        runtime.block_on(bench.crowd(transfers));
        println!(
            "resident memory: {} MiB before, {} MiB at its highest",
            idle >> 10,
            bench.server.status("VmHWM") >> 10
        );
    }
}

fn client() -> Client {
    larder::client::http_client_builder().no_proxy().build().expect("a client")
}

struct Bench {
    client: Client,
    direct: Direct,
    server: Server,
    size: u64,
}

impl Bench {
    async fn compare(&self, rounds: u64) {
        let [mut up, mut up_direct, mut down, mut down_direct] = [const { Vec::new() }; 4];
        for round in 0..rounds {
            let (digest, body) = noise(self.size, 2 * round).await;
            let (_, other) = noise(self.size, 2 * round + 1).await;
            let key = format!("direct/{round}");
            let (ours, direct) = (Box::pin(self.upload(digest, body)), Box::pin(self.direct.upload(&key, other)));
            in_turn(round, &mut up, ours, &mut up_direct, direct).await;
            // The engine may have the one in memory still and the other not.
            let get = || self.client.get(format!("{}/blobs/{digest}", self.server.url));
            read(get(), self.size).await;
            read(self.client.get(self.direct.address(&key).await), self.size).await;
            let address = self.direct.address(&key).await;
            let (ours, direct) =
                (Box::pin(read(get(), self.size)), Box::pin(read(self.client.get(address), self.size)));
            in_turn(round, &mut down, ours, &mut down_direct, direct).await;
        }
        self.report("upload", up, up_direct);
        self.report("download", down, down_direct);
    }

    fn report(&self, what: &str, ours: Vec<f64>, direct: Vec<f64>) {
        let (ours, direct) = (median(ours), median(direct));
        let rate = |seconds: f64| (self.size >> 20) as f64 / seconds;
        println!(
            "{what:8}  through Larder {ours:6.2} s, {:5.0} MiB/s   directly {direct:6.2} s, {:5.0} MiB/s   {:5.2} of its rate",
            rate(ours),
            rate(direct),
            direct / ours
        );
    }

    async fn upload(&self, digest: Digest, body: Body) {
        let request = self.client.put(format!("{}/blobs/{digest}", self.server.url)).bearer_auth(&self.server.token);
        let request = request.header("content-length", self.size).body(body.stream());
        let response = request.send().await.expect("an upload");
        assert_eq!(response.status(), 201);
    }

    /// Uploads and downloads at once.
    async fn crowd(&self, transfers: u64) {
        let (first, body) = noise(self.size, 1000).await;
        self.upload(first, body).await;
        let began = Instant::now();
        let uploads = (0..transfers / 2).map(|seed| async move {
            let (digest, body) = noise(self.size, 2000 + seed).await;
            self.upload(digest, body).await;
        });
        let downloads = (0..transfers / 2).map(|_| async move {
            let url = format!("{}/blobs/{first}", self.server.url);
            read(client().get(url), self.size).await;
        });
        tokio::join!(join_all(uploads), join_all(downloads));
        let seconds = began.elapsed().as_secs_f64();
        let mebibytes = (transfers * (self.size >> 20)) as f64;
        println!(
            "{transfers} transfers of {} MiB at once: {seconds:.1} s, {:.0} MiB/s",
            self.size >> 20,
            mebibytes / seconds
        );
    }
}

/// Times both, in one round the one first, in the next the other: whoever comes second finds the engine busy with what the
/// first one left to do, or its caches warm.
async fn in_turn(
    round: u64,
    ours: &mut Vec<f64>,
    one: impl Future<Output = ()>,
    direct: &mut Vec<f64>,
    other: impl Future<Output = ()>,
) {
    if round.is_multiple_of(2) {
        ours.push(seconds(one).await);
        direct.push(seconds(other).await);
    } else {
        direct.push(seconds(other).await);
        ours.push(seconds(one).await);
    }
}

async fn seconds(work: impl Future<Output = ()>) -> f64 {
    let began = Instant::now();
    work.await;
    began.elapsed().as_secs_f64()
}

/// Downloads something that has so many bytes.
async fn read(request: reqwest::RequestBuilder, size: u64) {
    let response = request.send().await.expect("a download");
    assert_eq!(response.status(), 200);
    let mut body = response.bytes_stream();
    let mut length = 0;
    while let Some(chunk) = body.next().await {
        length += chunk.expect("a complete body").len() as u64;
    }
    assert_eq!(length, size, "every download is complete");
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// A blob that is made as it is sent: one chunk again and again, but for the first.
#[derive(Clone)]
pub(crate) struct Body {
    first: Bytes,
    chunk: Bytes,
    chunks: u64,
}

impl Body {
    fn stream(&self) -> reqwest::Body {
        let (body, chunks) = (self.clone(), self.chunks);
        reqwest::Body::wrap_stream(futures_util::stream::iter(
            (0..chunks).map(move |at| Ok::<_, std::io::Error>(body.at(at))),
        ))
    }

    /// The bytes of a part.
    pub(crate) fn part(&self, number: u64, part: u64) -> Vec<Bytes> {
        let chunks = part / CHUNK;
        (number * chunks..self.chunks.min((number + 1) * chunks)).map(|at| self.at(at)).collect()
    }

    /// Its length in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.chunks * CHUNK
    }

    fn at(&self, at: u64) -> Bytes {
        if at == 0 { self.first.clone() } else { self.chunk.clone() }
    }
}

async fn noise(size: u64, seed: u64) -> (Digest, Body) {
    let make = move || {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut word = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let chunk: Bytes = (0..CHUNK / 8).flat_map(|_| word()).collect();
        let mut first = chunk.to_vec();
        first[..8].copy_from_slice(&seed.to_be_bytes());
        let body = Body { first: first.into(), chunk, chunks: size / CHUNK };
        let mut hasher = Hasher::new();
        (0..body.chunks).for_each(|at| hasher.update(&body.at(at)));
        (hasher.finish(), body)
    };
    tokio::task::spawn_blocking(make).await.expect("a hash")
}
