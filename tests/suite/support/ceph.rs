//! A real engine: Ceph's object gateway, one for all tests of a run.
//!
//! A machine that builds Larder need not have it. Every test that starts it is ignored, with a reason that names the
//! command that runs it (`tests/suite/tidy/ignored.rs` holds that), and `.ci/run` runs them all.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};

use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region};
use larder::store::S3Store;
use larder::store::s3::{AccessKey, S3Settings};

use super::store::{Store, assert_nothing_unfinished};

const BUCKET: &str = "larder";
/// What the tests need, as Debian calls it.
const PACKAGES: &str = "ceph-mon ceph-osd radosgw ceph-common";
/// The programs that `ceph.sh` runs.
const PROGRAMS: [&str; 6] = ["ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin"];

/// The engine, which lives as long as this process.
#[derive(Debug)]
struct Engine {
    endpoint: String,
    /// Ends when its standard input does.
    _guard: Child,
}

/// A place of its own in the engine.
#[derive(Debug)]
pub struct Ceph {
    settings: S3Settings,
}

impl Ceph {
    /// Starts the engine if this is the first test that needs it. Panics where it is not installed: a test that was asked
    /// for and did not run has not passed.
    pub async fn start() -> Self {
        static ENGINE: OnceLock<Engine> = OnceLock::new();
        let engine = tokio::task::spawn_blocking(|| ENGINE.get_or_init(start)).await.unwrap();
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        let mut settings = S3Settings::new(BUCKET);
        settings.prefix = format!("case/{}", hex::encode(random));
        settings.endpoint = Some(engine.endpoint.clone());
        settings.access_key = Some(AccessKey { id: "probeak".to_owned(), secret: "probesk".to_owned() });
        make_bucket(&engine.endpoint).await;
        Self { settings }
    }

    pub fn settings(&self) -> S3Settings {
        self.settings.clone()
    }

    pub async fn store(&self) -> Store {
        self.store_with(|_| {}).await
    }

    /// A store with other settings than the usual ones.
    pub async fn store_with(&self, tweak: impl FnOnce(&mut S3Settings)) -> Store {
        let mut settings = self.settings();
        tweak(&mut settings);
        Arc::new(S3Store::connect(settings).await.expect("sound settings"))
    }

    /// What every test ends with: nothing is left unfinished.
    pub async fn finish(self) {
        assert_nothing_unfinished(&self.store().await).await;
    }
}

fn start() -> Engine {
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| !is_installed(program)).collect();
    assert!(missing.is_empty(), "{missing:?} not found: apt-get install --no-install-recommends {PACKAGES}");
    let [monitor, gateway] = free_ports();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/support/ceph.sh");
    let mut guard = Command::new("bash")
        .arg(script)
        .arg(directory())
        .args([monitor.to_string(), gateway.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Whoever interrupts the tests ends us; the script notices.
        .process_group(0)
        .spawn()
        .expect("start bash");
    let mut said = String::new();
    BufReader::new(guard.stdout.take().expect("piped")).read_line(&mut said).expect("read what the script says");
    assert_eq!(said, "ready\n", "Ceph did not start; its last words are above");
    Engine { endpoint: format!("http://127.0.0.1:{gateway}"), _guard: guard }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// In memory where the system has such a place: paths of sockets must be short, and a disk would be slow.
fn directory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
    tempfile::Builder::new().prefix("larder-ceph-").tempdir_in(place).expect("make a directory").keep()
}

fn free_ports() -> [u16; 2] {
    let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("bound").port())
}

async fn make_bucket(endpoint: &str) {
    let config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(endpoint)
        .force_path_style(true)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("probeak", "probesk", None, None, "tests"))
        .build();
    let made = aws_sdk_s3::Client::from_conf(config).create_bucket().bucket(BUCKET).send().await;
    made.expect("make the bucket, which may be there");
}
