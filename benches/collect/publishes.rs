//! How long a client waits for the publish of a small release, without and with a run of the collector beside it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use larder::domain::Digest;
use larder::domain::manifest::Descriptor;
use reqwest::Method;

use super::measure::quantile;
use super::plant::{self, Noise, manifest};
use super::support::Server;

/// Blobs of a small release.
const FILES: usize = 2;
/// Names that are published to in turn.
const NAMES: u64 = 20;
/// Publishes before anything is measured.
const WARM_UP: usize = 50;

/// Seconds of each publish.
pub(crate) type Latencies = Vec<f64>;

/// A client that publishes one small release after the other on connections that it keeps.
pub(crate) struct Publisher {
    server: Server,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    noise: Noise,
    published: u64,
}

impl Publisher {
    /// A client of a server, that publishes files made of `noise`.
    pub(crate) fn new(server: Server, noise: Noise) -> Self {
        let client = larder::client::http_client_builder().no_proxy().build().expect("a client");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut publisher = Self { server, client, runtime, noise, published: 0 };
        for _ in 0..WARM_UP {
            publisher.publish();
        }
        publisher
    }

    /// Most memory that the server has held, in MiB.
    pub(crate) fn server_memory(&self) -> u64 {
        self.server.status("VmHWM") >> 10
    }

    /// Publishes for so long.
    pub(crate) fn publish_for(&mut self, time: Duration) -> Latencies {
        let began = Instant::now();
        self.publish_until(|| began.elapsed() >= time)
    }

    /// Publishes until the command ends, which must end well.
    pub(crate) fn publish_beside(&mut self, command: &mut Command) -> Latencies {
        let mut child = command.stdout(Stdio::null()).spawn().expect("a process");
        let mut status = None;
        let latencies = self.publish_until(|| {
            status = child.try_wait().expect("a child");
            status.is_some()
        });
        assert!(status.is_some_and(|status| status.success()), "{command:?} failed");
        latencies
    }

    /// Publishes until one more run of the collector has left its report in the store in `data`.
    pub(crate) fn publish_until_report(&mut self, data: &Path, earlier: usize) -> Latencies {
        self.publish_until(|| reports(data) > earlier)
    }

    fn publish_until(&mut self, mut enough: impl FnMut() -> bool) -> Latencies {
        let mut latencies = Latencies::new();
        while !enough() {
            latencies.push(self.publish());
        }
        latencies
    }

    fn publish(&mut self) -> f64 {
        let blobs: Vec<Vec<u8>> = (0..FILES).map(|_| self.noise.blob()).collect();
        let describe = |bytes: &Vec<u8>| Descriptor { digest: Digest::of(bytes), size: bytes.len() as u64 };
        let files: Vec<Descriptor> = blobs.iter().map(describe).collect();
        let manifest = manifest(&files);
        self.published += 1;
        let name = self.published % NAMES;
        let began = Instant::now();
        for (bytes, file) in blobs.into_iter().zip(&files) {
            self.put(&format!("blobs/{}", file.digest), bytes);
        }
        self.put(&format!("manifests/small/{name}"), manifest);
        began.elapsed().as_secs_f64()
    }

    fn put(&self, path: &str, body: Vec<u8>) {
        let url = format!("{}/{path}", self.server.url);
        let request = self.client.request(Method::PUT, url).bearer_auth(&self.server.token).body(body);
        let answer = self.runtime.block_on(async {
            let answer = request.send().await.expect("an answer");
            (answer.status(), answer.text().await.expect("a whole answer"))
        });
        assert_eq!(answer.0, 201, "{}", answer.1);
    }
}

/// How many runs have left a report in the store in `data`.
pub(crate) fn reports(data: &Path) -> usize {
    let runs = data.join("objects/collector/runs");
    let mut found = 0;
    if runs.is_dir() {
        plant::files(&runs, &mut |path| found += usize::from(path.extension().is_some_and(|end| end == "report")));
    }
    found
}

/// Number, median and 99th percentile in milliseconds, as text, and the latter as a number.
pub(crate) fn describe(mut latencies: Latencies) -> (String, f64) {
    assert!(!latencies.is_empty(), "nothing was published meanwhile: the store is too small for this");
    latencies.sort_by(f64::total_cmp);
    let (median, tail) = (1000.0 * quantile(&latencies, 0.5), 1000.0 * quantile(&latencies, 0.99));
    (format!("{:6} publishes, p50 {median:7.2} ms, p99 {tail:7.2} ms", latencies.len()), tail)
}
