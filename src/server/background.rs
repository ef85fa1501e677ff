//! What a server does besides answering requests. All of it is supervised.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::collector::{self, CollectorSchedule};
use super::supervise::Supervisor;
use crate::access::Access;
use crate::clock::{Clock, StoreClock};
use crate::layout::marker::Watch;
use crate::protocol::{BlobCache, Damaged, TokenMarks};
use crate::service::Domains;
use crate::store::{FsStore, ObjectStore};
use crate::upkeep::collect::Runs;
use crate::upkeep::{Collect, Scrub, ScrubOptions, store_time, writable};

/// Interval for removing staged files of dead writers and cached blobs that are no longer read.
const SWEEP_EVERY: Duration = Duration::from_hours(1);
/// Interval for folding recorded samples into metrics. With 100,000 requests a second that takes half a millisecond each
/// time, for which nobody else is served by the same thread.
const SUM_UP_EVERY: Duration = Duration::from_millis(100);
/// Interval for checking the clock. The check costs no request to the store as long as there is no skew.
const LOOK_AT_CLOCK_EVERY: Duration = Duration::from_mins(1);
/// Interval for trying whether a store takes writes again after it refused some.
const TRY_WRITING_EVERY: Duration = Duration::from_secs(5);
/// Every how many of these intervals a directory is tried though nothing was refused: once a minute. A bucket is not,
/// because each try costs money there.
const TRY_UNASKED: u32 = 12;
/// How long a measurement of the store's time stays valid. The monotonic clock of a bad host drifts by about two
/// seconds in that time.
const MEASURED_FOR: Duration = Duration::from_hours(6);

/// What the background tasks work on.
#[derive(Debug)]
pub(super) struct Background {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) watch: Arc<Watch>,
    pub(super) clock: Arc<StoreClock>,
    /// The collector and the interval between its runs; `None` if this server does not collect.
    pub(super) collector: Option<(Collect, Duration)>,
    pub(super) scrub: ScrubOptions,
    /// The damaged copies that those who serve know of.
    pub(super) damaged: Arc<Damaged>,
    /// The store, if it is of a kind in which dead writers leave staged files behind.
    pub(super) sweeps: Option<FsStore>,
    pub(super) cache: Option<Arc<BlobCache>>,
    /// Knows whether tokens are exchanged here, which leaves marks in the store.
    pub(super) access: Arc<Access>,
}

impl Background {
    /// Starts all background tasks.
    pub(super) fn start(self, runs: &Arc<Runs>, domains: &Arc<Domains>, supervisor: &Supervisor) {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        scrub(&Arc::new(Scrub::new(Arc::clone(&self.store), clock, self.damaged, self.scrub)), supervisor);
        supervisor.repeat("metrics", SUM_UP_EVERY, async || crate::telemetry::sum_up_metrics());
        forget_marks(TokenMarks::new(Arc::clone(&self.store)), &self.watch, (&self.clock, &self.access), supervisor);
        recheck_domains(domains, &self.watch, supervisor);
        try_writing(&self.store, &self.watch, self.sweeps.is_some(), supervisor);
        watch_clock(self.store, Arc::clone(&self.clock), supervisor);
        if let Some(cache) = self.cache {
            supervisor.repeat("cache", SWEEP_EVERY, move || {
                let cache = Arc::clone(&cache);
                async move { cache.tidy().await }
            });
        }
        if let Some(store) = self.sweeps {
            sweep_staging(store, Arc::clone(&self.watch), supervisor);
        }
        if let Some((collect, interval)) = self.collector {
            let (runs, clock, watch) = (Arc::clone(runs), self.clock, self.watch);
            let (health, stop) = (Arc::clone(&supervisor.health), supervisor.stop.clone());
            supervisor.run("collector", move || {
                let host = Arc::clone(clock.host());
                let turns = CollectorSchedule::new(Arc::clone(&runs), host, interval, stop.clone());
                collector::run(collect.clone(), turns, Arc::clone(&watch), Arc::clone(&health))
            });
        }
    }
}

fn scrub(scrub: &Arc<Scrub>, supervisor: &Supervisor) {
    let (reading, stop) = (Arc::clone(scrub), supervisor.stop.clone());
    supervisor.run("scrub", move || {
        let (scrub, stop) = (Arc::clone(&reading), stop.clone());
        async move { scrub.run(&stop).await }
    });
    let (mending, stop) = (Arc::clone(scrub), supervisor.stop.clone());
    supervisor.run("mending", move || {
        let (scrub, stop) = (Arc::clone(&mending), stop.clone());
        async move { scrub.mend(&stop).await }
    });
}

/// Marks of used and revoked tokens go once no token counts that they are about.
fn forget_marks(
    marks: TokenMarks,
    watch: &Arc<Watch>,
    (clock, access): (&Arc<StoreClock>, &Arc<Access>),
    supervisor: &Supervisor,
) {
    let (watch, clock, access) = (Arc::clone(watch), Arc::clone(clock), Arc::clone(access));
    supervisor.repeat("tokens", SWEEP_EVERY, move || {
        let (marks, watch, clock) = (marks.clone(), Arc::clone(&watch), Arc::clone(&clock));
        let has_issuers = access.keyless().is_some();
        async move {
            if !has_issuers || clock.skew().is_some() || watch.allows_writing("tmp").await.is_err() {
                return;
            }
            if let Err(error) = marks.forget_old(clock.now()).await {
                tracing::warn!(%error, "could not remove the marks of tokens whose time is over");
            }
        }
    });
}

/// The records of attached hosts are looked for again.
fn recheck_domains(domains: &Arc<Domains>, watch: &Arc<Watch>, supervisor: &Supervisor) {
    let (domains, watch) = (Arc::clone(domains), Arc::clone(watch));
    supervisor.repeat("domains", SWEEP_EVERY, move || {
        let (domains, watch) = (Arc::clone(&domains), Arc::clone(&watch));
        async move {
            if watch.allows_writing("aux").await.is_err() {
                return;
            }
            match domains.recheck().await {
                Ok(0) => {}
                Ok(hosts) => tracing::info!(hosts, "looked for the records of attached hosts"),
                Err(error) => tracing::warn!(%error, "could not look for the records of attached hosts"),
            }
        }
    });
}

fn try_writing(store: &Arc<dyn ObjectStore>, watch: &Arc<Watch>, unasked: bool, supervisor: &Supervisor) {
    let (store, watch, turn) = (Arc::clone(store), Arc::clone(watch), Arc::new(AtomicU32::new(0)));
    supervisor.repeat("writing", TRY_WRITING_EVERY, move || {
        let (store, watch) = (Arc::clone(&store), Arc::clone(&watch));
        let is_due = (turn.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(TRY_UNASKED) && unasked;
        async move {
            if is_due || watch.failed_write().is_some() {
                writable::try_writing(&store, &watch).await;
            }
        }
    });
}

fn watch_clock(store: Arc<dyn ObjectStore>, clock: Arc<StoreClock>, supervisor: &Supervisor) {
    supervisor.repeat("clock", LOOK_AT_CLOCK_EVERY, move || {
        let (store, clock) = (Arc::clone(&store), Arc::clone(&clock));
        async move {
            // While there is skew, the store is measured again each time, because the store's own clock may have been
            // the wrong one.
            if clock.skew().is_some() || clock.measured_for().is_none_or(|age| age >= MEASURED_FOR) {
                measure(&store, &clock).await;
            }
            if let Some(ahead) = clock.ahead() {
                metrics::gauge!("larder_clock_ahead_seconds").set(ahead.as_secs_f64());
            }
        }
    });
}

/// Measures the store's time. If that fails, the host's clock is trusted as before: a full store can still be read, and
/// no head can be created in it anyway.
pub(super) async fn measure(store: &Arc<dyn ObjectStore>, clock: &StoreClock) {
    if let Err(error) = store_time::measure(store, clock).await {
        tracing::warn!(%error, "the store's time could not be measured");
    }
    if let Some(ahead) = clock.skew() {
        let seconds = ahead.as_secs();
        tracing::error!(
            seconds,
            "this host's clock is ahead of the store's: no name can be changed through this server"
        );
    }
}

fn sweep_staging(store: FsStore, watch: Arc<Watch>, supervisor: &Supervisor) {
    let sweep = async |store: FsStore, watch: Arc<Watch>| {
        if watch.allows_writing("staging").await.is_err() {
            return;
        }
        match store.sweep_staging().await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "removed staged files of writers that died"),
            Err(error) => tracing::warn!(%error, "could not sweep the staging directory"),
        }
    };
    supervisor.repeat("staging", SWEEP_EVERY, move || sweep(store.clone(), Arc::clone(&watch)));
}
