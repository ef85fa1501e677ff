//! Resumable uploads: blobs whose bytes arrive over any number of requests, through any of the servers on a store.
//!
//! All that is known of one is in the store, as records that are created and never changed: how it began, and after each
//! part the offset, the parts and the state of the hash. So any server can go on where another one stopped or died, and
//! nothing is read again. Parts lie on fixed boundaries; what does not fill a part when a connection breaks is dropped.
//!
//! # Why nothing goes wrong when several work on one upload
//!
//! Two appends at one offset both write their part, and then compete for the record of it: the one that creates it goes on,
//! the other one is told that the offset has moved. If their bytes differed, the store holds those that were written last,
//! and refuses to commit the upload if those are not what the record says ([`PartStore::commit_parts`]). What is committed
//! was hashed, all of it and in order, and the hash was compared with the digest before that.
//!
//! Completing is done by whoever is asked to, several at once too: one commit makes the object, the others find the blob
//! stored. The blob is stored under a generation like every other one (see [`Blobs`]), and nobody relies on it before a
//! publish has looked for it. So the collector may give up any upload at any moment, without asking anybody: either the
//! object was committed before, or it never will be, and the client is told to begin a new upload.

mod append;
mod record;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::domain::{Digest, Subject, UploadId};
use crate::protocol::blobs::{BlobError, Blobs, UploadTarget};
use crate::store::{MAX_PARTS, PartStore, Parts, StoreError};
use record::{Beginning, Records, Step};

pub use append::Append;

/// What memory for parts is counted in.
const PLACE: u64 = 64 << 10;

/// Why a resumable upload cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It was given up, or the store lost it. A new one has to be begun.
    #[error("the upload is gone")]
    Gone,
    /// It was begun by a binary whose records this one cannot read.
    #[error("the upload was begun by another version of larder")]
    Foreign,
    /// Somebody else appended meanwhile.
    #[error("the offset is not the one that was stated")]
    Moved,
    /// An append that does not complete the upload has to end at the end of a part.
    #[error("the bytes do not fill a part")]
    Unfilled {
        /// Where to go on.
        offset: u64,
        /// Bytes of a part.
        part_size: u64,
    },
    /// More than a blob may have.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// Most bytes of a blob.
        limit: u64,
    },
    /// There is no memory for a part.
    #[error("too many uploads at once")]
    Busy,
    /// The bytes are not the blob's, or the store failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl From<StoreError> for UploadError {
    fn from(error: StoreError) -> Self {
        Self::Blob(error.into())
    }
}

/// How large uploads may be.
#[derive(Debug, Clone, Copy)]
pub struct UploadLimits {
    /// Fewest bytes of a part that is not the last one. What the store asks for is up to the caller.
    pub part_size: u64,
    /// Most bytes of a blob.
    pub blob_size: u64,
    /// Bytes of memory for parts.
    pub memory: u64,
}

/// A resumable upload as it is now.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Which one.
    pub id: UploadId,
    beginning: Beginning,
    number: u32,
    step: Step,
}

impl Progress {
    /// Whom it belongs to.
    #[must_use]
    pub fn owner(&self) -> &Subject {
        &self.beginning.owner
    }

    /// The digest that the bytes must have.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.beginning.digest
    }

    /// How many bytes it will have, if that was said.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.beginning.length
    }

    /// Bytes of every part but the last.
    #[must_use]
    pub fn part_size(&self) -> u64 {
        self.beginning.part_size
    }

    /// How many bytes are stored; where to go on.
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

/// What becomes of the wish to upload a blob.
#[derive(Debug)]
pub enum StartedUpload {
    /// The blob is there and may be relied on; its size.
    Present(u64),
    /// Send the bytes here.
    Upload(Box<Progress>),
}

/// The resumable uploads in a store.
#[derive(Debug)]
pub struct Uploads {
    store: Arc<dyn PartStore>,
    blobs: Arc<Blobs>,
    limits: UploadLimits,
    places: Arc<Semaphore>,
}

impl Uploads {
    /// The uploads in `store`, whose blobs are `blobs`.
    #[must_use]
    pub fn new(store: Arc<dyn PartStore>, blobs: Arc<Blobs>, limits: UploadLimits) -> Self {
        let places = usize::try_from(limits.memory / PLACE).unwrap_or(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
        Self { store, blobs, limits, places }
    }

    /// Most bytes of an upload.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.limits.blob_size
    }

    /// Bytes of a part of an upload of this length: more than configured where there would be too many parts otherwise.
    #[must_use]
    pub fn part_size(&self, length: Option<u64>) -> u64 {
        let needed = length.unwrap_or(self.limits.blob_size).div_ceil(MAX_PARTS.into());
        if needed <= self.limits.part_size { self.limits.part_size } else { needed.next_multiple_of(1 << 20) }
    }

    /// Begins an upload, unless the blob is there.
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
            // Nobody was told of it. What is left, the collector finds.
            let _ = self.store.abort_parts(&parts).await;
            return Err(error);
        }
        Ok(StartedUpload::Upload(Box::new(Progress { id, beginning, number: 0, step: Step::zero() })))
    }

    /// How far an upload is. `None` when there is no such upload.
    ///
    /// # Errors
    /// [`UploadError::Foreign`], or when the store fails.
    pub async fn look(&self, id: UploadId) -> Result<Option<Progress>, UploadError> {
        let found = self.records(id).read().await?;
        Ok(found.map(|(beginning, number, step)| Progress { id, beginning, number, step }))
    }

    /// Gives an upload up. Of one that is complete only the records go.
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

/// What the collector needs to know of an upload without going on with it.
#[derive(Debug)]
pub(crate) enum UploadState {
    /// It has these parts.
    Open {
        /// The object in the making.
        parts: Parts,
        /// Whether it is complete.
        done: bool,
    },
    /// Its beginning is gone: somebody is in the middle of deleting it.
    Remains,
    /// This binary cannot read it.
    Foreign,
}

/// Looks at how an upload began.
pub(crate) async fn find(store: &Arc<dyn PartStore>, id: UploadId) -> Result<UploadState, StoreError> {
    match Records::of(store, id).read().await {
        Ok(Some((beginning, _, step))) => Ok(UploadState::Open { parts: beginning.parts()?, done: step.done }),
        Ok(None) => Ok(UploadState::Remains),
        Err(UploadError::Blob(BlobError::Store(error))) if error.is_retryable() => Err(error),
        Err(_) => Ok(UploadState::Foreign),
    }
}

/// Deletes the records of an upload whose parts are gone.
pub(crate) async fn forget(store: &Arc<dyn PartStore>, id: UploadId) -> Result<(), StoreError> {
    Records::of(store, id).forget().await
}
