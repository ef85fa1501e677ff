//! Listing names.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::domain::{Head, ManifestName};
use crate::layout::{self, LayoutKey};
use crate::protocol::{AsOf, Heads};
use crate::store::{List, ObjectStore, StoreError, StoreErrorKind};

/// Heads that are read at once for one page.
const LOOKUPS: usize = 16;

/// A page of names that have an active version.
#[derive(Debug, Clone)]
pub struct NamePage {
    /// The newest heads of the names, in the order of the store's keys.
    pub heads: Vec<Arc<Head>>,
    /// The name after which the next page begins. `None` at the end.
    pub next: Option<ManifestName>,
}

/// The service that lists names.
#[derive(Debug)]
pub struct Names {
    store: Arc<dyn ObjectStore>,
    heads: Arc<Heads>,
}

impl Names {
    /// A service over these parts.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, heads: Arc<Heads>) -> Self {
        Self { store, heads }
    }

    /// At most `limit` names that start with `prefix`, have an active version, come after `after`, and that
    /// `visible` lets the caller see.
    ///
    /// # Errors
    /// When the store fails or holds a key that is not a name's.
    pub async fn page(
        &self,
        prefix: &str,
        after: Option<&ManifestName>,
        limit: usize,
        visible: impl Fn(&ManifestName) -> bool + Send + Sync,
    ) -> Result<NamePage, StoreError> {
        let Some(keys) = layout::names(prefix) else { return Ok(NamePage { heads: Vec::new(), next: None }) };
        let start_after = after.map(|name| LayoutKey::Name(name.clone().into()).key());
        let listing = self.store.list(&keys, List { start_after, ..List::default() });
        let visible = &visible;
        let mut found = listing
            .try_filter_map(|meta| async move { visible_name(&meta.key) })
            .try_filter(|name| std::future::ready(name.as_str().starts_with(prefix) && visible(name)))
            .map_ok(|name| async move { self.heads.look(&name, AsOf::Recent).await })
            .try_buffered(LOOKUPS)
            .try_filter_map(|head| async move { Ok(head.filter(|head| head.active().is_some())) })
            .boxed();
        let mut heads = Vec::new();
        while let Some(head) = found.try_next().await? {
            if heads.len() == limit {
                let next = heads.last().and_then(|head: &Arc<Head>| head.name.visible());
                return Ok(NamePage { heads, next });
            }
            heads.push(head);
        }
        Ok(NamePage { heads, next: None })
    }
}

/// The name that a mark is of, unless it is of a hidden log.
fn visible_name(key: &crate::store::Key) -> Result<Option<ManifestName>, StoreError> {
    match LayoutKey::parse(key) {
        Some(LayoutKey::Name(name)) => Ok(name.visible()),
        _ => Err(StoreError::new(StoreErrorKind::Corrupt, key, "not the mark of a name")),
    }
}
