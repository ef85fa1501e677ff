//! Listing names.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::domain::{Head, ManifestName};
use crate::layout::{self, LayoutKey};
use crate::protocol::{AsOf, Heads};
use crate::store::{Key, List, ObjectStore, StoreError, StoreErrorKind};

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
    /// What is not the mark of a name, and names whose newest head is damaged, are left out: the log says which was the
    /// first on the page, the metric `larder_unlisted_names_total` counts them, and `verify` reports each.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page(
        &self,
        prefix: &str,
        after: Option<&ManifestName>,
        limit: usize,
        visible: impl Fn(&ManifestName) -> bool + Send + Sync,
    ) -> Result<NamePage, StoreError> {
        let Some(keys) = layout::names(prefix) else { return Ok(NamePage { heads: Vec::new(), next: None }) };
        let start_after = after.map(|name| LayoutKey::Name(name.clone().into()).key());
        let listing = self.store.list(&keys, List { start_after, past_strays: true, ..List::default() });
        let visible = &visible;
        let mut found = listing
            .map(|listed| listed.and_then(|meta| visible_name(&meta.key)))
            .try_filter_map(|name| std::future::ready(Ok(name)))
            .try_filter(|name| std::future::ready(name.as_str().starts_with(prefix) && visible(name)))
            .map(|name| async move {
                match name {
                    Ok(name) => Ok(self.heads.look(&name, AsOf::Recent).await),
                    Err(error) => Err(error),
                }
            })
            .buffered(LOOKUPS)
            .boxed();
        let (mut heads, mut unlisted) = (Vec::new(), Unlisted::default());
        while let Some(listed) = found.next().await {
            let head = match listed {
                Err(error) if error.kind == StoreErrorKind::Stray => unlisted.add(error),
                Ok(Err(error)) if is_damage(&error) => unlisted.add(error),
                listed => listed??,
            };
            let Some(head) = head.filter(|head| head.active().is_some()) else { continue };
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
fn visible_name(key: &Key) -> Result<Option<ManifestName>, StoreError> {
    match LayoutKey::parse(key) {
        Some(LayoutKey::Name(name)) => Ok(name.visible()),
        _ => Err(StoreError::new(StoreErrorKind::Stray, key, "not the mark of a name; move it out of the store")),
    }
}

/// Whether a head cannot be read, whoever tries and whenever. That the store refuses access or does not answer says
/// nothing about a single name: then a page must not look empty.
fn is_damage(error: &StoreError) -> bool {
    match error.kind {
        StoreErrorKind::Corrupt | StoreErrorKind::Newer | StoreErrorKind::Stray | StoreErrorKind::Internal => true,
        StoreErrorKind::Unavailable | StoreErrorKind::Denied | StoreErrorKind::Full | StoreErrorKind::ReadOnly => false,
    }
}

/// What a page leaves out. Says so when it is dropped: once for each page, however many there are.
#[derive(Default)]
struct Unlisted {
    first: Option<StoreError>,
    count: u64,
}

impl Unlisted {
    /// Notes one more; there is no head to show for it.
    fn add(&mut self, error: StoreError) -> Option<Arc<Head>> {
        self.count += 1;
        self.first.get_or_insert(error);
        None
    }
}

impl Drop for Unlisted {
    fn drop(&mut self) {
        if let Some(error) = &self.first {
            metrics::counter!("larder_unlisted_names_total").increment(self.count);
            tracing::error!(%error, count = self.count, "a page of names leaves out what cannot be read; run `larder verify`");
        }
    }
}
