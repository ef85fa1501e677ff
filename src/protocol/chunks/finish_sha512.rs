//! Closing an upload in chunks whose digest is stated in SHA-512.

use futures_util::TryStreamExt as _;

use super::record::Written;
use super::{ChunkError, ChunkedUpload, Chunks};
use crate::domain::{BothDigests, Digest, Hasher, Sha512};
use crate::protocol::blobs::{self, BlobError};
use crate::store::Created;

impl Chunks {
    /// As [`Chunks::finish`], for a digest in SHA-512. If there is an alias, it says which SHA-256 digest the bytes must
    /// have. Otherwise the chunks are read again, unless SHA-512 was computed as they came, and an alias is stored before
    /// the blob: the repetition of a request that broke off in between finds it.
    ///
    /// # Errors
    /// As [`Chunks::finish`].
    pub async fn finish_sha512(&self, upload: &ChunkedUpload, stated: &Sha512) -> Result<Created, ChunkError> {
        let digest = match self.blobs.aliases().resolve(stated).await? {
            Some(digest) => digest,
            None => self.prove(upload, stated).await?,
        };
        self.finish(upload, digest).await
    }

    /// The SHA-256 digest of the chunks together, if they have this digest in SHA-512, too; stores the alias.
    async fn prove(&self, upload: &ChunkedUpload, stated: &Sha512) -> Result<Digest, ChunkError> {
        let chunks = self.records(upload.id()).all(upload.number, upload.last.as_ref()).await?;
        let both = match (chunks.filter(|_| !upload.is_over), upload.hasher()?.finish_both()) {
            (Some(chunks), Some(both)) => Some((chunks, both)),
            (Some(chunks), None) => self.hash_again(upload, &chunks).await?.map(|both| (chunks, both)),
            (None, _) => None,
        };
        let Some((chunks, both)) = both else {
            // Another request that closed the upload has stored the alias before it took the chunks away.
            return self.blobs.aliases().resolve(stated).await?.ok_or(ChunkError::Unknown);
        };
        if both.sha512() != *stated {
            self.forget_quietly(upload, &chunks).await;
            return Err(BlobError::sha512_mismatch(stated, &both).into());
        }
        self.blobs.aliases().add(&both).await?;
        Ok(both.sha256())
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
