//! Tries whether the store takes writes, so that readiness says so before a publisher finds out.

use std::sync::Arc;

use bytes::Bytes;

use crate::layout::LayoutKey;
use crate::layout::marker::Watch;
use crate::store::{ObjectStore, StoreError, StoreErrorKind};

/// Bytes written to find out: more than a full disk has left in the gaps of its blocks.
const SIZE: usize = 64 << 10;

/// Creates and removes an object in `probe/` and tells `watch` the result. Does nothing while the marker forbids writing.
pub async fn try_writing(store: &Arc<dyn ObjectStore>, watch: &Watch) {
    if watch.allows_writing("probe").await.is_ok() {
        watch.note_attempt(&attempt(store).await);
    }
}

async fn attempt(store: &Arc<dyn ObjectStore>) -> Result<(), StoreError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| StoreError::new(StoreErrorKind::Internal, "random numbers", error))?;
    let key = LayoutKey::Probe(u128::from_be_bytes(random), 0).key();
    store.create(&key, Bytes::from(vec![0; SIZE])).await?;
    store.delete(&key).await
}
