//! Blobs: generations of bytes, what may be relied on, verified uploads, and the publisher's half of the
//! handshake with the collector.
//!
//! A digest's bytes are stored as generation 0, 1, 2 …. A tombstone dooms a generation for ever: the collector
//! may delete its bytes at any later time, so nothing new may rely on it. Reading is less strict than relying:
//! doomed bytes that are still there are correct by construction.

pub mod cache;
mod copies;
mod intake;
mod reading;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::domain::Digest;
use crate::domain::manifest::Descriptor;
use crate::layout::{self, LayoutKey};
use crate::protocol::listing;
use crate::store::{Created, Key, List, ObjectMeta, ObjectStore, Part, PartStore, Parts, StoreError, StoreErrorKind};
pub(crate) use copies::BlobCopies;

pub use cache::BlobCache;
pub use intake::{BlobError, BlobIntake, BlobUpload};

/// Digests that are looked up at once within one request.
const LOOKUPS: usize = 16;
/// How often bytes are rescued from a doomed generation, or chased through generations, before giving up.
const MAX_CHASE: u32 = 8;

/// What a publish finds out about one blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// There are bytes of the stated size that may be relied on.
    Present(Key),
    /// There are none.
    Missing(Descriptor),
    /// There are, but not of the stated size.
    WrongSize {
        /// What the manifest says.
        stated: Descriptor,
        /// What is stored.
        actual: u64,
    },
}

impl Check {
    /// Whether this blob has no bytes of the stated size that may be relied on.
    pub(super) fn refuses(&self, digest: Digest) -> bool {
        match self {
            Self::Present(_) => false,
            Self::Missing(blob) | Self::WrongSize { stated: blob, .. } => blob.digest == digest,
        }
    }
}

/// Where the bytes of a digest are to go.
pub(crate) enum UploadTarget {
    /// Nowhere: they are there and may be relied on; their size.
    Present(u64),
    /// Under this key, in place of these damaged generations.
    Free(Key, Vec<u64>),
}

/// The blobs in a store.
#[derive(Debug)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    seen_after: SignedDuration,
    cache: Option<Arc<BlobCache>>,
}

impl Blobs {
    /// The blobs in `store`. A generation that is relied on anew and was last seen longer than `seen_after` ago gets
    /// a hint that makes it young again; half the collector's minimum age is right.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>, seen_after: SignedDuration) -> Self {
        Self { store, clock, seen_after, cache: None }
    }

    /// Lets readers be served from a cache where it can. Whether bytes may be relied on is always asked of the store.
    #[must_use]
    pub fn with_cache(self, cache: Option<Arc<BlobCache>>) -> Self {
        Self { cache, ..self }
    }

    /// Which of these must be uploaded. Bytes that are doomed do not count.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn missing(&self, digests: Vec<Digest>) -> Result<Vec<Digest>, StoreError> {
        let checks = digests.into_iter().map(|digest| async move {
            let copies = self.copies(digest).await?;
            match copies.usable() {
                Some((generation, meta)) => {
                    self.mark_seen(digest, generation, meta, &copies).await?;
                    Ok(None)
                }
                None => Ok(Some(digest)),
            }
        });
        stream::iter(checks).buffered(LOOKUPS).try_filter_map(|missing| async move { Ok(missing) }).try_collect().await
    }

    /// Makes sure that every one of these blobs has bytes that may be relied on (protocol step P2). Must be called
    /// after the head that refers to them was created: then a tombstone that is not seen here comes after it, and
    /// the collector that makes it sees the head.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn secure(&self, blobs: Vec<Descriptor>) -> Result<Vec<Check>, StoreError> {
        let checks = blobs.into_iter().map(|blob| self.secure_one(blob));
        let checks: Vec<Check> = stream::iter(checks).buffered(LOOKUPS).try_collect().await?;
        let keys: Vec<Key> = checks
            .iter()
            .filter_map(|check| if let Check::Present(key) = check { Some(key.clone()) } else { None })
            .collect();
        self.store.persist(&keys).await?;
        Ok(checks.into_iter().filter(|check| !matches!(check, Check::Present(_))).collect())
    }

    async fn secure_one(&self, blob: Descriptor) -> Result<Check, StoreError> {
        for _ in 0..MAX_CHASE {
            let copies = self.copies(blob.digest).await?;
            if let Some((_, meta)) = copies.usable() {
                return Ok(if meta.size == blob.size {
                    Check::Present(meta.key.clone())
                } else {
                    Check::WrongSize { stated: blob, actual: meta.size }
                });
            }
            // Doomed bytes are right by construction, unless they were doomed for being damaged.
            let Some(doomed) = copies.readable().filter(|meta| meta.size == blob.size) else {
                return Ok(Check::Missing(blob));
            };
            // Whoever wins the copy, the next look decides: the new generation may be doomed again already.
            self.store.copy(&doomed.key, &LayoutKey::Blob(blob.digest, copies.next_generation()).key()).await?;
        }
        Err(contended(blob.digest))
    }

    /// Stores a small blob whose bytes are in memory, such as a manifest.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put(&self, bytes: Bytes) -> Result<Descriptor, StoreError> {
        let digest = Digest::of(&bytes);
        let descriptor = Descriptor { digest, size: bytes.len() as u64 };
        let copies = self.copies(digest).await?;
        let damaged = copies.of_other_length(descriptor.size);
        if let Some((generation, meta)) = copies.usable().filter(|_| damaged.is_empty()) {
            self.mark_seen(digest, generation, meta, &copies).await?;
        } else {
            let key = LayoutKey::Blob(digest, copies.generation_above(&damaged)).key();
            self.bury(digest, &damaged).await?;
            self.store.create(&key, bytes).await?;
        }
        Ok(descriptor)
    }

    /// Begins an upload, unless there is nothing to do. `length` is what the client announced.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin(&self, digest: Digest, length: Option<u64>) -> Result<BlobIntake, StoreError> {
        match self.aim(digest, length).await? {
            UploadTarget::Present(size) => Ok(BlobIntake::Present(size)),
            UploadTarget::Free(key, damaged) => {
                let upload = self.store.begin(&key).await?;
                Ok(BlobIntake::Upload(Box::new(BlobUpload::new(upload, digest, length, damaged))))
            }
        }
    }

    /// Where the bytes of a digest are to go, unless there is nothing to do.
    pub(crate) async fn aim(&self, digest: Digest, length: Option<u64>) -> Result<UploadTarget, StoreError> {
        let copies = self.copies(digest).await?;
        // Bytes of another length than announced: either the client is wrong or the store is damaged. The upload will
        // tell, and heal the store if it was.
        let damaged = length.map(|length| copies.of_other_length(length)).unwrap_or_default();
        if let Some((present, meta)) = copies.usable().filter(|_| damaged.is_empty()) {
            self.mark_seen(digest, present, meta, &copies).await?;
            self.store.persist(std::slice::from_ref(&meta.key)).await?;
            return Ok(UploadTarget::Present(meta.size));
        }
        Ok(UploadTarget::Free(LayoutKey::Blob(digest, copies.generation_above(&damaged)).key(), damaged))
    }

    /// Begins an upload that takes the place of these generations, which are proven damaged; there may be none. Nothing
    /// happens to them before the new bytes are verified.
    pub(crate) async fn begin_replacing(
        &self,
        digest: Digest,
        damaged: Vec<u64>,
        length: Option<u64>,
    ) -> Result<BlobUpload, StoreError> {
        let generation = self.copies(digest).await?.generation_above(&damaged);
        let upload = self.store.begin(&LayoutKey::Blob(digest, generation).key()).await?;
        Ok(BlobUpload::new(upload, digest, length, damaged))
    }

    /// Verifies and commits an upload.
    ///
    /// # Errors
    /// A [`BlobError`]; nothing is stored then.
    pub async fn finish(&self, upload: BlobUpload) -> Result<Created, BlobError> {
        let (digest, size, damaged) = (upload.digest(), upload.received(), upload.replaces());
        let verified = upload.verify().await?;
        self.bury(digest, &damaged).await?;
        let created = verified.commit().await?;
        // The generation may have been doomed since the upload began, or taken by somebody's copy of damaged bytes: what
        // is answered as stored must be there to rely on.
        match self.secure_one(Descriptor { digest, size }).await? {
            Check::Present(_) => Ok(created),
            Check::Missing(_) | Check::WrongSize { .. } => Err(BlobError::Store(contended(digest))),
        }
    }

    /// Makes an object in parts a blob whose bytes were verified as they passed. `None` when the object was aborted, or is
    /// not what was written, and there is no such blob either; or when the blob was collected that very moment.
    ///
    /// The object's key was chosen when it was begun, perhaps days ago. Whatever became of that generation since, the look
    /// at the end decides, as it does for every upload: bytes under a number that was condemned meanwhile are right, but
    /// nothing relies on them; they are copied to the next number, and the collector takes the first ones away.
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
        let created = store.commit_parts(parts, written).await?;
        match self.secure_one(blob).await? {
            // Somebody else may have made it, and be in the middle of making it durable.
            Check::Present(key) => {
                self.store.persist(&[key]).await?;
                Ok(Some(created.unwrap_or(Created::AlreadyExists)))
            }
            // The parts are used up, so what is lost now can only be sent again.
            Check::Missing(_) | Check::WrongSize { .. } => Ok(None),
        }
    }

    /// Takes away generations that are proven damaged: they have another length than bytes that were just verified, or a
    /// full reading gave another digest. Done before sound bytes are committed: when the two are separated by a crash,
    /// the blob is missing, which the next upload mends, and not two blobs of which readers get the wrong one.
    ///
    /// Safe without asking who needs the blob, because what is deleted is of no use to anybody. Damaged bytes stay
    /// damaged (nothing is overwritten, and the number is never used again), so it does not matter how long ago the proof
    /// was given. Who is reading them keeps reading them, and finds at the end that they do not have their digest.
    ///
    /// The tombstone comes first, so that no number of deleted bytes is ever free. Between the two, and for longer if the
    /// process dies there, whoever makes doomed bytes of the right size available again (a publisher, an upload, the
    /// collector) may copy the damage to the next generation. Nothing relies on less than before then, and `verify` finds
    /// the copy; but it may take the number of sound bytes that are about to be committed, so who is told that those
    /// exist already must read what does.
    pub(crate) async fn bury(&self, digest: Digest, damaged: &[u64]) -> Result<(), StoreError> {
        for generation in damaged {
            self.store.create(&LayoutKey::Condemned(digest, *generation).key(), Bytes::new()).await?;
            self.store.delete(&LayoutKey::Blob(digest, *generation).key()).await?;
        }
        Ok(())
    }

    /// All that is stored about a digest.
    pub(crate) async fn copies(&self, digest: Digest) -> Result<BlobCopies, StoreError> {
        let mut copies = BlobCopies::default();
        let mut listing = listing::known(&*self.store, &layout::blob(&digest), List::default(), Some);
        while let Some((key, meta)) = listing.try_next().await? {
            copies.add(&key, meta);
        }
        drop(listing);
        self.follow(digest, &mut copies).await?;
        Ok(copies)
    }

    /// Looks for bytes behind the last tombstone. A collector that gives doomed bytes a new copy and then deletes them
    /// may do so during a listing, which then shows neither; that must not be taken for a loss. Bytes only go after
    /// their tombstone came, so where there are no bytes and after that no tombstone, there never were any.
    async fn follow(&self, digest: Digest, copies: &mut BlobCopies) -> Result<(), StoreError> {
        while copies.has_moved() {
            let generation = copies.next_generation();
            for key in [LayoutKey::Blob(digest, generation), LayoutKey::Condemned(digest, generation)] {
                if let Some(meta) = self.store.head(&key.key()).await? {
                    copies.add(&key, meta);
                }
            }
            if copies.has_moved() && copies.next_generation() == generation {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether a blob had no bytes at some moment during the call. Unlike a listing, which may miss bytes that are moved
    /// to the next generation while it is made, this is conclusive: bytes only go after their tombstone came, and the next
    /// generation is only made after that. So where there are no bytes and after that no tombstone, there were none at all.
    pub(crate) async fn is_gone(&self, digest: Digest) -> Result<bool, StoreError> {
        for generation in 0.. {
            if self.store.head(&LayoutKey::Blob(digest, generation).key()).await?.is_some() {
                return Ok(false);
            }
            if self.store.head(&LayoutKey::Condemned(digest, generation).key()).await?.is_none() {
                break;
            }
        }
        Ok(true)
    }

    /// Leaves a hint that a generation was relied on, if the last sign of use is old. So a plain pipeline (upload,
    /// then publish) is not told that a blob is there and a moment later that it is missing.
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

fn contended(digest: Digest) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, digest, "its bytes are being collected faster than they can be saved")
}
