//! The records of collector runs in the store.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::report::{Report, Started};
use super::{Collect, CollectError, RunContext};
use crate::domain::RunId;
use crate::layout::{self, LayoutKey, RunPart};
use crate::protocol::{documents, listing};
use crate::store::{Created, List, Object, ObjectStore, StoreError, StoreErrorKind};

/// Upper bound on the duration of a probe, however it ended.
const PROBE_IS_OVER: SignedDuration = SignedDuration::from_hours(1);
/// Largest report that is read, in bytes.
const MAX_REPORT: u64 = 1 << 20;

impl Collect {
    /// Creates the first object of a run, and reads its time stamp: that is the store's current time.
    pub(super) async fn begin(&self) -> Result<(Started, Timestamp), CollectError> {
        loop {
            let now = self.clock.now();
            let mut random = [0; 4];
            getrandom::fill(&mut random)
                .map_err(|error| StoreError::new(StoreErrorKind::Internal, "random numbers", error))?;
            let run = RunId::new(now, u32::from_be_bytes(random));
            let started = Started {
                run,
                started: now,
                larder: env!("CARGO_PKG_VERSION").to_owned(),
                min_age_seconds: self.settings.min_age.as_secs(),
            };
            let key = LayoutKey::Run(run, RunPart::Started).key();
            if self.store.create(&key, documents::encode(&key, &started)?).await? == Created::New {
                let lost = || StoreError::new(StoreErrorKind::Corrupt, &key, "just made, but not there");
                let stamp = self.store.head(&key).await?.ok_or_else(lost)?.modified;
                return Ok((started, stamp));
            }
        }
    }

    /// Stores the report of a run.
    pub(super) async fn leave(&self, report: &Report) -> Result<(), StoreError> {
        let key = LayoutKey::Run(report.started.run, RunPart::Report).key();
        self.store.create(&key, documents::encode(&key, report)?).await.map(|_| ())
    }

    /// Deletes the objects of runs older than the retention of reports.
    pub(super) async fn forget_old_reports(&self, run: &RunContext) -> Result<(), CollectError> {
        let oldest = run.id.time().checked_sub(self.settings.reports_for).unwrap_or(Timestamp::UNIX_EPOCH);
        let start_after = Some(LayoutKey::Run(RunId::new(oldest, u32::MAX), RunPart::Started).key());
        let prefix = layout::runs();
        let mut listing = self.store.list(&prefix, List { start_after, ..List::default() });
        let mut old = Vec::new();
        while let Some(meta) = listing.try_next().await? {
            match LayoutKey::parse(&meta.key) {
                Some(LayoutKey::Run(..)) => old.push(meta.key),
                _ => return Err(CollectError::UnknownKey(meta.key)),
            }
        }
        self.delete(run, &old).await
    }

    /// Deletes the objects of probes whose processes died.
    pub(super) async fn forget_probes(&self, run: &RunContext) -> Result<(), CollectError> {
        let prefix = layout::probes();
        let mut listing = self.store.list(&prefix, List::default());
        let mut old = Vec::new();
        while let Some(meta) = listing.try_next().await? {
            if !matches!(LayoutKey::parse(&meta.key), Some(LayoutKey::Probe(..))) {
                return Err(CollectError::UnknownKey(meta.key));
            }
            if run.now.duration_since(meta.modified) > PROBE_IS_OVER {
                old.push(meta.key);
            }
        }
        self.delete(run, &old).await
    }
}

/// What is known of a run, which may not have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RunSummary {
    /// It ended and wrote a report.
    Ended(Report),
    /// It is in progress, or its process died.
    Begun(Started),
}

impl RunSummary {
    /// The id of the run.
    #[must_use]
    pub fn run(&self) -> RunId {
        match self {
            Self::Ended(report) => report.started.run,
            Self::Begun(started) => started.run,
        }
    }
}

/// The service that lists earlier runs.
#[derive(Debug)]
pub struct Runs {
    store: Arc<dyn ObjectStore>,
}

impl Runs {
    /// The runs recorded in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// At most `limit` runs before `before`, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page(&self, before: Option<RunId>, limit: usize) -> Result<Vec<RunSummary>, StoreError> {
        let mut page = Vec::new();
        for run in self.ids(before, limit).await? {
            match self.summary(run).await {
                Ok(summary) => page.extend(summary),
                // One damaged report must not hide all others.
                Err(error) if error.kind == StoreErrorKind::Corrupt => {
                    tracing::warn!(%run, %error, "the report of a run of the collector cannot be read; it is left out");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }

    async fn ids(&self, before: Option<RunId>, limit: usize) -> Result<Vec<RunId>, StoreError> {
        // `started` sorts last among the parts of a run (plan, report, started), so the listing begins with the next run.
        let start_after = before.map(|run| LayoutKey::Run(run, RunPart::Started).key());
        let prefix = layout::runs();
        let options = List { start_after, ..List::default() };
        let mut listing = listing::known(&*self.store, &prefix, options, part_of_run);
        let mut runs: Vec<RunId> = Vec::new();
        while let Some(((run, _), _)) = listing.try_next().await? {
            if runs.last() == Some(&run) {
                continue;
            }
            if runs.len() == limit {
                break;
            }
            runs.push(run);
        }
        Ok(runs)
    }

    /// One run, or `None` when nothing of it is stored.
    ///
    /// # Errors
    /// When the store fails or its objects cannot be read.
    pub async fn summary(&self, run: RunId) -> Result<Option<RunSummary>, StoreError> {
        if let Some(report) = self.read(run, RunPart::Report).await? {
            return Ok(Some(RunSummary::Ended(report)));
        }
        Ok(self.read(run, RunPart::Started).await?.map(RunSummary::Begun))
    }

    /// When the newest run began, by the store's time.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn newest(&self) -> Result<Option<Timestamp>, StoreError> {
        let prefix = layout::runs();
        Ok(listing::first(&*self.store, &prefix, part_of_run).await?.map(|(_, meta)| meta.modified))
    }

    /// What a run was about to delete, as JSON lines with one decision each. `None` when there was nothing to delete. A
    /// run of several passes has several plans; `first` is the first byte of the digests of one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn plan(&self, run: RunId, first: u8) -> Result<Option<Object>, StoreError> {
        self.store.get(&LayoutKey::Run(run, RunPart::Plan(first)).key(), None).await
    }

    /// The first bytes that identify the plans of a run, in ascending order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn plans(&self, run: RunId) -> Result<Vec<u8>, StoreError> {
        let first = |key| if let LayoutKey::Run(_, RunPart::Plan(first)) = key { Some(first) } else { None };
        let plans = listing::known(&*self.store, &layout::run(&run), List::default(), first);
        plans.map_ok(|(first, _)| first).try_collect().await
    }

    async fn read<T: DeserializeOwned>(&self, run: RunId, part: RunPart) -> Result<Option<T>, StoreError> {
        let key = LayoutKey::Run(run, part).key();
        documents::read(&*self.store, &key, MAX_REPORT).await
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a listing hands its keys over")]
fn part_of_run(key: LayoutKey) -> Option<(RunId, RunPart)> {
    if let LayoutKey::Run(run, part) = key { Some((run, part)) } else { None }
}
