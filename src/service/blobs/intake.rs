//! Taking in the bytes of a blob: hashed as they pass, visible only once length and digest are right.

use bytes::{Bytes, BytesMut};

use crate::domain::{Digest, Hasher};
use crate::store::{Created, StoreError, Upload};

/// Bytes that are gathered before they go to the store. Frames from the network are much smaller, and each trip to
/// the store costs something.
const GATHER: usize = 256 * 1024;

/// Why an upload was not stored.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The bytes have another digest than the one they were sent for.
    #[error("the bytes received have the digest {actual}, not {expected}")]
    DigestMismatch {
        /// What the client said.
        expected: Digest,
        /// What arrived.
        actual: Digest,
    },
    /// More or fewer bytes arrived than were announced.
    #[error("{announced} bytes were announced, {received} were received")]
    SizeMismatch {
        /// What the client said.
        announced: u64,
        /// What arrived.
        received: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What becomes of a request to upload a blob.
pub enum Intake {
    /// The blob is there and may be relied on; its size.
    Present(u64),
    /// Send the bytes here.
    Upload(Box<BlobUpload>),
}

/// An upload under way. Dropping it aborts it.
pub struct BlobUpload {
    upload: Box<dyn Upload>,
    digest: Digest,
    announced: Option<u64>,
    received: u64,
    hasher: Hasher,
    gathered: BytesMut,
    damaged: Vec<u64>,
}

impl BlobUpload {
    pub(super) fn new(upload: Box<dyn Upload>, digest: Digest, announced: Option<u64>, damaged: Vec<u64>) -> Self {
        let (hasher, gathered) = (Hasher::new(), BytesMut::new());
        Self { upload, digest, announced, received: 0, hasher, gathered, damaged }
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// The damaged generations that this upload takes the place of.
    pub(super) fn replaces(&self) -> Vec<u64> {
        self.damaged.clone()
    }

    /// Bytes taken in so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes in the next bytes.
    ///
    /// # Errors
    /// [`BlobError::SizeMismatch`] as soon as more arrive than were announced, or when the store fails.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.received += bytes.len() as u64;
        if let Some(announced) = self.announced.filter(|announced| self.received > *announced) {
            return Err(BlobError::SizeMismatch { announced, received: self.received });
        }
        if self.gathered.is_empty() && bytes.len() >= GATHER {
            return self.pass_on(bytes).await;
        }
        if self.gathered.capacity() == 0 {
            self.gathered.reserve(GATHER);
        }
        self.gathered.extend_from_slice(&bytes);
        if self.gathered.len() >= GATHER {
            let gathered = self.gathered.split().freeze();
            self.pass_on(gathered).await?;
        }
        Ok(())
    }

    /// Hashes and stores, the one beside the other.
    async fn pass_on(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        let hasher = &mut self.hasher;
        let hash = async { hasher.update(&bytes) };
        let (stored, ()) = tokio::join!(self.upload.write(bytes.clone()), hash);
        Ok(stored?)
    }

    /// Passes on what is left and verifies length and digest.
    pub(super) async fn verify(mut self) -> Result<Verified, BlobError> {
        if !self.gathered.is_empty() {
            let gathered = self.gathered.split().freeze();
            self.pass_on(gathered).await?;
        }
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

/// An upload whose bytes are known to be right, but that nobody can see yet.
pub(super) struct Verified(Box<dyn Upload>);

impl Verified {
    /// Makes the blob visible and durable.
    pub(super) async fn commit(self) -> Result<Created, BlobError> {
        Ok(self.0.commit().await?)
    }
}
