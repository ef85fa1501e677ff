//! Copying one object from one store to the other.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::Meter;
use crate::domain::{Digest, Hasher};
use crate::protocol::documents::{self, Creation};
use crate::protocol::heads::MAX_HEAD;
use crate::store::{Created, Key, Object, ObjectStore, Result, StoreError, StoreErrorKind};
use crate::upkeep::verify::{Reading, hash, read_blob};

/// The kind of an object, under which it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemKind {
    Blob,
    Segment,
    /// Copied byte for byte.
    AsIs,
}

/// An object to copy.
#[derive(Debug)]
pub(super) struct CopyItem {
    pub(super) key: Key,
    pub(super) kind: ItemKind,
    /// The digest that its bytes must have, if its key contains one.
    pub(super) digest: Option<Digest>,
    pub(super) size: u64,
    /// The size of the object under this key in the copy.
    pub(super) there: Option<u64>,
}

/// The result of copying one object.
#[derive(Debug)]
pub(super) enum CopyOutcome {
    /// It was copied, with this many bytes.
    Copied(u64),
    /// The copy already had it.
    Present,
    /// It was deleted after it was listed.
    Gone,
    /// Its bytes are damaged or unreadable, and why.
    Damaged(String),
    /// The copy has other bytes, which cannot be proven damaged.
    Differs,
}

/// The source and the target.
pub(super) struct ObjectCopier {
    pub(super) from: Arc<dyn ObjectStore>,
    pub(super) to: Arc<dyn ObjectStore>,
    pub(super) verify: bool,
    pub(super) meter: Meter,
}

impl ObjectCopier {
    /// Whether the copy has the object, as far as the listed size can tell.
    pub(super) fn has(&self, load: &CopyItem) -> bool {
        load.there == Some(load.size) && !self.verify
    }

    /// Copies an object, verified if its key contains a digest. An object in the copy without its digest is damaged, as
    /// the copy is not in use, and is replaced; but only once sound bytes are available.
    ///
    /// # Errors
    /// When a store is not available, or the target fails.
    pub(super) async fn carry(&self, load: &CopyItem) -> Result<CopyOutcome> {
        if load.there == Some(load.size) && (!self.verify || self.is_sound_there(load).await?) {
            return Ok(CopyOutcome::Present);
        }
        if load.digest.is_none() && load.there.is_some() {
            return Ok(CopyOutcome::Differs);
        }
        match self.from.get(&load.key, None).await {
            Ok(Some(object)) => self.stream(load, object).await,
            Ok(None) => Ok(CopyOutcome::Gone),
            Err(error) => self.unreadable(load, error).await,
        }
    }

    async fn stream(&self, load: &CopyItem, mut object: Object) -> Result<CopyOutcome> {
        let mut upload = self.to.begin(&load.key).await?;
        let (mut hasher, mut moved) = (Hasher::new(), 0);
        loop {
            let chunk = match object.body.try_next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => {
                    upload.abort().await;
                    return self.unreadable(load, error).await;
                }
            };
            hasher.update(&chunk);
            let length = chunk.len() as u64;
            upload.write(chunk).await?;
            moved += length;
            (self.meter)(length);
        }
        let actual = hasher.finish();
        if load.digest.is_some_and(|expected| actual != expected) {
            upload.abort().await;
            return Ok(CopyOutcome::Damaged(format!("its bytes have the digest {actual}")));
        }
        if load.there.is_some() {
            self.to.delete(&load.key).await?;
        }
        match upload.commit().await? {
            Created::New => Ok(CopyOutcome::Copied(moved)),
            Created::AlreadyExists if self.has_there(&load.key, actual).await? => Ok(CopyOutcome::Present),
            Created::AlreadyExists => {
                Err(StoreError::new(StoreErrorKind::Corrupt, &load.key, "somebody else put other bytes into the copy"))
            }
        }
    }

    async fn is_sound_there(&self, load: &CopyItem) -> Result<bool> {
        match load.digest {
            Some(digest) => self.has_there(&load.key, digest).await,
            None => self.same(&load.key).await,
        }
    }

    async fn has_there(&self, key: &Key, digest: Digest) -> Result<bool> {
        Ok(matches!(read_blob(&*self.to, key, digest).await?, Reading::Sound(_)))
    }

    /// The result for an object that could not be read.
    async fn unreadable(&self, load: &CopyItem, error: StoreError) -> Result<CopyOutcome> {
        if error.is_retryable() || error.kind == StoreErrorKind::Denied {
            return Err(error);
        }
        match self.from.head(&load.key).await {
            Ok(None) => Ok(CopyOutcome::Gone),
            Ok(Some(_)) => Ok(CopyOutcome::Damaged(error.to_string())),
            Err(again) if again.kind == StoreErrorKind::Unreadable => Ok(CopyOutcome::Damaged(again.to_string())),
            Err(again) => Err(again),
        }
    }

    /// Reads a small object of the source.
    ///
    /// # Errors
    /// When the store fails, or the object is not small.
    pub(super) async fn read(&self, key: &Key) -> Result<Option<Bytes>> {
        documents::read_bytes(&*self.from, key, MAX_HEAD).await
    }

    /// Creates a small object in the copy. Returns whether the copy now has exactly these bytes.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn create_same(&self, key: &Key, bytes: Bytes) -> Result<bool> {
        let is_same = |stored: &Bytes| Ok::<_, StoreError>(*stored == bytes);
        match documents::create(&*self.to, key, bytes.clone(), MAX_HEAD, is_same).await? {
            Creation::Own => Ok(true),
            Creation::Other => Ok(false),
            Creation::Gone => Err(StoreError::new(StoreErrorKind::Corrupt, key, "there, and not there")),
        }
    }

    /// Whether both stores hold the same bytes under a key.
    ///
    /// # Errors
    /// When a store fails.
    pub(super) async fn same(&self, key: &Key) -> Result<bool> {
        Ok(hash(&*self.to, key).await? == hash(&*self.from, key).await?)
    }
}
