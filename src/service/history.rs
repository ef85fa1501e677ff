//! The history of a name: its heads' operations, newest first.
//!
//! Nothing is written for it. Each entry is one head, read by its key, so a page costs its own heads and one more, however
//! long the history is. The newest head is known anyway.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use crate::domain::{Action, Head, LogName, ManifestName, Operation};
use crate::layout::LayoutKey;
use crate::protocol::{AsOf, Heads};
use crate::store::{StoreError, StoreErrorKind};

/// Heads read concurrently for one page.
const LOOKUPS: usize = 16;
/// Heads examined for a page of a few entries; a page of many examines two per entry, as each publish has two.
const MIN_EXAMINED: usize = 64;

/// Which changes to show.
#[derive(Debug, Clone, Copy)]
pub struct HistoryQuery {
    /// Only changes that made generations below this one.
    pub before: Option<u64>,
    /// Maximum number of entries.
    pub limit: usize,
    /// Whether to show the steps of a publish before its commit, and publishes that were given up.
    pub steps: bool,
    /// Only changes that concern this version.
    pub version: Option<u64>,
}

/// One change of a name.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    /// Generation of the head that the change made.
    pub generation: u64,
    /// When it was made; never earlier than the change before it.
    pub time: Timestamp,
    /// What was done, by whom and why.
    pub operation: Operation,
    /// The label of the operation's version, if its row is in the head.
    pub label: Option<String>,
    /// The version that was active before the change.
    pub from: Option<u64>,
    /// The version that was active after it.
    pub to: Option<u64>,
}

/// A page of a name's history.
#[derive(Debug, Clone)]
pub struct HistoryPage {
    /// The newest head.
    pub head: Arc<Head>,
    /// The changes, newest first. A page that is not the last may have fewer than requested, even none.
    pub entries: Vec<HistoryEntry>,
    /// Where the next page begins: at generations below this one. `None` on the last page.
    pub next: Option<u64>,
}

/// The service for histories.
#[derive(Debug)]
pub struct Histories {
    heads: Arc<Heads>,
}

impl Histories {
    /// Creates the service from the parts it uses.
    #[must_use]
    pub fn new(heads: Arc<Heads>) -> Self {
        Self { heads }
    }

    /// A page of the changes of a name, or `None` when it has never existed. Reads the heads of its entries and of the steps
    /// between them, one more, and what it read ahead: never more than twice the limit and one, or 65.
    ///
    /// # Errors
    /// When the store fails, or a head within the history is missing.
    pub async fn page(&self, name: &ManifestName, query: HistoryQuery) -> Result<Option<HistoryPage>, StoreError> {
        let Some(head) = self.heads.look(name, AsOf::Now).await? else { return Ok(None) };
        let top = query.before.map_or(head.generation, |before| before.saturating_sub(1)).min(head.generation);
        let most = (2 * query.limit).max(MIN_EXAMINED) as u64;
        let bottom = top.saturating_sub(most);
        let mut page = HistoryPage { head: Arc::clone(&head), entries: Vec::new(), next: None };
        let mut read = stream::iter((bottom.max(1)..=top).rev())
            .map(|generation| self.read(&head, generation))
            .buffered(LOOKUPS)
            .boxed();
        // Each entry needs the head before it, to tell what was active.
        let (mut newer, mut gone) = (None::<Arc<Head>>, false);
        while let Some((generation, found)) = read.try_next().await? {
            // The oldest states of a log may be gone one day; one behind an older one must not be.
            let Some(older) = found else {
                gone = true;
                continue;
            };
            if gone {
                return Err(lost(&older.name, generation + 1));
            }
            if let Some(newer) = newer.replace(Arc::clone(&older))
                && page.add(&query, &newer, Some(&older))
            {
                return Ok(Some(page));
            }
        }
        drop(read);
        match newer {
            // Read only to tell what was active before.
            Some(oldest) if bottom > 0 && !gone => page.next = Some(oldest.generation + 1),
            Some(oldest) => {
                page.add(&query, &oldest, None);
                page.next = None;
            }
            None => {}
        }
        Ok(Some(page))
    }

    async fn read(&self, newest: &Arc<Head>, generation: u64) -> Result<(u64, Option<Arc<Head>>), StoreError> {
        if generation == newest.generation {
            return Ok((generation, Some(Arc::clone(newest))));
        }
        Ok((generation, self.heads.read(&newest.name, generation).await?.map(Arc::new)))
    }
}

impl HistoryPage {
    /// Adds the change that made `head`, if it is to be shown. Returns whether the page is complete.
    fn add(&mut self, query: &HistoryQuery, head: &Head, older: Option<&Arc<Head>>) -> bool {
        let active = |head: &Head| head.active().map(|row| row.number);
        let operation = &head.operation;
        let (from, to) = (older.and_then(|older| active(older)), active(head));
        let is_step = matches!(operation.action, Action::Prepare | Action::Amend | Action::Abort);
        let concerns = |version: u64| {
            operation.version == Some(version)
                || operation.versions.contains(&version)
                || (from != to && (from == Some(version) || to == Some(version)))
        };
        if (query.steps || !is_step) && query.version.is_none_or(concerns) {
            let row = operation.version.and_then(|version| head.inline(version));
            self.entries.push(HistoryEntry {
                generation: head.generation,
                time: head.time,
                operation: operation.clone(),
                label: row.and_then(|row| row.summary.label.clone()),
                from,
                to,
            });
        }
        // Nothing before its preparation concerns a version.
        let begun =
            operation.action == Action::Prepare && query.version.is_some() && operation.version == query.version;
        self.next = Some(head.generation).filter(|generation| *generation > 1 && !begun);
        self.next.is_none() || self.entries.len() == query.limit
    }
}

fn lost(name: &LogName, generation: u64) -> StoreError {
    let key = LayoutKey::Head(name.clone(), generation).key();
    StoreError::new(StoreErrorKind::Corrupt, key, "this state of the log must exist, but does not")
}
