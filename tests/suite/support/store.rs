//! Stores in temporary places, and verbs on stores that keep test bodies short.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use larder::store::fs::Steps;
use larder::store::{ByteRange, Created, FsStore, Key, List, PartStore, Upload};
use tempfile::TempDir;

/// Any store.
pub type Store = Arc<dyn PartStore>;

/// Bytes that the filesystem backend reads at once, and a size around which the others are tested too.
pub const CHUNK: usize = 128 * 1024;

/// The filesystem backend over a directory of its own.
#[derive(Debug)]
pub struct FsBackend {
    directory: TempDir,
}

impl FsBackend {
    pub fn new() -> Self {
        Self { directory: TempDir::new().expect("make a temporary directory") }
    }

    /// One in memory where the system has such a place, for tests that are not about the disk.
    pub fn quick() -> Self {
        let memory = std::path::Path::new("/dev/shm");
        let place = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        Self { directory: place.expect("make a temporary directory") }
    }

    /// Puts an object in place without the syncs, where a test needs thousands.
    pub fn plant(&self, key: &Key, bytes: &[u8]) {
        let path = self.root().join("objects").join(key.as_str());
        std::fs::create_dir_all(path.parent().expect("keys are below the root")).expect("make directories");
        std::fs::write(path, bytes).expect("write an object");
    }

    /// A store as production opens it.
    pub fn store(&self) -> Store {
        Arc::new(self.open())
    }

    pub fn open(&self) -> FsStore {
        FsStore::open(self.root()).expect("open the store")
    }

    /// A store whose system calls somebody watches.
    pub fn with_steps(&self, steps: Arc<dyn Steps>) -> FsStore {
        FsStore::with_steps(self.root(), steps).expect("open the store")
    }

    pub fn root(&self) -> &std::path::Path {
        self.directory.path()
    }

    pub fn staging(&self) -> PathBuf {
        self.root().join("staging")
    }

    /// Names of the files that are being written, or were left over.
    pub fn staged(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.staging()).expect("read the staging directory");
        entries.map(|entry| entry.expect("read an entry").path()).collect()
    }

    /// What every test ends with: once all work is done, nothing is left in staging.
    pub async fn finish(self) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        // Cancelled calls finish in the blocking pool, some time after the test let go of them.
        while !self.staged().is_empty() {
            assert!(tokio::time::Instant::now() < deadline, "left in staging: {:?}", self.staged());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub fn key(text: &str) -> Key {
    text.parse().expect("a legal key")
}

/// Bytes that differ at every place where parts could be swapped, lost or repeated.
pub fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| u8::try_from((at ^ (at >> 8) ^ (at >> 16)) & 0xff).expect("masked")).collect()
}

pub async fn create(store: &Store, text: &str, bytes: impl Into<Bytes>) -> Created {
    store.create(&key(text), bytes.into()).await.expect("create")
}

/// Creates an object that must be new.
pub async fn put(store: &Store, text: &str, bytes: impl Into<Bytes>) {
    assert_eq!(create(store, text, bytes).await, Created::New, "{text}");
}

/// All bytes of an object.
pub async fn read(store: &Store, text: &str) -> Option<Bytes> {
    let object = store.get(&key(text), None).await.expect("get")?;
    Some(object.bytes(u64::MAX).await.expect("read to the end"))
}

/// The bytes of a range, checked against the range's own metadata.
pub async fn read_range(store: &Store, text: &str, start: u64, end: u64) -> Bytes {
    let object = store.get(&key(text), Some(ByteRange { start, end })).await.expect("get").expect("an object");
    let chunks: Vec<Bytes> = object.body.try_collect().await.expect("read to the end");
    chunks.concat().into()
}

/// Bytes of an object that reaches the disk before its end: the directory store gathers 512 KiB twice first.
pub const SLOW: usize = 1200 << 10;

/// A streamed object up to, but not including, its commit.
pub async fn begin(store: &Store, text: &str, chunks: &[Bytes]) -> Box<dyn Upload> {
    let mut upload = store.begin(&key(text)).await.expect("begin");
    for chunk in chunks {
        upload.write(chunk.clone()).await.expect("write");
    }
    upload
}

pub async fn upload(store: &Store, text: &str, chunks: &[Bytes]) -> Created {
    begin(store, text, chunks).await.commit().await.expect("commit")
}

/// The keys of a listing.
pub async fn keys(store: &Store, prefix: &str, start_after: Option<&str>, limit: Option<usize>) -> Vec<String> {
    let options = List { start_after: start_after.map(key), limit, ..List::default() };
    let prefix = prefix.parse().expect("a legal prefix");
    store.list(&prefix, options).map_ok(|meta| meta.key.to_string()).try_collect().await.expect("list")
}

/// The keys of a whole store.
pub async fn all_keys(store: &Store) -> Vec<String> {
    keys(store, "", None, None).await
}

/// Asserts that what was begun was committed or aborted, if need be a little later.
pub async fn assert_nothing_unfinished(store: &Store) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let left: Vec<_> = store.unfinished().try_collect().await.expect("list what is unfinished");
        if left.is_empty() {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "left unfinished: {left:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Asserts that nothing whatever is visible under a key.
pub async fn assert_absent(store: &Store, text: &str) {
    assert_eq!(store.head(&key(text)).await.expect("head"), None, "{text}");
    assert!(store.get(&key(text), None).await.expect("get").is_none(), "{text}");
    assert!(!all_keys(store).await.contains(&text.to_owned()), "{text} is listed");
}
