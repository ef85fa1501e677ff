//! Resumable uploads: blobs whose bytes arrive over any number of requests, through any of the servers on a store.
//!
//! The state of an upload is entirely in the store, as records that are created and never changed: how it began, and
//! after each part the offset, the parts and the state of the hash. So any server can continue where another one
//! stopped or died, without reading bytes again. Parts lie on fixed boundaries; bytes that do not fill a part when a
//! connection breaks are dropped.
//!
//! # Why concurrent requests on one upload are safe
//!
//! Two appends at one offset both write their part, and then race to create the record of it: the winner continues, the
//! loser is told that the offset has moved. If their bytes differed, the store holds those that were written last, and
//! refuses to commit the upload if those are not what the record says ([`PartStore::commit_parts`]). Before the commit,
//! all bytes were hashed in order, and the hash was compared with the digest.
//!
//! Completing may be requested several times, even concurrently: one commit creates the object, the others find the
//! blob stored. The blob is stored under a generation like every other one (see [`Blobs`]), and nothing relies on it
//! before a publish has checked it (P2). So the collector may abort any upload at any moment without coordination:
//! either the object was committed before, or it never will be, and the client is told to begin a new upload.

mod append;
mod record;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Digest, Subject, UploadId};
use crate::protocol::blobs::{BlobError, Blobs, UploadTarget};
use crate::shares::{Memory, RoomError};
use crate::store::{MAX_PARTS, PartStore, Parts, StoreError};
use record::{Beginning, Records, Step};

pub use append::Append;

/// Maximum wait for the memory of a part.
const MEMORY_WITHIN: Duration = Duration::from_secs(30);

/// Why a resumable upload cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It was aborted or expired, or the store lost it. The client has to begin a new one.
    #[error("the upload is gone")]
    Gone,
    /// It was begun by a binary whose records this one cannot read.
    #[error("the upload was begun by another version of larder")]
    Foreign,
    /// Another request appended meanwhile.
    #[error("the offset is not the one that was stated")]
    Moved,
    /// An append that does not complete the upload must end on a part boundary.
    #[error("the bytes do not fill a part")]
    Unfilled {
        /// Offset from which to continue, in bytes.
        offset: u64,
        /// Size of a part, in bytes.
        part_size: u64,
    },
    /// The upload exceeds the maximum size of a blob.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// Maximum size of a blob, in bytes.
        limit: u64,
    },
    /// No memory is free for a part; the client may retry later.
    #[error("too many uploads at once")]
    Busy,
    /// Too few bytes arrived while others waited for the memory. Full parts are stored, and the client may go on later.
    #[error("too slow while others wait")]
    TooSlow,
    /// The bytes do not match the digest or length, or the store failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl From<RoomError> for UploadError {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::Busy => Self::Busy,
            RoomError::TooSlow => Self::TooSlow,
        }
    }
}

impl From<StoreError> for UploadError {
    fn from(error: StoreError) -> Self {
        Self::Blob(error.into())
    }
}

/// Size limits of uploads.
#[derive(Debug, Clone, Copy)]
pub struct UploadLimits {
    /// Minimum size of a part other than the last one, in bytes. The caller must choose a size that the store accepts.
    pub part_size: u64,
    /// Maximum size of a blob, in bytes.
    pub blob_size: u64,
    /// Memory for buffered parts of all uploads, in bytes.
    pub memory: u64,
}

/// The current state of a resumable upload.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The upload's id, under which its records are stored.
    pub id: UploadId,
    beginning: Beginning,
    number: u32,
    step: Step,
}

impl Progress {
    /// The subject that began the upload; only it may continue.
    #[must_use]
    pub fn owner(&self) -> &Subject {
        &self.beginning.owner
    }

    /// The digest that the complete bytes must have.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.beginning.digest
    }

    /// Announced total length in bytes, if the client stated one.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.beginning.length
    }

    /// Size of every part but the last, in bytes.
    #[must_use]
    pub fn part_size(&self) -> u64 {
        self.beginning.part_size
    }

    /// Number of bytes stored; the offset from which to continue.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.step.offset
    }

    /// Whether the blob is stored.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.step.done
    }
}

/// The result of a request to begin an upload.
#[derive(Debug)]
pub enum StartedUpload {
    /// The blob is stored and may be relied on; its size.
    Present(u64),
    /// The upload to send the bytes to.
    Upload(Box<Progress>),
}

/// The resumable uploads in a store.
#[derive(Debug)]
pub struct Uploads {
    store: Arc<dyn PartStore>,
    blobs: Arc<Blobs>,
    limits: UploadLimits,
    memory: Memory,
}

impl Uploads {
    /// The resumable uploads in `store`, whose blobs are `blobs`.
    #[must_use]
    pub fn new(store: Arc<dyn PartStore>, blobs: Arc<Blobs>, limits: UploadLimits) -> Self {
        Self { store, blobs, limits, memory: Memory::new(limits.memory, MEMORY_WITHIN) }
    }

    /// Maximum size of an upload, in bytes.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.limits.blob_size
    }

    /// Part size of an upload of this length, in bytes: larger than configured if there would be too many parts
    /// otherwise.
    #[must_use]
    pub fn part_size(&self, length: Option<u64>) -> u64 {
        let needed = length.unwrap_or(self.limits.blob_size).div_ceil(MAX_PARTS.into());
        if needed <= self.limits.part_size { self.limits.part_size } else { needed.next_multiple_of(1 << 20) }
    }

    /// Begins an upload, unless the blob is stored already.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin(
        &self,
        digest: Digest,
        length: Option<u64>,
        owner: &Subject,
    ) -> Result<StartedUpload, StoreError> {
        let key = match self.blobs.aim(digest, length).await? {
            UploadTarget::Present(size) => return Ok(StartedUpload::Present(size)),
            UploadTarget::Free(key, _) => key,
        };
        let id = UploadId(record::random()?);
        let parts = self.store.begin_parts(&key).await?;
        let beginning = Beginning::new(digest, length, owner, self.part_size(length), parts.clone());
        if let Err(error) = self.records(id).begin(&beginning).await {
            // No client knows the upload yet. The collector removes whatever this leaves behind.
            let _ = self.store.abort_parts(&parts).await;
            return Err(error);
        }
        Ok(StartedUpload::Upload(Box::new(Progress { id, beginning, number: 0, step: Step::zero() })))
    }

    /// The current state of an upload. `None` when there is no such upload.
    ///
    /// # Errors
    /// [`UploadError::Foreign`], or when the store fails.
    pub async fn look(&self, id: UploadId) -> Result<Option<Progress>, UploadError> {
        let found = self.records(id).read().await?;
        Ok(found.map(|(beginning, number, step)| Progress { id, beginning, number, step }))
    }

    /// Aborts an upload. If it is complete, only its records are deleted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn give_up(&self, upload: &Progress) -> Result<(), StoreError> {
        if !upload.is_complete() {
            self.store.abort_parts(&upload.beginning.parts()?).await?;
        }
        self.records(upload.id).forget().await
    }

    fn records(&self, id: UploadId) -> Records {
        Records::of(&self.store, id)
    }
}

/// What the collector needs to know of an upload that it does not continue.
#[derive(Debug)]
pub(crate) enum UploadState {
    /// Its records can be read, and it has these parts.
    Open {
        /// The uncommitted object.
        parts: Parts,
        /// Whether it is complete.
        done: bool,
    },
    /// Its first record is gone: another process is deleting it.
    Remains,
    /// This binary cannot read it.
    Foreign,
}

/// Reads how an upload began.
pub(crate) async fn find(store: &Arc<dyn PartStore>, id: UploadId) -> Result<UploadState, StoreError> {
    match Records::of(store, id).read().await {
        Ok(Some((beginning, _, step))) => Ok(UploadState::Open { parts: beginning.parts()?, done: step.done }),
        Ok(None) => Ok(UploadState::Remains),
        Err(UploadError::Blob(BlobError::Store(error))) if error.is_retryable() => Err(error),
        Err(_) => Ok(UploadState::Foreign),
    }
}

/// Deletes the records of an upload whose parts were aborted or committed.
pub(crate) async fn forget(store: &Arc<dyn PartStore>, id: UploadId) -> Result<(), StoreError> {
    Records::of(store, id).forget().await
}
