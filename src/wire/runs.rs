//! Runs of the collector.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::RunId;

/// A number of blobs and their total size. A blob is counted once for each generation that has bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Count {
    /// Number of blobs.
    pub blobs: u64,
    /// Total size in bytes.
    pub bytes: u64,
}

/// Statistics of a collector run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunTotals {
    /// Number of names that were ever published to.
    pub names: u64,
    /// Number of versions that are kept.
    pub versions: u64,
    /// Number of expired versions that were retired or aborted (C0).
    pub expired: u64,
    /// Kept: needed by a version.
    pub needed: Count,
    /// Kept: younger than the minimum age.
    pub young: Count,
    /// To be deleted: not needed by any version.
    pub unreferenced: Count,
    /// To be deleted: condemned by an earlier run.
    pub condemned: Count,
    /// Deleted (C5).
    pub deleted: Count,
    /// Condemned but needed: copied to another generation (C5).
    pub healed: Count,
    /// Number of needed blobs without intact bytes.
    pub lost: u64,
    /// Number of uploads aborted because nothing was appended to them for too long.
    pub uploads: u64,
}

/// The result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum RunOutcome {
    /// The run did everything it had planned.
    Completed,
    /// The run was asked to stop; the next one continues its work.
    Stopped,
    /// The run was ended by an error or by doubt about the state of the store.
    Failed,
}

/// A collector run. If `outcome` is absent, it is in progress or its process died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Id of the run.
    #[schemars(with = "schema::Run")]
    pub run: RunId,
    /// When it began, by the clock of its host.
    #[schemars(with = "schema::Time")]
    pub started: Timestamp,
    /// Version of Larder that performed it.
    pub larder: String,
    /// Minimum age of unreferenced bytes, in seconds.
    pub min_age_seconds: i64,
    /// Result of the run, once it has ended.
    #[serde(flatten)]
    pub ended: Option<RunEnd>,
}

/// The end of a collector run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunEnd {
    /// The result of the run.
    pub outcome: RunOutcome,
    /// The reason why it failed or stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub error: Option<String>,
    /// Duration in milliseconds.
    pub duration_ms: u64,
    /// Seconds by which the host's clock was ahead of the store's. If it is off by minutes, a run retires nothing.
    pub clock_ahead_seconds: i64,
    /// Statistics of the run.
    pub totals: RunTotals,
}

/// A page of collector runs, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunPage {
    /// The runs, newest first.
    pub runs: Vec<Run>,
    /// Value of `before` for the next page; `null` on the last page.
    #[schemars(with = "Option<schema::Run>")]
    pub next: Option<RunId>,
}
