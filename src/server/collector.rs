//! The collector in the background: its schedule, and how the results of its runs are reported.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{Config, Store};
use crate::layout::marker::Watch;
use crate::upkeep::Health;
use crate::upkeep::collect::{Outcome, Report, RunSummary, Runs, Settings, Share};
use crate::upkeep::{Collect, CollectError};

/// Default share of time, in percent, that a run may work when the store is a directory: publishes fsync to the same
/// disk.
const SHARE_OF_A_DISK: u8 = 10;

/// Settings of the configuration for unattended runs.
#[must_use]
pub fn settings(config: &Config) -> Settings {
    let (policies, hosts) = (config.policies().into(), config.hosts().into());
    let Config { collector: config, store, .. } = config;
    Settings {
        policies,
        hosts,
        min_age: config.min_age.signed(),
        jobs: NonZeroUsize::new(config.jobs).unwrap_or(NonZeroUsize::MIN),
        share: Share::new(config.share.unwrap_or_else(|| share_of(store))).unwrap_or(Share::ALL),
        memory: config.memory.bytes(),
        lists_per_second: NonZeroU32::new(config.lists_per_second),
        deletes_per_second: NonZeroU32::new(config.deletes_per_second),
        reports_for: config.reports_for.signed(),
        uploads_for: config.uploads_for.signed(),
    }
}

fn share_of(store: &Store) -> u8 {
    match store {
        Store::Fs { .. } => SHARE_OF_A_DISK,
        Store::S3(_) => 100,
    }
}

/// What a scheduled collector does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleStep {
    /// Run now.
    Due,
    /// Skip this turn: another run, possibly by another process, began recently.
    NotDue,
    /// The server is shutting down.
    Stop,
}

/// Schedule of a collector, such that several on one store together run as often as one would. Safety does not depend
/// on it.
#[derive(Debug)]
pub struct CollectorSchedule {
    /// Reports of the runs of all collectors on this store.
    pub runs: Arc<Runs>,
    /// The clock that ages of runs are computed with.
    pub clock: Arc<dyn Clock>,
    /// Target time between two runs.
    pub interval: Duration,
    /// Cancelled to end the schedule.
    pub stop: CancellationToken,
    first: bool,
}

impl CollectorSchedule {
    /// A schedule over the runs of this store.
    #[must_use]
    pub fn new(runs: Arc<Runs>, clock: Arc<dyn Clock>, interval: Duration, stop: CancellationToken) -> Self {
        Self { runs, clock, interval, stop, first: true }
    }

    /// Waits for the next turn. The first one comes within a tenth of the interval.
    pub async fn next(&mut self) -> ScheduleStep {
        let wait = if std::mem::take(&mut self.first) { Duration::ZERO } else { self.interval };
        tokio::select! {
            () = tokio::time::sleep(wait + jitter(self.interval)) => {}
            () = self.stop.cancelled() => return ScheduleStep::Stop,
        }
        match self.runs.newest().await {
            Ok(Some(newest)) if !self.is_due(newest) => ScheduleStep::NotDue,
            // If the store cannot be read here, the run fails as well and reports it.
            Ok(_) | Err(_) => ScheduleStep::Due,
        }
    }

    /// Whether the newest run began at least nine tenths of an interval ago. A time in the future (clock skew) is
    /// ignored.
    fn is_due(&self, newest: Timestamp) -> bool {
        let age = self.clock.now().duration_since(newest);
        age.is_negative() || age.unsigned_abs() >= self.interval * 9 / 10
    }
}

/// Random delay of up to a tenth of the interval.
fn jitter(interval: Duration) -> Duration {
    let mut random = [0; 4];
    // Without random numbers all servers start at once, which only wastes work.
    let _ = getrandom::fill(&mut random);
    interval / 10 * (u32::from_be_bytes(random) >> 16) / (1 << 16)
}

/// Collects in the background of a server and reports results in metrics, logs and readiness. Does nothing while the
/// store is read-only, which readiness reports by itself.
pub(super) async fn run(collect: Collect, mut turns: CollectorSchedule, watch: Arc<Watch>, health: Arc<Health>) {
    loop {
        match turns.next().await {
            ScheduleStep::Due if is_read_only(&watch).await => {
                tracing::info!("the collector does not run: the store may not be written to");
            }
            ScheduleStep::Due => {
                let result = collect.run(&turns.stop).await;
                count(&result);
                log(&result);
                let failed = result.is_err_and(|error| !matches!(error, CollectError::Stopped));
                health.set_collector_failed(failed.then(|| turns.clock.now()));
            }
            // Another process ran; its outcome applies to this store and therefore to this server's readiness.
            ScheduleStep::NotDue => {
                let newest = turns.runs.page(None, 1).await.map(|mut page| page.pop());
                if let Ok(Some(RunSummary::Ended(report))) = newest {
                    let failed = report.outcome == Outcome::Failed;
                    health.set_collector_failed(failed.then_some(report.started.started));
                }
            }
            ScheduleStep::Stop => return,
        }
    }
}

async fn is_read_only(watch: &Watch) -> bool {
    // If the store cannot be read here, the run fails as well and reports it.
    watch.check().await.is_ok_and(|marker| marker.writable().is_err())
}

fn count(result: &Result<Report, CollectError>) {
    let outcome = match result {
        Ok(_) => "completed",
        Err(CollectError::Stopped) => "stopped",
        Err(_) => "failed",
    };
    metrics::counter!("larder_collector_runs_total", "outcome" => outcome).increment(1);
    let Ok(report) = result else { return };
    let totals = &report.totals;
    metrics::counter!("larder_collector_deleted_blobs_total").increment(totals.deleted.blobs);
    metrics::counter!("larder_collector_deleted_bytes_total").increment(totals.deleted.bytes);
    metrics::counter!("larder_collector_abandoned_uploads_total").increment(totals.uploads);
    metrics::counter!("larder_collector_expired_versions_total").increment(totals.expired);
    metrics::gauge!("larder_collector_lost_blobs").set(as_float(totals.lost));
    metrics::gauge!("larder_collector_needed_bytes").set(as_float(totals.needed.bytes));
    metrics::histogram!("larder_collector_run_duration_seconds").record(as_float(report.duration_ms) / 1000.0);
    let success = report.started.started.as_second();
    metrics::gauge!("larder_collector_last_success_timestamp_seconds").set(as_float(success.unsigned_abs()));
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats; beyond 2^53 the last digits do not matter")]
fn as_float(number: u64) -> f64 {
    number as f64
}

fn log(result: &Result<Report, CollectError>) {
    match result {
        Ok(report) => {
            let totals = &report.totals;
            tracing::info!(
                run = %report.started.run, duration_ms = report.duration_ms, expired = totals.expired,
                deleted_blobs = totals.deleted.blobs, deleted_bytes = totals.deleted.bytes,
                healed_blobs = totals.healed.blobs, abandoned_uploads = totals.uploads, lost_blobs = totals.lost, needed_blobs = totals.needed.blobs,
                "collected"
            );
            if report.clock_ahead_seconds.abs() > 60 {
                tracing::warn!(
                    seconds = report.clock_ahead_seconds,
                    "this host's clock is ahead of the store's; far off, nothing is retired"
                );
            }
        }
        Err(CollectError::Stopped) => tracing::info!("the collector was stopped; its next run continues"),
        Err(error) => {
            tracing::error!(%error, "the collector's run failed; nothing is deleted until the cause is removed");
        }
    }
}
