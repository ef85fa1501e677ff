//! Small write-once JSON documents: read, create, and recognise one's own after a lost reply.
//!
//! A create may report an error although it made the object, and a backend that retries internally may be told that its
//! own first attempt exists. A caller that must know whether a document is its own therefore includes something that no
//! other writer produces, and reads the document back when the reply is ambiguous.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{Created, Key, ObjectStore, StoreError, StoreErrorKind};

/// The result of a create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// The caller's document is stored, and is durable.
    Own,
    /// Another document is stored under the key.
    Other,
    /// A document existed under the key, but it was deleted since.
    Gone,
}

/// Serializes a document as JSON.
///
/// # Errors
/// [`StoreErrorKind::Internal`] when it cannot be serialized.
pub fn encode(key: &Key, document: &impl Serialize) -> Result<Bytes, StoreError> {
    let bytes = serde_json::to_vec(document).map_err(|error| StoreError::new(StoreErrorKind::Internal, key, error))?;
    Ok(bytes.into())
}

/// Parses a document.
///
/// # Errors
/// [`StoreErrorKind::Corrupt`] when the bytes are not such a document.
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

/// Creates a document. `is_own` decides whether the bytes found to be stored are the caller's.
///
/// # Errors
/// When the store fails and the document cannot be confirmed to be stored, or the error of `is_own`.
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
            // The first error is more informative.
            (Err(_), Some(error)) => Err(error.into()),
            (Err(error), None) => Err(error),
        },
        (_, Some(error)) | (Err(error), None) => Err(error.into()),
        (Ok(None), None) => Ok(Creation::Gone),
    }
}
