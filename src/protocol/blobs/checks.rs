//! Whether blobs have bytes that may be relied on.

use super::{BlobCopies, Blobs, Check, LISTED, MAX_CHASE, contended, in_order};
use crate::domain::{Descriptor, Digest};
use crate::layout::LayoutKey;
use crate::store::{Key, StoreError};

impl Blobs {
    /// The digests that must be uploaded. Condemned bytes count as missing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn missing(&self, digests: Vec<Digest>) -> Result<Vec<Digest>, StoreError> {
        let mut missing = Vec::new();
        for digests in digests.chunks(LISTED) {
            let found = self.copies_of_each(digests).await?;
            let found = digests.iter().copied().zip(found);
            let checks = found.map(|(digest, copies)| self.relied_on(digest, copies));
            let relied_on: Vec<Option<u64>> = in_order(checks).await?;
            missing.extend(digests.iter().zip(relied_on).filter(|(_, size)| size.is_none()).map(|(digest, _)| digest));
        }
        Ok(missing)
    }

    /// Size of the bytes of a digest that may be relied on, if there are any. Condemned bytes do not count. The use is
    /// recorded, so that a manifest that names them finds them when it is published later.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rely_on(&self, digest: Digest) -> Result<Option<u64>, StoreError> {
        let size = self.relied_on(digest, self.copies(digest).await?).await?;
        if size.is_some() {
            self.absent.remove(&digest);
        }
        Ok(size)
    }

    /// Size of the bytes that may be relied on. If there are any, their use is recorded.
    async fn relied_on(&self, digest: Digest, copies: BlobCopies) -> Result<Option<u64>, StoreError> {
        let Some((generation, meta)) = copies.usable() else { return Ok(None) };
        self.mark_seen(digest, generation, meta, &copies).await?;
        Ok(Some(meta.size))
    }

    /// Ensures that each of these blobs has bytes that may be relied on (protocol step P2). Must be called after the
    /// head that refers to them was created (P1): a tombstone not seen here is then created after the head, so the
    /// collector that creates it sees the head when it marks again (C4). Returns the checks that failed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn secure(&self, blobs: Vec<Descriptor>) -> Result<Vec<Check>, StoreError> {
        let mut checks = Vec::with_capacity(blobs.len());
        for blobs in blobs.chunks(LISTED) {
            let digests: Vec<Digest> = blobs.iter().map(|blob| blob.digest).collect();
            let found = self.copies_of_each(&digests).await?;
            let found = blobs.iter().copied().zip(found);
            let found = found.map(|(blob, copies)| self.secure_copies(blob, copies));
            checks.extend(in_order(found).await?);
        }
        let keys: Vec<Key> = checks
            .iter()
            .filter_map(|check| if let Check::Present(key) = check { Some(key.clone()) } else { None })
            .collect();
        self.store.persist(&keys).await?;
        Ok(checks.into_iter().filter(|check| !matches!(check, Check::Present(_))).collect())
    }

    pub(super) async fn secure_one(&self, blob: Descriptor) -> Result<Check, StoreError> {
        self.secure_copies(blob, self.copies(blob.digest).await?).await
    }

    async fn secure_copies(&self, blob: Descriptor, mut copies: BlobCopies) -> Result<Check, StoreError> {
        for _ in 0..MAX_CHASE {
            if let Some((_, meta)) = copies.usable() {
                self.absent.remove(&blob.digest);
                return Ok(if meta.size == blob.size {
                    Check::Present(meta.key.clone())
                } else {
                    Check::WrongSize { stated: blob, actual: meta.size }
                });
            }
            // Condemned bytes are correct by construction, unless they were condemned for being damaged; those have
            // another size.
            let Some(doomed) = copies.readable().filter(|meta| meta.size == blob.size) else {
                return Ok(Check::Missing(blob));
            };
            // It does not matter which copy wins the race: the next lookup decides, since the new generation may
            // already be condemned again.
            self.store.copy(&doomed.key, &LayoutKey::Blob(blob.digest, copies.next_generation()).key()).await?;
            copies = self.copies(blob.digest).await?;
        }
        Err(contended(blob.digest))
    }
}
