//! Real processes that are killed in the middle of publishes and uploads, on a real engine where there is one.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use larder::store::s3::S3Settings;
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::support::ceph::Ceph;
use crate::support::deployment::{Deployment, client, url};
use crate::support::process::{exchange, free_port, until};
use crate::support::s3::S3Model;
use crate::support::store::{Store, pattern};

/// Different bytes for each number.
fn files(number: usize) -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["a", "b", "c"] {
        fs::write(folder.path().join(name), format!("{number} of {name}").repeat(1000)).unwrap();
    }
    folder
}

/// Publishes through whichever server is up, as a pipeline does that is told of two addresses.
fn publish(ports: [u16; 2], name: &str, number: usize, failed: &AtomicUsize) {
    let files = files(number);
    for attempt in 0..50 {
        let port = ports[(number + attempt) % 2];
        let command = client(&url(port), &format!("publish {name} . --retries 0")).env("SOURCE_DATE_EPOCH", "0");
        let output = command.within(&files).run();
        match output.code() {
            Some(0) => return,
            Some(7) => failed.fetch_add(1, Ordering::SeqCst),
            _ => panic!("{output:#?}"),
        };
    }
    panic!("no server took the release");
}

/// Reads a name until it is done: it answers, and never goes back in time.
fn read(port: u16, done: &AtomicBool, reads: &AtomicUsize) {
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let mut newest = 0;
    while !done.load(Ordering::SeqCst) {
        let get = "GET /manifests/main HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let reply = exchange(address, get, b"").unwrap();
        let version: usize = reply.header("larder-version").expect("a version").parse().unwrap();
        assert!(reply.status == 200 && version >= newest, "{version} after {newest}");
        newest = version;
        reads.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(5));
    }
}

/// One server is killed again and again; the other one serves on, and takes what the first one did not finish.
fn one_is_killed_again_and_again(settings: &S3Settings) {
    let deployment = Deployment::on(settings);
    let ports = [free_port(), free_port()];
    let (_stays, mut dies) = (deployment.serve(ports[0]), deployment.serve(ports[1]));
    let (done, failed, reads) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    publish(ports, "main", 0, &failed);
    thread::scope(|scope| {
        scope.spawn(|| read(ports[0], &done, &reads));
        let publishers: Vec<_> = ["main", "other"]
            .into_iter()
            .map(|name| {
                let failed = &failed;
                scope.spawn(move || (1..12).for_each(|number| publish(ports, name, number, failed)))
            })
            .collect();
        let mut kills = 0;
        while kills < 4 || publishers.iter().any(|publisher| !publisher.is_finished()) {
            thread::sleep(Duration::from_millis(u64::from(getrandom::u32().unwrap() % 250)));
            dies.signal(Signal::KILL);
            dies.wait();
            kills += 1;
            if kills % 3 == 0 {
                deployment.larder("collect --once --min-age 1h").ok();
            }
            dies = deployment.launch(ports[1]);
        }
        done.store(true, Ordering::SeqCst);
        for publisher in publishers {
            publisher.join().unwrap();
        }
    });
    assert!(
        reads.load(Ordering::SeqCst) > 20 && failed.load(Ordering::SeqCst) > 0,
        "{reads:?} reads, {failed:?} failed"
    );
    deployment.larder("collect --once --min-age 0s").ok();
    let totals = deployment.larder("verify --json").ok().json()["totals"].clone();
    assert_eq!((&totals["names"], &totals["findings"]), (&json!(2), &json!(0)), "{totals}");
    for name in ["main", "other"] {
        let fetched = TempDir::new().unwrap();
        client(&url(ports[0]), &format!("fetch {name}")).within(&fetched).ok();
        assert_eq!(fs::read_to_string(fetched.path().join("a")).unwrap(), "11 of a".repeat(1000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_in_the_middle_of_publishes_is_not_missed() {
    let model = S3Model::start().await;
    let settings = model.settings();
    tokio::task::spawn_blocking(move || one_is_killed_again_and_again(&settings)).await.unwrap();
    abort_probes(&model.store().await).await;
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn a_server_on_a_real_engine_that_is_killed_in_the_middle_of_publishes_is_not_missed() {
    let ceph = Ceph::start().await;
    let settings = ceph.settings();
    tokio::task::spawn_blocking(move || one_is_killed_again_and_again(&settings)).await.unwrap();
    abort_probes(&ceph.store().await).await;
    ceph.finish().await;
}

/// What a server leaves that is killed while it probes its engine at start-up. The collector aborts it a day later.
async fn abort_probes(store: &Store) {
    let left: Vec<_> = store.unfinished().try_collect().await.unwrap();
    for found in left.iter().filter(|found| found.parts.key.as_str().starts_with("probe/")) {
        store.abort_parts(&found.parts).await.unwrap();
    }
}

/// A load balancer, which sends each connection to the first of two servers that is up.
struct Balancer {
    port: u16,
    /// Bytes that clients have sent through it.
    passed: AtomicUsize,
    /// The heads of requests that are about uploads.
    heads: Mutex<Vec<String>>,
}

impl Balancer {
    fn start(ports: [u16; 2]) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let balancer = Arc::new(Self { port, passed: AtomicUsize::new(0), heads: Mutex::default() });
        let shared = Arc::clone(&balancer);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, balancer) = (client.unwrap(), Arc::clone(&shared));
                let server = ports.iter().find_map(|port| TcpStream::connect(("127.0.0.1", *port)).ok());
                let Some(server) = server else { continue };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || balancer.carry(from, &to));
                thread::spawn(move || {
                    let _ = io::copy(&mut &server, &mut &client);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        balancer
    }

    /// Slowly, so that there is a middle.
    fn carry(&self, mut client: TcpStream, mut server: &TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = client.read(&mut buffer) {
            let bytes = &buffer[..length];
            if bytes.starts_with(b"POST /uploads") || bytes.starts_with(b"PATCH /uploads") {
                let head = String::from_utf8_lossy(bytes).split("\r\n\r\n").next().unwrap().to_lowercase();
                self.heads.lock().unwrap().push(head);
            }
            if server.write_all(bytes).is_err() {
                break;
            }
            self.passed.fetch_add(length, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(2));
        }
        let _ = server.shutdown(Shutdown::Both);
    }
}

/// A large file through one server, which is killed; the client goes on through the other one.
fn an_upload_changes_servers(settings: &S3Settings) {
    let deployment = Deployment::with(settings, "", "[collector]\nenabled = false\n[limits]\nupload_part = \"5MiB\"\n");
    let ports = [free_port(), free_port()];
    let (one, _other) = (deployment.serve(ports[0]), deployment.serve(ports[1]));
    let bytes = pattern(30 << 20);
    let files = TempDir::new().unwrap();
    fs::write(files.path().join("large"), &bytes).unwrap();
    let balancer = Balancer::start(ports);
    let publishing = client(&url(balancer.port), "publish main . --resumable-from 1MiB").within(&files).start();
    until("most of the file is sent", || balancer.passed.load(Ordering::SeqCst) > 22 << 20);
    one.signal(Signal::KILL);
    let output = publishing.wait();
    assert_eq!(output.code(), Some(0), "{output:#?}");
    let heads = balancer.heads.lock().unwrap().clone();
    let of = |start: &str| heads.iter().filter(|head| head.starts_with(start)).count();
    assert_eq!((of("post"), of("patch")), (1, 2), "begun once, and taken up once: {heads:#?}");
    assert!(!heads[2].contains("upload-offset: 0\r\n"), "nothing is sent twice: {heads:#?}");
    let fetched = TempDir::new().unwrap();
    client(&url(ports[1]), "fetch main").within(&fetched).ok();
    assert!(fs::read(fetched.path().join("large")).unwrap() == bytes);
    deployment.larder("collect --once --min-age 0s").ok();
    deployment.larder("verify").ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_at_another_server_when_the_first_one_is_killed() {
    let model = S3Model::start().await;
    let settings = model.settings();
    tokio::task::spawn_blocking(move || an_upload_changes_servers(&settings)).await.unwrap();
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn an_upload_to_a_real_engine_goes_on_at_another_server_when_the_first_one_is_killed() {
    let ceph = Ceph::start().await;
    let settings = ceph.settings();
    tokio::task::spawn_blocking(move || an_upload_changes_servers(&settings)).await.unwrap();
    ceph.finish().await;
}
