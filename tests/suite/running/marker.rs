//! What a server does when its store's layout marker is gone, or says that the store is of the future.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder::config::Config;
use larder::domain::Digest;
use larder::layout::marker::{GatedStore, Watch};
use larder::store::StoreErrorKind;
use reqwest::Method;
use tempfile::TempDir;

use crate::support::server::{Answer, TestServer, manifest, send};
use crate::support::store::*;

/// Readable, but not writable by this binary.
const READ_ONLY: &str = r#"{"layout":2,"min_reader":1,"min_writer":2}"#;
/// Not even readable.
const TOO_NEW: &str = r#"{"layout":2,"min_reader":2,"min_writer":2}"#;

/// A server with one version of `main` and a staged one.
async fn server() -> TestServer {
    let mut server = TestServer::with(|config| config.collector.enabled = false).await;
    // No connection is kept that a jump in time would end.
    server.http = larder::client::http_client_builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    server.publish("main", &[("f", b"one")]).await;
    server.put_blob(b"two").await;
    let staged = manifest(&[("f", b"two")]).to_string();
    let staged = send(server.request(Method::PUT, "/manifests/main?activate=false").body(staged)).await;
    assert!(staged.status.is_success(), "{}", staged.text());
    server
}

fn marker(server: &TestServer, name: &str) -> PathBuf {
    server.data.join("objects/layout").join(name)
}

/// Has so much time pass at once.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

/// Everything that is stored.
async fn stored(server: &TestServer) -> Vec<String> {
    let store = larder::store::FsStore::open_existing(&server.data).unwrap();
    all_keys(&(Arc::new(store) as Store)).await
}

/// The answers to all kinds of requests that change something.
async fn changes(server: &TestServer) -> Vec<Answer> {
    let new = format!("/blobs/{}", Digest::of(b"new"));
    let begin = format!("/uploads?digest={}", Digest::of(b"resumable"));
    let begin = server.request(Method::POST, &begin).header("upload-complete", "?0").header("upload-length", 9);
    vec![
        server.put(&new, "new").await,
        server.put("/manifests/main", manifest(&[("g", b"one")]).to_string()).await,
        server.put("/manifests/other", manifest(&[("f", b"one")]).to_string()).await,
        server.post("/sessions/main", &manifest(&[("f", b"new")])).await,
        send(server.request(Method::POST, "/versions/main@2/promote")).await,
        send(server.request(Method::PUT, "/versions/main@1/pin")).await,
        server.delete("/manifests/main@2").await,
        server.delete("/manifests/main").await,
        send(begin).await,
    ]
}

async fn nothing_can_be_changed(server: &TestServer, code: &str) {
    let before = stored(server).await;
    for answer in changes(server).await {
        answer.problem(503, code);
    }
    assert_eq!(stored(server).await, before);
}

async fn everything_can_be_read(server: &TestServer) {
    for path in ["/manifests/main", "/manifests", "/versions/main", "/versions/main@2"] {
        server.get(path).await.expect(200);
    }
    server.get(&format!("/blobs/{}", Digest::of(b"one"))).await.expect(200);
}

#[tokio::test]
async fn nothing_is_written_once_the_marker_is_gone() {
    let server = server().await;
    let (there, away) = (marker(&server, "1"), server.data.join("marker"));
    std::fs::rename(&there, &away).unwrap();
    pass(2).await;
    server.get("/readyz").await.expect(503);
    nothing_can_be_changed(&server, "STORE_READ_ONLY").await;
    everything_can_be_read(&server).await;
    std::fs::rename(&away, &there).unwrap();
    server.get("/readyz").await.expect(200);
    server.publish("main", &[("f", b"three")]).await;
}

#[tokio::test]
async fn it_notices_by_itself_within_ten_seconds() {
    let server = server().await;
    let (there, away) = (marker(&server, "1"), server.data.join("marker"));
    std::fs::rename(&there, &away).unwrap();
    pass(11).await;
    nothing_can_be_changed(&server, "STORE_READ_ONLY").await;
    std::fs::rename(&away, &there).unwrap();
    pass(2).await;
    server.publish("main", &[("f", b"three")]).await;
}

#[tokio::test]
async fn nothing_is_written_to_a_copy_that_is_being_made() {
    let server = server().await;
    std::fs::write(marker(&server, "copying"), "").unwrap();
    pass(61).await;
    server.get("/readyz").await.expect(503);
    nothing_can_be_changed(&server, "STORE_READ_ONLY").await;
    everything_can_be_read(&server).await;
}

#[tokio::test]
async fn a_store_that_only_newer_binaries_may_write_to_is_served_read_only() {
    let server = server().await;
    std::fs::write(marker(&server, "2"), READ_ONLY).unwrap();
    pass(61).await;
    let ready = server.get("/readyz").await.expect(200).text();
    assert!(ready.starts_with("ready, but read-only") && ready.contains("newer larder"), "{ready}");
    nothing_can_be_changed(&server, "STORE_READ_ONLY").await;
    everything_can_be_read(&server).await;
}

#[tokio::test]
async fn a_store_that_only_newer_binaries_may_read_is_not_served() {
    let server = server().await;
    std::fs::write(marker(&server, "2"), TOO_NEW).unwrap();
    pass(61).await;
    server.get("/readyz").await.expect(503);
    for path in ["/manifests", "/versions/main", "/manifests/main?x=y"] {
        server.get(path).await.problem(503, "STORE_TOO_NEW");
    }
    nothing_can_be_changed(&server, "STORE_TOO_NEW").await;
    server.get("/livez").await.expect(200);
}

/// Collects all the time.
fn collecting(config: &mut Config) {
    config.collector.interval = "20ms".parse().unwrap();
    config.collector.min_age = larder::config::Duration::from_secs(0);
}

#[tokio::test]
async fn a_server_starts_read_only_and_does_not_collect() {
    let directory = TempDir::new().unwrap();
    let quiet = TestServer::on(directory.path(), |config| config.collector.enabled = false).await;
    quiet.publish("main", &[("f", b"one")]).await;
    quiet.put_blob(b"nobody needs this").await;
    std::fs::write(marker(&quiet, "2"), READ_ONLY).unwrap();
    quiet.stop().await.unwrap();
    let server = TestServer::on(directory.path(), collecting).await;
    let before = stored(&server).await;
    assert!(server.get("/readyz").await.expect(200).text().starts_with("ready, but read-only"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.get("/manifests/main").await.expect(200);
    server.put(&format!("/blobs/{}", Digest::of(b"new")), "new").await.problem(503, "STORE_READ_ONLY");
    assert!(!server.get("/readyz").await.text().contains("collector"), "that it does not run is no failure");
    assert_eq!(stored(&server).await, before);
    server.stop().await.unwrap();
}

/// Every call of the seam that changes something is refused, also for what began before.
#[tokio::test]
async fn every_way_to_write_is_closed_and_every_way_to_read_is_open() {
    let backend = FsBackend::quick();
    let inner = backend.store();
    larder::layout::marker::open(&*inner).await.unwrap();
    let watch = Arc::new(Watch::new(Arc::clone(&inner) as _));
    let store: Store = Arc::new(GatedStore::new(Arc::clone(&inner), Arc::clone(&watch)));
    put(&store, "blobs/a", "bytes").await;
    let mut begun = begin(&store, "blobs/b", &[Bytes::from_static(b"bytes")]).await;
    let parts = store.begin_parts(&key("blobs/c")).await.unwrap();
    let written = store.write_part(&parts, 1, 0, Bytes::from_static(b"bytes")).await.unwrap().unwrap();
    put(&inner, "layout/2", READ_ONLY).await;
    inner.delete(&key("layout/1")).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
    let (a, new, bytes) = (key("blobs/a"), key("blobs/new"), Bytes::from_static(b"new"));
    begun.write(bytes.clone()).await.unwrap();
    let refused = [
        store.create(&new, bytes.clone()).await.map(drop),
        store.begin(&new).await.map(drop),
        store.copy(&a, &new).await.map(drop),
        store.delete(&a).await,
        store.create_empty(std::slice::from_ref(&new)).await,
        store.delete_all(std::slice::from_ref(&a)).await,
        store.begin_parts(&new).await.map(drop),
        store.write_part(&parts, 2, 5, bytes).await.map(drop),
        store.commit_parts(&parts, &[written]).await.map(drop),
        store.abort_parts(&parts).await,
        begun.commit().await.map(drop),
    ];
    for (at, refused) in refused.into_iter().enumerate() {
        assert_eq!(refused.unwrap_err().kind, StoreErrorKind::ReadOnly, "call {at}");
    }
    store.create_empty(&[]).await.unwrap();
    assert_eq!(read(&store, "blobs/a").await.as_deref(), Some(&b"bytes"[..]));
    assert!(store.head(&a).await.unwrap().is_some());
    store.persist(&[a]).await.unwrap();
    assert_eq!(all_keys(&store).await, ["blobs/a", "layout/2"]);
    inner.abort_parts(&parts).await.unwrap();
    backend.finish().await;
}
