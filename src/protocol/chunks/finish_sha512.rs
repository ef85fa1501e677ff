//! Closing an upload in chunks whose digest is stated in SHA-512.

use futures_util::TryStreamExt as _;

use super::record::Written;
use super::{ChunkError, ChunkedUpload, Chunks};
use crate::domain::{BothDigests, Hasher, Sha512};
use crate::protocol::blobs::{self, BlobError};
use crate::store::Created;

impl Chunks {
    /// As [`Chunks::finish`], for a digest in SHA-512. If there is an alias, it says which SHA-256 digest the bytes must
    /// have. Otherwise the chunks are read again, unless SHA-512 was computed as they came, and an alias is stored before
    /// they are deleted.
    ///
    /// # Errors
    /// As [`Chunks::finish`].
    pub async fn finish_sha512(&self, upload: &ChunkedUpload, stated: &Sha512) -> Result<Created, ChunkError> {
        if let Some(digest) = self.blobs.aliases().resolve(stated).await? {
            return self.finish(upload, digest).await;
        }
        let chunks = self.records(upload.id()).all(upload.number, upload.last.as_ref()).await?;
        let Some(chunks) = chunks.filter(|_| !upload.is_over) else {
            // Another request that closed the upload has stored the alias before it deleted them.
            let digest = self.blobs.aliases().resolve(stated).await?.ok_or(ChunkError::Unknown)?;
            return self.finish(upload, digest).await;
        };
        let both = match upload.hasher()?.finish_both() {
            Some(both) => both,
            None => self.hash_again(upload, &chunks).await?.ok_or(ChunkError::Unknown)?,
        };
        let stored = if both.sha512() == *stated {
            let stored = self.store_blob(upload, both.sha256(), &chunks).await?;
            // The chunks may have been lost to a request for the same that was quicker.
            let is_there = stored.is_some() || self.blobs.rely_on(both.sha256()).await?.is_some();
            if !is_there {
                return Err(ChunkError::Unknown);
            }
            self.blobs.aliases().add(&both).await?;
            Ok(stored.unwrap_or(Created::AlreadyExists))
        } else {
            Err(BlobError::sha512_mismatch(stated, &both).into())
        };
        self.forget_quietly(upload, &chunks).await;
        stored
    }

    /// Both digests of the chunks together. `None` if any is not there any more, or was changed.
    async fn hash_again(&self, upload: &ChunkedUpload, chunks: &[Written]) -> Result<Option<BothDigests>, ChunkError> {
        let mut hasher = Hasher::with_sha512();
        for chunk in chunks {
            let Some(mut object) = self.store.get(&blobs::incoming(chunk.object), None).await? else { return Ok(None) };
            while let Some(bytes) = object.body.try_next().await? {
                hasher.update(&bytes);
            }
        }
        let received = upload.hasher()?.finish();
        Ok(hasher.finish_both().filter(|both| both.sha256() == received))
    }
}
