//! Blobs: generations of bytes, which of them may be relied on, verified uploads, and the publisher's half of the
//! handshake with the collector (step P2).
//!
//! The bytes of a digest are stored as generation 0, 1, 2 and so on. A tombstone condemns a generation permanently: the
//! collector may delete its bytes at any later time, so nothing new may rely on it. Reading is less strict than
//! relying: the bytes of a condemned generation that are still present are correct by construction, and may be served.

pub mod cache;
mod checks;
mod copies;
mod damaged;
mod discards;
mod intake;
mod late;
mod reading;
mod sound;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Duration;

use crate::clock::Clock;
use crate::domain::Digest;
use crate::domain::manifest::Descriptor;
use crate::layout::{self, LayoutKey};
use crate::protocol::absences::Absences;
use crate::protocol::aliases::AliasIndex;
use crate::protocol::long_work::work_on;
use crate::store::{Created, Key, ObjectMeta, ObjectStore, Part, PartStore, Parts, Prefix, StoreError, StoreErrorKind};
pub use cache::BlobCache;
pub(crate) use copies::BlobCopies;
pub use damaged::Damaged;
pub use intake::{BlobError, BlobIntake, BlobUpload};
pub(super) use late::incoming;
pub use late::{Incoming, LateUpload};
use sound::SoundFiles;

/// Digests looked up with one call to the store.
const LISTED: usize = 512;
/// Listings read in one go: requests of others are not to wait for a release of many files.
const PARSED: usize = 64;
/// Digests acted on concurrently within one request, if what was found requires it.
const AT_ONCE: usize = 16;
/// Limit on copies out of condemned generations, and on generations followed, before the operation fails.
const MAX_CHASE: u32 = 8;

/// The result of checking one blob at step P2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Bytes of the stated size are stored and may be relied on; the key of their generation.
    Present(Key),
    /// No bytes are stored that may be relied on.
    Missing(Descriptor),
    /// Bytes are stored that may be relied on, but their size differs from the stated one.
    WrongSize {
        /// The descriptor in the manifest.
        stated: Descriptor,
        /// Size of the stored bytes.
        actual: u64,
    },
}

impl Check {
    /// Whether this check failed for `digest`: the blob is missing or has the wrong size.
    pub(super) fn refuses(&self, digest: Digest) -> bool {
        match self {
            Self::Present(_) => false,
            Self::Missing(blob) | Self::WrongSize { stated: blob, .. } => blob.digest == digest,
        }
    }
}

/// Where to write the bytes of a digest.
pub(crate) enum UploadTarget {
    /// Nothing to write: bytes of this size are stored and may be relied on.
    Present(u64),
    /// Write under this key, and replace these damaged generations.
    Free(Key, Vec<u64>),
}

/// The blobs in a store: lookup, upload and repair.
#[derive(Debug)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    seen_after: SignedDuration,
    cache: Option<Arc<BlobCache>>,
    max_staleness: Duration,
    absent: Absences<Digest>,
    damaged: Option<Arc<Damaged>>,
    sound: SoundFiles,
    aliases: AliasIndex,
}

impl Blobs {
    /// The blobs in `store`. When a generation is relied on whose last sign of use is older than `seen_after`, a hint
    /// is written that makes it young again; half of the collector's minimum age is a good value.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>, seen_after: SignedDuration) -> Self {
        let (absent, sound) = Default::default();
        let (aliases, max_staleness) = (AliasIndex::new(Arc::clone(&store)), Duration::ZERO);
        Self { store, clock, seen_after, cache: None, max_staleness, absent, damaged: None, sound, aliases }
    }

    /// What SHA-512 digests stand for.
    #[must_use]
    pub fn aliases(&self) -> &AliasIndex {
        &self.aliases
    }

    /// Sets how long [`Blobs::is_recently_absent`] may answer from memory.
    #[must_use]
    pub fn with_max_staleness(self, max_staleness: Duration) -> Self {
        Self { max_staleness, ..self }
    }

    /// Serves reads from a cache where possible. Whether bytes may be relied on is always decided by the store.
    #[must_use]
    pub fn with_cache(self, cache: Option<Arc<BlobCache>>) -> Self {
        Self { cache, ..self }
    }

    /// Compares bytes with their digest on the way to readers where that is cheap, remembers damaged copies in `damaged`,
    /// and takes those that are in it for missing. For those that serve; the collector and others that look after a
    /// store see it as it is.
    #[must_use]
    pub fn with_damaged(self, damaged: Arc<Damaged>) -> Self {
        Self { damaged: Some(damaged), ..self }
    }

    /// Stores a small blob that is held in memory, such as a manifest.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put(&self, bytes: Bytes) -> Result<Descriptor, StoreError> {
        let digest = work_on(bytes.len(), || Digest::of(&bytes));
        self.put_hashed(digest, bytes).await
    }

    /// The same for whoever has hashed the bytes: `digest` is theirs.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_hashed(&self, digest: Digest, bytes: Bytes) -> Result<Descriptor, StoreError> {
        let descriptor = Descriptor { digest, size: bytes.len() as u64 };
        let copies = self.sound_copies(digest).await?;
        let mut damaged = copies.of_other_length(descriptor.size);
        if let Some((generation, meta)) = copies.usable().filter(|_| damaged.is_empty()) {
            self.mark_seen(digest, generation, meta, &copies).await?;
        } else {
            damaged.extend(copies.blocked());
            let key = LayoutKey::Blob(digest, copies.generation_above(&damaged)).key();
            self.bury(digest, &damaged).await?;
            if let Err(error) = self.store.create(&key, bytes).await {
                return Err(self.give_up(&key, error).await);
            }
        }
        self.absent.remove(&digest);
        Ok(descriptor)
    }

    /// Begins an upload, unless the blob is stored already. `length` is the length that the client announced.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin(&self, digest: Digest, length: Option<u64>) -> Result<BlobIntake, StoreError> {
        match self.aim(digest, length).await? {
            UploadTarget::Present(size) => Ok(BlobIntake::Present(size)),
            UploadTarget::Free(key, damaged) => {
                let upload = (self.store.begin(&key).await?, key);
                Ok(BlobIntake::Upload(Box::new(BlobUpload::new(upload, digest, length, damaged))))
            }
        }
    }

    /// Where to write the bytes of a digest, unless the blob is stored already.
    pub(crate) async fn aim(&self, digest: Digest, length: Option<u64>) -> Result<UploadTarget, StoreError> {
        let copies = self.sound_copies(digest).await?;
        // The stored bytes have another length than announced: either the client is wrong or the store is damaged. The
        // upload will show which, and repairs the store in the latter case.
        let mut damaged = length.map(|length| copies.of_other_length(length)).unwrap_or_default();
        if let Some((present, meta)) = copies.usable().filter(|_| damaged.is_empty()) {
            self.mark_seen(digest, present, meta, &copies).await?;
            self.store.persist(std::slice::from_ref(&meta.key)).await?;
            self.absent.remove(&digest);
            return Ok(UploadTarget::Present(meta.size));
        }
        damaged.extend(copies.blocked());
        Ok(UploadTarget::Free(LayoutKey::Blob(digest, copies.generation_above(&damaged)).key(), damaged))
    }

    /// Begins an upload that replaces these generations, which are proven damaged; the list may be empty. They are left
    /// untouched until the new bytes are verified.
    pub(crate) async fn begin_replacing(
        &self,
        digest: Digest,
        mut damaged: Vec<u64>,
        length: Option<u64>,
    ) -> Result<BlobUpload, StoreError> {
        let copies = self.copies(digest).await?;
        damaged.extend(copies.blocked());
        let key = LayoutKey::Blob(digest, copies.generation_above(&damaged)).key();
        let upload = (self.store.begin(&key).await?, key);
        Ok(BlobUpload::new(upload, digest, length, damaged))
    }

    /// Verifies and commits an upload.
    ///
    /// # Errors
    /// A [`BlobError`]; nothing is stored in that case.
    pub async fn finish(&self, upload: BlobUpload) -> Result<Created, BlobError> {
        let (digest, size, damaged, key) = (upload.digest(), upload.received(), upload.replaces(), upload.key());
        let verified = upload.verify().await?;
        self.bury(digest, &damaged).await?;
        let created = match verified.commit().await {
            Err(BlobError::Store(error)) => return Err(self.give_up(&key, error).await.into()),
            committed => committed?,
        };
        // The generation may have been condemned since the upload began, or its number taken by another process's copy
        // of damaged bytes: a blob reported as stored must have bytes that may be relied on.
        match self.secure_one(Descriptor { digest, size }).await? {
            Check::Present(_) => Ok(created),
            Check::Missing(_) | Check::WrongSize { .. } => Err(BlobError::Store(contended(digest))),
        }
    }

    /// Turns an object uploaded in parts into a blob; its bytes were verified as they arrived. `None` when the object
    /// was aborted or is not what was written and no such blob exists either, or when the blob was collected at that
    /// very moment.
    ///
    /// The key of the object was chosen when it was begun, perhaps days ago. Whatever happened to that generation
    /// since, the check at the end decides, as for every upload: bytes under a number that was condemned meanwhile are
    /// correct, but nothing relies on them; they are copied to the next number, and the collector deletes the original.
    pub(crate) async fn finish_parts(
        &self,
        store: &dyn PartStore,
        blob: Descriptor,
        parts: &Parts,
        written: &[Part],
    ) -> Result<Option<Created>, StoreError> {
        let UploadTarget::Free(_, damaged) = self.aim(blob.digest, Some(blob.size)).await? else {
            store.abort_parts(parts).await?;
            return Ok(Some(Created::AlreadyExists));
        };
        self.bury(blob.digest, &damaged).await?;
        let created = match store.commit_parts(parts, written).await {
            Err(error) if error.kind == StoreErrorKind::Stray => {
                tracing::error!(%error, "an upload cannot be completed under its key, and has to begin again");
                self.give_up(&parts.key, error).await;
                store.abort_parts(parts).await?;
                None
            }
            committed => committed?,
        };
        match self.secure_one(blob).await? {
            // Another process may have created it, and not have made it durable yet.
            Check::Present(key) => {
                self.store.persist(&[key]).await?;
                Ok(Some(created.unwrap_or(Created::AlreadyExists)))
            }
            // The parts are consumed, so bytes that are lost now can only be uploaded again.
            Check::Missing(_) | Check::WrongSize { .. } => Ok(None),
        }
    }

    /// Handles a failed commit. If something that is not an object is in the way, which no listing shows if it is a
    /// directory, the number of the generation is given up, so that a retry takes the next one.
    async fn give_up(&self, key: &Key, error: StoreError) -> StoreError {
        let Some(LayoutKey::Blob(digest, generation)) =
            LayoutKey::parse(key).filter(|_| error.kind == StoreErrorKind::Stray)
        else {
            return error;
        };
        match self.store.create(&LayoutKey::Condemned(digest, generation).key(), Bytes::new()).await {
            Ok(_) => StoreError::new(StoreErrorKind::Unavailable, key, error),
            Err(failed) => failed,
        }
    }

    /// Everything stored about a digest: generations, tombstones and hints.
    pub(crate) async fn copies(&self, digest: Digest) -> Result<BlobCopies, StoreError> {
        let found = self.copies_of_each(&[digest]).await?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    /// Like [`Blobs::copies`], of each of these digests.
    async fn copies_of_each(&self, digests: &[Digest]) -> Result<Vec<BlobCopies>, StoreError> {
        let prefixes: Vec<Prefix> = digests.iter().map(layout::blob).collect();
        let listings = self.store.list_each(&prefixes).await?;
        let mut found = Vec::with_capacity(digests.len());
        for (at, (digest, listing)) in digests.iter().zip(listings).enumerate() {
            if at % PARSED == PARSED - 1 {
                tokio::task::yield_now().await;
            }
            let mut copies = BlobCopies::of_listing(listing)?;
            self.follow(*digest, &mut copies).await?;
            for generation in self.damaged.iter().flat_map(|damaged| damaged.generations(digest)) {
                copies.take_away(generation);
            }
            found.push(copies);
        }
        Ok(found)
    }

    /// Looks for bytes in the generation after the last tombstone. A collector that copies condemned bytes to a new
    /// generation and then deletes them may do so during a listing, which then shows neither; that must not be taken
    /// for a loss. Bytes are deleted only after their tombstone was created, so a generation without bytes that
    /// afterwards has no tombstone either never had bytes.
    async fn follow(&self, digest: Digest, copies: &mut BlobCopies) -> Result<(), StoreError> {
        while copies.has_moved() {
            let generation = copies.next_generation();
            for key in [LayoutKey::Blob(digest, generation), LayoutKey::Condemned(digest, generation)] {
                if let Some(meta) = readable(self.store.head(&key.key()).await)? {
                    copies.add(&key, meta);
                }
            }
            if copies.has_moved() && copies.next_generation() == generation {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether a blob had no bytes at some moment during the call. Conclusive, unlike a listing, which may miss bytes
    /// that are moved to the next generation meanwhile: bytes are deleted only after their tombstone was created, and
    /// the next generation is created only after that. So when a generation has no bytes, and afterwards no
    /// tombstone, there was a moment at which no generation had any.
    pub(crate) async fn is_gone(&self, digest: Digest) -> Result<bool, StoreError> {
        for generation in 0.. {
            if readable(self.store.head(&LayoutKey::Blob(digest, generation).key()).await)?.is_some() {
                return Ok(false);
            }
            if self.store.head(&LayoutKey::Condemned(digest, generation).key()).await?.is_none() {
                break;
            }
        }
        Ok(true)
    }

    /// Writes a hint that a generation was relied on, if its last sign of use is old. Without it, a plain pipeline
    /// (upload, then publish) could be told that a blob is present and a moment later that it is missing.
    async fn mark_seen(
        &self,
        digest: Digest,
        generation: u64,
        meta: &ObjectMeta,
        copies: &BlobCopies,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let last = copies.last_seen(generation).map_or(meta.modified, |seen| seen.max(meta.modified));
        if now.duration_since(last) > self.seen_after {
            let key = LayoutKey::Seen(digest, generation, hour_of(now)).key();
            self.store.create(&key, Bytes::new()).await?;
        }
        Ok(())
    }
}

fn hour_of(time: Timestamp) -> u64 {
    u64::try_from(time.as_second() / 3600).unwrap_or(0)
}

/// What cannot be read is not there.
fn readable<T>(found: Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Err(error) if error.kind == StoreErrorKind::Unreadable => {
            tracing::error!(%error, "a blob counts as missing, and `larder verify` reports it");
            Ok(None)
        }
        found => found,
    }
}

/// The results of some calls to the store, several of which run at once, in order.
async fn in_order<T>(
    calls: impl Iterator<Item = impl Future<Output = Result<T, StoreError>>>,
) -> Result<Vec<T>, StoreError> {
    stream::iter(calls).buffered(AT_ONCE).try_collect().await
}

fn contended(digest: Digest) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, digest, "its bytes are being collected faster than they can be saved")
}
