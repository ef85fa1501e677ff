//! A store that can be read but not written to: readers are served, publishers learn why, and so do operators.

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::clock::SystemClock;
use larder::domain::Digest;
use larder::store::FsStore;
use larder::store::fs::{Step, Steps};
use reqwest::Method;
use rustix::io::Errno;
use tempfile::TempDir;

use crate::support::server::{Answer, TestServer, manifest, send};

const FILES: [(&str, &[u8]); 1] = [("file", b"bytes")];
/// A retry after some seconds, and a slow machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A file system that refuses every write in this way, and allows every read.
#[derive(Debug, Default)]
struct Refusing(Mutex<Option<Errno>>);

impl Steps for Refusing {
    fn before(&self, step: Step) -> io::Result<()> {
        if matches!(step, Step::Open | Step::Read | Step::ReadDirectory) {
            return Ok(());
        }
        self.0.lock().unwrap().map_or(Ok(()), |errno| Err(errno.into()))
    }
}

/// Everything that writes to the store.
async fn writes(server: &TestServer, upload: &str) -> Vec<(&'static str, Answer)> {
    let append = server.request(Method::PATCH, upload).header("content-type", "application/partial-upload");
    let append = append.header("upload-offset", 0).header("upload-complete", "?1").body("later");
    let begin = server.request(Method::POST, &format!("/uploads?digest={}", Digest::of(b"another")));
    let begin = begin.header("upload-complete", "?0").header("upload-length", 7);
    let second: [(&str, &[u8]); 1] = [("second", b"bytes")];
    vec![
        ("blob", server.put(&format!("/blobs/{}", Digest::of(b"new")), "new").await),
        ("manifest", server.put("/manifests/main", manifest(&second).to_string()).await),
        ("session", server.post("/sessions/main", &manifest(&second)).await),
        ("append", send(append).await),
        ("upload", send(begin).await),
        ("pin", send(server.request(Method::PUT, "/versions/main@1/pin")).await),
        ("promote", send(server.request(Method::POST, "/versions/main@1/promote")).await),
        ("delete", server.delete("/manifests/main").await),
    ]
}

async fn ready(server: &TestServer, query: &str, status: u16) -> String {
    server.get(&format!("/readyz{query}")).await.expect(status).text()
}

/// Waits until the server says by itself that it can write.
async fn writable_again(server: &TestServer) {
    let again = async {
        while server.get("/readyz?for=write").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("the server tries again");
    assert_eq!(ready(server, "", 200).await, "ready\n");
}

#[tokio::test]
async fn every_write_says_why_it_is_refused_and_every_read_is_served() {
    let (directory, steps) = (TempDir::new().unwrap(), Arc::new(Refusing::default()));
    let store = FsStore::with_steps(directory.path(), steps.clone()).unwrap();
    let off = |config: &mut larder::config::Config| config.collector.enabled = false;
    let server = TestServer::over(directory.path(), Arc::new(store), Arc::new(SystemClock), off).await;
    server.publish("main", &FILES).await;
    server.publish("main", &[("other", b"other")]).await;
    let begin = server.request(Method::POST, &format!("/uploads?digest={}", Digest::of(b"later")));
    let begin = begin.header("upload-complete", "?0").header("upload-length", 5);
    let upload = send(begin).await.expect(201).header("location").to_owned();
    for (errno, status, code, reason, lasts) in [
        (Errno::NOSPC, 507, "STORE_FULL", "no space", true),
        (Errno::DQUOT, 507, "STORE_FULL", "quota", true),
        (Errno::ROFS, 503, "STORE_READ_ONLY", "mounted read-only", true),
        (Errno::ACCESS, 503, "STORE_DENIED", "permission", true),
        (Errno::PERM, 503, "STORE_DENIED", "permission", true),
        (Errno::IO, 503, "UNAVAILABLE", "input or output error", false),
        (Errno::MFILE, 503, "UNAVAILABLE", "too many files", false),
        (Errno::NFILE, 503, "UNAVAILABLE", "too many files", false),
    ] {
        *steps.0.lock().unwrap() = Some(errno);
        for (what, answer) in writes(&server, &upload).await {
            assert_eq!(answer.status, status, "{what} after {errno}: {}", answer.text());
            let detail = answer.problem(status, code)["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(reason), "{what} after {errno}: {detail}");
        }
        server.get(&format!("/blobs/{}", Digest::of(b"bytes"))).await.expect(200);
        server.get("/manifests/main").await.expect(200);
        if lasts {
            let text = ready(&server, "", 200).await;
            assert!(text.starts_with("ready, but not writable: the store ") && text.contains(reason), "{text}");
            let text = ready(&server, "?for=write", 503).await;
            assert!(text.starts_with("not writable: ") && text.contains(reason), "{text}");
            assert!(ready(&server, "?verbose", 200).await.contains("\nwritable: no (the store "));
            ready(&server, "?for=read", 200).await;
        }
        *steps.0.lock().unwrap() = None;
        server.put_blob(format!("after {errno}").as_bytes()).await;
        assert_eq!(ready(&server, "", 200).await, "ready\n");
        assert!(ready(&server, "?for=write&verbose", 200).await.contains("writable: yes\n"));
    }
    server.get("/readyz?for=fun").await.expect(400);
    // Nobody writes, and still it is noticed that writing works again.
    *steps.0.lock().unwrap() = Some(Errno::NOSPC);
    server.put(&format!("/blobs/{}", Digest::of(b"new")), "new").await.expect(507);
    ready(&server, "?for=write", 503).await;
    *steps.0.lock().unwrap() = None;
    writable_again(&server).await;
}

/// A small file system in memory, unmounted when dropped.
struct Mounted(TempDir);

impl Mounted {
    fn new(options: &str) -> Self {
        let mounted = Self(TempDir::new().unwrap());
        run("mount", &["-t", "tmpfs", "-o", options, "tmpfs"], mounted.0.path());
        mounted
    }

    fn remount(&self, how: &str) {
        run("mount", &["-o", &format!("remount,{how}")], self.0.path());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[track_caller]
fn run(program: &str, arguments: &[&str], path: &Path) {
    assert!(Command::new(program).args(arguments).arg(path).status().unwrap().success(), "{program} {arguments:?}");
}

#[tokio::test]
#[ignore = "needs root that may mount: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn a_real_file_system_that_is_full_or_read_only_goes_on_serving() {
    let mounted = Mounted::new("size=2m");
    let data = mounted.0.path();
    let server = TestServer::on(data, |config| config.collector.enabled = false).await;
    server.publish("main", &FILES).await;
    let filler = data.join("filler");
    std::fs::write(&filler, vec![7; 4 << 20]).unwrap_err();
    let (bytes, files) = (vec![1; 300_000], [("second", &b"bytes"[..])]);
    server.put(&format!("/blobs/{}", Digest::of(&bytes)), bytes.clone()).await.problem(507, "STORE_FULL");
    server.put("/manifests/main", manifest(&files).to_string()).await.problem(507, "STORE_FULL");
    server.get("/manifests/main").await.expect(200);
    assert!(ready(&server, "", 200).await.contains("the store is full"));
    std::fs::remove_file(&filler).unwrap();
    writable_again(&server).await;
    mounted.remount("ro");
    server.put(&format!("/blobs/{}", Digest::of(&bytes)), bytes.clone()).await.problem(503, "STORE_READ_ONLY");
    server.put("/manifests/main", manifest(&files).to_string()).await.problem(503, "STORE_READ_ONLY");
    server.get(&format!("/blobs/{}", Digest::of(b"bytes"))).await.expect(200);
    assert!(ready(&server, "?for=write", 503).await.contains("mounted read-only"));
    mounted.remount("rw");
    writable_again(&server).await;
    server.put(&format!("/blobs/{}", Digest::of(&bytes)), bytes).await.expect(201);
}
