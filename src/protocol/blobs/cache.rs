//! A bounded cache of blobs on a local disk, for servers that are far from their bucket.
//!
//! A blob never changes, so entries are never stale; each was stored only after its digest was verified. The cache is
//! optional: a caller that cannot read or write it uses the store instead. A directory is used by one server at a time.
//!
//! Concurrent readers of a blob share one fetch: all of them read the file while it grows (`fill`). The last byte is
//! held back until the digest is verified, so no reader ever gets all of a corrupt blob.

mod fill;
mod index;

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::Duration;

use super::super::flights::Flights;
use super::Damaged;
use crate::clock::Clock;
use crate::domain::Digest;
use crate::layout::LayoutKey;
use crate::store::{ByteRange, FileSlice, Object, ObjectMeta, ObjectStore, StoreError};
use fill::Fill;
use index::CacheIndex;

/// Maximum age of an open request in flight that other readers join.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes read from a file at a time.
const CHUNK: u64 = 256 << 10;

/// The blob cache. Cheap to clone.
#[derive(Debug)]
pub struct BlobCache {
    index: CacheIndex,
    openings: Flights<Digest, Opened>,
    fills: Mutex<HashMap<Digest, Arc<Fill>>>,
    damaged: Arc<Damaged>,
}

/// The result of opening a blob in order to fetch it.
#[derive(Debug, Clone)]
enum Opened {
    /// It is being fetched.
    Fill(Arc<Fill>),
    /// Another reader has fetched it meanwhile.
    Kept,
    /// The store has no bytes for it.
    Nothing,
}

/// The result of a cache lookup.
pub(super) enum CacheLookup {
    /// A cache hit, or a fetch in progress: the bytes.
    Object(Object),
    /// The store has no bytes for it.
    Nothing,
    /// A cache miss that the cache cannot fill: read from the store.
    NotHere,
}

impl BlobCache {
    /// Opens the cache in `directory`, which is created if absent. It keeps at most `size` bytes of blobs and evicts
    /// those unread for `unused_for`. Unfinished files of an earlier process are removed.
    ///
    /// # Errors
    /// When the directory cannot be used, or another process uses it.
    pub fn open(directory: &Path, size: u64, unused_for: Duration, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let index = CacheIndex::open(directory, size, unused_for, clock)?;
        Ok(Self { index, openings: Flights::default(), fills: Mutex::default(), damaged: Arc::default() })
    }

    /// The blobs that were found damaged in the store when they were fetched.
    #[must_use]
    pub fn damaged(&self) -> &Arc<Damaged> {
        &self.damaged
    }

    /// Removes a blob whose bytes have been damaged here.
    pub(super) async fn discard(self: &Arc<Self>, digest: Digest) {
        tracing::warn!(blob.digest = %digest, "the bytes in the cache were damaged; the store is asked instead");
        let cache = Arc::clone(self);
        let discarded = tokio::task::spawn_blocking(move || cache.index.forget::<()>(digest)).await;
        if let Err(error) = discarded.map_err(io::Error::other).flatten() {
            tracing::warn!(blob.digest = %digest, %error, "damaged bytes cannot be removed from the cache");
        }
    }

    /// Evicts blobs that were not read for the configured time.
    pub async fn tidy(self: &Arc<Self>) {
        let cache = Arc::clone(self);
        let tidied = tokio::task::spawn_blocking(move || cache.index.tidy()).await;
        // Propagates the panic to the supervisor of this task.
        if let Some(panic) = tidied.err().and_then(|error| error.try_into_panic().ok()) {
            std::panic::resume_unwind(panic);
        }
    }

    /// The size of a cached blob.
    pub(super) fn size(&self, digest: Digest) -> Option<u64> {
        self.index.size(digest)
    }

    /// A cached blob, or a range of it.
    pub(super) async fn get(self: &Arc<Self>, digest: Digest, range: Option<ByteRange>) -> Option<Object> {
        let cache = Arc::clone(self);
        let taken = tokio::task::spawn_blocking(move || cache.index.take(digest)).await.ok()?;
        let (file, meta) = match taken {
            Ok(Some((file, size, modified))) => (file, ObjectMeta { key: key_of(digest), size, modified }),
            Ok(None) => return None,
            Err(error) => {
                tracing::warn!(blob.digest = %digest, %error, "the cache cannot be read; the store is asked instead");
                return None;
            }
        };
        metrics::counter!("larder_cache_requests_total", "result" => "hit").increment(1);
        let (start, end) = range.map_or((0, meta.size), |range| (range.start, range.end.min(meta.size)));
        let file = Arc::new(file);
        let slice = FileSlice { file: Arc::clone(&file), start, end, bytes: None };
        let body = stream::try_unfold(start, move |at| {
            let (file, digest) = (Arc::clone(&file), digest);
            async move {
                if at >= end {
                    return Ok(None);
                }
                let bytes = read_at(&file, at, CHUNK.min(end - at)).await.map_err(|error| failed(digest, error))?;
                let next = at + bytes.len() as u64;
                Ok(Some((bytes, next)))
            }
        });
        Some(Object { meta, body: body.boxed(), file: Some(slice) })
    }

    /// Reads a whole blob that is not cached: joins the fetch in progress, or starts one.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn fetch(
        self: &Arc<Self>,
        store: &Arc<dyn ObjectStore>,
        digest: Digest,
        open: impl Future<Output = Result<Option<Object>, StoreError>> + Send + 'static,
    ) -> Result<CacheLookup, StoreError> {
        metrics::counter!("larder_cache_requests_total", "result" => "miss").increment(1);
        let begin = || {
            let cache = Arc::clone(self);
            async move {
                // Another fetch may have begun, or completed, since this flight was requested.
                if let Some(fill) = cache.filling(digest) {
                    return Ok(Opened::Fill(fill));
                }
                if cache.size(digest).is_some() {
                    return Ok(Opened::Kept);
                }
                Ok(match open.await? {
                    Some(object) => Opened::Fill(cache.begin(digest, object).await),
                    None => Opened::Nothing,
                })
            }
        };
        let found = match self.openings.join(&digest, PATIENCE, begin).await? {
            Opened::Fill(fill) => fill.read(Arc::clone(store)),
            Opened::Kept => self.get(digest, None).await,
            Opened::Nothing => return Ok(CacheLookup::Nothing),
        };
        Ok(found.map_or(CacheLookup::NotHere, CacheLookup::Object))
    }

    fn filling(&self, digest: Digest) -> Option<Arc<Fill>> {
        self.fills().get(&digest).filter(|fill| fill.is_of_use()).map(Arc::clone)
    }

    /// Starts to fetch. A blob that does not fit, or for which no file can be created, is passed through to one reader
    /// only.
    async fn begin(self: &Arc<Self>, digest: Digest, object: Object) -> Arc<Fill> {
        let (cache, size) = (Arc::clone(self), object.meta.size);
        let reserved = tokio::task::spawn_blocking(move || cache.index.reserve(size)).await;
        let place = match reserved.map_err(io::Error::other).flatten() {
            Ok(place) => place,
            Err(error) => {
                tracing::warn!(blob.digest = %digest, %error, "the cache cannot be written to; blobs come from the store");
                None
            }
        };
        let Some(place) = place else { return Fill::without_place(digest, object) };
        let (fill, work) = Fill::begin(digest, object, place);
        self.fills().insert(digest, Arc::clone(&fill));
        let entry = FillEntry { cache: Arc::clone(self), digest, fill: Arc::clone(&fill) };
        // Runs to completion even if no reader is left: the next reader will want the blob too.
        tokio::spawn(async move {
            work.run(&entry.cache).await;
            drop(entry);
        });
        fill
    }

    fn fills(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Fill>>> {
        self.fills.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry of a fill in progress. Dropping it removes the entry, however the fill ended.
struct FillEntry {
    cache: Arc<BlobCache>,
    digest: Digest,
    fill: Arc<Fill>,
}

impl Drop for FillEntry {
    fn drop(&mut self) {
        let mut fills = self.cache.fills();
        // A failed fill may have been replaced already.
        if fills.get(&self.digest).is_some_and(|fill| Arc::ptr_eq(fill, &self.fill)) {
            fills.remove(&self.digest);
        }
    }
}

/// Reads exactly `length` bytes of a file.
async fn read_at(file: &Arc<std::fs::File>, at: u64, length: u64) -> io::Result<Bytes> {
    let file = Arc::clone(file);
    let read = move || {
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, at)?;
        Ok(Bytes::from(bytes))
    };
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}

fn key_of(digest: Digest) -> crate::store::Key {
    LayoutKey::Blob(digest, 0).key()
}

fn failed(digest: Digest, error: io::Error) -> StoreError {
    StoreError::io(format!("the cached copy of {digest}"), error)
}

#[cfg(test)]
mod tests;
