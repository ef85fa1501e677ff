//! A collector made of plain calls, step by step as the protocol says, and what becomes of it when a step is wrong.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use larder::domain::head::Change;
use larder::domain::{Digest, LogName, Selector, State};
use larder::layout::{self, LayoutKey};
use larder::protocol::ChangeError;
use larder::store::{List, ObjectMeta, StoreError, StoreErrorKind};

use super::process::Process;

/// What a collector does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// It does not look at the names again after it has condemned.
    NoSecondMark,
    /// It deletes what it should have saved, and copies afterwards.
    DeletesBeforeCopying,
    /// It takes tombstones away, so that numbers of doomed bytes are used again.
    WithdrawsTombstones,
    /// It takes a name that it cannot read for one without versions.
    TakesErrorsForAbsence,
    /// It does not protect what is only prepared.
    ForgetsPrepared,
}

/// A collector.
pub struct Naive {
    pub process: Process,
    pub flaw: Flaw,
    /// Whether it retires whatever may be retired, and ends all sessions.
    pub retires: bool,
}

#[derive(Default)]
struct Copies {
    bytes: BTreeSet<u64>,
    condemned: BTreeSet<u64>,
}

type Result<T> = std::result::Result<T, StoreError>;

impl Naive {
    /// One run.
    pub async fn run(&self) -> Result<()> {
        if self.retires {
            self.retire().await?;
        }
        let live = self.mark().await?;
        let mut candidates = Vec::new();
        for (digest, copies) in self.blobs().await? {
            for generation in &copies.bytes {
                let doomed = copies.condemned.contains(generation);
                if !doomed && !live.contains(&digest) {
                    self.condemn(digest, *generation).await?;
                }
                if doomed || !live.contains(&digest) {
                    candidates.push((digest, *generation));
                }
            }
        }
        let live = if self.flaw == Flaw::NoSecondMark { live } else { self.mark().await? };
        for (digest, generation) in candidates {
            if live.contains(&digest) {
                self.heal(digest, generation).await?;
            } else {
                self.process.store.delete(&LayoutKey::Blob(digest, generation).key()).await?;
                self.withdraw(digest, generation).await?;
            }
        }
        Ok(())
    }

    async fn condemn(&self, digest: Digest, generation: u64) -> Result<()> {
        self.process.store.create(&LayoutKey::Condemned(digest, generation).key(), Bytes::new()).await.map(drop)
    }

    async fn withdraw(&self, digest: Digest, generation: u64) -> Result<()> {
        if self.flaw == Flaw::WithdrawsTombstones {
            self.process.store.delete(&LayoutKey::Condemned(digest, generation).key()).await?;
        }
        Ok(())
    }

    async fn names(&self) -> Result<Vec<LogName>> {
        let prefix = layout::names("").expect("the prefix of all names is legal");
        let metas: Vec<ObjectMeta> = self.process.store.list(&prefix, List::default()).try_collect().await?;
        let name = |meta: &ObjectMeta| match LayoutKey::parse(&meta.key) {
            Some(LayoutKey::Name(name)) => name,
            other => panic!("{other:?} is not the mark of a name"),
        };
        Ok(metas.iter().map(name).collect())
    }

    async fn retire(&self) -> Result<()> {
        let heads = &self.process.services.heads;
        for name in self.names().await? {
            let Some(head) = heads.current(&name).await? else { continue };
            for row in heads.rows(&head, u64::MAX, usize::MAX).await? {
                let change = match row.state {
                    State::Prepared => Change::Abort { number: row.number },
                    State::Ready | State::Archived if !row.is_pinned() => {
                        Change::Retire { selector: Selector::Number(row.number), reason: "retention".into() }
                    }
                    _ => continue,
                };
                match heads.change(&name, &change, &larder::domain::Subject::collector()).await {
                    Ok(_) | Err(ChangeError::Rejected(_) | ChangeError::Contended) => {}
                    Err(ChangeError::Store(error)) => return Err(error),
                }
            }
        }
        Ok(())
    }

    async fn mark(&self) -> Result<BTreeSet<Digest>> {
        let mut live = BTreeSet::new();
        for name in self.names().await? {
            match self.mark_name(&name, &mut live).await {
                Err(_) if self.flaw == Flaw::TakesErrorsForAbsence => {}
                marked => marked?,
            }
        }
        Ok(live)
    }

    async fn mark_name(&self, name: &LogName, live: &mut BTreeSet<Digest>) -> Result<()> {
        let services = &self.process.services;
        let Some(head) = services.heads.current(name).await? else { return Ok(()) };
        for row in services.heads.rows(&head, u64::MAX, usize::MAX).await?.iter().filter(|row| row.state.is_root()) {
            if self.flaw == Flaw::ForgetsPrepared && row.state == State::Prepared {
                continue;
            }
            live.insert(row.digest());
            let manifest = match services.blobs.open(row.digest(), None).await? {
                Some(object) => object.bytes(u64::MAX).await?,
                // Its publisher has not looked at its blobs yet: it stores the manifest again before it does.
                None if row.state == State::Prepared => continue,
                // The version was retired since, and another collector was faster.
                None => return Err(StoreError::new(StoreErrorKind::Unavailable, row.digest(), "a manifest is gone")),
            };
            let manifest = larder::domain::Manifest::parse(&manifest, usize::MAX).expect("only manifests are stored");
            live.extend(manifest.blobs().iter().map(|blob| blob.digest));
        }
        Ok(())
    }

    async fn blobs(&self) -> Result<BTreeMap<Digest, Copies>> {
        self.copies(&layout::blobs()).await
    }

    async fn copies(&self, prefix: &larder::store::Prefix) -> Result<BTreeMap<Digest, Copies>> {
        let mut found: BTreeMap<Digest, Copies> = BTreeMap::new();
        let mut listing = self.process.store.list(prefix, List::default());
        while let Some(meta) = listing.try_next().await? {
            match LayoutKey::parse(&meta.key) {
                Some(LayoutKey::Blob(digest, generation)) => {
                    found.entry(digest).or_default().bytes.insert(generation);
                }
                Some(LayoutKey::Condemned(digest, generation)) => {
                    found.entry(digest).or_default().condemned.insert(generation);
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// Saves condemned bytes that are needed after all.
    async fn heal(&self, digest: Digest, generation: u64) -> Result<()> {
        let doomed = LayoutKey::Blob(digest, generation).key();
        if self.flaw == Flaw::WithdrawsTombstones {
            return self.withdraw(digest, generation).await;
        }
        loop {
            let copies = self.copies(&layout::blob(&digest)).await?.remove(&digest).unwrap_or_default();
            if copies.bytes.difference(&copies.condemned).next().is_some() {
                return self.process.store.delete(&doomed).await;
            }
            let next = copies.condemned.last().map_or(0, |highest| highest + 1);
            let next = LayoutKey::Blob(digest, next).key();
            if self.flaw == Flaw::DeletesBeforeCopying {
                self.process.store.delete(&doomed).await?;
            }
            if self.process.store.copy(&doomed, &next).await?.is_none() {
                return Ok(());
            }
        }
    }
}
