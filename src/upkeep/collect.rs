//! The garbage collector: retires versions past their retention, and deletes bytes that no version needs.
//!
//! # Why live data is never lost
//!
//! A run performs these steps in this order, and any doubt ends it (a listing that fails, a head that cannot be read,
//! an unknown object among heads or blobs or in an area of its own):
//!
//! 1. **Retire** (C0) versions past their retention and abort prepared ones past their time, by creating heads. A
//!    publisher that stalled meanwhile and then tries to commit or promote such a version finds that its row is gone.
//! 2. **Mark** (C1): what every root of every name needs (`mark`).
//! 3. **Plan** (C2): what is stored and not needed (`plan`). Steps 2 and 3 only find work; safety does not depend on
//!    how stale their results are.
//! 4. **Condemn** (C3) every candidate by creating its tombstone (`sweep`).
//! 5. **Mark again** (C4).
//! 6. **Sweep** (C5): delete the bytes of each candidate that is in neither live set; copy the others to a new
//!    generation first.
//!
//! A publisher creates its head (P1) *before* it looks at the tombstones of its blobs (P2); the collector creates its
//! tombstones (C3) *before* it looks at the heads (C4). So at least one of the two sees the other. If the publisher saw
//! no tombstone, the tombstone was created later, and the second marking shows the collector the publisher's version:
//! the bytes stay, or are copied before they are deleted. If it saw one, it does not rely on these bytes. A tombstone
//! is never withdrawn and the number of a condemned generation is never reused, so a delete that was delayed, for
//! however long, only hits bytes that nothing may rely on, and any number of collectors may do the same work
//! concurrently.
//!
//! Neither argument mentions time. The minimum age and the retention decide when space is reclaimed, and the former
//! spares pipelines that upload first and publish later a second upload. Ages are taken from the store's own time
//! stamps.
//!
//! The argument assumes that the store shows everything it holds. So a run that misses a head that an earlier one saw,
//! or finds no head at all of a name that was published to, ends before it changes anything (`earlier`).
//!
//! What the store shows may not be durable yet. Before anything is deleted, the heads that were relied on are made
//! durable: a crash of the machine must not restore a version whose bytes were deleted.

mod earlier;
mod error;
mod fate;
mod held;
mod live;
mod mark;
mod marked;
mod members;
mod pace;
mod plan;
mod ranges;
mod report;
mod runs;
mod settings;
mod sweep;
mod uploads;
mod verdicts;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::{Clock, MAX_SKEW};
use crate::domain::manifest::Format;
use crate::domain::retention::Verdict;
use crate::domain::{LogName, Policies, RunId};
use crate::layout;
use crate::layout::marker;
use crate::protocol::{Blobs, Heads, HostState, Manifests};
use crate::store::{List, ObjectStore, PartStore};
use earlier::Earlier;
use fate::Candidate;
use held::Held;
use live::Live;
use mark::{Expiry, MarkOptions};
use marked::Marked;
use pace::{Pace, Rest};
use plan::{AgeLimit, Plan};
use ranges::Ranges;
use report::Journal;
use uploads::Uploads;

pub use error::CollectError;
pub use fate::Fate;
pub use report::{Count, Entry, Outcome, Report, Started, Totals};
pub use runs::{RunSummary, Runs};
pub use settings::{Settings, Share};

/// Objects created or deleted per call by a run without a limit on its share of the time.
const BATCH: usize = 128;
/// The same for a run that rests between calls: small, so that other users of the store never wait long for a call to
/// end.
const GENTLE_BATCH: usize = 16;

/// State shared by all steps of a run.
#[derive(Debug, Clone)]
struct RunContext {
    id: RunId,
    /// The store's time when the run began.
    now: Timestamp,
    /// How far the host's clock was ahead of the store's.
    ahead: SignedDuration,
    young: AgeLimit,
    /// Retention policies, fixed for the whole run.
    policies: Arc<Policies>,
    lists: Arc<Pace>,
    deletes: Arc<Pace>,
    rest: Rest,
    jobs: usize,
    /// Objects created or deleted per call.
    batch: usize,
    /// Number of lists of heads that the run has written so far.
    seen_lists: Arc<AtomicU32>,
    held: Arc<Held>,
    /// The hosts that were attached, once something is about to expire.
    hosts: Arc<OnceCell<Arc<HostState>>>,
    stop: CancellationToken,
}

impl RunContext {
    fn check(&self) -> Result<(), CollectError> {
        if self.stop.is_cancelled() { Err(CollectError::Stopped) } else { Ok(()) }
    }

    fn may_expire(&self) -> bool {
        self.ahead.abs() <= MAX_SKEW
    }
}

/// The collect service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Collect {
    store: Arc<dyn PartStore>,
    clock: Arc<dyn Clock>,
    heads: Arc<Heads>,
    blobs: Arc<Blobs>,
    manifests: Arc<Manifests>,
    settings: Arc<Settings>,
}

impl Collect {
    /// A collector on `store`. Any number of them may work on one store concurrently.
    #[must_use]
    pub fn new(store: Arc<dyn PartStore>, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        let objects = Arc::clone(&store) as Arc<dyn ObjectStore>;
        let blobs = Arc::new(Blobs::new(Arc::clone(&objects), Arc::clone(&clock), SignedDuration::MAX));
        Self {
            heads: Arc::new(Heads::new(objects, Arc::clone(&clock))),
            manifests: Arc::new(Manifests::new(Arc::clone(&blobs))),
            blobs,
            store,
            clock,
            settings: Arc::new(settings),
        }
    }

    /// Sets the manifest formats of the store; see [`Manifests::with_formats`].
    #[must_use]
    pub fn with_formats(self, formats: &'static [Format]) -> Self {
        Self { manifests: Arc::new(Manifests::with_formats(Arc::clone(&self.blobs), formats)), ..self }
    }

    /// Performs one run and writes a report of it to the store, whether it succeeds or fails.
    ///
    /// # Errors
    /// A [`CollectError`].
    pub async fn run(&self, stop: &CancellationToken) -> Result<Report, CollectError> {
        marker::check(&*self.store).await?;
        let began = Instant::now();
        let (started, stamp) = self.begin().await?;
        let run = self.prepare(started.run, stamp, started.started, stop);
        let mut totals = Totals::default();
        let ended = self.passes(&run, &mut totals).await;
        let mut report = Report::new(started, began.elapsed(), run.ahead, totals);
        if let Err(error) = &ended {
            report.outcome = if matches!(error, CollectError::Stopped) { Outcome::Stopped } else { Outcome::Failed };
            report.error = Some(error.to_string());
        }
        let left = self.leave(&report).await;
        ended?;
        left?;
        Ok(report)
    }

    /// Reports what a run would do now and why, without changing anything. As it creates no object, it has to use the
    /// host's time instead of the store's.
    ///
    /// # Errors
    /// A [`CollectError`].
    pub async fn preview(
        &self,
        stop: &CancellationToken,
        mut tell: impl FnMut(Entry<'_>) + Send,
    ) -> Result<Totals, CollectError> {
        marker::check_readable(&*self.store).await?;
        let now = self.clock.now();
        let run = self.prepare(RunId::new(now, 0), now, now, stop);
        let mut totals = Totals::default();
        let mut told = false;
        self.look_for_strangers().await?;
        let mut ranges = Ranges::new();
        while let Some(range) = ranges.next() {
            let mut part = Totals::default();
            let passed = self.preview_pass(&run, range, &mut part, &mut told, &mut tell).await;
            ranges.settle(passed, &part, &mut totals)?;
        }
        self.uploads(&run, Uploads::Count, &mut totals).await?;
        Ok(totals)
    }

    async fn preview_pass(
        &self,
        run: &RunContext,
        range: RangeInclusive<u8>,
        totals: &mut Totals,
        told: &mut bool,
        tell: &mut (impl FnMut(Entry<'_>) + Send),
    ) -> Result<(), CollectError> {
        let earlier = Earlier::read(&*self.store).await?;
        let (mut live, mut marked) = (self.live(range.clone()), Marked::default());
        let mut versions = Vec::new();
        let note = |name: &LogName, version, verdict| versions.push((name.clone(), version, verdict));
        let options = MarkOptions { expiry: Expiry::Pretend, earlier: Arc::clone(&earlier) };
        self.mark(run, &options, &mut live, &mut marked, totals, note).await?;
        totals.names = marked.names();
        self.guard(&earlier, &marked).await?;
        if !std::mem::replace(told, true) {
            for (name, version, verdict) in &versions {
                tell(Entry::version(name, *version, *verdict));
            }
        }
        let plan = plan::plan(&*self.store, run, range, &live, tell).await?;
        totals.merge(&plan.totals);
        Ok(())
    }

    /// An empty live set, with its share of the memory limit.
    fn live(&self, range: RangeInclusive<u8>) -> Live {
        Live::new(range, self.settings.memory / 2)
    }

    fn prepare(&self, id: RunId, now: Timestamp, host: Timestamp, stop: &CancellationToken) -> RunContext {
        let all = self.settings.share == Share::ALL;
        RunContext {
            id,
            now,
            ahead: host.duration_since(now),
            young: AgeLimit::new(now, self.settings.min_age),
            policies: self.settings.policies.current(),
            lists: Arc::new(Pace::new(self.settings.lists_per_second)),
            deletes: Arc::new(Pace::new(self.settings.deletes_per_second)),
            rest: Rest::new(self.settings.share, stop.clone()),
            jobs: if all { self.settings.jobs.get() } else { 1 },
            batch: if all { BATCH } else { GENTLE_BATCH },
            seen_lists: Arc::default(),
            held: Arc::default(),
            hosts: Arc::default(),
            stop: stop.clone(),
        }
    }

    async fn passes(&self, run: &RunContext, totals: &mut Totals) -> Result<(), CollectError> {
        self.look_for_strangers().await?;
        let mut ranges = Ranges::new();
        while let Some(range) = ranges.next() {
            let mut part = Totals::default();
            let passed = self.pass(run, range, &mut part).await;
            ranges.settle(passed, &part, totals)?;
        }
        self.uploads(run, Uploads::GiveUp, totals).await?;
        self.forget_incoming(run).await?;
        self.forget_old_reports(run).await?;
        self.forget_probes(run).await
    }

    /// One pass (C1 to C5) over the digests whose first byte is in `range`.
    async fn pass(&self, run: &RunContext, range: RangeInclusive<u8>, totals: &mut Totals) -> Result<(), CollectError> {
        let earlier = Earlier::read(&*self.store).await?;
        let mut marked = Marked::default();
        let mut live = self.live(range.clone());
        let mut expired = Vec::new();
        let note = |name: &LogName, version, verdict: Verdict| {
            if verdict.is_over() {
                expired.push((name.clone(), version, verdict));
            }
        };
        let options = MarkOptions { expiry: Expiry::Retire, earlier: Arc::clone(&earlier) };
        self.mark(run, &options, &mut live, &mut marked, totals, note).await?;
        totals.names = marked.names();
        if self.guard(&earlier, &marked).await? {
            self.list_unlisted(&marked).await?;
        }
        self.remember(run, &earlier, &marked).await?;
        let live = Arc::new(live);
        let plans = self.plan(run, range.clone(), &live, totals).await?;
        let mut journal = Journal::new(&*self.store, run.id, *range.start());
        for (name, version, verdict) in &expired {
            journal.write(&Entry::version(name, *version, *verdict)).await?;
        }
        for candidate in plans.iter().flat_map(|plan| &plan.candidates) {
            journal.candidate(candidate).await?;
        }
        journal.finish().await?;
        // The roots are the same for all ranges.
        let (again, is_first) = (self.live(range.clone()), *range.start() == 0);
        self.carry_out(run, &plans, (&live, again), &mut marked, totals).await?;
        if is_first {
            self.tend_members(run, &live).await;
        }
        Ok(())
    }

    /// Condemns (C3), marks again (C4) and sweeps (C5).
    async fn carry_out(
        &self,
        run: &RunContext,
        plans: &[Plan],
        (live, mut again): (&Live, Live),
        marked: &mut Marked,
        totals: &mut Totals,
    ) -> Result<(), CollectError> {
        for plan in plans {
            self.delete(run, &plan.litter).await?;
        }
        if plans.iter().all(|plan| plan.candidates.is_empty()) {
            return Ok(());
        }
        self.condemn(run, plans).await?;
        self.mark(run, &MarkOptions::again(), &mut again, marked, &mut Totals::default(), |_, _, _| ()).await?;
        self.persist_heads(marked).await?;
        self.sweep(run, plans, live, &again, totals).await
    }

    /// The plans for a range of digests, in ascending order, computed concurrently for several parts of the range.
    async fn plan(
        &self,
        run: &RunContext,
        range: RangeInclusive<u8>,
        live: &Arc<Live>,
        totals: &mut Totals,
    ) -> Result<Vec<Plan>, CollectError> {
        let parts = ranges::parts(&range).map(|part| {
            let (store, run, live) = (Arc::clone(&self.store), run.clone(), Arc::clone(live));
            async move {
                let task = tokio::spawn(async move { plan::plan(&*store, &run, part, &live, |_| ()).await });
                AbortOnDropHandle::new(task).await.map_err(CollectError::task)?
            }
        });
        let mut done = stream::iter(parts).buffered(run.jobs).boxed();
        let (mut plans, mut candidates) = (Vec::new(), 0);
        while let Some(plan) = done.try_next().await? {
            candidates += plan.candidates.len() + 2 * plan.litter.len();
            if candidates as u64 > self.settings.memory / 2 / size_of::<Candidate>() as u64 {
                return Err(CollectError::Memory);
            }
            totals.merge(&plan.totals);
            plans.push(plan);
        }
        Ok(plans)
    }

    /// Fails when the store contains kinds of objects that this binary does not know.
    async fn look_for_strangers(&self) -> Result<(), CollectError> {
        let everything = layout::everything();
        let mut areas = self.store.list(&everything, List { first_of: Some(layout::AREA), ..List::default() });
        while let Some(meta) = areas.try_next().await? {
            if layout::is_stranger(&meta.key) {
                return Err(CollectError::UnknownKey(meta.key));
            }
        }
        Ok(())
    }
}
