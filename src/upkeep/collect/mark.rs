//! Marking (C1 and C4): which versions are roots, and which digests they need. Also retires versions past their
//! retention (C0).
//!
//! Only heads are read: a name's newest head is its complete state, and heads are never deleted. One listing that shows
//! the first key below each name finds all of them, even those of names whose mark was lost.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::task::AbortOnDropHandle;

use super::earlier::Earlier;
use super::live::{Fingerprint, Live, Root};
use super::marked::{Marked, SeenName};
use super::report::Totals;
use super::{Collect, CollectError, RunContext};
use crate::domain::head::{Change, Due};
use crate::domain::manifest::{Descriptor, rendering};
use crate::domain::retention::Verdict;
use crate::domain::{Digest, Head, LogName, RepositoryName, State, Subject, VersionRow};
use crate::layout::{self, LayoutKey};
use crate::store::{Key, List, StoreError, StoreErrorKind};
use crate::upkeep::seen::SeenHead;

/// Keys made durable per call.
const PERSISTED: usize = 1000;

/// How to treat versions whose time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Retire them.
    Retire,
    /// Treat them as retired, without changing anything.
    Pretend,
    /// Treat them as live.
    Leave,
}

/// How to mark.
#[derive(Debug, Clone)]
pub(super) struct MarkOptions {
    pub(super) expiry: Expiry,
    /// The heads that must exist.
    pub(super) earlier: Arc<Earlier>,
}

impl MarkOptions {
    /// Options for the second marking of a run (C4).
    pub(super) fn again() -> Self {
        Self { expiry: Expiry::Leave, earlier: Arc::default() }
    }
}

/// The result of marking one name.
struct MarkedName {
    name: LogName,
    seen: SeenName,
    roots: Vec<(Root, Vec<Fingerprint>)>,
    over: Vec<(u64, Verdict)>,
    next_version: u64,
}

impl Collect {
    /// Adds to `live` what the roots need of all names whose newest heads are not in `marked` yet. `note` is called
    /// with every version and its verdict.
    ///
    /// The second marking of a run (C4) works the same way: it finds the heads that were created since the first one
    /// began. A listing shows every head whose creation finished before the listing began, so once the tombstones exist
    /// (C3) it shows every publisher that relies on bytes which had none.
    pub(super) async fn mark(
        &self,
        run: &RunContext,
        options: &MarkOptions,
        live: &mut Live,
        marked: &mut Marked,
        totals: &mut Totals,
        mut note: impl FnMut(&LogName, u64, Verdict) + Send,
    ) -> Result<(), CollectError> {
        let newest = List { first_of: Some(layout::HEADS_OF_A_NAME), ..List::default() };
        let prefix = layout::all_heads();
        let heads = self.store.list(&prefix, newest).map_err(CollectError::from);
        let known: &Marked = marked;
        let changed = heads.try_filter_map(|meta| async move {
            let Some(LayoutKey::Head(name, generation)) = LayoutKey::parse(&meta.key) else {
                return Err(CollectError::UnknownKey(meta.key));
            };
            Ok((!known.is_settled(&name, generation)).then_some((name, generation)))
        });
        let mut names = changed
            .map_ok(|(name, generation)| run.rest.after(self.spawn_name(run, options, name, generation)))
            .try_buffer_unordered(run.jobs)
            .boxed();
        let mut found = Vec::new();
        while let Some(name) = names.try_next().await? {
            run.check()?;
            for (version, verdict) in name.over {
                totals.expired += 1;
                note(&name.name, version, verdict);
            }
            for (root, needs) in name.roots {
                totals.versions += 1;
                note(&name.name, root.version, root.verdict);
                live.add(root, &needs)?;
            }
            live.note_next(&name.name, name.next_version);
            found.push((name.name, name.seen));
        }
        drop(names);
        marked.extend(found);
        Ok(())
    }

    /// Makes durable the heads that said what is needed and, above all, what is not needed any more. If a crash of the
    /// machine loses a head, the bytes that its predecessor needs must not have been deleted because of it.
    pub(super) async fn persist_heads(&self, marked: &Marked) -> Result<(), StoreError> {
        let key = |(name, head): (&LogName, SeenHead)| LayoutKey::Head(name.clone(), head.generation).key();
        let keys: Vec<Key> = marked.heads().map(key).collect();
        for keys in keys.chunks(PERSISTED) {
            self.store.persist(keys).await?;
        }
        Ok(())
    }

    async fn spawn_name(
        &self,
        run: &RunContext,
        options: &MarkOptions,
        name: LogName,
        generation: u64,
    ) -> Result<MarkedName, CollectError> {
        let (collect, run, options) = (self.clone(), run.clone(), options.clone());
        let task = tokio::spawn(async move { collect.mark_name(&run, &options, &name, generation).await });
        AbortOnDropHandle::new(task).await.map_err(CollectError::task)?
    }

    async fn mark_name(
        &self,
        run: &RunContext,
        options: &MarkOptions,
        name: &LogName,
        generation: u64,
    ) -> Result<MarkedName, CollectError> {
        let mut head = Arc::new(self.head(name, generation).await?);
        self.compare(&options.earlier, &head).await?;
        loop {
            match self.mark_head(run, options.expiry, Arc::clone(&head)).await {
                // The version may have been retired since its head was read, and its manifest collected by another run.
                Err(CollectError::LostManifest { name, version, digest }) => match self.heads.current(&name).await? {
                    Some(newer) if newer.generation > head.generation => head = newer,
                    _ => return Err(CollectError::LostManifest { name, version, digest }),
                },
                marked => return marked,
            }
        }
    }

    async fn mark_head(
        &self,
        run: &RunContext,
        expiry: Expiry,
        mut head: Arc<Head>,
    ) -> Result<MarkedName, CollectError> {
        let mut rows = self.heads.roots(&head).await?;
        let mut verdicts = self.judge(run, expiry, &head, &rows).await?;
        let mut over: Vec<(u64, Verdict)> = Vec::new();
        if verdicts.iter().any(|verdict| verdict.is_over()) {
            over = rows.iter().zip(&verdicts).filter(|(_, v)| v.is_over()).map(|(row, v)| (row.number, *v)).collect();
            if expiry == Expiry::Retire {
                head = self.expire(&head.name, &rows, &verdicts).await?;
                rows = self.heads.roots(&head).await?;
                // Versions that were pinned or promoted meanwhile stay.
                over.retain(|(number, _)| rows.iter().all(|row| row.number != *number));
                verdicts = self.judge(run, Expiry::Leave, &head, &rows).await?;
            }
        }
        let seen = SeenName { head: SeenHead::of(&head), settled: true };
        let (name, next_version) = (head.name.clone(), head.next_version);
        let mut marked = MarkedName { name, seen, roots: Vec::new(), over, next_version };
        let stay = rows.into_iter().zip(verdicts).filter(|(_, verdict)| !verdict.is_over());
        let mut needs =
            stream::iter(stay).map(|(row, verdict)| self.needs(&head, row, verdict)).buffered(READ_AHEAD).boxed();
        while let Some((root, needs, settled)) = needs.try_next().await? {
            marked.seen.settled &= settled;
            marked.roots.push((root, needs));
        }
        drop(needs);
        Ok(marked)
    }

    async fn head(&self, name: &LogName, generation: u64) -> Result<Head, StoreError> {
        let lost = || {
            let key = LayoutKey::Head(name.clone(), generation).key();
            StoreError::new(StoreErrorKind::Corrupt, key, "listed, but not there")
        };
        self.heads.read(name, generation).await?.ok_or_else(lost)
    }

    async fn expire(
        &self,
        name: &LogName,
        rows: &[VersionRow],
        verdicts: &[Verdict],
    ) -> Result<Arc<Head>, CollectError> {
        let over = rows.iter().zip(verdicts).filter(|(_, verdict)| verdict.is_over());
        let due = over.map(|(row, verdict)| Due {
            number: row.number,
            generation: row.generation,
            reason: format!("retention: {verdict}"),
        });
        let change = Change::Expire { due: due.collect() };
        Ok(self.heads.change(name, &change, &Subject::collector()).await?.head)
    }

    /// What a root needs, and whether that is complete. It is incomplete while a manifest has no bytes; its publisher
    /// must then still store them again, and looks for its blobs only after that, so it will see every tombstone that
    /// exists now.
    pub(super) async fn needs(
        &self,
        head: &Head,
        row: VersionRow,
        verdict: Verdict,
    ) -> Result<(Root, Vec<Fingerprint>, bool), CollectError> {
        let (manifest, media_type) = (row.summary.manifest, row.summary.media_type.clone());
        let subject = row.summary.subject;
        let (name, version, others) = (head.name.clone(), row.number, Vec::new());
        let mut root = Root { name, version, verdict, manifest, media_type, others, subject };
        let beyond = self.heads.needs(&head.name, &row).await?;
        loop {
            let closure = self.manifests.closure(manifest, root.media_type.as_deref()).await?;
            let is_prepared = row.state == State::Prepared;
            if let Some(malformed) = closure.malformed.first().filter(|_| !is_prepared) {
                let (manifest, why) = malformed;
                let why = format!("a complete version needs this manifest, which cannot be read: {why}");
                return Err(StoreError::new(StoreErrorKind::Corrupt, manifest.digest, why).into());
            }
            if let Some(lost) = closure.absent.first().filter(|_| !is_prepared) {
                let (name, version) = (head.name.clone(), row.number);
                return Err(CollectError::LostManifest { name, version, digest: lost.digest });
            }
            // A failed lookup is not enough: another collector may be moving the bytes from one generation to the next.
            if self.are_gone(&closure.absent).await? {
                let needed = closure.needed.iter().chain(&beyond).map(|blob| Fingerprint::of(&blob.digest));
                let is_settled = closure.absent.is_empty() && closure.malformed.is_empty();
                root.others = closure.children;
                root.others.extend(closure.root.and_then(|bytes| rendered(&root, &bytes)));
                return Ok((root, needed.collect(), is_settled));
            }
        }
    }

    async fn are_gone(&self, blobs: &[Descriptor]) -> Result<bool, StoreError> {
        for blob in blobs {
            if !self.blobs.is_gone(blob.digest).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Manifests of one name read concurrently.
const READ_AHEAD: usize = 4;

/// The digest of what shows a release to the clients of its repository; it is not stored.
fn rendered(root: &Root, bytes: &[u8]) -> Option<Digest> {
    let is_shown = root.media_type.is_none() && RepositoryName::of(&root.name).is_some();
    is_shown.then(|| rendering::digest(bytes)).flatten()
}
