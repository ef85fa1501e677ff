//! Measures the store's time, on an object of its own.

use std::sync::Arc;

use bytes::Bytes;

use crate::clock::StoreClock;
use crate::layout::LayoutKey;
use crate::store::{ObjectStore, StoreError, StoreErrorKind};

/// Measures the store's time: creates an object in `probe/`, reads the time stamp that the store gave it, and removes
/// it again. On a network file system the stamp is the file server's, which is the clock that all hosts share.
///
/// # Errors
/// When the store fails; the clock is then unchanged.
pub async fn measure(store: &Arc<dyn ObjectStore>, clock: &StoreClock) -> Result<(), StoreError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| StoreError::new(StoreErrorKind::Internal, "random numbers", error))?;
    let key = LayoutKey::Probe(u128::from_be_bytes(random), 0).key();
    let before = clock.host().now();
    store.create(&key, Bytes::new()).await?;
    let lost = || StoreError::new(StoreErrorKind::Corrupt, &key, "just made, but not there");
    let meta = store.head(&key).await.and_then(|meta| meta.ok_or_else(lost));
    if let Ok(meta) = &meta {
        clock.measure(before, meta.modified);
    }
    if let Err(error) = store.delete(&key).await {
        tracing::warn!(%error, "an object of the probe could not be removed; the collector will");
    }
    meta.map(drop)
}
