//! Runs of the collector.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::RunId;

/// A number of blobs, and their bytes. A blob with several generations counts as often as it has bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Count {
    /// Blobs.
    pub blobs: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// What a run looked at and did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunTotals {
    /// Names that were ever published to.
    pub names: u64,
    /// Versions that stay.
    pub versions: u64,
    /// Versions retired or given up because their time was up.
    pub expired: u64,
    /// Stays: some version needs it.
    pub needed: Count,
    /// Stays: younger than the minimum age.
    pub young: Count,
    /// To go: no version needs it.
    pub unreferenced: Count,
    /// To go: condemned before.
    pub condemned: Count,
    /// Deleted.
    pub deleted: Count,
    /// Was to go, but is needed, and has another copy now.
    pub healed: Count,
    /// Needed, but without sound bytes.
    pub lost: u64,
    /// Uploads given up because nothing was appended to them.
    pub uploads: u64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum RunOutcome {
    /// It did all it had planned.
    Completed,
    /// It was asked to stop; the next run continues.
    Stopped,
    /// Something was in doubt.
    Failed,
}

/// A run of the collector. Without `outcome` it is under way, or its process died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// The run.
    #[schemars(with = "schema::Run")]
    pub run: RunId,
    /// When it began, by the clock of its host.
    #[schemars(with = "schema::Time")]
    pub started: Timestamp,
    /// Version of the binary.
    pub larder: String,
    /// The minimum age, in seconds.
    pub min_age_seconds: i64,
    /// Its end.
    #[serde(flatten)]
    pub ended: Option<RunEnd>,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunEnd {
    /// How it ended.
    pub outcome: RunOutcome,
    /// Why it failed or stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// By how many seconds the host's clock was ahead of the store's; minutes off, a run retires nothing.
    pub clock_ahead_seconds: i64,
    /// What it looked at and did.
    pub totals: RunTotals,
}

/// A page of runs, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<Run>,
    /// The `before` of the next page; `null` on the last.
    #[schemars(with = "Option<schema::Run>")]
    pub next: Option<RunId>,
}
