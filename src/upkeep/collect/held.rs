//! Which manifests a repository has, read from its heads alone. The index that answers this otherwise
//! ([`crate::protocol::MemberIndex`]) is derived: a store that was restored from a backup may lack it at first, and nothing
//! may end because of that.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use tokio::sync::Mutex;

use super::{Collect, CollectError, RunContext};
use crate::domain::manifest::oci;
use crate::domain::retention::Verdict;
use crate::domain::{Digest, LogName, RepositoryName, VersionRow};
use crate::layout::{self, LayoutKey};
use crate::store::List;

/// What was read of repositories during a run. Only those are read of which something is about to expire that the index
/// does not keep.
pub(super) type Held = Mutex<HashMap<RepositoryName, Arc<HashSet<Digest>>>>;

impl Collect {
    /// Whether a complete version of a repository holds a manifest, or did when the run first asked.
    pub(super) async fn is_held(
        &self,
        run: &RunContext,
        repository: &RepositoryName,
        manifest: Digest,
    ) -> Result<bool, CollectError> {
        let mut held = run.held.lock().await;
        if let Some(known) = held.get(repository) {
            return Ok(known.contains(&manifest));
        }
        let found = self.read_held(repository).await?;
        let is_held = found.contains(&manifest);
        held.insert(repository.clone(), Arc::new(found));
        Ok(is_held)
    }

    async fn read_held(&self, repository: &RepositoryName) -> Result<HashSet<Digest>, CollectError> {
        let newest = List { first_of: Some(layout::HEADS_OF_A_NAME), ..List::default() };
        let mut heads = self.store.list(&layout::heads_below(repository), newest);
        let mut held = HashSet::new();
        while let Some(meta) = heads.try_next().await? {
            let Some(LayoutKey::Head(log, _)) = LayoutKey::parse(&meta.key) else {
                return Err(CollectError::UnknownKey(meta.key));
            };
            if RepositoryName::of(&log).as_ref() == Some(repository) {
                self.read_held_of(&log, &mut held).await?;
            }
        }
        Ok(held)
    }

    async fn read_held_of(&self, log: &LogName, manifests: &mut HashSet<Digest>) -> Result<(), CollectError> {
        let Some(head) = self.heads.current(log).await? else { return Ok(()) };
        for row in self.heads.roots(&head).await?.into_iter().filter(|row| row.state.is_complete()) {
            manifests.insert(row.digest());
            if !holds_others(&row) {
                continue;
            }
            match self.needs(&head, row, Verdict::Active).await {
                Ok((root, ..)) => manifests.extend(root.others),
                // Marking its log decides what that means.
                Err(CollectError::LostManifest { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether a version holds manifests beside its own: an index those that it names, a release the one that shows it.
fn holds_others(row: &VersionRow) -> bool {
    row.summary.media_type.as_deref().is_none_or(oci::is_index)
}
