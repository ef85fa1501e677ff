//! Small JSON documents that are written once: read, created, and recognised as one's own after a lost reply.
//!
//! A create may fail although it made the object, and a backend that tries again on its own may be told that its first
//! attempt exists. So whoever must know whether a document is theirs puts something into it that nobody else writes, and
//! reads it back when the answer leaves room for doubt.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{Created, Key, ObjectStore, StoreError, StoreErrorKind};

/// What a create comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// The caller's document is stored, and survives a crash of the machine.
    Own,
    /// Another document is stored under the key.
    Other,
    /// There was a document under the key, and it was deleted since.
    Gone,
}

/// The bytes of a document.
///
/// # Errors
/// [`StoreErrorKind::Internal`] when it has no JSON form.
pub fn encode(key: &Key, document: &impl Serialize) -> Result<Bytes, StoreError> {
    let bytes = serde_json::to_vec(document).map_err(|error| StoreError::new(StoreErrorKind::Internal, key, error))?;
    Ok(bytes.into())
}

/// The document of these bytes.
///
/// # Errors
/// [`StoreErrorKind::Corrupt`] when they are not one.
pub fn decode<T: DeserializeOwned>(key: &Key, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::new(StoreErrorKind::Corrupt, key, error))
}

/// The bytes under a key, or `None`.
///
/// # Errors
/// [`StoreErrorKind::Corrupt`] when there are more than `limit`, or when the store fails.
pub async fn read_bytes(store: &dyn ObjectStore, key: &Key, limit: u64) -> Result<Option<Bytes>, StoreError> {
    match store.get(key, None).await? {
        Some(object) => object.bytes(limit).await.map(Some),
        None => Ok(None),
    }
}

/// The document under a key, or `None`.
///
/// # Errors
/// [`StoreErrorKind::Corrupt`] when it is no such document or has more than `limit` bytes, or when the store fails.
pub async fn read<T: DeserializeOwned>(
    store: &dyn ObjectStore,
    key: &Key,
    limit: u64,
) -> Result<Option<T>, StoreError> {
    read_bytes(store, key, limit).await?.map(|bytes| decode(key, &bytes)).transpose()
}

/// Creates a document. `is_own` says of the bytes that turn out to be stored whether they are the caller's.
///
/// # Errors
/// When the store fails and the document cannot be found to be there, or what `is_own` fails with.
pub async fn create<E: From<StoreError>>(
    store: &dyn ObjectStore,
    key: &Key,
    bytes: Bytes,
    limit: u64,
    is_own: impl FnOnce(&Bytes) -> Result<bool, E>,
) -> Result<Creation, E> {
    let failed = match store.create(key, bytes).await {
        Ok(Created::New) => return Ok(Creation::Own),
        Ok(Created::AlreadyExists) => None,
        Err(error) => Some(error),
    };
    match (read_bytes(store, key, limit).await, failed) {
        (Ok(Some(stored)), failed) => match (is_own(&stored), failed) {
            (Ok(true), _) => {
                store.persist(std::slice::from_ref(key)).await?;
                Ok(Creation::Own)
            }
            (Ok(false), _) => Ok(Creation::Other),
            // What went wrong first says more.
            (Err(_), Some(error)) => Err(error.into()),
            (Err(error), None) => Err(error),
        },
        (_, Some(error)) | (Err(error), None) => Err(error.into()),
        (Ok(None), None) => Ok(Creation::Gone),
    }
}
