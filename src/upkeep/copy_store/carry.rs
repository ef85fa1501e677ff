//! Moving one object from one store to the other.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::Meter;
use crate::domain::{Digest, Hasher};
use crate::protocol::heads::MAX_HEAD;
use crate::store::{Created, Key, Object, ObjectStore, Result, StoreError, StoreErrorKind};
use crate::upkeep::verify::{Reading, read_blob};

/// An object whose bytes must have a digest.
#[derive(Debug)]
pub(super) struct CopyItem {
    pub(super) key: Key,
    pub(super) digest: Digest,
    pub(super) is_segment: bool,
    pub(super) size: u64,
    /// The size of what the copy has under this key.
    pub(super) there: Option<u64>,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum CopyOutcome {
    /// It was copied, so many bytes.
    Copied(u64),
    /// The copy had it.
    Present,
    /// It was deleted since it was listed.
    Gone,
    /// Its bytes are not what they should be, or cannot be read.
    Damaged(String),
}

/// The two stores.
pub(super) struct ObjectCopier {
    pub(super) from: Arc<dyn ObjectStore>,
    pub(super) to: Arc<dyn ObjectStore>,
    pub(super) verify: bool,
    pub(super) meter: Meter,
}

impl ObjectCopier {
    /// Whether the copy has it, as far as can be said without asking.
    pub(super) fn has(&self, load: &CopyItem) -> bool {
        load.there == Some(load.size) && !self.verify
    }

    /// Copies an object, verified. One that is there with other bytes, which is damage since the copy is not in use, is
    /// replaced; but only once there are sound ones.
    ///
    /// # Errors
    /// When a store is not available, or the one that is copied to fails.
    pub(super) async fn carry(&self, load: &CopyItem) -> Result<CopyOutcome> {
        if load.there == Some(load.size) && (!self.verify || self.is_sound_there(load).await?) {
            return Ok(CopyOutcome::Present);
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
        if actual != load.digest {
            upload.abort().await;
            return Ok(CopyOutcome::Damaged(format!("its bytes have the digest {actual}")));
        }
        if load.there.is_some() {
            self.to.delete(&load.key).await?;
        }
        match upload.commit().await? {
            Created::New => Ok(CopyOutcome::Copied(moved)),
            Created::AlreadyExists if self.is_sound_there(load).await? => Ok(CopyOutcome::Present),
            Created::AlreadyExists => {
                Err(StoreError::new(StoreErrorKind::Corrupt, &load.key, "somebody else put other bytes into the copy"))
            }
        }
    }

    async fn is_sound_there(&self, load: &CopyItem) -> Result<bool> {
        Ok(matches!(read_blob(&*self.to, &load.key, load.digest).await?, Reading::Sound(_)))
    }

    /// What it means that an object could not be read.
    async fn unreadable(&self, load: &CopyItem, error: StoreError) -> Result<CopyOutcome> {
        if error.is_retryable() || error.kind == StoreErrorKind::Denied {
            return Err(error);
        }
        Ok(match self.from.head(&load.key).await? {
            Some(_) => CopyOutcome::Damaged(error.to_string()),
            None => CopyOutcome::Gone,
        })
    }

    /// Reads a small object of the store that is copied from.
    ///
    /// # Errors
    /// When the store fails, or the object is not small.
    pub(super) async fn read(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.from.get(key, None).await? {
            Some(object) => object.bytes(MAX_HEAD).await.map(Some),
            None => Ok(None),
        }
    }

    /// Creates a small object in the copy. Says whether the copy has these bytes now, and not others.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn create_same(&self, key: &Key, bytes: Bytes) -> Result<bool> {
        let failed = match self.to.create(key, bytes.clone()).await {
            Ok(Created::New) => return Ok(true),
            Ok(Created::AlreadyExists) => None,
            Err(error) => Some(error),
        };
        // An earlier run may have made it, or this call, whose answer was lost.
        match (self.to.get(key, None).await?, failed) {
            (Some(object), _) => {
                self.to.persist(std::slice::from_ref(key)).await?;
                Ok(object.bytes(MAX_HEAD).await? == bytes)
            }
            (None, Some(error)) => Err(error),
            (None, None) => Err(StoreError::new(StoreErrorKind::Corrupt, key, "there, and not there")),
        }
    }

    /// Whether both stores have the same bytes under a key.
    ///
    /// # Errors
    /// When a store fails.
    pub(super) async fn same(&self, key: &Key) -> Result<bool> {
        let there = match self.to.get(key, None).await? {
            Some(object) => Some(object.bytes(MAX_HEAD).await?),
            None => None,
        };
        Ok(there == self.read(key).await?)
    }
}
