//! Reading blobs: any bytes that are still present will do, from the cache if it has them.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::time::Duration;

use super::cache::CacheLookup;
use super::damaged::{SMALL, checked, watched};
use super::sound::FileState;
use super::{BlobCopies, Blobs, MAX_CHASE, contended, readable};
use crate::domain::Digest;
use crate::layout::LayoutKey;
use crate::store::{ByteRange, FileSlice, FoundObject, Object, ObjectMeta, PresignOptions, StoreError};

impl Blobs {
    /// The metadata of a blob, or `None` when there are no bytes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn stat(&self, digest: Digest) -> Result<Option<ObjectMeta>, StoreError> {
        Ok(self.look(digest).await?.map(|found| found.meta))
    }

    /// Like [`Blobs::stat`], with the file of the bytes, if they are in one that was looked at.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn look(&self, digest: Digest) -> Result<Option<FoundObject>, StoreError> {
        if let Some(size) = self.cache.as_ref().and_then(|cache| cache.size(digest)) {
            let (key, modified) = (LayoutKey::Blob(digest, 0).key(), Timestamp::UNIX_EPOCH);
            return Ok(Some(FoundObject { meta: ObjectMeta { key, size, modified }, file: None }));
        }
        // Generation 0 first: most blobs have no other, so the common case costs one request.
        if !self.is_damaged_at(&digest, 0)
            && let Some(found) = readable(self.store.find(&LayoutKey::Blob(digest, 0).key()).await)?
        {
            return Ok(Some(found));
        }
        Ok(self.find(digest).await?.map(|meta| FoundObject { meta, file: None }))
    }

    /// How long a reader who accepts answers of that age may be told again that a blob is there or not.
    #[must_use]
    pub fn max_staleness(&self) -> Duration {
        self.max_staleness
    }

    /// Whether a copy of this digest is known to be damaged.
    #[must_use]
    pub fn is_damaged(&self, digest: &Digest) -> bool {
        self.damaged.as_ref().is_some_and(|damaged| damaged.contains(digest))
    }

    fn is_damaged_at(&self, digest: &Digest, generation: u64) -> bool {
        self.damaged.as_ref().is_some_and(|damaged| damaged.has(digest, generation))
    }

    /// Whether the store was found to have no bytes for a digest so recently that a reader who accepts answers of that
    /// age need not search it again. One cheap look makes sure that it was not uploaded through another server since.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_recently_absent(&self, digest: Digest) -> Result<bool, StoreError> {
        Ok(self.absent.holds(&digest, self.max_staleness)
            && readable(self.store.head(&LayoutKey::Blob(digest, 0).key()).await)?.is_none())
    }

    /// The digests for which readers found no bytes in the store, the latest some thousands of the last `age`.
    #[must_use]
    pub fn missed(&self, age: Duration) -> HashSet<Digest> {
        self.absent.all(age)
    }

    /// The bytes to read, whatever their generation. Readers of what is not there take turns.
    async fn find(&self, digest: Digest) -> Result<Option<ObjectMeta>, StoreError> {
        let search = self.absent.search().await;
        let found = self.copies(digest).await?.readable().cloned();
        if found.is_none() {
            self.absent.add(&digest, &search);
        }
        Ok(found)
    }

    /// Opens a blob, or a range that starts within it, for a reader. `None` when there are no bytes. With a cache,
    /// concurrent readers of a whole blob share one request to the store.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open(
        self: &Arc<Self>,
        digest: Digest,
        range: Option<ByteRange>,
    ) -> Result<Option<Object>, StoreError> {
        if let Some(cache) = &self.cache {
            if let Some(object) = cache.get(digest, range).await {
                match self.checked(object, digest).await? {
                    Some(object) => return Ok(Some(object)),
                    None => cache.discard(digest).await,
                }
            }
            // Fetching the whole blob for a range alone would not pay.
            if range.is_none() {
                let blobs = Arc::clone(self);
                let open = async move { blobs.open_stored(digest, None).await };
                match cache.fetch(&self.store, digest, open).await? {
                    CacheLookup::Object(object) => return Ok(Some(object)),
                    CacheLookup::Nothing => return Ok(None),
                    CacheLookup::NotHere => {}
                }
            }
        }
        let object = self.open_stored(digest, range).await?;
        Ok(match (object, &self.damaged) {
            (Some(object), Some(damaged)) if range.is_none() => Some(watched(object, digest, damaged)),
            (object, _) => object,
        })
    }

    /// The bytes of a small blob as [`Blobs::open`] finds them, if they are in a file that the kernel has in memory.
    /// `None` is inconclusive. Never waits; bytes that are not in memory are on their way there then.
    #[must_use]
    pub fn open_now(self: &Arc<Self>, digest: Digest) -> Option<FileSlice> {
        let is_here = match &self.cache {
            Some(cache) => cache.size(digest).is_some(),
            None => self.store.has_files(),
        };
        let opened = if is_here { self.open(digest, None).now_or_never()? } else { return None };
        opened.ok()??.file.filter(|file| file.bytes.is_some())
    }

    /// Opens the blob in the store, bypassing the cache. A copy that is seen to be damaged is passed over.
    async fn open_stored(&self, digest: Digest, range: Option<ByteRange>) -> Result<Option<Object>, StoreError> {
        let mut key = Some(LayoutKey::Blob(digest, 0).key()).filter(|_| !self.is_damaged_at(&digest, 0));
        for _ in 0..MAX_CHASE {
            if let Some(key) = &key
                && let Some(object) = readable(self.store.get(key, range).await)?
            {
                if let Some(object) = self.checked(object, digest).await? {
                    return Ok(Some(object));
                }
                if let Some(damaged) = &self.damaged {
                    damaged.report(key);
                }
            }
            let Some(meta) = self.find(digest).await? else { return Ok(None) };
            key = Some(meta.key);
        }
        Err(contended(digest))
    }

    /// Like [`Blobs::copies`], for somebody who has the bytes: what looks sound is read first if it is a small file, so that
    /// damaged bytes are replaced.
    pub(super) async fn sound_copies(&self, digest: Digest) -> Result<BlobCopies, StoreError> {
        for _ in 0..MAX_CHASE {
            let copies = self.copies(digest).await?;
            let found = copies.usable().map(|(_, meta)| meta.clone());
            let looked_at = |meta: &ObjectMeta| meta.size <= SMALL && self.store.has_files();
            let (Some(meta), Some(damaged)) = (found.filter(looked_at), &self.damaged) else { return Ok(copies) };
            // What was deleted meanwhile is for the check after the upload.
            let Some(object) = readable(self.store.get(&meta.key, None).await)? else { return Ok(copies) };
            if checked(object, digest).await?.is_some() {
                return Ok(copies);
            }
            damaged.report(&meta.key);
        }
        Err(contended(digest))
    }

    /// Compares a small file with its digest, unless that was done lately. `None` if it has another one.
    async fn checked(&self, object: Object, digest: Digest) -> Result<Option<Object>, StoreError> {
        if self.damaged.is_none() {
            return Ok(Some(object));
        }
        // Taken before the bytes are read: a change during that is another state.
        let state = object.file.as_ref().filter(|_| object.meta.size <= SMALL);
        let Some(state) = state.and_then(|slice| FileState::of(&slice.file)) else {
            return checked(object, digest).await;
        };
        if self.sound.knows(&digest, state) {
            return Ok(Some(object));
        }
        let checked = checked(object, digest).await?;
        if checked.is_some() {
            self.sound.add(digest, state, self.clock.now());
        }
        Ok(checked)
    }

    /// A presigned URL from which a client can fetch the blob directly, or `None`: the store does not support them, or
    /// the cache here has the bytes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn presign(&self, digest: Digest, options: &PresignOptions) -> Result<Option<String>, StoreError> {
        if self.cache.as_ref().is_some_and(|cache| cache.size(digest).is_some()) {
            return Ok(None);
        }
        match self.stat(digest).await? {
            Some(meta) => self.store.presign(&meta.key, options).await,
            None => Ok(None),
        }
    }
}
