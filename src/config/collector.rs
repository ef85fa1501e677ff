//! `[collector]`: when and how hard the collector works.

use serde::{Deserialize, Serialize};

use super::{Duration, Size};

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
    /// How long a resumable upload is kept to which nothing is appended.
    pub uploads_for: Duration,
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
            uploads_for: Duration::from_secs(DAY),
        }
    }
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
    }
}
