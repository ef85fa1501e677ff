//! Fetching one blob into the cache while any number of readers follow.

use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::index::Reservation;
use super::{BlobCache, CHUNK, failed, read_at};
use crate::domain::Digest;
use crate::store::{ByteRange, Key, Object, ObjectMeta, ObjectStore, Result, StoreError, StoreErrorKind};

/// The progress of a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// This many bytes may be read.
    Readable(u64),
    /// All bytes are fetched and have the right digest.
    Complete,
    /// The bytes do not have the right digest.
    Wrong,
    /// The fill was abandoned: the store or the cache's disk failed.
    Over,
}

/// A blob that is being fetched.
#[derive(Debug)]
pub(super) struct Fill {
    digest: Digest,
    bytes: Source,
    progress: watch::Receiver<Progress>,
}

/// Where the readers of a fill read.
#[derive(Debug)]
enum Source {
    /// The growing file.
    File(ObjectMeta, Arc<std::fs::File>),
    /// No file: the opened object itself, for the first reader only.
    Opened(Mutex<Option<Object>>),
}

/// The state of the task that fetches.
pub(super) struct Work {
    digest: Digest,
    key: Key,
    size: u64,
    place: Reservation,
    body: BoxStream<'static, Result<Bytes>>,
    progress: watch::Sender<Progress>,
}

impl Fill {
    pub(super) fn begin(digest: Digest, object: Object, place: Reservation) -> (Arc<Self>, Work) {
        let (meta, body) = (object.meta, object.body);
        let (sender, progress) = watch::channel(Progress::Readable(0));
        let work = Work { digest, key: meta.key.clone(), size: meta.size, place, body, progress: sender };
        let bytes = Source::File(meta, Arc::clone(&work.place.file));
        (Arc::new(Self { digest, bytes, progress }), work)
    }

    /// A fill without a file. The first reader that asks gets the object.
    pub(super) fn without_place(digest: Digest, object: Object) -> Arc<Self> {
        let (_, progress) = watch::channel(Progress::Over);
        let bytes = Source::Opened(Mutex::new(Some(object)));
        Arc::new(Self { digest, bytes, progress })
    }

    /// Whether new readers may join.
    pub(super) fn is_of_use(&self) -> bool {
        !matches!(*self.progress.borrow(), Progress::Over | Progress::Wrong)
    }

    /// A stream of the bytes as they arrive, or `None` if there is no file for them. When fetching fails early, the
    /// rest is read from the store.
    pub(super) fn read(&self, store: Arc<dyn ObjectStore>) -> Option<Object> {
        let (meta, file) = match &self.bytes {
            Source::File(meta, file) => (meta.clone(), Arc::clone(file)),
            Source::Opened(object) => return object.lock().unwrap_or_else(PoisonError::into_inner).take(),
        };
        let (progress, shown) = (self.progress.clone(), meta.clone());
        let reader = Reader { digest: self.digest, meta, file, progress, store, at: 0 };
        let body = stream::try_unfold(Some(From::Cache(reader)), next).try_filter(|bytes| {
            let some = !bytes.is_empty();
            async move { some }
        });
        Some(Object { meta: shown, body: body.boxed(), file: None })
    }
}

struct Reader {
    digest: Digest,
    meta: ObjectMeta,
    file: Arc<std::fs::File>,
    progress: watch::Receiver<Progress>,
    store: Arc<dyn ObjectStore>,
    at: u64,
}

/// Where a reader gets its next bytes from.
enum From {
    Cache(Reader),
    Store(BoxStream<'static, Result<Bytes>>),
}

async fn next(from: Option<From>) -> Result<Option<(Bytes, Option<From>)>> {
    match from {
        None => Ok(None),
        Some(From::Store(mut body)) => Ok(body.try_next().await?.map(|bytes| (bytes, Some(From::Store(body))))),
        Some(From::Cache(reader)) => reader.next().await,
    }
}

impl Reader {
    async fn next(mut self) -> Result<Option<(Bytes, Option<From>)>> {
        let (at, size) = (self.at, self.meta.size);
        let more = |progress: &Progress| !matches!(progress, Progress::Readable(readable) if *readable <= at);
        let progress = match self.progress.wait_for(more).await {
            Ok(progress) => *progress,
            // The fetching task was aborted.
            Err(_) => Progress::Over,
        };
        let readable = match progress {
            Progress::Readable(readable) => readable,
            Progress::Complete if at == size => return Ok(None),
            Progress::Complete => size,
            Progress::Over => return self.go_on_from_store().await,
            Progress::Wrong => {
                let why = "the stored bytes do not have this digest; run `larder verify`";
                return Err(StoreError::new(StoreErrorKind::Corrupt, &self.meta.key, why));
            }
        };
        let bytes =
            read_at(&self.file, at, CHUNK.min(readable - at)).await.map_err(|error| failed(self.digest, error))?;
        self.at += bytes.len() as u64;
        Ok(Some((bytes, Some(From::Cache(self)))))
    }

    async fn go_on_from_store(self) -> Result<Option<(Bytes, Option<From>)>> {
        let range = ByteRange { start: self.at, end: self.meta.size };
        match self.store.get(&self.meta.key, Some(range)).await? {
            Some(object) => Ok(Some((Bytes::new(), Some(From::Store(object.body))))),
            None => {
                Err(StoreError::new(StoreErrorKind::Unavailable, &self.meta.key, "it was deleted while it was read"))
            }
        }
    }
}

impl Work {
    /// Fetches the bytes, verifies them and adds them to the cache.
    pub(super) async fn run(mut self, cache: &Arc<BlobCache>) {
        let digest = self.digest;
        let progress = match self.fetch().await {
            Ok(true) => Progress::Complete,
            Ok(false) => {
                cache.damaged.report(&self.key);
                Progress::Wrong
            }
            Err(error) => {
                tracing::warn!(blob.digest = %digest, %error, "a blob could not be fetched into the cache");
                Progress::Over
            }
        };
        self.progress.send_replace(progress);
        if progress != Progress::Complete {
            // Removes the file, which may block.
            drop(tokio::task::spawn_blocking(move || drop(self.place)));
            return;
        }
        // Failure is harmless: the blob is complete, and its readers hold the file open.
        let (cache, place) = (Arc::clone(cache), self.place);
        let kept = tokio::task::spawn_blocking(move || cache.index.keep(digest, place)).await;
        if let Err(error) = kept.map_err(std::io::Error::other).flatten() {
            tracing::warn!(blob.digest = %digest, %error, "a blob could not be kept in the cache");
        }
    }

    /// Fetches the bytes. Returns whether they have the right digest.
    async fn fetch(&mut self) -> Result<bool> {
        let (mut hasher, mut written, mut pending) = (Sha256::new(), 0, BytesMut::new());
        loop {
            let more = self.body.try_next().await?;
            let last = more.is_none();
            if let Some(bytes) = more {
                pending.extend_from_slice(&bytes);
            }
            if pending.len() as u64 >= CHUNK || (last && !pending.is_empty()) {
                let bytes = pending.split().freeze();
                hasher.update(&bytes);
                write(self.digest, Arc::clone(&self.place.file), bytes.clone(), written).await?;
                written += bytes.len() as u64;
                // The last byte is released only when all of them are verified.
                let readable = written.min(self.size.saturating_sub(1));
                self.progress.send_replace(Progress::Readable(readable));
            }
            if last {
                return Ok(written == self.size && hasher.finalize().as_slice() == self.digest.bytes());
            }
        }
    }
}

async fn write(digest: Digest, file: Arc<std::fs::File>, bytes: Bytes, at: u64) -> Result<()> {
    let written = tokio::task::spawn_blocking(move || file.write_all_at(&bytes, at)).await;
    written.map_err(std::io::Error::other).flatten().map_err(|error| failed(digest, error))
}
