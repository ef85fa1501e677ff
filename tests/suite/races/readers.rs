//! Readers and clients of real servers while somebody collects: R6, R14, R15, R16.

use std::path::Path;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use larder::clock::{Clock as _, SystemClock};
use larder::config::{self, Config};
use larder::domain::Digest;
use larder::store::FsStore;
use larder::store::fs::STALE_AFTER;
use reqwest::Method;
use serde_json::json;

use super::{at_every_call, collect, collect_impatiently, v1, v2};
use crate::support::raw::Raw;
use crate::support::server::{TestServer, manifest, send};
use crate::support::services::{AsOf, Services, blob, target};
use crate::support::store::{FsBackend, SLOW, Store, pattern};

/// The label of the active version, all of whose bytes a reader gets, even from condemned generations.
pub(super) async fn served(store: &Store, of: &str) -> String {
    let services = Services::over(store);
    let (found, loaded) = services.resolve.manifest(&target(of), AsOf::Now).await.expect("an active version");
    for descriptor in &loaded.manifest().expect("a manifest").blobs {
        let bytes = blob(&services, descriptor.digest).await.expect("read").expect("the bytes of a file");
        assert_eq!(Digest::of(&bytes), descriptor.digest);
    }
    crate::support::services::label(&found.row)
}

/// A server that does not collect on its own, on this directory.
async fn server(data: &Path) -> TestServer {
    let change = |with: &mut Config| {
        with.collector.enabled = false;
        with.heads.max_staleness = config::Duration::from_secs(0);
    };
    TestServer::on(data, change).await
}

/// Two servers on one directory, and the store that both work on.
async fn two_servers() -> (FsBackend, TestServer, TestServer) {
    let backend = FsBackend::quick();
    let (one, two) = (server(backend.root()).await, server(backend.root()).await);
    (backend, one, two)
}

const OLD: [(&str, &[u8]); 2] = [("file", b"old"), ("file.sha256", b"of old")];
const NEW: [(&str, &[u8]); 2] = [("file", b"new and longer"), ("file.sha256", b"of new")];

/// R6. Who suffers: a client of a replica that remembers a blob, skips the upload, and refers to nothing. Larder remembers
/// the content of manifests and where to look for heads, but never that bytes are there.
#[tokio::test(flavor = "multi_thread")]
async fn r06_a_server_that_knew_a_blob_notices_that_another_collected_it() {
    let (backend, one, two) = two_servers().await;
    one.publish("main", &OLD).await;
    let digest = Digest::of(b"old");
    let (path, question) = (format!("/blobs/{digest}"), json!({"digests": [digest]}));
    // Everything is asked once, so that whatever remembers has something to remember.
    one.get(&path).await.expect(200);
    one.head(&path).await.expect(200);
    one.get("/manifests/main@1").await.expect(200);
    assert_eq!(one.post("/blobs/missing", &question).await.expect(200).json()["missing"], json!([]));
    one.put(&path, "old").await.expect(200);
    two.publish("main", &NEW).await;
    collect(&backend.store()).await;
    one.get(&path).await.problem(404, "BLOB_UNKNOWN");
    one.head(&path).await.expect(404);
    one.get("/manifests/main@1").await.problem(410, "VERSION_RETIRED");
    assert_eq!(one.post("/blobs/missing", &question).await.expect(200).json()["missing"], json!([digest]));
    let problem = one.put("/manifests/main", manifest(&OLD).to_string()).await.problem(409, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(problem["missing"], json!([digest, Digest::of(b"of old")]));
    one.put(&path, "old").await.expect(201);
    one.publish("main", &OLD).await;
    assert_eq!(two.get(&path).await.expect(200).body, b"old");
}

/// R6, for readers: between the look at the name and the look at the manifest, the version is replaced, retired and
/// collected. The reader of the name gets a version, not an error.
#[tokio::test(flavor = "multi_thread")]
async fn r06_a_reader_whose_version_is_collected_under_it_gets_the_next_one() {
    let replace = |store: Store| -> BoxFuture<'static, ()> {
        Box::pin(async move {
            Services::over(&store).release("main", &v2()).await.unwrap();
            collect(&store).await;
        })
    };
    let read = async |store: Store| Services::over(&store).resolve.manifest(&target("main"), AsOf::Now).await;
    let calls = at_every_call([v1()], read, replace, async |_, read, nth| {
        let (found, loaded) = read.unwrap_or_else(|error| panic!("before call {nth}: {error}"));
        assert_eq!(Digest::of(&loaded.bytes), found.row.digest(), "before call {nth}");
    });
    assert!(calls.await >= 3);
}

/// A publish that takes the place of everything, and a run that takes the bytes of what was there.
async fn replace(server: &TestServer, store: &Store) {
    server.publish("main", &NEW).await;
    assert!(collect(store).await.totals.deleted.blobs > 0);
}

async fn begin_download(server: &TestServer, digest: Digest) -> (Raw, Vec<u8>) {
    let mut reader = Raw::connect(server.address).await;
    reader.send(format!("GET /blobs/{digest} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
    let answer = reader.answer().await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some(LARGE.to_string().as_str())));
    (reader, answer.body)
}

/// More than the buffers of a connection hold.
const LARGE: usize = 32 << 20;

/// R14. Who suffers: whoever downloads a large file when it is collected. The download goes on to its end.
#[tokio::test(flavor = "multi_thread")]
async fn r14_a_download_that_began_before_the_bytes_went_is_complete() {
    let backend = FsBackend::quick();
    let server = server(backend.root()).await;
    let bytes = pattern(LARGE);
    server.publish("main", &[("large", &bytes)]).await;
    let (mut reader, mut body) = begin_download(&server, Digest::of(&bytes)).await;
    replace(&server, &backend.store()).await;
    server.get(&format!("/blobs/{}", Digest::of(&bytes))).await.problem(404, "BLOB_UNKNOWN");
    body.extend(reader.rest().await);
    assert_eq!((body.len(), Digest::of(&body)), (bytes.len(), Digest::of(&bytes)));
}

/// R14, on a store that lets go of bytes that are being read: the connection breaks, and the client sees that there should
/// have been more.
#[tokio::test(flavor = "multi_thread")]
async fn r14_a_download_whose_bytes_break_off_is_aborted() {
    let backend = FsBackend::quick();
    let server = server(backend.root()).await;
    let bytes = pattern(LARGE);
    server.publish("main", &[("large", &bytes)]).await;
    let (mut reader, mut body) = begin_download(&server, Digest::of(&bytes)).await;
    let hex = Digest::of(&bytes).hex();
    let path = format!("objects/blobs/sha256/{}/{}/{hex}.0", &hex[..2], &hex[2..4]);
    let mut permissions = std::fs::metadata(backend.root().join(&path)).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    std::fs::set_permissions(backend.root().join(&path), permissions).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(backend.root().join(&path)).unwrap();
    file.set_len(LARGE as u64 / 2).unwrap();
    body.extend(reader.rest().await);
    assert!(body.len() < LARGE, "a client that counts what it was promised notices");
    assert!(bytes.starts_with(&body), "and what came was right");
}

/// R14, for redirects: a client keeps one while the version goes. It is told that there is nothing, never given other bytes,
/// and no cache keeps that answer.
#[tokio::test(flavor = "multi_thread")]
async fn r14_a_redirect_to_bytes_that_went_is_answered_with_404() {
    let backend = FsBackend::quick();
    let server = server(backend.root()).await;
    server.publish("main", &OLD).await;
    let redirect = server.get("/refs/main/file").await.expect(307).header("location").to_owned();
    assert_eq!(server.get(&redirect).await.expect(200).body, b"old");
    replace(&server, &backend.store()).await;
    // `send` asserts that problems say `no-store`.
    server.get(&redirect).await.problem(404, "BLOB_UNKNOWN");
    let range = send(server.anonymous(Method::GET, &redirect).header("range", "bytes=1-")).await;
    range.problem(404, "BLOB_UNKNOWN");
    server.get("/refs/main@1/file").await.problem(410, "VERSION_RETIRED");
    server.put_blob(b"old").await;
    assert_eq!(server.get(&redirect).await.expect(200).body, b"old", "once it is back, the redirect holds again");
}

/// R15. Who suffers: whoever reads a check sum and the file from the same moving address, and gets them from two releases.
/// In Larder the manifest names the digests and the version, and neither ever leads to another release's bytes.
#[tokio::test(flavor = "multi_thread")]
async fn r15_a_manifest_and_its_files_are_of_one_version_whatever_is_published_between() {
    let backend = FsBackend::quick();
    let server = server(backend.root()).await;
    server.publish("main", &OLD).await;
    let read = server.get("/manifests/main").await.expect(200);
    let version = read.header("larder-version").to_owned();
    let listed = read.json();
    server.publish("main", &NEW).await;
    for (at, (file, bytes)) in OLD.iter().enumerate() {
        let digest = listed["artifacts"][at]["blob"].as_str().unwrap();
        assert_eq!(server.get(&format!("/blobs/{digest}")).await.expect(200).body, *bytes, "by digest");
        let redirect = server.get(&format!("/refs/main@{version}/{file}")).await.expect(307);
        assert!(redirect.header("location").contains(digest), "by version");
        let moving = server.get(&format!("/refs/main/{file}")).await.expect(307);
        assert!(!moving.header("location").contains(digest), "the moving address leads to the new one");
    }
    collect(&backend.store()).await;
    for (at, (file, _)) in OLD.iter().enumerate() {
        let digest = listed["artifacts"][at]["blob"].as_str().unwrap();
        server.get(&format!("/blobs/{digest}")).await.problem(404, "BLOB_UNKNOWN");
        server.get(&format!("/refs/main@{version}/{file}")).await.problem(410, "VERSION_RETIRED");
    }
}

/// Makes all staged files look abandoned long ago; returns how many there are.
fn age_staged(backend: &FsBackend) -> usize {
    let then = SystemTime::from(SystemClock.now()) - (STALE_AFTER + Duration::from_secs(60));
    let staged = backend.staged();
    for path in &staged {
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_modified(then).unwrap();
    }
    staged.len()
}

async fn until_staged(backend: &FsBackend, count: usize) {
    let began = tokio::time::Instant::now();
    while backend.staged().len() != count {
        assert!(began.elapsed() < Duration::from_secs(20), "{count} staged files");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn upload_head(server: &TestServer, digest: Digest, length: usize) -> String {
    let token = &server.token;
    format!(
        "PUT /blobs/{digest} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// R16. Who suffers: a slow client whose upload is swept away under it. What a living server holds is never swept, however
/// old, and collectors do not look at it at all.
#[tokio::test(flavor = "multi_thread")]
async fn r16_an_upload_under_way_survives_collectors_and_sweeps() {
    let (backend, one, two) = two_servers().await;
    one.publish("main", &OLD).await;
    let bytes = pattern(2 * SLOW);
    let digest = Digest::of(&bytes);
    let mut client = Raw::connect(two.address).await;
    client.send(upload_head(&two, digest, bytes.len())).await;
    client.send(&bytes[..bytes.len() / 2]).await;
    until_staged(&backend, 1).await;
    let other = FsStore::open(backend.root()).unwrap();
    assert_eq!(age_staged(&backend), 1);
    assert_eq!(other.sweep_staging().await.unwrap(), 0, "somebody holds it");
    collect_impatiently(&backend.store()).await;
    client.send(&bytes[bytes.len() / 2..]).await;
    assert_eq!(client.answer().await.status, 201);
    one.publish("main", &[("slow", &bytes)]).await;
    assert_eq!(one.get(&format!("/blobs/{digest}")).await.expect(200).body, bytes);
}

/// R16, the other half. Who suffers: whoever pays for what clients and dead servers left behind.
#[tokio::test(flavor = "multi_thread")]
async fn r16_abandoned_uploads_and_sessions_leave_nothing() {
    let (backend, one, two) = two_servers().await;
    one.publish("main", &OLD).await;
    let before = super::stored_blobs(&backend.store()).await;
    // A client that goes away in the middle of an upload.
    let bytes = pattern(2 * SLOW);
    let mut client = Raw::connect(two.address).await;
    client.send(upload_head(&two, Digest::of(&bytes), bytes.len())).await;
    client.send(&bytes[..bytes.len() / 2]).await;
    until_staged(&backend, 1).await;
    drop(client);
    until_staged(&backend, 0).await;
    // A server that died in the middle of one.
    std::fs::write(backend.staging().join("half"), &bytes[..1000]).unwrap();
    let sweeper = FsStore::open(backend.root()).unwrap();
    assert_eq!(sweeper.sweep_staging().await.unwrap(), 0, "it may be somebody's");
    assert_eq!(age_staged(&backend), 1);
    assert_eq!(sweeper.sweep_staging().await.unwrap(), 1);
    // A session whose client uploaded and never committed.
    let session = one.post("/sessions/main", &manifest(&NEW)).await.expect(201).json();
    for (_, bytes) in NEW {
        one.put_blob(bytes).await;
    }
    assert_eq!(collect(&backend.store()).await.totals.deleted.blobs, 0, "it has its time");
    collect_impatiently(&backend.store()).await;
    two.put(session["location"].as_str().unwrap(), "").await.problem(404, "VERSION_UNKNOWN");
    assert_eq!(super::stored_blobs(&backend.store()).await, before);
}
