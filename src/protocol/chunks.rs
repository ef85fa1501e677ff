//! Uploads that arrive in chunks and whose digest is stated last, through any of the servers on a store.
//!
//! Beginning one makes no call to the store: its id is a random number and a time under a MAC (`ticket`), which any
//! server verifies. Each chunk is an object below `tmp/incoming/` that was streamed there like every upload whose digest
//! comes last ([`super::blobs::LateUpload`]), and a small record that names it (`record`), with the offset and the state
//! of the hash after it. Records are numbered and created if absent, so the next one is the commit point of an append: of
//! two appends at one offset exactly one takes effect, and the bytes of the other are never part of the upload.
//!
//! Closing an upload compares the hash with the digest and makes a blob: the object of a single chunk is handed over,
//! several are streamed together and hashed again. What appears under the blob's key is looked at like the result of every
//! upload (see [`Blobs`]), and nothing relies on it before a publish has checked it (P2). So chunks and records may go at
//! any moment without coordination: an upload that lost some of them is begun again by its client. The collector deletes
//! them by their age alone.

mod append;
mod finish_sha512;
mod record;
mod ticket;

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use jiff::SignedDuration;

use super::blobs::{self, BlobError, BlobIntake, Blobs};
use super::key_ring::KeyRing;
use crate::clock::Clock;
use crate::domain::{Descriptor, Digest, Hasher, RepositoryName, Subject, UploadId};
use crate::shares::Owner;
use crate::store::{Created, Key, ObjectStore, StoreError};
use record::{MAX_CHUNKS, Record, Records, Written};
use ticket::Ticket;

pub use append::ChunkAppend;

/// Keys deleted with one call.
const BATCH: usize = 500;

/// Why an upload in chunks cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// There is no such upload for this subject and repository, or not any more: it was never begun, its time is over, or
    /// chunks of it are lost. The client has to begin a new one.
    #[error("there is no such upload")]
    Unknown,
    /// Another request appended meanwhile.
    #[error("another request appended to the upload")]
    Moved,
    /// The upload exceeds the maximum size of a blob.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// Maximum size of a blob, in bytes.
        limit: u64,
    },
    /// The upload has more chunks than are kept.
    #[error("more than {limit} chunks")]
    TooMany {
        /// Maximum number of chunks.
        limit: u32,
    },
    /// The bytes have another digest, or the store failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl From<StoreError> for ChunkError {
    fn from(error: StoreError) -> Self {
        Self::Blob(error.into())
    }
}

/// Limits of uploads in chunks.
#[derive(Debug, Clone, Copy)]
pub struct ChunkLimits {
    /// Maximum size of a blob, in bytes.
    pub blob_size: u64,
    /// How long after its beginning an upload may be continued.
    pub kept_for: SignedDuration,
}

/// The current state of an upload in chunks.
#[derive(Debug, Clone)]
pub struct ChunkedUpload {
    ticket: Ticket,
    owner: Subject,
    /// Number of chunks.
    number: u32,
    /// `None` while there are no chunks.
    last: Option<Record>,
    /// Its address says that there were chunks, and none is there any more.
    is_over: bool,
    /// Whether the first chunk is hashed by SHA-512, too.
    by_sha512: bool,
}

impl ChunkedUpload {
    /// Number of bytes stored; the offset from which to continue.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.offset)
    }

    /// Whether it was closed or cancelled. Not known of uploads that never had a chunk.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The random number that identifies it.
    #[must_use]
    pub fn id(&self) -> UploadId {
        self.ticket.id
    }

    /// The text under which it is found again, at most 128 letters, digits, `-`, `_` and `.`. It also says how many chunks
    /// there are, which only saves calls to the store: every text of an upload stays valid.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}.{}", self.ticket.text, self.number)
    }

    /// Says that its digest will be stated in SHA-512. Only spares the chunks a second reading: counts if it is said with
    /// the first one.
    pub fn expect_sha512(&mut self) {
        self.by_sha512 = true;
    }

    /// Whether [`ChunkedUpload::expect_sha512`] has to be said again with the next chunk.
    #[must_use]
    pub fn expects_sha512(&self) -> bool {
        self.by_sha512 && self.last.is_none()
    }

    fn hasher(&self) -> Result<Hasher, ChunkError> {
        match &self.last {
            Some(last) => last.hasher().ok_or(ChunkError::Unknown),
            None if self.by_sha512 => Ok(Hasher::with_sha512()),
            None => Ok(Hasher::new()),
        }
    }
}

/// The uploads in chunks in a store.
#[derive(Debug)]
pub struct Chunks {
    store: Arc<dyn ObjectStore>,
    blobs: Arc<Blobs>,
    keys: KeyRing,
    clock: Arc<dyn Clock>,
    limits: ChunkLimits,
}

impl Chunks {
    /// The uploads in `store`, whose blobs are `blobs`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, blobs: Arc<Blobs>, clock: Arc<dyn Clock>, limits: ChunkLimits) -> Self {
        let keys = KeyRing::new(Arc::clone(&store), Arc::clone(&clock));
        Self { store, blobs, keys, clock, limits }
    }

    /// Begins an upload. Only `owner` may continue it, and only in `repository`. Makes no call to the store, except to
    /// learn the key that servers share, at most once a minute.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin(&self, repository: &RepositoryName, owner: &Subject) -> Result<ChunkedUpload, StoreError> {
        let key = self.keys.signing(ticket::PURPOSE).await?;
        let ticket = Ticket::seal(&key, self.clock.now(), repository, owner)?;
        Ok(ChunkedUpload { ticket, owner: owner.clone(), number: 0, last: None, is_over: false, by_sha512: false })
    }

    /// The current state of an upload, by its address.
    ///
    /// # Errors
    /// [`ChunkError::Unknown`], or when the store fails.
    pub async fn find(
        &self,
        address: &str,
        repository: &RepositoryName,
        owner: &Subject,
    ) -> Result<ChunkedUpload, ChunkError> {
        let (text, hint) = ticket::split(address).ok_or(ChunkError::Unknown)?;
        let key_id = ticket::key_id(text).ok_or(ChunkError::Unknown)?;
        let key = self.keys.verifying(&key_id, ticket::PURPOSE).await?.ok_or(ChunkError::Unknown)?;
        let ticket = Ticket::open(text, &key, repository, owner).ok_or(ChunkError::Unknown)?;
        if self.clock.now().duration_since(ticket.begun) >= self.limits.kept_for {
            return Err(ChunkError::Unknown);
        }
        let (number, last) = self.records(ticket.id).newest(hint).await?.map_or((0, None), |(n, last)| (n, Some(last)));
        let is_over = hint > number && number == 0;
        Ok(ChunkedUpload { ticket, owner: owner.clone(), number, is_over, last, by_sha512: false })
    }

    /// Begins to append. Its buffers count against the share of the owner of the upload.
    ///
    /// # Errors
    /// [`ChunkError::TooMany`], [`ChunkError::Unknown`], or when the store fails.
    pub async fn append(self: &Arc<Self>, upload: ChunkedUpload) -> Result<ChunkAppend, ChunkError> {
        if upload.is_over {
            return Err(ChunkError::Unknown);
        }
        if upload.number >= MAX_CHUNKS {
            return Err(ChunkError::TooMany { limit: MAX_CHUNKS });
        }
        let mut late = self.blobs.begin_after(upload.hasher()?).await?;
        late.set_owner(Owner::new(&upload.owner));
        Ok(ChunkAppend::new(Arc::clone(self), upload, late))
    }

    /// Closes an upload: its bytes become the blob with this digest. Succeeds as well if they do not have this digest but
    /// such a blob is stored: then this is the repetition of a request whose reply was lost, after which nothing is left of
    /// the upload. Chunks and records are deleted in both cases.
    ///
    /// # Errors
    /// A digest mismatch, after which nothing is left of the upload; [`ChunkError::Unknown`] when chunks are lost; when the
    /// store fails.
    pub async fn finish(&self, upload: &ChunkedUpload, digest: Digest) -> Result<Created, ChunkError> {
        let actual = upload.hasher()?.finish();
        // If some are gone, another request that closed the upload has deleted them.
        let chunks = self.records(upload.id()).all(upload.number, upload.last.as_ref()).await?;
        let stored = match &chunks {
            Some(chunks) if actual == digest && !upload.is_over => self.store_blob(upload, digest, chunks).await?,
            Some(_) | None => None,
        };
        let stored = match stored {
            Some(created) => Ok(created),
            None if self.blobs.rely_on(digest).await?.is_some() => Ok(Created::AlreadyExists),
            None if actual != digest && !upload.is_over => {
                Err(BlobError::DigestMismatch { expected: digest, actual }.into())
            }
            None => Err(ChunkError::Unknown),
        };
        self.forget_quietly(upload, &chunks.unwrap_or_default()).await;
        stored
    }

    /// Makes a blob of chunks whose bytes have this digest. `None` if any of them is not there any more, or was changed.
    async fn store_blob(
        &self,
        upload: &ChunkedUpload,
        digest: Digest,
        chunks: &[Written],
    ) -> Result<Option<Created>, ChunkError> {
        let blob = Descriptor { digest, size: upload.offset() };
        if let [only] = chunks {
            return Ok(self.blobs.adopt_kept(only.object, blob).await?);
        }
        let mut together = match self.blobs.begin(digest, Some(blob.size)).await? {
            BlobIntake::Present(_) => return Ok(Some(Created::AlreadyExists)),
            BlobIntake::Upload(together) => together,
        };
        together.set_owner(Owner::new(&upload.owner));
        for chunk in chunks {
            let key = blobs::incoming(chunk.object);
            let Some(mut object) = self.store.get(&key, None).await? else { return Ok(None) };
            while let Some(bytes) = object.body.try_next().await? {
                match together.write(bytes).await {
                    Err(BlobError::SizeMismatch { .. }) => return Ok(changed(upload)),
                    written => written?,
                }
            }
        }
        match self.blobs.finish(*together).await {
            Ok(created) => Ok(Some(created)),
            Err(BlobError::Store(error)) => Err(error.into()),
            Err(_) => Ok(changed(upload)),
        }
    }

    /// Gives an upload up.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn cancel(&self, upload: &ChunkedUpload) -> Result<(), ChunkError> {
        let chunks = self.records(upload.id()).all(upload.number, upload.last.as_ref()).await?;
        Ok(self.forget(upload, &chunks.unwrap_or_default()).await?)
    }

    async fn forget_quietly(&self, upload: &ChunkedUpload, chunks: &[Written]) {
        if let Err(error) = self.forget(upload, chunks).await {
            tracing::warn!(upload = %upload.id(), %error, "chunks are left over; the collector will delete them");
        }
    }

    /// Deletes chunks and records.
    async fn forget(&self, upload: &ChunkedUpload, chunks: &[Written]) -> Result<(), StoreError> {
        let records = self.records(upload.id());
        let mut keys: Vec<Key> = (1..=upload.number).map(|number| records.key(number)).collect();
        keys.extend(chunks.iter().map(|chunk| blobs::incoming(chunk.object)));
        for batch in keys.chunks(BATCH) {
            self.store.delete_all(batch).await?;
        }
        Ok(())
    }

    /// Deletes the object of a chunk that did not become part of an upload.
    async fn discard(&self, object: u128) {
        let key = blobs::incoming(object);
        if let Err(error) = self.store.delete(&key).await {
            tracing::warn!(%key, %error, "a chunk is left over; the collector will delete it");
        }
    }

    fn records(&self, id: UploadId) -> Records {
        Records::of(&self.store, id)
    }
}

fn changed(upload: &ChunkedUpload) -> Option<Created> {
    tracing::error!(upload = %upload.id(), "the chunks of an upload are not those that were received");
    None
}
