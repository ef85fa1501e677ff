//! What a pass copies before heads: blobs and tombstones, segments, marks of names, and objects copied byte for byte.

use std::cmp::Ordering;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::task::{JoinError, JoinSet};

use super::carry::{CopyItem, CopyOutcome, ItemKind, ObjectCopier};
use super::{CopyError, CopyRun, CopyStore, all_names};
use crate::domain::Digest;
use crate::layout::{self, Area, LayoutKey};
use crate::store::{Key, List, ObjectMeta, ObjectStore, Prefix, Result, StoreError, StoreErrorKind};
use crate::upkeep::verify::Finding;

/// Empty objects created, and objects made durable, per batch.
const BATCH: usize = 1000;

/// Every object, and what is none.
pub(super) fn past_strays() -> List {
    List { past_strays: true, ..List::default() }
}

/// A listing that is read in step with another one.
pub(super) struct ParallelListing<'a> {
    listing: BoxStream<'a, Result<ObjectMeta>>,
    ahead: Option<ObjectMeta>,
}

impl<'a> ParallelListing<'a> {
    pub(super) fn new(store: &'a dyn ObjectStore, prefix: &Prefix) -> Self {
        // Fused, because it is polled again for each key after its end.
        Self { listing: store.list(prefix, List::default()).fuse().boxed(), ahead: None }
    }

    /// The size of the object under a key, if there is one. Keys must be requested in ascending order.
    pub(super) async fn size_of(&mut self, key: &Key) -> Result<Option<u64>> {
        loop {
            match self.ahead.as_ref().map(|meta| meta.key.cmp(key)) {
                Some(Ordering::Equal) => return Ok(self.ahead.as_ref().map(|meta| meta.size)),
                Some(Ordering::Greater) => return Ok(None),
                Some(Ordering::Less) | None => {}
            }
            let Some(meta) = self.listing.try_next().await? else { return Ok(None) };
            self.ahead = Some(meta);
        }
    }
}

/// What is stored under one digest.
#[derive(Default)]
struct Group {
    loads: Vec<(u64, CopyItem)>,
    condemned: Vec<u64>,
}

impl Group {
    /// What to copy: the bytes that may be relied on. If there are none, the condemned ones, because a collector may
    /// have died before it copied them to a new generation.
    fn into_loads(self) -> impl Iterator<Item = CopyItem> {
        let Self { loads, condemned } = self;
        let is_doomed = move |generation: &u64| condemned.contains(generation);
        let all = loads.iter().all(|(generation, _)| is_doomed(generation));
        loads.into_iter().filter(move |(generation, _)| all || !is_doomed(generation)).map(|(_, load)| load)
    }
}

/// A copy of many objects, several concurrently.
struct Work<'a, 'r> {
    carrier: &'a Arc<ObjectCopier>,
    jobs: usize,
    running: JoinSet<Result<(CopyItem, CopyOutcome)>>,
    /// Objects that the copy already has, perhaps from a run that died before it made them durable.
    seen: Vec<Key>,
    /// Empty objects still to be created.
    empty: Vec<Key>,
    run: &'a mut CopyRun<'r>,
}

impl<'a, 'r> Work<'a, 'r> {
    fn new(copy: &'a CopyStore, run: &'a mut CopyRun<'r>) -> Self {
        let running = JoinSet::new();
        Self { carrier: &copy.carrier, jobs: copy.settings.jobs, running, seen: Vec::new(), empty: Vec::new(), run }
    }

    async fn add(&mut self, load: CopyItem) -> Result<()> {
        if self.carrier.has(&load) {
            self.found(load.key).await?;
        } else if !self.run.bad.contains(&load.key) {
            while self.running.len() >= self.jobs {
                self.reap().await?;
            }
            let carrier = Arc::clone(self.carrier);
            self.running.spawn(async move {
                let outcome = carrier.carry(&load).await?;
                Ok((load, outcome))
            });
        }
        Ok(())
    }

    async fn reap(&mut self) -> Result<()> {
        let Some(ended) = self.running.join_next().await else { return Ok(()) };
        let stopped = |error: JoinError| StoreError::new(StoreErrorKind::Internal, "a copy", error);
        let (load, outcome) = ended.map_err(stopped)??;
        match outcome {
            CopyOutcome::Copied(bytes) => self.run.summary.copied.add(load.kind, bytes),
            CopyOutcome::Present => self.found(load.key).await?,
            CopyOutcome::Gone => self.run.summary.collected += 1,
            CopyOutcome::Damaged(why) => {
                let finding = Finding::DamagedBlob { key: load.key.to_string(), why };
                self.run.report_object(load.key, &finding);
            }
            CopyOutcome::Differs => {
                let why = "TO has other bytes under this key than FROM: it was used since it was copied";
                return Err(StoreError::new(StoreErrorKind::Corrupt, load.key, why));
            }
        }
        Ok(())
    }

    async fn found(&mut self, key: Key) -> Result<()> {
        self.run.summary.present += 1;
        self.seen.push(key);
        if self.seen.len() >= BATCH {
            self.carrier.to.persist(&self.seen).await?;
            self.seen.clear();
        }
        Ok(())
    }

    /// Queues an empty object for creation.
    async fn create_empty(&mut self, key: Key) -> Result<()> {
        self.empty.push(key);
        if self.empty.len() >= BATCH { self.flush_empty().await } else { Ok(()) }
    }

    async fn flush_empty(&mut self) -> Result<()> {
        self.carrier.to.create_empty(&self.empty).await?;
        self.carrier.to.persist(&self.empty).await?;
        self.empty.clear();
        Ok(())
    }

    /// Waits until everything is copied and durable.
    async fn finish(mut self) -> Result<()> {
        while !self.running.is_empty() {
            self.reap().await?;
        }
        self.carrier.to.persist(&self.seen).await?;
        self.flush_empty().await
    }

    /// The next object of a listing. What is no object becomes a finding.
    async fn next(&mut self, listing: &mut BoxStream<'_, Result<ObjectMeta>>) -> Result<Option<ObjectMeta>> {
        loop {
            match listing.try_next().await {
                Err(StoreError { kind: StoreErrorKind::Stray, key, .. }) => match key.parse() {
                    Ok(key) => self.unknown(key),
                    Err(_) => self.run.report(&Finding::UnknownKey { key }),
                },
                listed => return listed,
            }
        }
    }

    fn unknown(&mut self, key: Key) {
        let finding = Finding::UnknownKey { key: key.to_string() };
        self.run.report_object(key, &finding);
    }
}

impl CopyStore {
    pub(super) async fn blobs(&self, run: &mut CopyRun<'_>) -> std::result::Result<(), CopyError> {
        let mut there = ParallelListing::new(&*self.carrier.to, &layout::blobs());
        let mut listing = self.carrier.from.list(&layout::blobs(), past_strays());
        let mut work = Work::new(self, run);
        let (mut group, mut current): (Group, Option<Digest>) = (Group::default(), None);
        while let Some(ObjectMeta { key, size, .. }) = work.next(&mut listing).await? {
            let parsed = LayoutKey::parse(&key);
            let digest = parsed.as_ref().and_then(LayoutKey::digest_of_blob);
            if digest != current {
                for load in std::mem::take(&mut group).into_loads() {
                    work.add(load).await?;
                }
                current = digest;
            }
            match parsed {
                Some(LayoutKey::Blob(digest, generation)) => {
                    let there = there.size_of(&key).await?;
                    group
                        .loads
                        .push((generation, CopyItem { key, kind: ItemKind::Blob, digest: Some(digest), size, there }));
                }
                Some(LayoutKey::Condemned(_, generation)) => {
                    group.condemned.push(generation);
                    if there.size_of(&key).await?.is_none() {
                        work.run.summary.copied.tombstones += 1;
                        work.create_empty(key).await?;
                    }
                }
                // Hints are not copied: blobs in the copy are young anyway.
                Some(LayoutKey::Seen(..)) => {}
                _ => work.unknown(key),
            }
        }
        for load in group.into_loads() {
            work.add(load).await?;
        }
        Ok(work.finish().await?)
    }

    pub(super) async fn segments(&self, run: &mut CopyRun<'_>) -> std::result::Result<(), CopyError> {
        let mut there = ParallelListing::new(&*self.carrier.to, &layout::segments());
        let mut listing = self.carrier.from.list(&layout::segments(), past_strays());
        let mut work = Work::new(self, run);
        while let Some(ObjectMeta { key, size, .. }) = work.next(&mut listing).await? {
            let Some(LayoutKey::Segment(_, digest)) = LayoutKey::parse(&key) else {
                work.unknown(key);
                continue;
            };
            let there = there.size_of(&key).await?;
            work.add(CopyItem { key, kind: ItemKind::Segment, digest: Some(digest), size, there }).await?;
        }
        Ok(work.finish().await?)
    }

    pub(super) async fn names(&self, run: &mut CopyRun<'_>) -> std::result::Result<(), CopyError> {
        let mut there = ParallelListing::new(&*self.carrier.to, &all_names());
        let mut listing = self.carrier.from.list(&all_names(), past_strays());
        let mut work = Work::new(self, run);
        while let Some(ObjectMeta { key, .. }) = work.next(&mut listing).await? {
            if !matches!(LayoutKey::parse(&key), Some(LayoutKey::Name(_))) {
                work.unknown(key);
            } else if there.size_of(&key).await?.is_none() {
                work.run.summary.copied.names += 1;
                work.create_empty(key).await?;
            }
        }
        Ok(work.finish().await?)
    }

    /// Copies an area byte for byte, except for keys that begin with one of `except`.
    pub(super) async fn as_is(
        &self,
        area: &Area,
        except: &[&str],
        run: &mut CopyRun<'_>,
    ) -> std::result::Result<(), CopyError> {
        let prefix = area.all();
        let mut there = ParallelListing::new(&*self.carrier.to, &prefix);
        let mut listing = self.carrier.from.list(&prefix, past_strays());
        let mut work = Work::new(self, run);
        while let Some(ObjectMeta { key, size, .. }) = work.next(&mut listing).await? {
            if except.iter().any(|except| key.as_str().starts_with(except)) {
                continue;
            }
            let there = there.size_of(&key).await?;
            // Empty objects may be very numerous, so they are created in batches.
            if size == 0 && there.is_none() {
                work.run.summary.copied.aux += 1;
                work.create_empty(key).await?;
            } else {
                work.add(CopyItem { key, kind: ItemKind::AsIs, digest: None, size, there }).await?;
            }
        }
        Ok(work.finish().await?)
    }
}
