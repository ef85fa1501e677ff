//! The server under attack, with something published.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use larder::domain::Digest;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use super::support::{QUIET, Server, TOKEN_VARIABLE, directory, size_argument};

/// The blob that bystanders fetch, in bytes.
const SMALL: usize = 64 << 10;
/// The token of the bystanders.
const TOKEN: &str = "larder_bench";
/// The token of the attackers, who may publish under `weak`.
pub(crate) const WEAK_TOKEN: &str = "larder_weak";
/// Artifacts of the manifest that is a large document.
const ARTIFACTS: usize = 1000;

/// A server with the names `main` (one small file) and `large` (a manifest of a hundred kilobytes).
pub(crate) struct Victim {
    server: Server,
    directory: TempDir,
    client: reqwest::Client,
    pub small: Digest,
    pub large: Digest,
}

impl Victim {
    pub(crate) async fn start() -> Self {
        let directory = directory();
        // The limits are the defaults: what is measured is what is shipped.
        let store = directory.path().join("data");
        let server = Server::start_with(
            &store,
            &[
                QUIET,
                ("LARDER__STORE__TYPE", "fs"),
                ("LARDER__STORE__PATH", store.to_str().expect("a path in UTF-8")),
                ("LARDER__ACCESS__TOKENS", &tokens()),
                (TOKEN_VARIABLE, TOKEN),
            ],
        );
        let client = larder::client::http_client_builder().no_proxy().build().expect("a client");
        let (small, large) = (vec![1; SMALL], vec![2; large()]);
        let victim = Self { server, directory, client, small: Digest::of(&small), large: Digest::of(&large) };
        victim.upload(small).await;
        victim.upload(large).await;
        victim.publish("main", 1).await;
        victim.publish("large", ARTIFACTS).await;
        victim
    }

    pub(crate) fn address(&self) -> &str {
        self.server.url.trim_start_matches("http://")
    }

    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    pub(crate) fn token(&self) -> &str {
        &self.server.token
    }

    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// The store, which `larder verify` can read.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Sockets that the server has open, less the one it listens on.
    pub(crate) fn held(&self) -> usize {
        let files = fs::read_dir(format!("/proc/{}/fd", self.server.status("Pid:"))).expect("a Linux /proc").flatten();
        let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count().saturating_sub(1)
    }

    async fn upload(&self, bytes: Vec<u8>) {
        let digest = Digest::of(&bytes);
        let request = self.client.put(format!("{}/blobs/{digest}", self.url())).bearer_auth(self.token());
        let answer = request.body(bytes).send().await.expect("an upload");
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// Publishes a manifest of `artifacts` names for the small blob.
    async fn publish(&self, name: &str, artifacts: usize) {
        let answer = self.put_manifest(name, &manifest(self.small, SMALL, artifacts)).await.expect("a publish");
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    pub(crate) async fn put_manifest(
        &self,
        name: &str,
        document: &serde_json::Value,
    ) -> reqwest::Result<reqwest::Response> {
        let request = self.client.put(format!("{}/manifests/{name}", self.url())).bearer_auth(self.token());
        request.body(document.to_string()).send().await
    }

    /// Resident memory of the process, in MiB.
    pub(crate) fn resident_mib(&self) -> u64 {
        self.server.status("VmRSS") >> 10
    }

    /// Does something; also returns the most that is resident meanwhile, in MiB.
    pub(crate) async fn highest_mib<T>(&self, work: impl Future<Output = T>) -> (T, u64) {
        let mut work = std::pin::pin!(work);
        let mut highest = 0;
        loop {
            highest = highest.max(self.resident_mib());
            if let Ok(done) = timeout(Duration::from_millis(50), &mut work).await {
                return (done, highest.max(self.resident_mib()));
            }
        }
    }
}

/// Size of the blob that slow readers ask for, in bytes: far more than a socket takes.
fn large() -> usize {
    usize::try_from(size_argument("large", "64MiB")).expect("a size that fits into memory")
}

/// The two tokens, as the configuration has them.
fn tokens() -> String {
    let token = |id, token: &str, actions, names| {
        let sha256 = Digest::of(token.as_bytes()).hex();
        format!("{{ id = \"{id}\", sha256 = \"{sha256}\", actions = [\"{actions}\"], names = [\"{names}\"] }}")
    };
    format!("[{}, {}]", token("bench", TOKEN, "admin", "**"), token("weak", WEAK_TOKEN, "publish", "weak/**"))
}

/// A release of so many artifacts, all with the same bytes.
pub(crate) fn manifest(digest: Digest, size: usize, artifacts: usize) -> serde_json::Value {
    let artifacts: Vec<_> =
        (0..artifacts).map(|at| json!({"name": format!("file-{at}"), "blob": digest, "size": size})).collect();
    json!({"artifacts": artifacts})
}
