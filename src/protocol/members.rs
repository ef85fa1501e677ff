//! Which versions hold a manifest: an index from digests to names and numbers.
//!
//! An entry is created beside step P2, before the commit, and proves nothing by itself: it counts only while the row says
//! that the version is complete and of this manifest. So a missing entry costs a reader one answer and nothing else, an
//! entry too many costs a look at a head, and the collector adds and deletes what it finds to differ.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::{LogName, VersionRow};
use crate::layout;
use crate::store::{ObjectStore, StoreError};

/// The index over one store.
#[derive(Debug, Clone)]
pub struct MemberIndex {
    store: Arc<dyn ObjectStore>,
}

impl MemberIndex {
    /// The index in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Adds the entry of a version, unless it exists.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add(&self, name: &LogName, row: &VersionRow) -> Result<(), StoreError> {
        match layout::member(row.digest(), name, row.number) {
            Some(key) => self.store.create(&key, Bytes::new()).await.map(drop),
            None => Ok(()),
        }
    }

    /// Like [`MemberIndex::add`]; a failure is logged only, because nothing but the index depends on it.
    pub async fn try_add(&self, name: &LogName, row: &VersionRow) {
        if let Err(error) = self.add(name, row).await {
            tracing::warn!(manifest.name = %name, version = row.number, %error, "a release cannot be found by its digest yet");
        }
    }
}
