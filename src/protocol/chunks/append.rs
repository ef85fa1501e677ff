//! Appending a chunk: the bytes are streamed to an object of their own, then recorded.

use std::sync::Arc;

use bytes::Bytes;

use super::record::{Record, Written};
use super::{ChunkError, ChunkedUpload, Chunks};
use crate::protocol::blobs::LateUpload;

/// An append in progress. Dropping it discards its bytes and leaves the upload as it was.
pub struct ChunkAppend {
    chunks: Arc<Chunks>,
    upload: ChunkedUpload,
    late: LateUpload,
}

impl ChunkAppend {
    pub(super) fn new(chunks: Arc<Chunks>, upload: ChunkedUpload, late: LateUpload) -> Self {
        Self { chunks, upload, late }
    }

    /// Receives the next bytes.
    ///
    /// # Errors
    /// [`ChunkError::TooLarge`], or when the store fails: the append cannot continue then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), ChunkError> {
        let limit = self.chunks.limits.blob_size;
        let end = self.upload.offset().saturating_add(self.received()).saturating_add(bytes.len() as u64);
        if end > limit {
            return Err(ChunkError::TooLarge { limit });
        }
        Ok(self.late.write(bytes).await?)
    }

    /// Bytes received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.late.received()
    }

    /// To be called now and then while few bytes arrive: gives memory back if that is possible.
    ///
    /// # Errors
    /// When the store fails, or others need the memory: the append cannot continue then.
    pub async fn relax(&mut self) -> Result<(), ChunkError> {
        Ok(self.late.relax().await?)
    }

    /// Discards the bytes.
    pub async fn abort(self) -> ChunkedUpload {
        self.late.abort().await;
        self.upload
    }

    /// Stores what was received as the next chunk, if anything was. Returns the upload from which to continue.
    ///
    /// # Errors
    /// [`ChunkError::Moved`] when another request appended meanwhile; when the store fails, after which the chunk may or
    /// may not be part of the upload.
    pub async fn end(self) -> Result<ChunkedUpload, ChunkError> {
        if self.received() == 0 {
            return Ok(self.abort().await);
        }
        let Self { chunks, mut upload, late } = self;
        let kept = late.keep().await?;
        let written = Written { object: kept.id, size: kept.size };
        let (number, next) =
            (upload.number + 1, Record::after(upload.number, upload.last.as_ref(), written, &kept.hasher));
        if !chunks.records(upload.id()).add(number, &next).await? {
            chunks.discard(kept.id).await;
            return Err(ChunkError::Moved);
        }
        (upload.number, upload.last) = (number, Some(next));
        Ok(upload)
    }
}
