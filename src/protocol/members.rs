//! From a manifest to the versions that hold it, and to those that describe it: two indexes from digests to names and
//! numbers.
//!
//! An entry is created before the commit of its version (step P3) and proves nothing by itself: it counts only while the
//! row says that the version is complete. Numbers are never used again, so an entry that counts stays true. An entry too
//! many costs a look at a head; the collector deletes those of versions that have ended, and adds what is missing.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::domain::{Digest, LogName, RepositoryName};
use crate::layout::{MEMBERS, REFERRERS, VersionIndex};
use crate::store::{Key, List, ObjectStore, StoreError, StoreErrorKind};

/// Entries created at once.
const AT_ONCE: usize = 16;

/// The indexes over one store.
#[derive(Debug, Clone)]
pub struct MemberIndex {
    store: Arc<dyn ObjectStore>,
}

impl MemberIndex {
    /// The indexes in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Adds entries of a version that do not exist yet: as a holder of manifests, and as one that describes another.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add(
        &self,
        (name, number): (&LogName, u64),
        held: impl IntoIterator<Item = Digest>,
        described: Option<Digest>,
    ) -> Result<(), StoreError> {
        let held = held.into_iter().map(|manifest| MEMBERS.key(manifest, name, number));
        let described = described.map(|subject| REFERRERS.key(subject, name, number));
        let keys: Vec<Key> = held.chain(described).flatten().collect();
        stream::iter(keys)
            .map(|key| async move { self.store.create(&key, Bytes::new()).await })
            .buffer_unordered(AT_ONCE)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await
    }

    /// The entries of a manifest whose versions belong to a repository, in the order of keys.
    pub(super) fn entries<'a>(
        &'a self,
        index: VersionIndex,
        manifest: Digest,
        repository: &'a RepositoryName,
    ) -> impl futures_util::Stream<Item = Result<(LogName, u64), StoreError>> + Send + 'a {
        let options = List { past_strays: true, ..List::default() };
        let entry = move |key: &Key| {
            let (_, name, number) = index.parse(key)?;
            (RepositoryName::of(&name).as_ref() == Some(repository)).then_some((name, number))
        };
        self.store
            .list(&index.below(manifest, repository), options)
            // What is no entry says nothing, and belongs to others.
            .filter(|listed| std::future::ready(!matches!(listed, Err(error) if error.kind == StoreErrorKind::Stray)))
            .try_filter_map(move |meta| std::future::ready(Ok(entry(&meta.key))))
    }
}
