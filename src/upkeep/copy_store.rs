//! Copying a whole store into another one, of whatever kind, while servers go on publishing to the first.
//!
//! Never writes to the store that is copied from, and never to one that holds anything else than an earlier state of it.
//! Needs memory for the names that changed since the last copy, and for the chunks of a few blobs.
//!
//! # Why it is safe
//! - A pass first notes the newest head of every name, then copies the areas of [`layout::AREAS`] in their order, heads
//!   last of what it copies and only up to those that it noted: a version that was complete then had all of its blobs in
//!   the listing that came later. Heads are created oldest first, so a log never has a gap.
//! - Every byte is hashed on its way. What does not have the digest that its key promises is reported and not copied.
//!   What lies in `aux/` has no such digest; it never makes a blob needed, and is copied as it is, but for the secrets of
//!   `aux/keys/`. What was deleted from there since an earlier copy stays in this one, so no area may mean anything by
//!   that something is absent.
//! - A collector of the first store may retire a version after its head was noted, and delete its blobs before they are
//!   copied. The next pass finds the head that says so. So passes are repeated until one finds nothing new, and at last the
//!   references of every name that changed are followed in the copy itself. Only when all of them lead somewhere is the copy
//!   finished.
//! - Until then a mark in `layout/` keeps servers and collectors from opening the copy ([`marker::begin_copy`]), also one
//!   that was finished earlier and is being brought up to date: a log that ends in the middle refers to what was collected
//!   long ago.
//! - A copy that was published to since has heads that the first store does not have. It is refused, not mixed.
//!
//! Generations and tombstones are copied as they are, because a collector may be in the middle of something. The bytes of
//! a condemned generation are left out if there is one that is not. Runs of the collector, resumable uploads, probes,
//! hints and `tmp/` are left out: all of them are only of use to the processes of the first store.

mod carry;
mod logs;
mod work;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use self::carry::{ItemKind, ObjectCopier};
use self::work::ParallelListing;
use crate::clock::Clock;
use crate::domain::LogName;
use crate::layout::marker::{self, LayoutError, StoreState};
use crate::layout::{self, Copying, LayoutKey};
use crate::store::{Key, List, ObjectStore, Prefix, StoreError, StoreErrorKind};
use crate::upkeep::Verify;
use crate::upkeep::verify::Finding;

/// Most passes of one run.
const MAX_PASSES: u32 = 10;

/// Is told of bytes as they come.
pub type Meter = Arc<dyn Fn(u64) + Send + Sync>;

/// How to copy.
#[derive(Debug, Clone, Copy)]
pub struct CopySettings {
    /// Objects, and names, at once.
    pub jobs: usize,
    /// Read again what the copy has already, instead of going by its size.
    pub verify: bool,
    /// Finish the copy although versions lack blobs.
    pub accept_damage: bool,
}

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The store to copy from cannot be used.
    #[error("cannot copy from there: {0}")]
    From(#[source] LayoutError),
    /// The store to copy to cannot be used.
    #[error("cannot copy to there: {0}")]
    To(#[source] LayoutError),
    /// The store to copy to holds something, and was not begun by a copy.
    #[error(
        "TO is not empty and is no copy: give an empty directory, an empty bucket, or another store.prefix of this one"
    )]
    NotEmpty,
    /// The store to copy to has what the one to copy from does not have.
    #[error(
        "TO has a history of {name} that FROM does not have (generation {generation}): it is another store, or somebody \
         published to it since it was copied; nothing was changed in it that it had"
    )]
    Diverged {
        /// The name.
        name: LogName,
        /// The newest head of it in TO, or the one that differs.
        generation: u64,
    },
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Generations of blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Tombstones of generations.
    pub tombstones: u64,
    /// Segments of rows.
    pub segments: u64,
    /// Marks of names.
    pub names: u64,
    /// Facts and settings, which are copied byte for byte.
    pub aux: u64,
    /// Heads.
    pub heads: u64,
}

impl Copied {
    fn objects(&self) -> u64 {
        self.blobs + self.tombstones + self.segments + self.names + self.aux + self.heads
    }

    fn add(&mut self, kind: ItemKind, bytes: u64) {
        match kind {
            ItemKind::Blob => {
                self.blobs += 1;
                self.bytes += bytes;
            }
            ItemKind::Segment => self.segments += 1,
            ItemKind::AsIs => self.aux += 1,
        }
    }
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Passes.
    pub passes: u32,
    /// What was copied in all of them.
    pub copied: Copied,
    /// Blobs, segments and facts that the copy had when the last pass came to them.
    pub present: u64,
    /// What was listed, but collected before it was copied.
    pub collected: u64,
    /// What is lost or damaged.
    pub findings: u64,
    /// The last pass found nothing new.
    pub settled: bool,
    /// The copy can be opened.
    pub finished: bool,
}

/// Is told how a copy goes.
pub trait CopyObserver: Send {
    /// Something is lost or damaged, and not in the copy.
    fn finding(&mut self, finding: &Finding);

    /// A pass ended, having copied this.
    fn pass(&mut self, number: u32, copied: &Copied);
}

/// A run under way.
struct CopyRun<'a> {
    observer: &'a mut dyn CopyObserver,
    summary: Summary,
    /// Objects that were reported, so that no pass tries them again.
    bad: HashSet<Key>,
}

impl CopyRun<'_> {
    fn report(&mut self, finding: &Finding) {
        self.summary.findings += 1;
        self.observer.finding(finding);
    }

    /// Reports what is wrong with one object, once.
    fn report_object(&mut self, key: Key, finding: &Finding) {
        if self.bad.insert(key) {
            self.report(finding);
        }
    }
}

/// The service that copies stores.
pub struct CopyStore {
    carrier: Arc<ObjectCopier>,
    clock: Arc<dyn Clock>,
    settings: CopySettings,
}

impl fmt::Debug for CopyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyStore").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl CopyStore {
    /// A service that copies `from` to `to`.
    #[must_use]
    pub fn new(
        from: Arc<dyn ObjectStore>,
        to: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        settings: CopySettings,
    ) -> Self {
        let meter: Meter = Arc::new(|_| {});
        Self { carrier: Arc::new(ObjectCopier { from, to, verify: settings.verify, meter }), clock, settings }
    }

    /// The same service, but `meter` is told of bytes as they are copied.
    #[must_use]
    pub fn metered(self, meter: Meter) -> Self {
        let ObjectCopier { from, to, verify, .. } = &*self.carrier;
        let carrier = ObjectCopier { from: Arc::clone(from), to: Arc::clone(to), verify: *verify, meter };
        Self { carrier: Arc::new(carrier), ..self }
    }

    /// Bytes of blobs that the copy does not have.
    ///
    /// # Errors
    /// When a store cannot be listed.
    pub async fn bytes_to_copy(&self) -> Result<u64, StoreError> {
        let mut there = ParallelListing::new(&*self.carrier.to, &layout::blobs());
        let mut listing = self.carrier.from.list(&layout::blobs(), List::default());
        let mut bytes = 0;
        while let Some(meta) = listing.try_next().await? {
            if there.size_of(&meta.key).await? != Some(meta.size) {
                bytes += meta.size;
            }
        }
        Ok(bytes)
    }

    /// Copies what the copy does not have yet, until there is nothing new. A run that broke off is made good by another.
    ///
    /// # Errors
    /// A [`CopyError`]. What is wrong with single objects is a finding, not an error.
    pub async fn run(&self, observer: &mut dyn CopyObserver) -> Result<Summary, CopyError> {
        let (from, to) = (&*self.carrier.from, &*self.carrier.to);
        marker::check(from).await.map_err(CopyError::From)?;
        let was_finished = self.examine_target().await?;
        let mut behind = self.compare(true).await?;
        let mut run = CopyRun { observer, summary: Summary::default(), bad: HashSet::new() };
        let mut changed = HashSet::new();
        marker::begin_copy(to).await?;
        loop {
            run.summary.passes += 1;
            let before = run.summary.copied;
            changed.extend(behind.iter().map(|behind| behind.name.clone()));
            self.pass(behind, &mut run).await?;
            run.observer.pass(run.summary.passes, &run.summary.copied);
            run.summary.settled = run.summary.copied.objects() == before.objects();
            if run.summary.settled || run.summary.passes == MAX_PASSES {
                break;
            }
            behind = self.compare(false).await?;
        }
        let everything = !was_finished || self.settings.verify;
        let lost = self.follow(&changed, everything, &mut run).await?;
        if lost == 0 || self.settings.accept_damage {
            self.copy_markers().await?;
            marker::end_copy(to).await?;
            run.summary.finished = true;
        }
        Ok(run.summary)
    }

    /// Whether the store to copy to may be, and whether it is a copy that was finished.
    async fn examine_target(&self) -> Result<bool, CopyError> {
        match marker::find(&*self.carrier.to).await? {
            StoreState::Empty | StoreState::Unfinished => Ok(false),
            StoreState::Unmarked => Err(CopyError::NotEmpty),
            StoreState::Marked(found) => marker::judge(found).map(|_| true).map_err(CopyError::To),
        }
    }

    async fn pass(&self, mut behind: Vec<logs::LaggingName>, run: &mut CopyRun<'_>) -> Result<(), CopyError> {
        run.summary.present = 0;
        for area in &layout::AREAS {
            match area.copied {
                Copying::Blobs => self.blobs(run).await?,
                Copying::Hashed => self.segments(run).await?,
                Copying::Marks => self.names(run).await?,
                Copying::AsIs { except } => self.as_is(area, except, run).await?,
                Copying::Logs => self.heads(std::mem::take(&mut behind), run).await?,
                Copying::AtTheEnd | Copying::Never => {}
            }
        }
        Ok(())
    }

    /// Follows references in the copy, and says how many lead nowhere.
    async fn follow(
        &self,
        changed: &HashSet<LogName>,
        everything: bool,
        run: &mut CopyRun<'_>,
    ) -> Result<u64, CopyError> {
        let verify = Verify::new(Arc::clone(&self.carrier.to), Arc::clone(&self.clock));
        let newest = self.carrier.to.list(&layout::all_heads(), newest_heads());
        let mut findings = newest
            .try_filter_map(|meta| async move {
                Ok(match LayoutKey::parse(&meta.key) {
                    Some(LayoutKey::Head(name, _)) if everything || changed.contains(&name) => Some(name),
                    _ => None,
                })
            })
            .map_ok(|name| {
                let verify = &verify;
                async move { verify.follow(&name).await }
            })
            .try_buffer_unordered(self.settings.jobs)
            .boxed();
        let before = run.summary.findings;
        while let Some(found) = findings.try_next().await? {
            for finding in &found {
                run.report(finding);
            }
        }
        Ok(run.summary.findings - before)
    }

    /// The last thing that is copied.
    async fn copy_markers(&self) -> Result<(), CopyError> {
        let markers = self.carrier.from.list(&layout::markers(), List::default());
        let keys: Vec<Key> = markers.map_ok(|meta| meta.key).try_collect().await?;
        for key in keys {
            let corrupt = |why| StoreError::new(StoreErrorKind::Corrupt, &key, why);
            let bytes = self.carrier.read(&key).await?.ok_or_else(|| corrupt("listed, but not there"))?;
            if !self.carrier.create_same(&key, bytes).await? {
                return Err(corrupt("TO has another layout marker").into());
            }
        }
        Ok(())
    }
}

/// How to list the newest head of each name.
fn newest_heads() -> List {
    List { first_of: Some(layout::HEADS_OF_A_NAME), ..List::default() }
}

/// The marks of all names.
fn all_names() -> Prefix {
    layout::names("").expect("the prefix of all names is legal")
}
