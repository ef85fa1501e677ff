//! The engine that is measured.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation};

use super::support::{QUIET, TOKEN_VARIABLE, argument};

/// A token, which a server on a bucket does not make itself.
const TOKEN: &str = "larder_bench";

/// An S3 engine and a bucket in it.
pub(crate) struct Engine {
    pub(crate) endpoint: String,
    pub(crate) bucket: String,
    /// Whether signatures cover bodies.
    pub(crate) signs: bool,
    access: (String, String),
    /// Where one that was started here keeps everything.
    directory: PathBuf,
    /// Ends when its standard input does.
    _guard: Option<Child>,
}

impl Engine {
    /// The engine of `--endpoint`, or Ceph, started here.
    pub(crate) fn find() -> Self {
        let bucket = argument("bucket", "larder");
        let endpoint = argument("endpoint", "");
        let signs = argument("sign", "true") == "true";
        if !endpoint.is_empty() {
            let variable = |name| std::env::var(name).expect("credentials in the environment");
            let access = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"));
            return Self { endpoint, bucket, signs, access, directory: PathBuf::new(), _guard: None };
        }
        let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [monitor, gateway] = listeners.map(|listener| listener.local_addr().expect("bound").port().to_string());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/support/ceph.sh");
        let place = argument("place", "/dev/shm");
        let directory = tempfile::Builder::new().prefix("larder-ceph-").tempdir_in(place).expect("a directory").keep();
        let mut guard = Command::new("bash")
            .arg(script)
            .arg(&directory)
            .args([&monitor, &gateway])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash");
        let mut said = String::new();
        BufReader::new(guard.stdout.take().expect("piped")).read_line(&mut said).expect("what the script says");
        assert_eq!(said, "ready\n", "Ceph did not start: apt-get install ceph-mon ceph-osd radosgw ceph-common");
        let access = ("probeak".to_owned(), "probesk".to_owned());
        Self { endpoint: format!("http://127.0.0.1:{gateway}"), bucket, signs, access, directory, _guard: Some(guard) }
    }

    pub(crate) fn client(&self) -> Client {
        let (id, secret) = &self.access;
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&self.endpoint)
            .force_path_style(true)
            .region(Region::new("us-east-1"))
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .credentials_provider(Credentials::new(id, secret, None, None, "bench"))
            .build();
        Client::from_conf(config)
    }

    /// The processes of an engine that was started here.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let files = std::fs::read_dir(self.directory.join("run")).expect("an engine that was started here");
        let paths = files.map(|file| file.expect("an entry").path());
        let read = |path| std::fs::read_to_string(path).ok()?.trim().parse().ok();
        paths.filter(|path| path.extension().is_some_and(|end| end == "pid")).filter_map(read).collect()
    }

    pub(crate) async fn make_bucket(&self) {
        // It may be there, or not be ours to make: the first upload tells.
        let _ = self.client().create_bucket().bucket(&self.bucket).send().await;
    }

    /// The configuration of a server on it.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let set = |name, value: &str| (name, value.to_owned());
        let digest = larder::domain::Digest::of(TOKEN.as_bytes()).hex();
        let tokens = format!("[{{ id = \"bench\", sha256 = \"{digest}\", actions = [\"admin\"] }}]");
        vec![
            set("LARDER__STORE__TYPE", "s3"),
            set("LARDER__STORE__BUCKET", &self.bucket),
            set("LARDER__STORE__ENDPOINT", &self.endpoint),
            ("LARDER__STORE__SIGN_BODIES", self.signs.to_string()),
            set(QUIET.0, QUIET.1),
            set("LARDER__ACCESS__TOKENS", &tokens),
            set("AWS_ACCESS_KEY_ID", &self.access.0),
            set("AWS_SECRET_ACCESS_KEY", &self.access.1),
            set("AWS_EC2_METADATA_DISABLED", "true"),
            set(TOKEN_VARIABLE, TOKEN),
        ]
    }
}
