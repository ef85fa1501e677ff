//! The cache of blobs on a local disk, over a store that counts and fails.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use larder::clock::SystemClock;
use larder::domain::Digest;
use larder::layout::LayoutKey;
use larder::protocol::{BlobCache, Blobs};
use larder::store::{ByteRange, StoreErrorKind};
use tempfile::TempDir;

use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::store::*;

const LONG: Duration = Duration::from_secs(3600);

/// A server's blobs with a cache, over a store with a script.
struct Replica {
    backend: FsBackend,
    faulty: FaultyStore,
    cache: Arc<BlobCache>,
    directory: TempDir,
    blobs: Arc<Blobs>,
}

impl Replica {
    fn with_cache_of(size: u64) -> Self {
        let directory = TempDir::new().unwrap();
        let cache = BlobCache::open(directory.path(), size, LONG, Arc::new(SystemClock)).unwrap();
        Self::with(FsBackend::quick(), directory, cache)
    }

    fn with(backend: FsBackend, directory: TempDir, cache: BlobCache) -> Self {
        let (faulty, cache) = (FaultyStore::over(&backend.store()), Arc::new(cache));
        let blobs = Blobs::new(faulty.store(), Arc::new(SystemClock), jiff::SignedDuration::MAX);
        let blobs = Arc::new(blobs.with_cache(Some(Arc::clone(&cache))));
        Self { backend, faulty, cache, directory, blobs }
    }

    /// The same server, started again with other bounds, once the work that it has begun is over.
    async fn restart(self, size: u64, unused_for: Duration) -> Self {
        let Self { backend, directory, cache, blobs, .. } = self;
        drop((cache, blobs));
        // What was read last may still be on its way into the index. And programs that other tests start at this moment
        // hold a copy of every open file, the lock among them, until they have begun.
        for _ in 0..1000 {
            if let Ok(cache) = BlobCache::open(directory.path(), size, unused_for, Arc::new(SystemClock)) {
                return Self::with(backend, directory, cache);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the directory is still in use");
    }

    fn plant(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.backend.plant(&LayoutKey::Blob(digest, 0).key(), bytes);
        digest
    }

    async fn read(&self, digest: Digest) -> Bytes {
        self.blobs.open(digest, None).await.unwrap().expect("a blob").bytes(u64::MAX).await.unwrap()
    }

    /// Reads a blob and waits until it is kept.
    async fn warm(&self, digest: Digest) {
        self.read(digest).await;
        for _ in 0..1000 {
            if self.is_kept(digest) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{digest} is not kept");
    }

    fn is_kept(&self, digest: Digest) -> bool {
        self.file_of(digest).is_file()
    }

    fn file_of(&self, digest: Digest) -> std::path::PathBuf {
        self.directory.path().join(&digest.hex()[..2]).join(digest.hex())
    }

    /// Calls to the store by a reading of a blob.
    async fn calls_of_a_reading(&self, digest: Digest) -> usize {
        self.faulty.reset();
        self.read(digest).await;
        self.faulty.total()
    }
}

fn noise(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(31) >> 3).to_le_bytes()[0] ^ seed).collect()
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}

#[tokio::test]
async fn a_blob_is_fetched_once_and_then_costs_nothing() {
    let replica = Replica::with_cache_of(10 << 20);
    let bytes = noise(1_000_000, 1);
    let digest = replica.plant(&bytes);
    replica.warm(digest).await;
    replica.faulty.reset();
    assert_eq!(replica.read(digest).await, bytes);
    assert_eq!(replica.blobs.stat(digest).await.unwrap().unwrap().size, 1_000_000);
    let range = ByteRange { start: 999_000, end: 2_000_000 };
    let part = replica.blobs.open(digest, Some(range)).await.unwrap().unwrap();
    assert_eq!(part.meta.size, 1_000_000);
    assert_eq!(part.bytes(u64::MAX).await.unwrap(), bytes[999_000..]);
    assert_eq!(replica.faulty.total(), 0, "{}", replica.faulty.breakdown());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_readers_of_a_cold_blob_are_one_request() {
    let replica = Replica::with_cache_of(10 << 20);
    let bytes = noise(3_000_000, 2);
    let digest = replica.plant(&bytes);
    replica.faulty.reset();
    for read in join_all((0..1000).map(|_| replica.read(digest))).await {
        assert!(read == bytes);
    }
    assert_eq!((replica.faulty.total(), replica.faulty.calls(Op::Get)), (1, 1), "{}", replica.faulty.breakdown());
}

#[tokio::test]
async fn empty_blobs_and_blobs_that_are_not_there_are_no_special_case() {
    let replica = Replica::with_cache_of(1 << 20);
    let digest = replica.plant(b"");
    replica.warm(digest).await;
    assert_eq!(replica.read(digest).await, Bytes::new());
    assert!(replica.blobs.open(Digest::of(b"nowhere"), None).await.unwrap().is_none());
}

#[tokio::test]
async fn the_least_recently_read_goes_first_and_the_bound_holds() {
    let replica = Replica::with_cache_of(2_500);
    let digests: Vec<Digest> = (0..3).map(|seed| replica.plant(&noise(1_000, seed))).collect();
    replica.warm(digests[0]).await;
    replica.warm(digests[1]).await;
    replica.read(digests[0]).await;
    replica.warm(digests[2]).await;
    let kept: Vec<bool> = digests.iter().map(|digest| replica.is_kept(*digest)).collect();
    assert_eq!(kept, [true, false, true]);
    assert_eq!(replica.calls_of_a_reading(digests[1]).await, 1, "it comes from the store again");
}

#[tokio::test]
async fn what_does_not_fit_is_passed_through() {
    let replica = Replica::with_cache_of(1_000);
    let (small, large) = (replica.plant(&noise(900, 1)), replica.plant(&noise(5_000, 2)));
    replica.warm(small).await;
    assert_eq!(replica.read(large).await, noise(5_000, 2));
    assert_eq!(replica.calls_of_a_reading(large).await, 1, "and costs one request, as without a cache");
    assert!(!replica.is_kept(large) && is_empty(&replica.directory.path().join("partial")));
}

#[tokio::test]
async fn bytes_without_their_digest_never_arrive_whole_and_are_not_kept() {
    let replica = Replica::with_cache_of(10 << 20);
    let digest = Digest::of(&noise(700_000, 1));
    replica.backend.plant(&LayoutKey::Blob(digest, 0).key(), &noise(700_000, 2));
    let object = replica.blobs.open(digest, None).await.unwrap().unwrap();
    let mut received = 0;
    let ended = object.body.try_for_each(|bytes| {
        received += bytes.len();
        async { Ok(()) }
    });
    assert_eq!(ended.await.unwrap_err().kind, StoreErrorKind::Corrupt);
    assert!(received < 700_000, "the last byte is held back");
    assert!(!replica.is_kept(digest));
}

#[tokio::test]
async fn a_file_that_somebody_cut_off_is_not_served() {
    let replica = Replica::with_cache_of(10 << 20);
    let digest = replica.plant(&noise(10_000, 1));
    replica.warm(digest).await;
    std::fs::File::options().write(true).open(replica.file_of(digest)).unwrap().set_len(5_000).unwrap();
    assert_eq!(replica.read(digest).await, noise(10_000, 1));
    replica.warm(digest).await;
    std::fs::remove_file(replica.file_of(digest)).unwrap();
    assert_eq!(replica.read(digest).await, noise(10_000, 1));
}

#[tokio::test]
async fn a_restart_finds_what_is_kept_and_removes_what_is_not_complete() {
    let replica = Replica::with_cache_of(10 << 20);
    let digest = replica.plant(&noise(10_000, 1));
    replica.warm(digest).await;
    std::fs::write(replica.directory.path().join("partial/left-over"), b"part").unwrap();
    let replica = replica.restart(10 << 20, LONG).await;
    assert_eq!(replica.calls_of_a_reading(digest).await, 0);
    assert!(is_empty(&replica.directory.path().join("partial")));
    let replica = replica.restart(5_000, LONG).await;
    assert!(!replica.is_kept(digest), "a smaller bound holds from the start");
}

#[tokio::test]
async fn what_was_read_last_stays_longest_even_after_a_restart() {
    let replica = Replica::with_cache_of(10 << 20);
    let (one, two) = (replica.plant(&noise(1_000, 1)), replica.plant(&noise(1_000, 2)));
    replica.warm(one).await;
    replica.warm(two).await;
    replica.read(one).await;
    let replica = replica.restart(1_500, LONG).await;
    assert!(replica.is_kept(one) && !replica.is_kept(two));
}

#[tokio::test]
async fn what_nobody_reads_goes_in_time() {
    let replica = Replica::with_cache_of(10 << 20);
    let digest = replica.plant(&noise(10_000, 1));
    replica.warm(digest).await;
    replica.cache.tidy().await;
    assert!(replica.is_kept(digest));
    let replica = replica.restart(10 << 20, Duration::ZERO).await;
    assert!(!replica.is_kept(digest));
}

#[tokio::test]
async fn two_servers_do_not_share_a_directory() {
    let replica = Replica::with_cache_of(1 << 20);
    let error = BlobCache::open(replica.directory.path(), 1 << 20, LONG, Arc::new(SystemClock)).unwrap_err();
    assert!(error.to_string().contains("another server"), "{error}");
}

#[tokio::test]
async fn a_store_that_fails_is_an_error_and_not_remembered() {
    let replica = Replica::with_cache_of(1 << 20);
    let digest = replica.plant(b"bytes");
    replica.faulty.script(Rule::on(Op::Get).nth(1).fail());
    replica.blobs.open(digest, None).await.unwrap_err();
    assert_eq!(replica.read(digest).await, &b"bytes"[..]);
}

#[tokio::test]
async fn a_cache_whose_disk_went_away_costs_requests_and_no_answers() {
    let replica = Replica::with_cache_of(1 << 20);
    let (known, other) = (replica.plant(b"known"), replica.plant(b"other"));
    replica.warm(known).await;
    std::fs::remove_dir_all(replica.directory.path()).unwrap();
    assert_eq!(replica.read(known).await, &b"known"[..]);
    assert_eq!(replica.read(other).await, &b"other"[..]);
}
