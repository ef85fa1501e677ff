//! Listing names.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::domain::{Head, LogName, ManifestName};
use crate::layout::{self, LayoutKey};
use crate::protocol::marks::{self, Wanted};
use crate::protocol::{AsOf, Heads};
use crate::store::{Key, ObjectStore, StoreError, StoreErrorKind};

/// Heads read concurrently for one page.
const LOOKUPS: usize = 16;
/// Names looked up for one page beyond those that it may show: deleted names are found out only by looking.
const SPARE: usize = 256;

/// A page of names that have an active version.
#[derive(Debug, Clone)]
pub struct NamePage {
    /// The newest heads of the names, in the order of the store's keys. A page that is not the last may have fewer than
    /// requested.
    pub heads: Vec<Arc<Head>>,
    /// The name after which the next page begins. `None` on the last page.
    pub next: Option<ManifestName>,
}

/// The service that lists names.
#[derive(Debug)]
pub struct Names {
    store: Arc<dyn ObjectStore>,
    heads: Arc<Heads>,
}

impl Names {
    /// Creates the service from the parts it uses.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, heads: Arc<Heads>) -> Self {
        Self { store, heads }
    }

    /// Returns at most `limit` names that start with `prefix`, have an active version, sort after `after`, and that
    /// `visible` allows the caller to see.
    ///
    /// Objects that are not the mark of a name, and names whose newest head is damaged, are left out: the first on each
    /// page is logged, the metric `larder_unlisted_names_total` counts them, and `verify` reports each.
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
        let visible = &visible;
        let mut found = marks::list(&*self.store, keys, start_after, visible_name)
            .try_filter(|name| std::future::ready(name.as_str().starts_with(prefix) && visible(name)))
            .scan(0, |looked_up, listed| {
                *looked_up += usize::from(listed.is_ok());
                std::future::ready((*looked_up <= limit + SPARE).then_some(listed))
            })
            .map(|name| async move {
                match name {
                    Ok(name) => Ok((self.heads.look(&name, AsOf::Recent).await, name)),
                    Err(error) => Err(error),
                }
            })
            .buffered(LOOKUPS)
            .boxed();
        let (mut heads, mut unlisted) = (Vec::new(), Unlisted::default());
        let (mut examined, mut last) = (0, None);
        while let Some(listed) = found.next().await {
            examined += usize::from(listed.is_ok());
            let head = match listed {
                Err(error) if error.kind == StoreErrorKind::Stray => unlisted.add(error),
                Ok((Err(error), name)) if is_damage(&error) => {
                    last = Some(name);
                    unlisted.add(error)
                }
                listed => {
                    let (head, name) = listed?;
                    last = Some(name);
                    head?
                }
            };
            let Some(head) = head.filter(|head| head.active().is_some()) else { continue };
            if heads.len() == limit {
                let next = heads.last().and_then(|head: &Arc<Head>| head.name.visible());
                return Ok(NamePage { heads, next });
            }
            heads.push(head);
        }
        let next = last.filter(|_| examined == limit + SPARE);
        Ok(NamePage { heads, next })
    }
}

/// The name that a mark stands for, unless it belongs to a hidden log.
fn visible_name(log: &LogName, key: &Key) -> Wanted<ManifestName> {
    match (log.visible(), marks::behind_hidden(key)) {
        (Some(name), _) => Wanted::Yes(name),
        (None, Some(behind)) => Wanted::NotBefore(behind),
        (None, None) => Wanted::No,
    }
}

/// Whether the error means that the head itself is unreadable, for every caller and permanently. Denied access or an
/// unresponsive store says nothing about a single name, and must not make a page look empty.
fn is_damage(error: &StoreError) -> bool {
    match error.kind {
        StoreErrorKind::Corrupt
        | StoreErrorKind::Newer
        | StoreErrorKind::Stray
        | StoreErrorKind::Unreadable
        | StoreErrorKind::Internal => true,
        StoreErrorKind::Unavailable | StoreErrorKind::Denied | StoreErrorKind::Full | StoreErrorKind::ReadOnly => false,
    }
}

/// The entries that a page leaves out. Logged on drop, so that each page logs once, however many entries it lacks.
#[derive(Default)]
struct Unlisted {
    first: Option<StoreError>,
    count: u64,
}

impl Unlisted {
    /// Counts one more entry; returns `None`, as there is no head to list.
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
