//! The servers that are compared: how each is started, and how each spells a request.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use larder::domain::Digest;
use serde_json::json;

use super::fixtures::{Blob, IMAGE, NAME, TAG};
use super::install::Programs;
use super::load::plan::{Body, Exchange, LOCATION, Step};
use super::process::{Cores, Launch, Process};
use super::support::{LARDER, QUIET};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Larder,
    Nginx,
    Registry,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::Nginx => "nginx",
            Self::Registry => "registry",
        }
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
}

impl Peer {
    /// Starts a server on a directory, and waits until it answers.
    pub(crate) fn start(kind: Kind, programs: &Programs, cores: &Cores, root: &Path) -> Self {
        fs::create_dir_all(root).expect("a directory");
        let address = free_address();
        let launch = match kind {
            Kind::Larder => larder(root, address),
            Kind::Nginx => nginx(programs, cores, root, address),
            Kind::Registry => registry(programs, root, address),
        };
        let mut process = Process::start(cores, &launch);
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            process.assert_alive(&launch.log);
            assert!(began.elapsed() < PATIENCE, "{} does not answer", kind.name());
            std::thread::sleep(Duration::from_millis(2));
        }
        let token = match kind {
            Kind::Larder => fs::read_to_string(root.join("admin.token")).expect("a token").trim().to_owned(),
            Kind::Nginx | Kind::Registry => String::new(),
        };
        Self { kind, address, process, root: root.to_owned(), token }
    }

    /// The path of a blob.
    pub(crate) fn blob(&self, digest: &Digest) -> String {
        match self.kind {
            Kind::Larder | Kind::Nginx => format!("/blobs/{digest}"),
            Kind::Registry => format!("/v2/{NAME}/blobs/{digest}"),
        }
    }

    /// The path of the manifest.
    pub(crate) fn manifest(&self) -> String {
        match self.kind {
            Kind::Larder | Kind::Nginx => format!("/manifests/{NAME}"),
            Kind::Registry => format!("/v2/{NAME}/manifests/{TAG}"),
        }
    }

    /// Fields that a request for the manifest needs.
    pub(crate) fn manifest_fields(&self) -> Vec<(&'static str, String)> {
        match self.kind {
            Kind::Larder | Kind::Nginx => Vec::new(),
            Kind::Registry => vec![("accept", IMAGE.to_owned())],
        }
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

    /// The upload of a blob that is not there. Nginx has none.
    pub(crate) fn upload(&self, blob: &Blob) -> Exchange {
        let body = Body::Blob { length: blob.length, seed: blob.seed };
        let length = ("content-length", blob.length.to_string());
        match self.kind {
            Kind::Larder => {
                let head = self.head("PUT", &self.blob(&blob.digest), &[length, self.authorization()]);
                Step { head, body, status: 201, length: None }.into()
            }
            Kind::Registry => {
                let none = [("content-length", "0".to_owned())];
                let begin = self.ask("POST", &format!("/v2/{NAME}/blobs/uploads/"), &none, 202, None);
                let path = format!("{LOCATION}digest={}", blob.digest);
                let fields = [length, ("content-type", "application/octet-stream".to_owned())];
                let head = self.head("PUT", &path, &fields);
                Exchange { steps: vec![begin, Step { head, body, status: 201, length: None }] }
            }
            Kind::Nginx => panic!("nginx serves what is there"),
        }
    }

    /// The upload of a manifest that is not there.
    pub(crate) fn publish(&self, manifest: &str) -> Exchange {
        let length = ("content-length", manifest.len().to_string());
        let fields = match self.kind {
            Kind::Larder => vec![length, self.authorization()],
            Kind::Registry => vec![length, ("content-type", IMAGE.to_owned())],
            Kind::Nginx => panic!("nginx serves what is there"),
        };
        let head = self.head("PUT", &self.manifest(), &fields);
        Step { head, body: Body::Text(manifest.to_owned()), status: 201, length: None }.into()
    }

    fn authorization(&self) -> (&'static str, String) {
        ("authorization", format!("Bearer {}", self.token))
    }
}

fn larder(root: &Path, address: SocketAddr) -> Launch<'static> {
    let mut arguments: Vec<_> = ["serve", "--listen"].map(Into::into).into();
    arguments.extend([address.to_string().into(), "--data".into(), root.into()]);
    let variables = [QUIET, ("LARDER__LOG__FILTER", "warn")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Launch { program: Path::new(LARDER), arguments, variables, log: root.join("bench.log") }
}

fn nginx<'a>(programs: &'a Programs, cores: &Cores, root: &Path, address: SocketAddr) -> Launch<'a> {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let (workers, here) = (cores.of_servers(), root.display());
    // Blobs keep their name for ever, and manifests are small: both are served from where they lie.
    let configuration = format!(
        "{user} worker_processes {workers}; daemon off; pid {here}/nginx.pid; error_log {here}/error.log warn;
        events {{ worker_connections 4096; }}
        http {{
            access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; server_tokens off;
            keepalive_requests 1000000000; keepalive_timeout 1h; default_type application/octet-stream;
            client_body_temp_path {here}/tmp; proxy_temp_path {here}/tmp; fastcgi_temp_path {here}/tmp;
            uwsgi_temp_path {here}/tmp; scgi_temp_path {here}/tmp;
            server {{ listen {address} backlog=1024; root {here}/files; }}
        }}\n"
    );
    fs::write(root.join("nginx.conf"), configuration).expect("a configuration");
    let arguments = vec!["-p".into(), root.into(), "-c".into(), root.join("nginx.conf").into()];
    let (program, variables) = (&programs.nginx.path, programs.nginx.variables());
    Launch { program, arguments, variables, log: root.join("bench.log") }
}

fn registry<'a>(programs: &'a Programs, root: &Path, address: SocketAddr) -> Launch<'a> {
    // JSON is YAML.
    let configuration = json!({
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": true}},
        "storage": {"filesystem": {"rootdirectory": root, "maxthreads": 1000}, "cache": {"blobdescriptor": "inmemory"}},
        "http": {"addr": address, "relativeurls": true, "secret": "bench"},
    });
    fs::write(root.join("config.yml"), configuration.to_string()).expect("a configuration");
    let arguments = vec!["serve".into(), root.join("config.yml").into()];
    let mut variables = programs.registry.variables();
    variables.push(("OTEL_TRACES_EXPORTER".to_owned(), "none".to_owned()));
    Launch { program: &programs.registry.path, arguments, variables, log: root.join("bench.log") }
}

/// An address on loopback that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}
