//! `[collector]`: how long versions are kept, and how hard the collector works.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{Duration, Size};
use crate::domain::{NamePattern, Retention};

const DAY: u64 = 24 * 3600;

/// `[collector]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Collector {
    /// Whether the server collects.
    pub enabled: bool,
    /// Time between the starts of two runs, of all servers on one store together.
    pub interval: Duration,
    /// Age below which unreferenced bytes are left alone. Only saves work and uploads; safety needs no age.
    pub min_age: Duration,
    /// Calls to the store at once.
    pub jobs: usize,
    /// Percent of the time in which a run that nobody waits for works. By the kind of store when it is not given.
    pub share: Option<u8>,
    /// Memory for digests; a store with more of them is gone through in several passes.
    pub memory: Size,
    /// Objects listed a second, at most. 0 is no bound.
    pub lists_per_second: u32,
    /// Objects deleted a second, and tombstones made, at most. 0 is no bound.
    pub deletes_per_second: u32,
    /// How long reports are kept.
    pub reports_for: Duration,
    /// How long versions are kept; the first rule whose pattern matches counts.
    pub retention: Vec<RetentionRule>,
}

impl Default for Collector {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(3600),
            min_age: Duration::from_secs(DAY),
            jobs: 32,
            share: None,
            memory: Size::from_bytes(128 << 20),
            lists_per_second: 500_000,
            deletes_per_second: 200_000,
            reports_for: Duration::from_secs(90 * DAY),
            retention: Vec::new(),
        }
    }
}

/// `[[collector.retention]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionRule {
    /// The names it applies to.
    pub names: Vec<NamePattern>,
    /// So many of the newest versions that are or were active stay, whatever their age.
    #[serde(default = "default_keep_last")]
    pub keep_last: u64,
    /// How long an archived version stays.
    #[serde(default = "default_keep_for")]
    pub keep_for: Duration,
    /// How long a staged version stays.
    #[serde(default = "default_staged_for")]
    pub staged_for: Duration,
    /// How long a prepared version may take to be completed.
    #[serde(default = "default_prepared_for")]
    pub prepared_for: Duration,
}

impl RetentionRule {
    /// The rule as the domain knows it.
    #[must_use]
    pub fn retention(&self) -> Retention {
        Retention {
            keep_last: self.keep_last,
            keep_for: self.keep_for.signed(),
            staged_for: self.staged_for.signed(),
            prepared_for: self.prepared_for.signed(),
        }
    }
}

fn default_keep_last() -> u64 {
    Retention::default().keep_last
}

fn default_keep_for() -> Duration {
    written(Retention::default().keep_for)
}

fn default_staged_for() -> Duration {
    written(Retention::default().staged_for)
}

fn default_prepared_for() -> Duration {
    written(Retention::default().prepared_for)
}

fn written(time: SignedDuration) -> Duration {
    Duration::from_secs(time.as_secs().unsigned_abs())
}

impl Collector {
    pub(super) fn validate(&self, problems: &mut Vec<String>) {
        if self.interval.std().is_zero() {
            problems.push("collector.interval must be longer than 0s".to_owned());
        }
        if self.jobs == 0 {
            problems.push("collector.jobs must be at least 1".to_owned());
        }
        if self.share.is_some_and(|share| !(1..=100).contains(&share)) {
            problems.push("collector.share must be 1 to 100, in percent".to_owned());
        }
        if self.memory.bytes() < 1 << 20 {
            problems.push("collector.memory must be at least 1MiB".to_owned());
        }
        if self.retention.iter().any(|rule| rule.names.is_empty()) {
            problems.push("collector.retention: every rule needs at least one name pattern".to_owned());
        }
    }
}
