//! The heads that earlier runs saw, and the check that they still exist.
//!
//! # Why neither order nor clocks matter
//!
//! Heads are only ever added to a store. So *every* list of heads that any run wrote ([`seen`]) holds for all later
//! states, and a run that finds everything in it may replace it with a list of its own. The run writes that after its
//! marking is complete and the heads in it were made durable, and before it deletes anything; only then does it delete
//! the lists that it compared with. Whichever runs overlap, stall or die in between: a list is deleted only when one
//! from a later look at the store is durable, so there is always one, and a run that is refused leaves the evidence
//! unchanged. How long ago the refusal was, and how often runs were refused since, makes no difference.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::TryStreamExt as _;

use super::marked::Marked;
use super::{Collect, CollectError, RunContext};
use crate::domain::{Head, LogName};
use crate::layout::{self, LayoutKey};
use crate::protocol::listing;
use crate::store::{Key, List, ObjectStore};
use crate::upkeep::seen::{self, HeadLoss, SeenHead, SeenHeads};

/// The lists of heads that existed at some moment. Takes about as much memory as the names that a run marks.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    lists: Vec<Key>,
    /// The entries of each list that are not in the lists before it. There is more than one list only when runs
    /// overlapped or died.
    heads: Vec<HashMap<LogName, SeenHead>>,
}

impl Earlier {
    /// Reads all lists. Heads must be listed after this, so that they are at least as new.
    pub(super) async fn read(store: &dyn ObjectStore) -> Result<Arc<Self>, CollectError> {
        let mut replaced = HashSet::new();
        'lists: loop {
            let mut earlier = Self::default();
            for key in seen::lists(store).await?.map_err(CollectError::UnknownKey)? {
                if replaced.contains(&key) {
                    continue;
                }
                let Some(list) = SeenHeads::open(store, &key).await? else {
                    // Another run has replaced the list; a listing that begins now shows the newer one.
                    replaced.insert(key);
                    continue 'lists;
                };
                earlier.add(key, list).await?;
            }
            return Ok(Arc::new(earlier));
        }
    }

    async fn add(&mut self, key: Key, mut list: SeenHeads) -> Result<(), CollectError> {
        let mut heads = HashMap::new();
        while let Some((name, head)) = list.next().await? {
            if self.of(&name).all(|other| other != head) {
                heads.insert(name, head);
            }
        }
        self.lists.push(key);
        self.heads.push(heads);
        Ok(())
    }

    /// The heads of a name that must exist.
    fn of(&self, name: &LogName) -> impl Iterator<Item = SeenHead> {
        self.heads.iter().filter_map(|list| list.get(name).copied())
    }

    /// A head whose name was not marked.
    fn without_mark(&self, marked: &Marked) -> Option<(&LogName, SeenHead)> {
        let mut heads = self.heads.iter().flatten();
        heads.find(|(name, _)| marked.head(name).is_none()).map(|(name, head)| (name, *head))
    }

    /// Whether a new list would have the same content.
    fn equals(&self, marked: &Marked) -> bool {
        let known: u64 = self.heads.iter().map(|list| list.len() as u64).sum();
        self.lists.len() <= 1
            && known == marked.names()
            && marked.heads().all(|(name, head)| self.of(name).any(|seen| seen == head))
    }
}

impl Collect {
    /// Fails when a head that an earlier run saw is missing. `newest` is the newest head that its name has now. Must
    /// run before the name is changed, since a change could create a head in the place of a lost one.
    pub(super) async fn compare(&self, earlier: &Earlier, newest: &Head) -> Result<(), CollectError> {
        for seen in earlier.of(&newest.name) {
            let loss = if seen.generation == newest.generation {
                seen.loss_by(newest)
            } else {
                seen.loss(&self.heads, &newest.name, Some(newest.generation)).await?
            };
            if let Some(loss) = loss {
                return Err(CollectError::LostHead { name: newest.name.clone(), generation: seen.generation, loss });
            }
        }
        Ok(())
    }

    /// Compares the marks of all names with their heads, one by one. Refuses when a name has no heads that must have some:
    /// then nobody knows what it needs. `marked` was listed after `earlier` was read. Returns whether some names have heads
    /// but no mark.
    pub(super) async fn guard(&self, earlier: &Earlier, marked: &Marked) -> Result<bool, CollectError> {
        if let Some((name, seen)) = earlier.without_mark(marked) {
            let (name, generation) = (name.clone(), seen.generation);
            return Err(CollectError::LostHead { name, generation, loss: HeadLoss::NoHeads });
        }
        let names = layout::names("").expect("the prefix of all names is legal");
        let mut names = self.store.list(&names, List::default());
        let mut listed = 0;
        while let Some(mark) = names.try_next().await? {
            let Some(LayoutKey::Name(name)) = LayoutKey::parse(&mark.key) else {
                return Err(CollectError::UnknownKey(mark.key));
            };
            if marked.head(&name).is_some() {
                listed += 1;
                continue;
            }
            // The head was created before the mark, but perhaps since heads were listed.
            if listing::first(&*self.store, &layout::heads(&name), Some).await?.is_none() {
                return Err(CollectError::NoHeads { name, mark: mark.key });
            }
        }
        Ok(listed < marked.names())
    }

    /// Adds the marks that names lack whose publisher died between the first head and the mark.
    pub(super) async fn list_unlisted(&self, marked: &Marked) -> Result<(), CollectError> {
        for (name, _) in marked.heads() {
            // Rare enough to look for every name: the marks were only counted.
            if self.store.head(&LayoutKey::Name(name.clone()).key()).await?.is_none() {
                self.heads.add_mark(name).await?;
            }
        }
        Ok(())
    }

    /// Writes a list of what was marked for later runs, and deletes the lists that it was compared with.
    pub(super) async fn remember(
        &self,
        run: &RunContext,
        earlier: &Earlier,
        marked: &Marked,
    ) -> Result<(), CollectError> {
        if earlier.equals(marked) {
            return Ok(());
        }
        self.persist_heads(marked).await?;
        let number = run.seen_lists.fetch_add(1, Ordering::Relaxed);
        let mut heads: Vec<_> = marked.heads().collect();
        heads.sort_unstable_by_key(|(name, _)| name.as_str());
        seen::write(&*self.store, &LayoutKey::SeenHeads(run.id, number).key(), &heads).await?;
        self.delete(run, &earlier.lists).await
    }
}
