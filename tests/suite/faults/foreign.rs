//! What somebody put in the place of stored files: pipes, sockets, devices, directories, links, and files that may not
//! be read. None of them is waited for, followed, written to, removed, or taken for an object.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use larder::clock::SystemClock;
use larder::domain::Digest;
use larder::layout::LayoutKey;
use larder::protocol::BlobCache;
use larder::store::{FsStore, List, ObjectStore as _, PartStore as _, StoreErrorKind};
use larder::upkeep::verify::Finding;
use reqwest::Method;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::collecting::findings;
use crate::support::server::{TestServer, manifest, send};
use crate::support::services::*;
use crate::support::store::*;

/// Longest time that anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is put in the place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Foreign {
    Pipe,
    Socket,
    Device,
    Directory,
    Link,
    DanglingLink,
    LinkToItself,
}

use Foreign::{DanglingLink, Device, Directory, Link, LinkToItself, Pipe, Socket};

/// All that this user may make.
fn kinds() -> Vec<Foreign> {
    let device = rustix::process::geteuid().is_root().then_some(Device);
    [Pipe, Socket, Directory, Link, DanglingLink, LinkToItself].into_iter().chain(device).collect()
}

impl Foreign {
    /// Puts it in the place of `path`; `outside` is what a link leads to.
    fn put(self, path: &Path, outside: &Path) {
        let _ = fs::remove_file(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match self {
            Pipe => pipe(path),
            Socket => mknodat(CWD, path, FileType::Socket, Mode::RWXU, 0).unwrap(),
            Device => mknodat(CWD, path, FileType::CharacterDevice, Mode::RWXU, makedev(1, 5)).unwrap(),
            Directory => fs::create_dir(path).unwrap(),
            Link => symlink(outside, path).unwrap(),
            DanglingLink => symlink("/nowhere/at/all", path).unwrap(),
            LinkToItself => symlink(path, path).unwrap(),
        }
    }
}

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
}

fn type_of(path: &Path) -> fs::FileType {
    fs::symlink_metadata(path).unwrap().file_type()
}

/// The file of a blob's first generation.
fn file_of(data: &Path, digest: Digest) -> PathBuf {
    data.join("objects").join(LayoutKey::Blob(digest, 0).key().as_str())
}

#[tokio::test]
async fn what_is_not_a_file_is_no_object_for_any_call() {
    for kind in kinds() {
        let backend = FsBackend::quick();
        let (store, outside) = (backend.open(), backend.root().join("outside"));
        fs::write(&outside, "somebody's").unwrap();
        let path = backend.root().join("objects/a/b");
        kind.put(&path, &outside);
        let before = type_of(&path);
        let key = key("a/b");
        let calls = async {
            assert_eq!(store.head(&key).await.unwrap(), None, "{kind:?}");
            assert!(store.get(&key, None).await.unwrap().is_none(), "{kind:?}");
            assert_eq!(store.copy(&key, &self::key("c")).await.unwrap(), None, "{kind:?}");
            for listed in store
                .list(&"".parse().unwrap(), List { past_strays: true, ..List::default() })
                .collect::<Vec<_>>()
                .await
            {
                assert_eq!(listed.unwrap_err().kind, StoreErrorKind::Stray, "{kind:?}");
            }
            let error = store.create(&key, "ours".into()).await.unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Stray, "{kind:?}");
            assert!(error.to_string().contains("objects/a/b"), "{error}");
            let mut upload = store.begin(&key).await.unwrap();
            upload.write("ours".into()).await.unwrap();
            assert_eq!(upload.commit().await.unwrap_err().kind, StoreErrorKind::Stray, "{kind:?}");
            let marks = store.create_empty(std::slice::from_ref(&key)).await;
            assert_eq!(marks.unwrap_err().kind, StoreErrorKind::Stray, "{kind:?}");
            store.delete(&key).await.unwrap();
        };
        timeout(PATIENCE, calls).await.unwrap_or_else(|_| panic!("{kind:?} was waited for"));
        assert_eq!(type_of(&path), before, "{kind:?}");
        assert_eq!(fs::read_to_string(&outside).unwrap(), "somebody's");
        backend.finish().await;
    }
}

#[tokio::test]
async fn a_link_in_the_place_of_a_directory_leads_nowhere() {
    let backend = FsBackend::quick();
    let store = backend.open();
    put(&(Arc::new(store.clone()) as Store), "a/b/kept", "ours").await;
    let (outside, inside) = (backend.root().join("outside"), backend.root().join("objects/a/b"));
    fs::rename(&inside, &outside).unwrap();
    fs::write(outside.join("file"), "somebody's").unwrap();
    symlink(&outside, &inside).unwrap();
    // The first process knows the directory from before, the second does not.
    for store in [store, backend.open()] {
        let key = key("a/b/file");
        assert_eq!(store.head(&key).await.unwrap(), None);
        assert!(store.get(&key, None).await.unwrap().is_none());
        assert_eq!(store.copy(&key, &self::key("c")).await.unwrap(), None);
        assert_eq!(store.list(&"a/b/".parse().unwrap(), List::default()).count().await, 0);
        assert_eq!(store.create(&self::key("a/b/new"), "ours".into()).await.unwrap_err().kind, StoreErrorKind::Stray);
        assert_eq!(store.create_empty(&[self::key("a/b/new")]).await.unwrap_err().kind, StoreErrorKind::Stray);
        store.delete(&key).await.unwrap();
    }
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "somebody's");
    assert!(!outside.join("new").exists());
    backend.finish().await;
}

#[tokio::test]
async fn the_store_itself_may_be_behind_links() {
    let directory = TempDir::new().unwrap();
    let (real, disk, link) =
        (directory.path().join("real"), directory.path().join("disk"), directory.path().join("link"));
    fs::create_dir_all(&real).unwrap();
    fs::create_dir_all(&disk).unwrap();
    symlink(&real, &link).unwrap();
    symlink(&disk, real.join("objects")).unwrap();
    let server = TestServer::on(&link, |config| config.collector.enabled = false).await;
    server.publish("main", &[("file", b"bytes")]).await;
    let digest = Digest::of(b"bytes");
    assert_eq!(server.get(&format!("/blobs/{digest}")).await.expect(200).text(), "bytes");
    assert!(disk.join(LayoutKey::Blob(digest, 0).key().as_str()).is_file());
    server.stop().await.unwrap();
    let server = TestServer::on(&link, |config| config.collector.enabled = false).await;
    assert_eq!(server.get(&format!("/blobs/{digest}")).await.expect(200).text(), "bytes");
}

/// A server on a directory of its own that does not collect, with a published file.
async fn published(bytes: &'static [u8]) -> (TempDir, TestServer, Digest) {
    let directory = TempDir::new().unwrap();
    let server = TestServer::on(directory.path(), |config| config.collector.enabled = false).await;
    server.publish("main", &[("file", bytes)]).await;
    (directory, server, Digest::of(bytes))
}

/// Asserts that readers and publishers are told that a blob is missing, and that the same bytes heal it.
async fn heals(server: &TestServer, digest: Digest, bytes: &'static [u8], what: &str) {
    let blob = format!("/blobs/{digest}");
    let read = futures_util::future::join_all((0..12).map(|_| server.get(&blob)));
    for answer in timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("{what} was waited for")) {
        answer.problem(404, "BLOB_UNKNOWN");
    }
    server.head(&blob).await.expect(404);
    send(server.anonymous(Method::GET, &blob).header("range", "bytes=1-2")).await.expect(404);
    let files: [(&str, &[u8]); 1] = [("file", bytes)];
    let refused = server.put("/manifests/other", manifest(&files).to_string()).await;
    let refused = refused.problem(409, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(refused["missing"][0], digest.to_string(), "{what}");
    // What no listing shows is met only when the bytes are to be put there; the next attempt avoids it.
    let mut put = server.put(&blob, bytes).await;
    if put.status == 503 {
        assert!(!put.header("retry-after").is_empty());
        put = server.put(&blob, bytes).await;
    }
    put.expect(201);
    assert_eq!(server.get(&blob).await.expect(200).body, bytes, "{what}");
    server.publish("other", &files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_whose_file_was_replaced_is_missing_until_it_is_uploaded_again() {
    static LARGE: [u8; 100_000] = [7; 100_000];
    for kind in kinds() {
        for bytes in [&b"small"[..], &LARGE] {
            let (directory, server, digest) = published(bytes).await;
            let (path, outside) = (file_of(directory.path(), digest), directory.path().join("outside"));
            // Even a link to the right bytes is not followed.
            fs::write(&outside, bytes).unwrap();
            kind.put(&path, &outside);
            let before = type_of(&path);
            heals(&server, digest, bytes, &format!("{kind:?}")).await;
            assert_eq!(type_of(&path), before, "{kind:?} is left for the operator");
            let store: Store = Arc::new(FsStore::open(directory.path()).unwrap());
            let named = Finding::UnknownKey { key: LayoutKey::Blob(digest, 0).key().to_string() };
            let expected = if kind == Directory { vec![] } else { vec![named] };
            assert_eq!(findings(&store).await, expected, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn pipes_among_heads_markers_and_uploads_hold_nobody_up() {
    let (directory, server, _) = published(b"bytes").await;
    let objects = directory.path().join("objects");
    for key in ["layout/7", "uploads/x", "names/pipe@", "runs/x"] {
        let path = objects.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        pipe(&path);
    }
    let next = LayoutKey::Head(name("main").into(), 3).key();
    pipe(&objects.join(next.as_str()));
    let calls = async {
        server.get("/manifests/main").await.expect(200);
        server.get("/versions/main").await.expect(200);
        server.get("/manifests").await.expect(200);
        server.get("/readyz").await.expect(200);
        // The next head cannot be made: refused, with the path in the log, and nothing is removed.
        let files: [(&str, &[u8]); 1] = [("second", b"bytes")];
        server.put("/manifests/main", manifest(&files).to_string()).await.problem(500, "STORE_CORRUPT");
        server.get("/manifests/main").await.expect(200);
    };
    timeout(PATIENCE, calls).await.expect("nobody waits for a pipe");
}

#[tokio::test]
async fn pipes_among_staged_files_parts_and_cached_blobs_hold_nobody_up() {
    let backend = FsBackend::new();
    let store = backend.open();
    let parts = store.begin_parts(&key("a")).await.unwrap();
    let bytes = backend.root().join("parts").join(&parts.id);
    for path in [backend.staging().join("old"), bytes.with_file_name("abcd.log"), bytes.with_file_name("abcd")] {
        pipe(&path);
    }
    fs::remove_file(&bytes).unwrap();
    pipe(&bytes);
    let cache = TempDir::new().unwrap();
    let calls = async {
        assert_eq!(store.sweep_staging().await.unwrap(), 0);
        assert_eq!(store.unfinished().count().await, 1);
        assert_eq!(store.write_part(&parts, 1, 0, "bytes".into()).await.unwrap(), None);
        let log = bytes.with_extension("log");
        fs::remove_file(&log).unwrap();
        pipe(&log);
        assert_eq!(store.write_part(&parts, 1, 0, "bytes".into()).await.unwrap(), None);
        assert_eq!(store.unfinished().count().await, 0);
        pipe(&cache.path().join("lock"));
        let path = cache.path().to_owned();
        let open = move || BlobCache::open(&path, 1000, PATIENCE, Arc::new(SystemClock)).map(drop);
        tokio::task::spawn_blocking(open).await.unwrap().unwrap_err();
    };
    timeout(PATIENCE, calls).await.expect("nobody waits for a pipe");
}

/// Runs something as a user whom the permissions of files bind, even if this one is root.
fn unprivileged<F: Future<Output = ()>>(run: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(|| {
        let mut held = capabilities(None).unwrap();
        held.effective &= !(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
        held.permitted &= !(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
        set_capabilities(None, held).unwrap();
        // The threads that block are started by this one, and may no more than it may.
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run());
    });
    thread.join().unwrap();
}

fn lock_up(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
    OpenOptions::new().read(true).open(path).expect_err("permissions bind this test");
}

#[test]
fn a_blob_that_may_not_be_read_is_missing_until_it_is_uploaded_again() {
    unprivileged(async || {
        let (directory, server, digest) = published(b"bytes").await;
        let path = file_of(directory.path(), digest);
        lock_up(&path);
        let store: Store = Arc::new(FsStore::open(directory.path()).unwrap());
        let found = findings(&store).await;
        assert!(
            matches!(&found[..], [Finding::BadReference { stored: None, .. }, Finding::DamagedBlob { .. }]),
            "{found:?}"
        );
        heals(&server, digest, b"bytes", "a file without permissions").await;
        assert_eq!(findings(&store).await, []);
    });
}

#[test]
fn a_head_that_may_not_be_read_is_an_error_and_no_rollback() {
    unprivileged(async || {
        let (directory, server, _) = published(b"first").await;
        server.publish("main", &[("file", b"second")]).await;
        server.publish("other", &[("file", b"second")]).await;
        server.stop().await.unwrap();
        let store: Store = Arc::new(FsStore::open(directory.path()).unwrap());
        let newest = Services::over(&store).head("main").await.generation;
        let key = LayoutKey::Head(name("main").into(), newest).key();
        lock_up(&directory.path().join("objects").join(key.as_str()));
        let server = TestServer::on(directory.path(), |config| config.collector.enabled = false).await;
        server.get("/manifests/main").await.problem(500, "STORE_CORRUPT");
        let page = server.get("/manifests").await.expect(200).json();
        assert_eq!(page["manifests"].as_array().unwrap().len(), 1, "{page:#}");
        let named = findings(&store).await;
        assert!(matches!(&named[..], [Finding::UnreadableName { .. }]), "{named:?}");
    });
}
