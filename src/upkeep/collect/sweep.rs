//! Condemning (C3) and sweeping (C5): tombstones first, bytes last, and before that a sound copy for every version that
//! needs them.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::fate::Candidate;
use super::live::{Live, Root};
use super::plan::Plan;
use super::report::Totals;
use super::{Collect, CollectError, RunContext};
use crate::domain::Selector;
use crate::domain::manifest::Descriptor;
use crate::domain::retention::Verdict;
use crate::store::Key;

/// Tombstones made durable per call.
const PERSISTED: usize = 64 * 1024;

impl Collect {
    /// Condemns the generations that are to be deleted (C3). From then on no publisher may begin to rely on them; one
    /// that did before has a head that the second marking (C4) sees.
    pub(super) async fn condemn(&self, run: &RunContext, plans: &[Plan]) -> Result<(), CollectError> {
        let candidates = plans.iter().flat_map(|plan| &plan.candidates).filter(|candidate| !candidate.condemned);
        let mut tombstones = candidates.map(Candidate::tombstone);
        loop {
            let keys: Vec<Key> = tombstones.by_ref().take(PERSISTED).collect();
            if keys.is_empty() {
                return Ok(());
            }
            let batches = keys.chunks(run.batch).map(|keys| async move {
                run.check()?;
                run.deletes.wait(keys.len()).await;
                Ok::<_, CollectError>(run.rest.after(self.store.create_empty(keys)).await?)
            });
            stream::iter(batches).buffer_unordered(run.jobs).boxed().try_collect::<()>().await?;
            // If a crash lost the tombstone, its number would be free again after the bytes are deleted.
            run.rest.after(self.store.persist(&keys)).await?;
        }
    }

    /// Deletes the bytes of candidates that neither live set needs, and heals the others (C5). Every candidate must be
    /// condemned, and `again` must have been marked after that.
    pub(super) async fn sweep(
        &self,
        run: &RunContext,
        plans: &[Plan],
        live: &Live,
        again: &Live,
        totals: &mut Totals,
    ) -> Result<(), CollectError> {
        let needed = |candidate: &Candidate| {
            let digest = &candidate.digest;
            live.needed_by(digest).or_else(|| again.needed_by(digest))
        };
        let batches = batches(plans, run.batch).map(|batch| async move {
            run.check()?;
            let (mut totals, mut dead) = (Totals::default(), Vec::with_capacity(batch.len()));
            for candidate in batch {
                match needed(candidate) {
                    None => {
                        totals.deleted.add(candidate.size);
                        dead.push(candidate.bytes());
                    }
                    Some(root) => run.rest.after(self.heal(candidate, root, &mut totals)).await?,
                }
            }
            self.delete(run, &dead).await?;
            Ok::<_, CollectError>(totals)
        });
        let mut done = stream::iter(batches).buffer_unordered(run.jobs).boxed();
        while let Some(batch) = done.try_next().await? {
            totals.merge(&batch);
        }
        Ok(())
    }

    /// Deletes keys within the rate limit.
    pub(super) async fn delete(&self, run: &RunContext, keys: &[Key]) -> Result<(), CollectError> {
        for keys in keys.chunks(run.batch) {
            run.check()?;
            run.deletes.wait(keys.len()).await;
            run.rest.after(self.store.delete_all(keys)).await?;
        }
        Ok(())
    }

    /// Gives the version that needs condemned bytes a copy that may be relied on, and only then deletes the condemned
    /// ones.
    async fn heal(&self, candidate: &Candidate, root: &Root, totals: &mut Totals) -> Result<(), CollectError> {
        let Some(blob) = self.described(candidate, root).await? else { return Ok(()) };
        if self.blobs.secure(vec![blob]).await?.is_empty() {
            self.store.delete(&candidate.bytes()).await?;
            totals.healed.add(candidate.size);
        } else if self.still_needs(root).await? {
            totals.lost += 1;
            tracing::error!(
                blob.digest = %blob.digest, manifest.name = %root.name, version = root.version,
                "a blob that a version needs has no sound bytes; run `larder verify`"
            );
        }
        Ok(())
    }

    /// Whether the version was complete when it was marked, and still is. If not, nothing is lost: its publisher must
    /// still check its blobs, or another collector has deleted them after it was retired.
    async fn still_needs(&self, root: &Root) -> Result<bool, CollectError> {
        if root.verdict == Verdict::Prepared {
            return Ok(false);
        }
        let Some(head) = self.heads.current(&root.name).await? else { return Ok(false) };
        let row = self.heads.select(&head, Selector::Number(root.version)).await?;
        Ok(row.is_some_and(|row| row.state.is_complete()))
    }

    /// The blob as the root's manifest, row or annex describes it. `None` when the root does not name it after all, or
    /// was itself collected meanwhile: the next run decides.
    async fn described(&self, candidate: &Candidate, root: &Root) -> Result<Option<Descriptor>, CollectError> {
        if root.manifest.digest == candidate.digest {
            return Ok(Some(root.manifest));
        }
        let needed = self.manifests.closure(root.manifest, root.media_type.as_deref()).await?.needed;
        if let Some(blob) = needed.into_iter().find(|blob| blob.digest == candidate.digest) {
            return Ok(Some(blob));
        }
        let Some(head) = self.heads.current(&root.name).await? else { return Ok(None) };
        let Some(row) = self.heads.select(&head, Selector::Number(root.version)).await? else { return Ok(None) };
        let beyond = self.heads.needs(&root.name, &row).await?;
        Ok(beyond.into_iter().find(|blob| blob.digest == candidate.digest))
    }
}

/// The candidates of all plans, in batches of neighbouring keys.
fn batches(plans: &[Plan], size: usize) -> impl Iterator<Item = &[Candidate]> {
    plans.iter().flat_map(move |plan| plan.candidates.chunks(size))
}
