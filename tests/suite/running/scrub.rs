//! Blobs whose stored bytes changed: never served, found in the background, and healed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use larder::clock::SystemClock;
use larder::config::Config;
use larder::domain::Digest;
use larder::layout::LayoutKey;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::{ServerProcess, until};
use crate::support::s3::S3Model;
use crate::support::server::{Answer, TestServer, send};
use crate::support::store::pattern;

/// Larger than what is compared on its way to a reader.
const LARGE: usize = 1 << 20;

/// Damage stays as it is, and no pass looks for it.
fn inert(config: &mut Config) {
    config.collector.enabled = false;
    config.scrub.rate = Some("0".parse().unwrap());
    config.scrub.condemn = false;
}

fn eager(config: &mut Config) {
    config.collector.enabled = false;
    config.scrub.rate = Some("1GiB".parse().unwrap());
    config.scrub.every = "200ms".parse().unwrap();
}

fn file_of(data: &Path, digest: Digest, generation: u64) -> PathBuf {
    data.join("objects").join(LayoutKey::Blob(digest, generation).key().as_str())
}

/// Changes one bit in the middle.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[track_caller]
fn assert_refused(answer: Answer) {
    assert!(!answer.headers.contains_key("repr-digest") && !answer.headers.contains_key("digest"), "{answer:?}");
    if answer.body.is_empty() {
        answer.expect(404);
    } else {
        let problem = answer.problem(404, "BLOB_UNKNOWN");
        assert!(problem["detail"].as_str().unwrap().contains("damaged"), "{problem}");
    }
}

#[tokio::test]
async fn a_small_blob_that_was_damaged_in_place_is_not_served_and_can_be_uploaded_again() {
    for (length, range) in [(20, None), (20, Some("bytes=0-3")), (200_000, None), (200_000, Some("bytes=5-9"))] {
        let server = TestServer::with(inert).await;
        let bytes = pattern(length);
        server.publish("main", &[("file", &bytes)]).await;
        let digest = Digest::of(&bytes);
        damage(&file_of(&server.data, digest, 0));
        let path = format!("/blobs/{digest}");
        let first = server.anonymous(Method::GET, &path);
        assert_refused(send(if let Some(range) = range { first.header("range", range) } else { first }).await);
        assert_refused(server.get(&path).await);
        assert_refused(server.head(&path).await);
        assert_refused(send(server.anonymous(Method::GET, &path).header("range", "bytes=0-1,3-4")).await);
        let missing = server.post("/blobs/missing", &json!({"digests": [digest]})).await.expect(200).json();
        assert_eq!(missing["missing"], json!([digest]));
        server.put(&path, bytes.clone()).await.expect(201);
        assert!(server.get(&path).await.expect(200).body == bytes);
        assert!(!file_of(&server.data, digest, 0).exists(), "the damaged bytes are replaced");
        assert!(server.get("/refs/main/file").await.status.is_redirection());
    }
}

#[tokio::test]
async fn an_upload_of_what_was_damaged_replaces_it_before_anybody_has_read_it() {
    let server = TestServer::with(inert).await;
    for length in [20, 200_000] {
        let bytes = pattern(length);
        let digest = server.put_blob(&bytes).await;
        let path = format!("/blobs/{digest}");
        server.put(&path, bytes.clone()).await.expect(200);
        damage(&file_of(&server.data, digest, 0));
        server.put(&path, bytes.clone()).await.expect(201);
        assert!(server.get(&path).await.expect(200).body == bytes);
        assert!(!file_of(&server.data, digest, 0).exists());
    }
    // The manifest of a release is a blob like others.
    server.put_blob(b"x").await;
    let manifest = crate::support::server::manifest(&[("file", b"x")]).to_string();
    server.put("/manifests/main", manifest.clone()).await.expect(201);
    let digest = Digest::of(manifest.as_bytes());
    damage(&file_of(&server.data, digest, 0));
    server.put("/manifests/other", manifest.clone()).await.expect(201);
    assert_eq!(server.get(&format!("/blobs/{digest}")).await.expect(200).text(), manifest);
}

#[tokio::test]
async fn a_publisher_of_the_same_files_replaces_damaged_ones() {
    let server = TestServer::with(inert).await;
    server.publish("main", &[("file", b"the bytes"), ("other", b"others")]).await;
    let digest = Digest::of(b"the bytes");
    damage(&file_of(&server.data, digest, 0));
    assert_refused(server.get(&format!("/blobs/{digest}")).await);
    // A manifest that names it is refused until it is there again.
    let manifest = crate::support::server::manifest(&[("file", b"the bytes")]);
    server.put("/manifests/next", manifest.to_string()).await.problem(409, "MANIFEST_BLOB_UNKNOWN");
    server.publish("next", &[("file", b"the bytes")]).await;
    assert_eq!(server.get(&format!("/blobs/{digest}")).await.expect(200).body, b"the bytes");
}

#[tokio::test]
async fn the_scrub_finds_a_large_blob_and_condemns_what_it_cannot_fetch() {
    let server = TestServer::with(eager).await;
    let (bytes, sound) = (pattern(LARGE), pattern(LARGE + 1));
    server.publish("main", &[("file", &bytes), ("sound", &sound)]).await;
    let digest = Digest::of(&bytes);
    let file = file_of(&server.data, digest, 0);
    damage(&file);
    let path = format!("/blobs/{digest}");
    for _ in 0..100 {
        if !file.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!file.exists(), "the damaged bytes are deleted");
    server.get(&path).await.problem(404, "BLOB_UNKNOWN");
    server.put(&path, bytes.clone()).await.expect(201);
    assert!(server.get(&path).await.expect(200).body == bytes);
    assert!(server.get(&format!("/blobs/{}", Digest::of(&sound))).await.expect(200).body == sound);
    let metrics = server.get("/metrics").await.text();
    for metric in
        [r#"larder_scrub_damaged_total{result="condemned"}"#, "larder_scrub_damaged_copies", "larder_scrub_bytes"]
    {
        assert!(metrics.contains(metric), "{metrics}");
    }
}

#[tokio::test]
async fn what_may_not_be_condemned_stays_and_is_not_served() {
    let server = TestServer::with(|config| {
        eager(config);
        config.scrub.condemn = false;
    })
    .await;
    let bytes = pattern(LARGE);
    server.publish("main", &[("file", &bytes)]).await;
    let digest = Digest::of(&bytes);
    damage(&file_of(&server.data, digest, 0));
    let path = format!("/blobs/{digest}");
    for _ in 0..100 {
        if server.head(&path).await.status == 404 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_refused(server.get(&path).await);
    assert!(file_of(&server.data, digest, 0).exists());
}

/// The record of how far the pass has come.
fn record(data: &Path) -> (PathBuf, Value) {
    let records: Vec<_> = fs::read_dir(data.join("objects/tmp/scrub/@")).unwrap().flatten().collect();
    assert_eq!(records.len(), 1, "{records:?}");
    let path = records[0].path();
    let record = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    (path, record)
}

#[test]
fn a_pass_goes_on_where_it_was_when_the_server_stopped() {
    let folder = TempDir::new().unwrap();
    for of in 0..20_u8 {
        fs::write(folder.path().join(format!("f{of}")), [&[of], &pattern(LARGE / 10)[..]].concat()).unwrap();
    }
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("larder.toml");
    // One blob takes a tenth of a second.
    fs::write(&config, "[collector]\nenabled = false\n[scrub]\nrate = \"1MiB\"\nevery = \"2s\"\n").unwrap();
    let mut server = ServerProcess::with(&format!("--config {}", config.display()));
    server.may_log_errors = true;
    server.larder("publish main .").within(&folder).ok();
    let scrubbed = |server: &ServerProcess| {
        let metrics = String::from_utf8(server.get("/metrics").unwrap().body).unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix("larder_scrub_blobs_total "));
        line.map_or(0, |count| count.parse::<u32>().unwrap())
    };
    until("some are read", || scrubbed(&server) >= 5);
    server.signal(Signal::TERM);
    server.wait();
    let (path, left) = record(&server.data);
    let after = left["after"].as_str().unwrap_or_else(|| panic!("{left}"));
    assert!(left.get("completed").is_none(), "{left}");
    let mut digests: Vec<Digest> =
        fs::read_dir(&folder).unwrap().map(|file| Digest::of(&fs::read(file.unwrap().path()).unwrap())).collect();
    digests.sort_unstable();
    let is_read = |digest: &&Digest| LayoutKey::Blob(**digest, 0).key().as_str() <= after;
    let (read, unread) = (*digests.iter().rfind(is_read).unwrap(), *digests.last().unwrap());
    assert!(read != unread, "{left}");
    for digest in [read, unread] {
        damage(&file_of(&server.data, digest, 0));
    }
    // Another process stands by for a while, because the first one may be alive; so the record is made old.
    let old = left.to_string().replace(left["at"].as_str().unwrap(), "2020-01-01T00:00:00Z");
    fs::remove_file(&path).unwrap();
    fs::write(&path, old).unwrap();
    server.restart();
    let is_gone = |digest| !file_of(&server.data, digest, 0).exists();
    until("the rest of the pass has found damage", || is_gone(unread));
    assert!(!is_gone(read), "the rest of the pass comes first");
    until("the next pass has found the other damage", || is_gone(read));
}

#[tokio::test]
async fn bytes_from_a_bucket_are_compared_as_they_are_sent() {
    let (directory, engine) = (TempDir::new().unwrap(), S3Model::start().await);
    let store = engine.store().await;
    let server = TestServer::over(directory.path(), store.clone(), Arc::new(SystemClock), inert).await;
    let bytes = pattern(LARGE);
    let digest = server.put_blob(&bytes).await;
    let key = LayoutKey::Blob(digest, 0).key();
    let mut wrong = bytes.to_vec();
    wrong[LARGE / 2] ^= 1;
    store.delete(&key).await.unwrap();
    store.create(&key, wrong.into()).await.unwrap();
    let path = format!("/blobs/{digest}");
    let response = server.anonymous(Method::GET, &path).send().await.unwrap();
    response.bytes().await.expect_err("nobody takes it for complete");
    assert_refused(server.get(&path).await);
    server.put(&path, bytes.clone()).await.expect(201);
    assert!(server.get(&path).await.expect(200).body == bytes);
}

#[test]
fn damage_is_healed_from_the_larder_that_is_configured() {
    let other = ServerProcess::start();
    let bytes = pattern(LARGE);
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), &bytes).unwrap();
    other.larder("publish main file").within(&folder).ok();
    let config = folder.path().join("larder.toml");
    let scrub = format!("[scrub]\nrate = \"1GiB\"\nevery = \"200ms\"\nheal_from = \"{}\"\n", other.url());
    fs::write(&config, scrub).unwrap();
    let mut server = ServerProcess::with(&format!("--config {}", config.display()));
    server.may_log_errors = true;
    server.larder("publish main file").within(&folder).ok();
    let digest = Digest::of(&bytes);
    damage(&file_of(&server.data, digest, 0));
    until("the blob is healed", || file_of(&server.data, digest, 1).exists());
    let healed = server.get(&format!("/blobs/{digest}")).unwrap();
    assert!(healed.status == 200 && healed.body == bytes);
    assert!(!file_of(&server.data, digest, 0).exists());
}
