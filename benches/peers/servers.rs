//! The servers that are compared, and how each spells a request.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use larder::domain::Digest;

use super::bucket::Bucket;
use super::cores::Cores;
use super::fixtures::{Blob, IMAGE, NAME};
use super::install::Programs;
use super::launch::launch;
use super::load::plan::{Body, Exchange, LOCATION, Step};
use super::process::Process;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Larder,
    Nginx,
    Registry,
    Angos,
    /// Only beside sites.
    Caddy,
    /// The S3 engine, read and written directly.
    Engine,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::Nginx => "nginx",
            Self::Registry => "docker-registry",
            Self::Angos => "angos",
            Self::Caddy => "caddy",
            Self::Engine => "engine",
        }
    }

    /// What an upload that was answered survives.
    pub(crate) fn durability(self) -> &'static str {
        match self {
            Self::Larder => "syncs each file, then its directory, before it answers",
            Self::Nginx | Self::Caddy => "read only; its files were not synced by it",
            Self::Registry => "syncs each file before it answers, but no directory: a crash may take the name away",
            Self::Angos => "sync_to_disk is on; what that covers was not looked into",
            Self::Engine => "the engine's own; its disk is in memory",
        }
    }

    /// Whether images can be pushed to it.
    pub(crate) fn takes_images(self) -> bool {
        self == Self::Larder || self.is_registry()
    }

    /// Whether manifests and blobs can be uploaded to it as to an OCI registry only.
    pub(crate) fn is_registry(self) -> bool {
        matches!(self, Self::Registry | Self::Angos)
    }
}

/// A running server.
pub(crate) struct Peer {
    pub kind: Kind,
    pub address: SocketAddr,
    pub process: Process,
    /// Where it keeps everything.
    pub root: PathBuf,
    /// Of an administrator; only Larder asks for one.
    pub token: String,
    bucket: Option<Bucket>,
}

impl Peer {
    /// Starts a server on a directory, and waits until it answers.
    pub(crate) fn start(kind: Kind, programs: &Programs, cores: &Cores, root: &Path) -> Self {
        let mut peer = Self::spawn(kind, programs, cores, root);
        let since = Instant::now();
        while TcpStream::connect(peer.address).is_err() {
            peer.process.assert_alive();
            assert!(since.elapsed() < PATIENCE, "{} does not answer", kind.name());
            thread::sleep(Duration::from_millis(2));
        }
        if kind == Kind::Larder {
            fs::read_to_string(root.join("admin.token")).expect("a token").trim().clone_into(&mut peer.token);
        }
        peer
    }

    /// Starts a server on a directory.
    pub(crate) fn spawn(kind: Kind, programs: &Programs, cores: &Cores, root: &Path) -> Self {
        fs::create_dir_all(root).expect("a directory");
        let address = free_address();
        let process = Process::start(cores, &launch(kind, programs, cores, root, address));
        Self { kind, address, process, root: root.to_owned(), token: String::new(), bucket: None }
    }

    /// Starts the S3 engine.
    pub(crate) fn engine(cores: &Cores) -> Self {
        let bucket = cores.as_server(Bucket::start);
        let process = Process::of_others(bucket.processes());
        let (address, root) = (bucket.address(), PathBuf::new());
        Self { kind: Kind::Engine, address, process, root, token: String::new(), bucket: Some(bucket) }
    }

    /// The path of a blob, for a method.
    pub(crate) fn blob(&self, method: &str, digest: &Digest) -> String {
        match (&self.bucket, self.kind.is_registry()) {
            (Some(bucket), _) => bucket.path(method, &digest.to_string()),
            (None, true) => format!("/v2/{NAME}/blobs/{digest}"),
            (None, false) => format!("/blobs/{digest}"),
        }
    }

    /// The path of what was published under a tag, which at Larder is the end of a name.
    pub(crate) fn manifest(&self, tag: &str) -> String {
        if self.kind.is_registry() { format!("/v2/{NAME}/manifests/{tag}") } else { format!("/manifests/{NAME}/{tag}") }
    }

    /// Fields that a request for the manifest needs.
    pub(crate) fn manifest_fields(&self) -> Vec<(&'static str, String)> {
        if self.kind.is_registry() { vec![("accept", IMAGE.to_owned())] } else { Vec::new() }
    }

    /// A request without a body, and what it must be answered.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, String)],
        status: u16,
        length: Option<u64>,
    ) -> Step {
        Step { head: self.head(method, path, fields), body: Body::Empty, status, length }
    }

    fn head(&self, method: &str, path: &str, fields: &[(&str, String)]) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head + "\r\n"
    }

    /// The upload of a blob that is not there.
    pub(crate) fn upload(&self, blob: &Blob) -> Exchange {
        let body = Body::Blob { length: blob.length, seed: blob.seed };
        let length = ("content-length", blob.length.to_string());
        if self.kind.is_registry() {
            return Exchange { steps: self.registry_upload(blob) };
        }
        let (fields, status) = match self.kind {
            Kind::Engine => (vec![length], 200),
            _ => (vec![length, self.authorization()], 201),
        };
        let head = self.head("PUT", &self.blob("PUT", &blob.digest), &fields);
        Step { head, body, status, length: None }.into()
    }

    fn registry_upload(&self, blob: &Blob) -> Vec<Step> {
        let fields = |length: u64| {
            let mut fields = self.credentials();
            fields.push(("content-length", length.to_string()));
            fields
        };
        let begin = self.ask("POST", &format!("/v2/{NAME}/blobs/uploads/"), &fields(0), 202, None);
        let mut fields = fields(blob.length);
        fields.push(("content-type", "application/octet-stream".to_owned()));
        let head = self.head("PUT", &format!("{LOCATION}digest={}", blob.digest), &fields);
        let body = Body::Blob { length: blob.length, seed: blob.seed };
        vec![begin, Step { head, body, status: 201, length: None }]
    }

    /// The push of a layer that is not there, as clients of images do it.
    pub(crate) fn push(&self, blob: &Blob) -> Exchange {
        let path = format!("/v2/{NAME}/blobs/{}", blob.digest);
        let mut steps = vec![self.ask("HEAD", &path, &self.credentials(), 404, None)];
        steps.extend(self.registry_upload(blob));
        Exchange { steps }
    }

    /// The push of an image manifest whose layers are there.
    pub(crate) fn push_manifest(&self, tag: &str, manifest: String) -> Exchange {
        let mut fields = self.credentials();
        fields.extend([("content-length", manifest.len().to_string()), ("content-type", IMAGE.to_owned())]);
        let head = self.head("PUT", &image_path(tag), &fields);
        Step { head, body: Body::Text(manifest), status: 201, length: None }.into()
    }

    /// The pull of a layer.
    pub(crate) fn pull(&self, blob: &Blob) -> Exchange {
        self.ask("GET", &format!("/v2/{NAME}/blobs/{}", blob.digest), &[], 200, Some(blob.length)).into()
    }

    /// Fields for a change that is only allowed to some; only Larder asks for any.
    fn credentials(&self) -> Vec<(&'static str, String)> {
        if self.kind == Kind::Larder { vec![self.authorization()] } else { Vec::new() }
    }

    /// The upload of a manifest that is not there.
    pub(crate) fn publish(&self, tag: &str, manifest: String) -> Exchange {
        let length = ("content-length", manifest.len().to_string());
        let kind = ("content-type", IMAGE.to_owned());
        let fields = if self.kind.is_registry() { [length, kind] } else { [length, self.authorization()] };
        let head = self.head("PUT", &self.manifest(tag), &fields);
        Step { head, body: Body::Text(manifest), status: 201, length: None }.into()
    }

    fn authorization(&self) -> (&'static str, String) {
        ("authorization", format!("Bearer {}", self.token))
    }

    /// Makes room, where that is scarce.
    pub(crate) fn forget(&self, digest: &Digest) {
        self.bucket.iter().for_each(|bucket| bucket.delete(&digest.to_string()));
    }
}

/// The path of an image.
pub(crate) fn image_path(tag: &str) -> String {
    format!("/v2/{NAME}/manifests/{tag}")
}

/// An address on loopback that nobody listens on.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}
