//! Copying a whole store into another one, of any backend, while servers continue to publish to the source.
//!
//! Never writes to the source, and never to a target that holds anything other than an earlier state of the source.
//! Memory use is proportional to the names that changed since the last copy, plus chunks of a few blobs.
//!
//! # Why it is safe
//! - A pass first records the newest head of every name, then copies the areas of [`layout::AREAS`] in their order,
//!   heads last and only up to the recorded ones: a version that was complete then had all of its blobs in the listing
//!   that came later. Heads are created oldest first, so a log never has a gap.
//! - Every byte is hashed on the way. An object that does not match the digest in its key is reported and not copied.
//!   Objects in `aux/` have no such digest; they never make a blob needed (though a manifest may name one by an alias,
//!   which is never deleted), and are copied as they are, except for the
//!   secrets of `aux/keys/`. What was deleted from there since an earlier copy remains in this one, so no area may give
//!   the absence of an entry a meaning.
//! - A collector of the source may retire a version after its head was recorded, and delete its blobs before they are
//!   copied. The next pass finds the head that retired it. So passes are repeated until one finds nothing new, and
//!   finally the references of every name that changed are followed in the copy itself. The copy is finished only when
//!   all of them resolve.
//! - Until then a mark in `layout/` prevents servers and collectors from opening the copy ([`marker::begin_copy`]),
//!   including one that was finished earlier and is being updated: a log that ends in the middle refers to blobs that
//!   were collected long ago.
//! - A copy that was published to since has heads that the source does not have. It is refused, not merged.
//!
//! Generations and tombstones are copied as they are, because a collector may be in the middle of a run. The bytes of a
//! condemned generation are left out if there is one that is not condemned. Runs of the collector, resumable uploads,
//! probes, hints and `tmp/` are left out: they are only useful to the processes of the source.

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
use crate::protocol::listing;
use crate::store::{Key, List, ObjectStore, Prefix, StoreError, StoreErrorKind};
use crate::upkeep::Verify;
use crate::upkeep::verify::Finding;

/// Maximum number of passes in one run.
const MAX_PASSES: u32 = 10;

/// Callback that receives the number of bytes just copied.
pub type Meter = Arc<dyn Fn(u64) + Send + Sync>;

/// Options of a copy.
#[derive(Debug, Clone, Copy)]
pub struct CopySettings {
    /// Number of objects, and of names, processed concurrently.
    pub jobs: usize,
    /// Re-read what the copy already has, instead of comparing sizes.
    pub verify: bool,
    /// Finish the copy even if versions lack blobs.
    pub accept_damage: bool,
}

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source cannot be used.
    #[error("cannot copy from there: {0}")]
    From(#[source] LayoutError),
    /// The target cannot be used.
    #[error("cannot copy to there: {0}")]
    To(#[source] LayoutError),
    /// The target is not empty, and was not begun by a copy.
    #[error(
        "TO is not empty and is no copy: give an empty directory, an empty bucket, or another store.prefix of this one"
    )]
    NotEmpty,
    /// The target has heads that the source does not have.
    #[error(
        "TO has a history of {name} that FROM does not have (generation {generation}): it is another store, or somebody \
         published to it since it was copied; nothing was changed in it that it had"
    )]
    Diverged {
        /// The name whose logs differ.
        name: LogName,
        /// Its newest generation in TO, or the generation that differs.
        generation: u64,
    },
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Counts of what was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Generations of blobs; a blob may have several.
    pub blobs: u64,
    /// Bytes of those generations.
    pub bytes: u64,
    /// Tombstones of generations.
    pub tombstones: u64,
    /// Segments of rows.
    pub segments: u64,
    /// Marks of names.
    pub names: u64,
    /// Small facts and settings in `aux/`, copied byte for byte.
    pub aux: u64,
    /// Heads of all logs.
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

/// The result of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Number of passes.
    pub passes: u32,
    /// What was copied, summed over all passes.
    pub copied: Copied,
    /// Blobs, segments and facts that the copy already had when the last pass reached them.
    pub present: u64,
    /// Objects that were listed, but collected before they were copied.
    pub collected: u64,
    /// Number of objects found lost or damaged.
    pub findings: u64,
    /// Whether the last pass found nothing new.
    pub settled: bool,
    /// Whether the copy can be opened.
    pub finished: bool,
}

/// Receives the progress and findings of a copy.
pub trait CopyObserver: Send {
    /// An object is lost or damaged, and not in the copy.
    fn finding(&mut self, finding: &Finding);

    /// Pass `number`, counted from 1, ended and has copied this.
    fn pass(&mut self, number: u32, copied: &Copied);
}

/// A run in progress.
struct CopyRun<'a> {
    observer: &'a mut dyn CopyObserver,
    summary: Summary,
    /// Objects already reported, so that later passes skip them.
    bad: HashSet<Key>,
}

impl CopyRun<'_> {
    fn report(&mut self, finding: &Finding) {
        self.summary.findings += 1;
        self.observer.finding(finding);
    }

    /// Reports a problem with one object, once.
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

    /// Sets a callback that receives the number of bytes of each chunk copied.
    #[must_use]
    pub fn metered(self, meter: Meter) -> Self {
        let ObjectCopier { from, to, verify, .. } = &*self.carrier;
        let carrier = ObjectCopier { from: Arc::clone(from), to: Arc::clone(to), verify: *verify, meter };
        Self { carrier: Arc::new(carrier), ..self }
    }

    /// Number of bytes of blobs that the copy lacks.
    ///
    /// # Errors
    /// When a store cannot be listed.
    pub async fn bytes_to_copy(&self) -> Result<u64, StoreError> {
        let mut there = ParallelListing::new(&*self.carrier.to, &layout::blobs());
        let mut listing = listing::known(&*self.carrier.from, &layout::blobs(), List::default(), Some);
        let mut bytes = 0;
        while let Some((_, meta)) = listing.try_next().await? {
            if there.size_of(&meta.key).await? != Some(meta.size) {
                bytes += meta.size;
            }
        }
        Ok(bytes)
    }

    /// Copies what the copy lacks, until there is nothing new. An interrupted run is completed by running again.
    ///
    /// # Errors
    /// A [`CopyError`]. Problems with single objects are findings, not errors.
    pub async fn run(&self, observer: &mut dyn CopyObserver) -> Result<Summary, CopyError> {
        let (from, to) = (&*self.carrier.from, &*self.carrier.to);
        marker::check_readable(from).await.map_err(CopyError::From)?;
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

    /// Checks that the target may be copied to. Returns whether it is a finished copy.
    async fn examine_target(&self) -> Result<bool, CopyError> {
        match marker::find(&*self.carrier.to).await? {
            StoreState::Empty | StoreState::Unfinished => Ok(false),
            StoreState::Unmarked => Err(CopyError::NotEmpty),
            StoreState::Marked(found) => found.writable().map(|_| true).map_err(CopyError::To),
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

    /// Follows references in the copy, and returns the number of those that do not resolve.
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

    /// Copies the layout markers; must come last, because they allow the copy to be opened.
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

/// List options that yield the newest head of each name.
fn newest_heads() -> List {
    List { first_of: Some(layout::HEADS_OF_A_NAME), ..List::default() }
}

/// The prefix of the marks of all names.
fn all_names() -> Prefix {
    layout::names("").expect("the prefix of all names is legal")
}
