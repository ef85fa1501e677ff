//! Reading blobs: any bytes that are still there will do, from the cache if it has them.

use std::sync::Arc;

use jiff::Timestamp;

use super::cache::CacheLookup;
use super::{Blobs, MAX_CHASE, contended};
use crate::domain::Digest;
use crate::layout::LayoutKey;
use crate::store::{ByteRange, Object, ObjectMeta, PresignOptions, StoreError};

impl Blobs {
    /// What is known of a blob without reading it, or `None` when there are no bytes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn stat(&self, digest: Digest) -> Result<Option<ObjectMeta>, StoreError> {
        if let Some(size) = self.cache.as_ref().and_then(|cache| cache.size(digest)) {
            let (key, modified) = (LayoutKey::Blob(digest, 0).key(), Timestamp::UNIX_EPOCH);
            return Ok(Some(ObjectMeta { key, size, modified }));
        }
        // The common case costs one request: most blobs only ever have generation 0.
        if let Some(meta) = self.store.head(&LayoutKey::Blob(digest, 0).key()).await? {
            return Ok(Some(meta));
        }
        Ok(self.copies(digest).await?.readable().cloned())
    }

    /// Opens a blob, or a range that starts within it, for a reader. `None` when there are no bytes. With a cache, any
    /// number of readers of a whole blob at once cost the store one request.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open(
        self: &Arc<Self>,
        digest: Digest,
        range: Option<ByteRange>,
    ) -> Result<Option<Object>, StoreError> {
        let Some(cache) = &self.cache else { return self.open_stored(digest, range).await };
        if let Some(object) = cache.get(digest, range).await {
            return Ok(Some(object));
        }
        // A part alone is not worth fetching the whole for.
        if range.is_none() {
            let blobs = Arc::clone(self);
            let open = async move { blobs.open_stored(digest, None).await };
            match cache.fetch(&self.store, digest, open).await? {
                CacheLookup::Object(object) => return Ok(Some(object)),
                CacheLookup::Nothing => return Ok(None),
                CacheLookup::NotHere => {}
            }
        }
        self.open_stored(digest, range).await
    }

    /// Opens what the store has.
    async fn open_stored(&self, digest: Digest, range: Option<ByteRange>) -> Result<Option<Object>, StoreError> {
        if let Some(object) = self.store.get(&LayoutKey::Blob(digest, 0).key(), range).await? {
            return Ok(Some(object));
        }
        for _ in 0..MAX_CHASE {
            let Some(meta) = self.copies(digest).await?.readable().cloned() else { return Ok(None) };
            if let Some(object) = self.store.get(&meta.key, range).await? {
                return Ok(Some(object));
            }
        }
        Err(contended(digest))
    }

    /// An address from which a client can fetch the blob without us, or `None` when there is none: the store has no such
    /// addresses, or a cache here has the bytes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn presign(&self, digest: Digest, options: &PresignOptions) -> Result<Option<String>, StoreError> {
        if self.cache.as_ref().is_some_and(|cache| cache.size(digest).is_some()) {
            return Ok(None);
        }
        match self.stat(digest).await? {
            Some(meta) => self.store.presign(&meta.key, options).await,
            None => Ok(None),
        }
    }
}
