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
