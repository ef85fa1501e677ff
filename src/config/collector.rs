//! `[collector]`: schedule and limits of garbage collection.

use serde::{Deserialize, Serialize};

use super::{Duration, Size};

const DAY: u64 = 24 * 3600;

/// `[collector]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Collector {
    /// Whether this server runs the collector.
    pub enabled: bool,
    /// Time between the starts of two runs, by any of the servers on one store.
    pub interval: Duration,
    /// Minimum age of unreferenced bytes before they are deleted (C2). Only saves work and uploads; zero is as safe.
    pub min_age: Duration,
    /// Maximum number of concurrent calls to the store.
    pub jobs: usize,
    /// Percentage of time during which a run works unless a user waits for it. If absent, depends on the kind of store.
    pub share: Option<u8>,
    /// Memory for digests; a store with more of them is processed in several passes.
    pub memory: Size,
    /// Rate limit of listing, in objects per second; 0 for no limit.
    pub lists_per_second: u32,
    /// Rate limit of deleting and of creating tombstones together, in objects per second; 0 for no limit.
    pub deletes_per_second: u32,
    /// Retention of reports.
    pub reports_for: Duration,
    /// How long a resumable upload is kept after the last append.
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
