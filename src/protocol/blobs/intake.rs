//! Receiving the bytes of a blob: hashed as they arrive, visible only once length and digest are verified.

use bytes::Bytes;

use crate::domain::{BothDigests, Digest, Hasher, Sha512};
use crate::shares::Owner;
use crate::store::{Created, Key, StoreError, Upload};

/// Why an upload was not stored.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The bytes have another digest than the client stated.
    #[error("the bytes received have the digest {actual}, not {expected}")]
    DigestMismatch {
        /// The digest that the client stated.
        expected: Digest,
        /// The digest of the received bytes.
        actual: Digest,
    },
    /// The bytes have another SHA-512 digest than the client stated.
    #[error("the bytes received have the digest {actual}, not {expected}")]
    Sha512Mismatch {
        /// The digest that the client stated.
        expected: Box<Sha512>,
        /// The digest of the received bytes.
        actual: Box<Sha512>,
    },
    /// More or fewer bytes arrived than were announced.
    #[error("{announced} bytes were announced, {received} were received")]
    SizeMismatch {
        /// The announced length, in bytes.
        announced: u64,
        /// Bytes received; may be less than the client sent, because an upload fails as soon as it exceeds its length.
        received: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BlobError {
    /// The error for bytes with these digests, which are not as stated.
    #[must_use]
    pub fn sha512_mismatch(stated: &Sha512, actual: &BothDigests) -> Self {
        Self::Sha512Mismatch { expected: Box::new(*stated), actual: Box::new(actual.sha512()) }
    }
}

/// The result of a request to upload a blob.
pub enum BlobIntake {
    /// The blob is stored and may be relied on; its size.
    Present(u64),
    /// The upload to send the bytes to.
    Upload(Box<BlobUpload>),
}

/// An upload in progress. Dropping it aborts it.
pub struct BlobUpload {
    upload: Box<dyn Upload>,
    key: Key,
    digest: Digest,
    announced: Option<u64>,
    received: u64,
    hasher: Hasher,
    damaged: Vec<u64>,
}

impl BlobUpload {
    /// An upload, and the key that it will appear under.
    pub(super) fn new(
        (upload, key): (Box<dyn Upload>, Key),
        digest: Digest,
        announced: Option<u64>,
        damaged: Vec<u64>,
    ) -> Self {
        Self { upload, key, digest, announced, received: 0, hasher: Hasher::new(), damaged }
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// The key that it will appear under.
    pub(super) fn key(&self) -> Key {
        self.key.clone()
    }

    /// The damaged generations that this upload replaces.
    pub(super) fn replaces(&self) -> Vec<u64> {
        self.damaged.clone()
    }

    /// Bytes received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Receives the next bytes.
    ///
    /// # Errors
    /// [`BlobError::SizeMismatch`] as soon as more arrive than were announced, or when the store fails.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.received += bytes.len() as u64;
        if let Some(announced) = self.announced.filter(|announced| self.received > *announced) {
            return Err(BlobError::SizeMismatch { announced, received: self.received });
        }
        self.hasher.update(&bytes);
        Ok(self.upload.write(bytes).await?)
    }

    /// On whose account it takes memory from now on, where that is scarce.
    pub fn set_owner(&mut self, owner: Owner) {
        self.upload.set_owner(owner);
    }

    /// To be called now and then while few bytes arrive: gives memory back if that is possible.
    ///
    /// # Errors
    /// When the store fails, or others need the memory.
    pub async fn relax(&mut self) -> Result<(), BlobError> {
        Ok(self.upload.relax().await?)
    }

    /// Verifies length and digest.
    pub(super) async fn verify(self) -> Result<Verified, BlobError> {
        if let Some(announced) = self.announced.filter(|announced| self.received != *announced) {
            self.upload.abort().await;
            return Err(BlobError::SizeMismatch { announced, received: self.received });
        }
        let actual = self.hasher.finish();
        if actual != self.digest {
            self.upload.abort().await;
            return Err(BlobError::DigestMismatch { expected: self.digest, actual });
        }
        Ok(Verified(self.upload))
    }
}

/// An upload whose bytes are verified but not visible yet.
pub(super) struct Verified(Box<dyn Upload>);

impl Verified {
    /// Makes the blob visible and durable.
    pub(super) async fn commit(self) -> Result<Created, BlobError> {
        Ok(self.0.commit().await?)
    }
}
