use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::*;
use crate::clock::SystemClock;
use crate::store::{FsStore, StoreErrorKind};

#[tokio::test]
async fn the_last_byte_waits_until_the_digest_is_verified() {
    let directory = tempfile::TempDir::new().unwrap();
    let cache = directory.path().join("cache");
    let cache = Arc::new(BlobCache::open(&cache, 4 * CHUNK, PATIENCE, Arc::new(SystemClock)).unwrap());
    let store: Arc<dyn ObjectStore> = Arc::new(FsStore::open(&directory.path().join("store")).unwrap());
    let (digest, bytes) = (Digest::of(b"others"), Bytes::from(vec![7; usize::try_from(CHUNK).unwrap()]));
    let end = Arc::new(Notify::new());
    let held = Arc::clone(&end);
    let last = async move {
        held.notified().await;
        Ok(Bytes::new())
    };
    let body = stream::iter([Ok(bytes)]).chain(stream::once(last)).boxed();
    let meta = ObjectMeta { key: key_of(digest), size: CHUNK, modified: Timestamp::UNIX_EPOCH };
    let open = async move { Ok(Some(Object { meta, body, file: None })) };
    let CacheLookup::Object(object) = cache.fetch(&store, digest, open).await.unwrap() else { panic!("no bytes") };
    let (mut body, mut received) = (object.body, 0);
    while received < CHUNK - 1 {
        received += body.try_next().await.unwrap().expect("more bytes").len() as u64;
    }
    assert_eq!(received, CHUNK - 1, "all bytes are here, and the last is held back");
    end.notify_one();
    assert_eq!(body.try_next().await.unwrap_err().kind, StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn a_fetch_that_panics_leaves_no_entry() {
    let directory = tempfile::TempDir::new().unwrap();
    let cache = directory.path().join("cache");
    let cache = Arc::new(BlobCache::open(&cache, 4 * CHUNK, PATIENCE, Arc::new(SystemClock)).unwrap());
    let store: Arc<dyn ObjectStore> = Arc::new(FsStore::open(&directory.path().join("store")).unwrap());
    let digest = Digest::of(b"bytes");
    let body = stream::once(async { panic!("injected") }).boxed();
    let meta = ObjectMeta { key: key_of(digest), size: 5, modified: Timestamp::UNIX_EPOCH };
    let open = async move { Ok(Some(Object { meta, body, file: None })) };
    let CacheLookup::Object(object) = cache.fetch(&store, digest, open).await.unwrap() else { panic!("no bytes") };
    object.body.try_collect::<Vec<_>>().await.unwrap_err();
    let emptied = async {
        while !cache.fills().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, emptied).await.expect("the entry is gone");
}

static REMOVING: AtomicBool = AtomicBool::new(false);
static LET_GO: AtomicBool = AtomicBool::new(false);

/// Removes a file once the test lets it, or after too long a time.
fn slowly(path: &Path) -> io::Result<()> {
    REMOVING.store(true, Ordering::SeqCst);
    let began = tokio::time::Instant::now();
    while !LET_GO.load(Ordering::SeqCst) && began.elapsed() < 2 * PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::fs::remove_file(path)
}

async fn fill(cache: &Arc<BlobCache>, store: &Arc<dyn ObjectStore>, bytes: &'static [u8]) -> Digest {
    let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
    let meta = ObjectMeta { key: key_of(digest), size, modified: Timestamp::UNIX_EPOCH };
    let body = stream::iter([Ok(Bytes::from_static(bytes))]).boxed();
    let open = async move { Ok(Some(Object { meta, body, file: None })) };
    let CacheLookup::Object(object) = cache.fetch(store, digest, open).await.unwrap() else { panic!("no bytes") };
    object.body.try_collect::<Vec<_>>().await.unwrap();
    digest
}

#[tokio::test]
async fn evicting_holds_up_neither_the_runtime_nor_those_who_look_for_other_blobs() {
    let directory = tempfile::TempDir::new().unwrap();
    let mut cache = BlobCache::open(&directory.path().join("cache"), 10, PATIENCE, Arc::new(SystemClock)).unwrap();
    cache.index.remove_file = slowly;
    let cache = Arc::new(cache);
    let store: Arc<dyn ObjectStore> = Arc::new(FsStore::open(&directory.path().join("store")).unwrap());
    let cached = async |digest| {
        while cache.size(digest).is_none() {
            tokio::task::yield_now().await;
        }
    };
    let old = fill(&cache, &store, b"12345678").await;
    cached(old).await;
    let evicting = tokio::spawn({
        let (cache, store) = (Arc::clone(&cache), Arc::clone(&store));
        async move { fill(&cache, &store, b"abcdefgh").await }
    });
    // The one worker of this runtime is free, and so is the index, while the file cannot be removed.
    while !REMOVING.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    assert_eq!(cache.size(old), None);
    assert!(cache.get(old, None).await.is_none());
    let path = directory.path().join("cache").join(&old.hex()[..2]).join(old.hex());
    assert!(path.exists() && !evicting.is_finished());
    LET_GO.store(true, Ordering::SeqCst);
    let new = evicting.await.unwrap();
    cached(new).await;
    assert!(!path.exists());
    // What dies between the two is counted by the next process.
    std::fs::write(&path, b"12345678").unwrap_or_else(|_| panic!("the directory stays"));
    while Arc::strong_count(&cache) > 1 {
        tokio::task::yield_now().await;
    }
    drop(cache);
    let cache = BlobCache::open(&directory.path().join("cache"), 16, PATIENCE, Arc::new(SystemClock)).unwrap();
    assert_eq!((cache.size(old), cache.size(new)), (Some(8), Some(8)));
}
