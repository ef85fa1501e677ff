//! Uploads whose digest is only known at their end: the bytes go to `tmp/incoming/<id>`, are hashed on the way, and become
//! a blob by a copy within the store.
//!
//! The key under `tmp/incoming/` has one writer, because its id is random. Nothing relies on what is there: it is copied,
//! looked at like every other blob, and deleted. What a crash leaves is deleted by the collector.

use bytes::Bytes;

use super::{BlobError, Blobs, Check, UploadTarget, contended};
use crate::domain::manifest::Descriptor;
use crate::domain::{BothDigests, Hasher, Sha512};
use crate::layout::{AreaPath, LayoutKey};
use crate::shares::Owner;
use crate::store::{Created, Key, StoreError, StoreErrorKind, Upload};

/// An upload in progress. Dropping it aborts it.
pub struct LateUpload {
    upload: Box<dyn Upload>,
    key: Key,
    id: u128,
    size: u64,
    hasher: Hasher,
}

/// Bytes that were received as a whole and hashed, but are not stored yet. Dropping them discards them.
pub struct Incoming {
    upload: Box<dyn Upload>,
    key: Key,
    blob: Descriptor,
    both: Option<BothDigests>,
}

/// Received bytes that are stored below `tmp/incoming/`, as a part of a blob or all of it.
pub(crate) struct StoredChunk {
    /// The random id in the key.
    pub(crate) id: u128,
    /// Number of bytes.
    pub(crate) size: u64,
    /// State of the hash after them.
    pub(crate) hasher: Hasher,
}

impl LateUpload {
    /// Bytes received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.size
    }

    /// Receives the next bytes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.size += bytes.len() as u64;
        self.hasher.update(&bytes);
        self.upload.write(bytes).await
    }

    /// On whose account it takes memory from now on, where that is scarce.
    pub fn set_owner(&mut self, owner: Owner) {
        self.upload.set_owner(owner);
    }

    /// To be called now and then while few bytes arrive: gives memory back if that is possible.
    ///
    /// # Errors
    /// When the store fails, or others need the memory.
    pub async fn relax(&mut self) -> Result<(), StoreError> {
        self.upload.relax().await
    }

    /// Ends the upload: these were all bytes.
    #[must_use]
    pub fn end(self) -> Incoming {
        let both = self.hasher.clone().finish_both();
        let blob = Descriptor { digest: self.hasher.finish(), size: self.size };
        Incoming { upload: self.upload, key: self.key, blob, both }
    }

    /// Stores the bytes where they were received, durably. Nothing refers to them yet.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn keep(self) -> Result<StoredChunk, StoreError> {
        self.upload.commit().await?;
        Ok(StoredChunk { id: self.id, size: self.size, hasher: self.hasher })
    }

    /// Discards the bytes.
    pub(crate) async fn abort(self) {
        self.upload.abort().await;
    }
}

impl Incoming {
    /// Digest and size of the bytes.
    #[must_use]
    pub fn blob(&self) -> Descriptor {
        self.blob
    }
}

impl Blobs {
    /// Begins an upload of bytes whose digest nobody has stated.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin_late(&self) -> Result<LateUpload, StoreError> {
        self.begin_after(Hasher::new()).await
    }

    /// The same for bytes whose SHA-512 digest is stated.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin_by_sha512(&self) -> Result<LateUpload, StoreError> {
        self.begin_after(Hasher::with_sha512()).await
    }

    /// The same for bytes that follow others, of which `hasher` has the state of the hash.
    pub(crate) async fn begin_after(&self, hasher: Hasher) -> Result<LateUpload, StoreError> {
        let mut random = [0; 16];
        let failed = |error| StoreError::new(StoreErrorKind::Internal, "random numbers", error);
        getrandom::fill(&mut random).map_err(failed)?;
        let id = u128::from_le_bytes(random);
        let key = incoming(id);
        let upload = self.store.begin(&key).await?;
        Ok(LateUpload { upload, key, id, size: 0, hasher })
    }

    /// Stores received bytes as a blob. To be called after the head that needs them was created (P1): what is stored on
    /// return may be relied on from then on.
    ///
    /// # Errors
    /// When the store fails. Whether the blob is stored is not known then.
    pub async fn adopt(&self, Incoming { upload, key, blob, .. }: Incoming) -> Result<Created, BlobError> {
        let UploadTarget::Free(target, damaged) = self.aim(blob.digest, Some(blob.size)).await? else {
            upload.abort().await;
            return Ok(Created::AlreadyExists);
        };
        upload.commit().await?;
        let adopted = self.take_over(&key, &target, blob, &damaged).await;
        let adopted = adopted.and_then(|created| {
            created.ok_or_else(|| StoreError::new(StoreErrorKind::Unavailable, &key, "deleted while it was received"))
        });
        if let Err(error) = self.store.delete(&key).await {
            tracing::warn!(%key, %error, "received bytes are left over; the collector will delete them");
        }
        Ok(adopted?)
    }

    /// Stores bytes received by [`Blobs::begin_by_sha512`] as a blob that is found by this digest, too.
    ///
    /// # Errors
    /// [`BlobError::Sha512Mismatch`], and nothing is stored; when the store fails.
    pub async fn adopt_by_sha512(&self, incoming: Incoming, stated: &Sha512) -> Result<Created, BlobError> {
        let unhashed = || StoreError::new(StoreErrorKind::Internal, stated, "SHA-512 was not computed");
        let both = incoming.both.ok_or_else(unhashed)?;
        if both.sha512() != *stated {
            incoming.upload.abort().await;
            return Err(BlobError::sha512_mismatch(stated, &both));
        }
        // If the rest fails, the repetition is an upload whose SHA-256 digest is known beforehand.
        self.aliases.add(&both).await?;
        self.adopt(incoming).await
    }

    /// Stores kept bytes as a blob, whose digest they have. `None` if they are not there any more and no such blob is
    /// either. What they were kept under is not deleted.
    pub(crate) async fn adopt_kept(&self, kept: u128, blob: Descriptor) -> Result<Option<Created>, StoreError> {
        let UploadTarget::Free(target, damaged) = self.aim(blob.digest, Some(blob.size)).await? else {
            return Ok(Some(Created::AlreadyExists));
        };
        match self.take_over(&incoming(kept), &target, blob, &damaged).await? {
            Some(created) => Ok(Some(created)),
            // Another request may have been quicker, and have deleted them.
            None => Ok(self.rely_on(blob.digest).await?.map(|_| Created::AlreadyExists)),
        }
    }

    /// `None` if the bytes are not there any more.
    async fn take_over(
        &self,
        from: &Key,
        to: &Key,
        blob: Descriptor,
        damaged: &[u64],
    ) -> Result<Option<Created>, StoreError> {
        self.bury(blob.digest, damaged).await?;
        let created = match self.store.hand_over(from, to).await {
            Err(error) => return Err(self.give_up(to, error).await),
            Ok(None) => return Ok(None),
            Ok(Some(created)) => created,
        };
        match self.secure_one(blob).await? {
            Check::Present(key) => {
                // Another process may have created it, and not have made it durable yet.
                self.store.persist(&[key]).await?;
                Ok(Some(created))
            }
            Check::Missing(_) | Check::WrongSize { .. } => Err(contended(blob.digest)),
        }
    }
}

/// The key of received bytes.
pub(crate) fn incoming(id: u128) -> Key {
    LayoutKey::Tmp(AreaPath::of_incoming(id)).key()
}
