//! A release as a record of its own: the names and versions that hold a manifest, found by its digest.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::domain::{Digest, LogName, ManifestName, Selector, VersionRow};
use crate::layout;
use crate::protocol::{AsOf, Heads};
use crate::store::{Key, List, ObjectStore, StoreError, StoreErrorKind};

/// Heads read concurrently for one page.
const LOOKUPS: usize = 16;
/// Entries looked at for one page beyond those that it may show: those of retired versions are found out only by looking.
const SPARE: usize = 256;

/// A page of the versions that hold a manifest.
#[derive(Debug, Clone)]
pub struct HolderPage {
    /// Names and rows, in the order of the store's keys.
    pub holders: Vec<(ManifestName, VersionRow)>,
    /// The version after which the next page begins. `None` on the last page.
    pub next: Option<(ManifestName, u64)>,
}

/// The service that finds versions by digests.
#[derive(Debug)]
pub struct Members {
    store: Arc<dyn ObjectStore>,
    heads: Arc<Heads>,
}

impl Members {
    /// Creates the service from the parts it uses.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, heads: Arc<Heads>) -> Self {
        Self { store, heads }
    }

    /// At most `limit` complete versions with this manifest, after the version `after`, of names that `visible` allows
    /// the caller to see. Costs one listing, and a look at the head of each name listed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page(
        &self,
        manifest: Digest,
        after: Option<(ManifestName, u64)>,
        limit: usize,
        visible: impl Fn(&ManifestName) -> bool + Send + Sync,
    ) -> Result<HolderPage, StoreError> {
        let start_after = after.and_then(|(name, number)| layout::MEMBERS.key(manifest, &name.into(), number));
        let options = List { start_after, past_strays: true, ..List::default() };
        let visible = &visible;
        let mut found = self
            .store
            .list(&layout::MEMBERS.of(manifest), options)
            // What is no entry says nothing, and belongs to others.
            .try_filter_map(|meta| std::future::ready(Ok(entry(&meta.key))))
            .filter(|listed| std::future::ready(!matches!(listed, Err(error) if error.kind == StoreErrorKind::Stray)))
            .try_filter(|(name, _)| std::future::ready(visible(name)))
            .take(limit + SPARE)
            .map_ok(|(name, number)| async move {
                let row = self.row(&LogName::from(name.clone()), number).await?;
                Ok((name, number, row))
            })
            .try_buffered(LOOKUPS)
            .boxed();
        let mut page = HolderPage { holders: Vec::new(), next: None };
        let (mut examined, mut last) = (0, None);
        while let Some((name, number, row)) = found.try_next().await? {
            examined += 1;
            last = Some((name.clone(), number));
            let Some(row) = row.filter(|row| row.state.is_complete() && row.digest() == manifest) else { continue };
            if page.holders.len() == limit {
                page.next = page.holders.last().map(|(name, row)| (name.clone(), row.number));
                return Ok(page);
            }
            page.holders.push((name, row));
        }
        page.next = last.filter(|_| examined == limit + SPARE);
        Ok(page)
    }

    async fn row(&self, name: &LogName, number: u64) -> Result<Option<VersionRow>, StoreError> {
        match self.heads.look(name, AsOf::Recent).await? {
            Some(head) => self.heads.select(&head, Selector::Number(number)).await,
            None => Ok(None),
        }
    }
}

/// The version that an entry names, unless it belongs to a hidden log.
fn entry(key: &Key) -> Option<(ManifestName, u64)> {
    let (_, name, number) = layout::MEMBERS.parse(key)?;
    Some((name.visible()?, number))
}
