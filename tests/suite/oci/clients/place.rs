//! Two servers on one store, and the commands of an operator.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use larder::domain::Digest;
use larder::store::s3::S3Settings;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::deployment::{Deployment, TOKEN, is_up, url};
use crate::support::process::{Larder, Output, Reply, Running, exchange, free_port, larder, until};

/// Nobody collects but who is told to, and some names are for those who have a token.
const SECTIONS: &str = "[collector]\nenabled = false\n\n[[names]]\nmatch = [\"private/**\"]\nread = \"token\"\n\n\
                        [[names]]\nmatch = [\"**\"]\nkeep_last = 3\nkeep_for = \"0s\"\n";

#[derive(Debug)]
enum Store {
    /// The configuration, in a directory with the data, which is removed at the end.
    Directory {
        config: PathBuf,
        _directory: TempDir,
    },
    Bucket(Box<Deployment>),
}

/// Two servers on one store.
#[derive(Debug)]
pub struct Place {
    ports: [u16; 2],
    servers: Vec<Running>,
    store: Store,
}

impl Place {
    /// Servers on a directory.
    pub fn directory() -> Self {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("larder.toml");
        let mut text = format!("[store]\ntype = \"fs\"\npath = \"{}\"\n", directory.path().join("data").display());
        let sha256 = Digest::of(TOKEN.as_bytes()).to_string();
        let sha256 = sha256.trim_start_matches("sha256:");
        let _ = write!(text, "[[access.tokens]]\nid = \"test\"\nsha256 = {sha256:?}\nactions = [\"admin\"]\n");
        fs::write(&file, text + SECTIONS).unwrap();
        Self::start(Store::Directory { config: file, _directory: directory })
    }

    /// Servers on a bucket.
    pub fn bucket(settings: &S3Settings) -> Self {
        Self::start(Store::Bucket(Box::new(Deployment::with(settings, "", SECTIONS))))
    }

    fn start(store: Store) -> Self {
        let mut place = Self { ports: [free_port(), free_port()], servers: Vec::new(), store };
        for port in place.ports {
            place.servers.push(place.operator(&format!("serve --listen 127.0.0.1:{port}")).start());
            until("the server is up", || is_up(port));
        }
        place
    }

    /// Host and port of one of the servers.
    pub fn host(&self, server: usize) -> String {
        format!("127.0.0.1:{}", self.ports[server])
    }

    /// A command that looks at the store.
    fn operator(&self, arguments: &str) -> Larder {
        match &self.store {
            Store::Directory { config, .. } => larder(arguments).arg("--config").arg(config),
            Store::Bucket(deployment) => deployment.larder(arguments),
        }
    }

    /// A command that talks to the first server, with the token.
    pub fn client(&self, arguments: &str) -> Larder {
        crate::support::deployment::client(&url(self.ports[0]), arguments)
    }

    /// Retires what is over, and deletes all that nobody needs, whatever its age. Returns how many blobs that were.
    pub fn collect(&self) -> u64 {
        let report = self.operator("collect --once --json --min-age 0s").ok().json();
        assert_eq!(report["totals"]["lost"], 0, "{report:#}");
        report["totals"]["deleted"].as_u64().unwrap_or_default()
    }

    /// Looks at every byte of the store.
    pub fn verify(&self) -> Output {
        self.operator("verify").ok()
    }

    fn get(&self, server: usize, path: &str) -> Reply {
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\r\n");
        let address = self.host(server).parse().unwrap();
        exchange(address, &head, &[]).unwrap()
    }

    /// The manifest of `REPOSITORY:TAG` as one of the servers has it, and its digest.
    pub fn manifest(&self, server: usize, image: &str) -> (Value, String) {
        let (repository, tag) = image.rsplit_once(':').unwrap();
        let reply = self.get(server, &format!("/v2/{repository}/manifests/{tag}"));
        assert_eq!(reply.status, 200, "{image}: {}", String::from_utf8_lossy(&reply.body));
        let digest = Digest::of(&reply.body).to_string();
        assert_eq!(reply.header("docker-content-digest"), Some(digest.as_str()));
        (reply.json(), digest)
    }

    /// The digests by which a client may know what it pulled: that of the manifest and of its first child.
    pub fn digests(&self, image: &str) -> Vec<String> {
        let (manifest, digest) = self.manifest(0, image);
        let child = manifest["manifests"][0]["digest"].as_str().map(str::to_owned);
        [Some(digest), child].into_iter().flatten().collect()
    }

    /// A blob of a repository, as JSON.
    pub fn config(&self, image: &str) -> Value {
        let (manifest, _) = self.manifest(0, image);
        let (repository, _) = image.rsplit_once(':').unwrap();
        let digest = manifest["config"]["digest"].as_str().unwrap();
        let reply = self.get(0, &format!("/v2/{repository}/blobs/{digest}"));
        assert_eq!(reply.status, 200, "{digest}");
        reply.json()
    }
}
