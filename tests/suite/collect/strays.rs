//! What lies in a store and is not Larder's: it stops nobody but the collector, which names it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::StreamExt as _;
use larder::domain::Digest;
use larder::layout::LayoutKey;
use larder::store::{FsStore, List, StoreErrorKind};
use larder::upkeep::collect::Runs;
use larder::upkeep::verify::Finding;
use reqwest::Method;
use tempfile::TempDir;

use crate::support::collecting::*;
use crate::support::s3::S3Model;
use crate::support::server::{TestServer, send};
use crate::support::services::*;
use crate::support::store::*;
use crate::support::uploading::*;

const FILES: [(&str, &[u8]); 1] = [("file", b"bytes")];

fn objects(data: &Path) -> PathBuf {
    data.join("objects")
}

/// A server that does not collect, on a directory of its own.
async fn server() -> (TempDir, TestServer) {
    let directory = TempDir::new().unwrap();
    let server = TestServer::on(directory.path(), |config| config.collector.enabled = false).await;
    (directory, server)
}

/// The names that a server lists.
async fn listed(server: &TestServer) -> Vec<String> {
    let page = server.get("/manifests").await.expect(200).json();
    page["manifests"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

/// Asserts that a run ends and names the object, and that a verification reports it.
async fn is_named(store: &Store, key: &str) {
    let error = collect(store, greedy()).await.unwrap_err().to_string();
    assert!(error.contains(key) && error.contains("move it out of the store"), "{error}");
    assert_eq!(findings(store).await, [Finding::UnknownKey { key: key.to_owned() }]);
}

#[tokio::test]
async fn what_lies_among_the_names_is_left_out_of_their_pages() {
    let (directory, server) = server().await;
    for name in ["a", "main"] {
        server.publish(name, &FILES).await;
    }
    let names = objects(directory.path()).join("names");
    let strays: [(&OsStr, &str); 4] = [
        (OsStr::new(".DS_Store"), "names/.DS_Store"),
        (OsStr::new("b~"), "names/b~"),
        (OsStr::new("main"), "names/main"),
        (OsStr::from_bytes(b"c\xff"), "names/c\u{fffd}"),
    ];
    let store: Store = std::sync::Arc::new(FsStore::open(directory.path()).unwrap());
    for (file, key) in strays {
        std::fs::write(names.join(file), "").unwrap();
        assert_eq!(listed(&server).await, ["a", "main"], "{key}");
        is_named(&store, key).await;
        std::fs::remove_file(names.join(file)).unwrap();
    }
    symlink("a@", names.join("link@")).unwrap();
    assert_eq!(listed(&server).await, ["a", "main"]);
    is_named(&store, "names/link@").await;
    std::fs::remove_file(names.join("link@")).unwrap();
    collect(&store, greedy()).await.unwrap();
}

#[tokio::test]
async fn a_name_whose_head_is_damaged_is_left_out_of_pages_and_counted() {
    let (directory, server) = server().await;
    for name in ["a", "broken", "main"] {
        server.publish(name, &FILES).await;
    }
    server.stop().await.unwrap();
    let store: Store = std::sync::Arc::new(FsStore::open(directory.path()).unwrap());
    let newest = Services::over(&store).head("broken").await.generation;
    let head = objects(directory.path()).join(LayoutKey::Head(name("broken").into(), newest).key().as_str());
    std::fs::write(head, "{\"format\": 1").unwrap();
    let server = TestServer::on(directory.path(), |config| config.collector.enabled = false).await;
    assert_eq!(listed(&server).await, ["a", "main"]);
    server.get("/manifests/main").await.expect(200);
    server.publish("a", &FILES).await;
    server.get("/manifests/broken").await.problem(500, "STORE_CORRUPT");
    let metrics = server.get("/metrics").await.expect(200).text();
    let counted = metrics.lines().any(|line| line.starts_with("larder_unlisted_names_total ") && !line.ends_with(" 0"));
    assert!(counted, "{metrics}");
    let error = collect(&store, greedy()).await.unwrap_err().to_string();
    assert!(error.contains("heads/broken@/"), "{error}");
    assert!(matches!(&findings(&store).await[..], [Finding::UnreadableName { name, .. }] if name.as_str() == "broken"));
}

#[tokio::test]
async fn a_page_is_not_empty_because_the_store_refuses_access() {
    use crate::support::faulty::{FaultyStore, Op, Rule};
    let backend = marked();
    Services::over(&backend.store()).release("main", &Release::new("v1", 1)).await.unwrap();
    for kind in [StoreErrorKind::Denied, StoreErrorKind::Unavailable] {
        let faulty = FaultyStore::over(&backend.store());
        faulty.script(Rule::on(Op::Get).key("heads/").fail_as(kind));
        let heads = Services::over(&faulty.store()).heads;
        let page = larder::service::Names::new(faulty.store(), heads).page("", None, 10, |_| true).await;
        assert_eq!(page.unwrap_err().kind, kind);
    }
    let faulty = FaultyStore::over(&backend.store());
    faulty.script(Rule::on(Op::List).key("names/").fail_as(StoreErrorKind::Internal));
    let heads = Services::over(&faulty.store()).heads;
    let page = larder::service::Names::new(faulty.store(), heads).page("", None, 10, |_| true).await;
    assert_eq!(page.unwrap_err().kind, StoreErrorKind::Internal, "a listing that fails is no short one");
}

#[tokio::test]
async fn what_lies_beside_a_blob_keeps_nobody_from_it() {
    let (directory, server) = server().await;
    let digest = Digest::of(b"bytes");
    let blob = objects(directory.path()).join(LayoutKey::Blob(digest, 0).key().as_str());
    let stray = |end: &str| blob.with_file_name(format!("{}.{end}", digest.hex()));
    std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
    for end in ["0~", "0.tmp", "00"] {
        std::fs::write(stray(end), "somebody's").unwrap();
        server.publish("main", &FILES).await;
        let put = server.request(Method::PUT, &format!("/blobs/{digest}")).body("bytes");
        assert!(send(put).await.status.is_success());
        assert_eq!(server.get(&format!("/blobs/{digest}")).await.expect(200).text(), "bytes");
        let store: Store = std::sync::Arc::new(FsStore::open(directory.path()).unwrap());
        let key = LayoutKey::Blob(digest, 0).key().to_string();
        is_named(&store, &format!("{}{end}", key.strip_suffix('0').unwrap())).await;
        std::fs::remove_file(stray(end)).unwrap();
        std::fs::remove_file(&blob).unwrap();
    }
}

#[tokio::test]
async fn what_lies_among_heads_uploads_runs_and_markers_keeps_nobody_from_them() {
    let backend = marked();
    let store = backend.store();
    let services = Services::over(&store);
    services.release("main", &Release::new("v1", 1)).await.unwrap();
    collect(&store, patient()).await.unwrap();
    let bytes = pattern(2500);
    let upload = begin_upload(&services, &bytes).await;
    let id = upload.id;
    append(&services, upload, &bytes.slice(..1000)).await.unwrap();
    let strays = [
        "heads/main@/.DS_Store".to_owned(),
        "heads/main@/1~".to_owned(),
        format!("uploads/{id}.9~"),
        format!("uploads/{id}.9"),
        "uploads/.DS_Store".to_owned(),
        "collector/runs/.DS_Store".to_owned(),
        "collector/runs/0~".to_owned(),
        "layout/.DS_Store".to_owned(),
        "layout/0~".to_owned(),
    ];
    for stray in &strays {
        let path = objects(backend.root()).join(stray);
        std::fs::write(path, "").unwrap();
    }
    larder::layout::marker::open(&*store).await.expect("the marker is there");
    let fresh = Services::over(&store);
    assert_eq!(fresh.active("main").await.as_deref(), Some("v1"));
    fresh.release("main", &Release::new("v2", 1)).await.unwrap();
    let runs = Runs::new(store.clone());
    assert_eq!(runs.page(None, 10).await.unwrap().len(), 1);
    assert!(runs.newest().await.unwrap().is_some());
    let upload = look(&fresh, id).await.unwrap();
    complete(&fresh, upload, &bytes).await.unwrap();
    let done = look(&fresh, id).await.unwrap();
    fresh.uploads.give_up(&done).await.unwrap();
    assert!(look(&fresh, id).await.is_none());
    let mut found: Vec<String> = findings(&store).await.iter().map(|finding| format!("{finding:?}")).collect();
    found.sort();
    let mut expected: Vec<String> =
        strays.iter().map(|stray| format!("{:?}", Finding::UnknownKey { key: stray.clone() })).collect();
    expected.sort();
    assert_eq!(found, expected, "nothing of somebody else's was deleted, and a verification reports each");
}

#[tokio::test]
async fn a_damaged_report_hides_no_other_run() {
    let backend = marked();
    let store = backend.store();
    for _ in 0..2 {
        collect(&store, patient()).await.unwrap();
    }
    let report = keys(&store, "collector/runs/", None, None).await.into_iter().find(|key| key.ends_with(".report"));
    std::fs::write(objects(backend.root()).join(report.unwrap()), "{").unwrap();
    assert_eq!(Runs::new(store.clone()).page(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_directory_is_listed_past_what_is_not_larders() {
    let backend = FsBackend::quick();
    let store = backend.store();
    let all = ["a/1", "a/2", "b"];
    for text in all {
        put(&store, text, "").await;
    }
    for stray in ["a/1~", "a/x y", "c~"] {
        std::fs::write(objects(backend.root()).join(stray), "").unwrap();
    }
    symlink("1", objects(backend.root()).join("a/link")).unwrap();
    for (limit, expected) in
        [(None, &["a/1", "!a/1~", "a/2", "!a/link", "!a/x y", "b", "!c~"][..]), (Some(2), &["a/1", "!a/1~", "a/2"][..])]
    {
        let listing = store.list(&"".parse().unwrap(), List { limit, past_strays: true, ..List::default() });
        let shown: Vec<String> = listing
            .map(|listed| match listed {
                Ok(meta) => meta.key.to_string(),
                Err(error) if error.kind == StoreErrorKind::Stray => format!("!{}", error.key),
                Err(error) => panic!("{error}"),
            })
            .collect()
            .await;
        assert_eq!(shown, expected);
    }
    let strict: Vec<_> = store.list(&"".parse().unwrap(), List::default()).collect().await;
    assert!(strict.len() == 2 && strict[1].as_ref().unwrap_err().kind == StoreErrorKind::Stray, "{strict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_with_objects_of_others_is_used_all_the_same() {
    let model = S3Model::start().await;
    let store = model.store().await;
    put(&store, LayoutKey::Marker(1).key().as_str(), r#"{"layout": 1, "min_reader": 1, "min_writer": 1}"#).await;
    let services = Services::over(&store);
    let blob = LayoutKey::Blob(Digest::of(b"bytes"), 0).key();
    // Consoles make objects like the second one for what they show as folders.
    let strays = [format!("{blob}~"), "names/".to_owned(), "names/notes about names".to_owned()];
    for stray in &strays {
        model.plant(stray, "somebody's");
    }
    services
        .release("main", &Release { label: "v1".into(), files: vec![("f".into(), Bytes::from("bytes"))] })
        .await
        .unwrap();
    let page = larder::service::Names::new(store.clone(), services.heads.clone()).page("", None, 10, |_| true).await;
    assert_eq!(page.unwrap().heads.len(), 1);
    let mut found = findings(&store).await;
    found.sort_by_key(|finding| format!("{finding:?}"));
    assert_eq!(found, strays.map(|key| Finding::UnknownKey { key }));
    let error = collect(&store, greedy()).await.unwrap_err().to_string();
    assert!(error.contains("names/"), "{error}");
}
