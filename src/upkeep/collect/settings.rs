//! Settings of the collector.

use std::num::{NonZeroU32, NonZeroUsize};

use jiff::SignedDuration;

use crate::domain::LivePolicies;
use crate::domain::hosts::LiveHosts;

/// Settings of the collector.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Retention policies of names. A run uses those in force when it begins.
    pub policies: LivePolicies,
    /// The hosts of the configuration: versions that they name themselves stay, as do those of attached hosts.
    pub hosts: LiveHosts,
    /// Minimum age: unreferenced bytes younger than this are kept.
    pub min_age: SignedDuration,
    /// Concurrent calls to the store. One, whatever this says, when `share` is less than 100 %.
    pub jobs: NonZeroUsize,
    /// Share of the time in which a run works; it rests otherwise, in favour of other users of the store.
    pub share: Share,
    /// Memory limit for digests, in bytes. A store with more of them is processed in several passes.
    pub memory: u64,
    /// Maximum number of objects listed per second.
    pub lists_per_second: Option<NonZeroU32>,
    /// Maximum number of deletes and of created tombstones per second.
    pub deletes_per_second: Option<NonZeroU32>,
    /// Retention of reports of earlier runs.
    pub reports_for: SignedDuration,
    /// Retention of stale uploads, and of the records of complete ones.
    pub uploads_for: SignedDuration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policies: LivePolicies::default(),
            hosts: LiveHosts::default(),
            min_age: SignedDuration::from_hours(24),
            jobs: const { NonZeroUsize::new(32).expect("not zero") },
            share: Share::ALL,
            memory: 128 << 20,
            lists_per_second: None,
            deletes_per_second: None,
            reports_for: SignedDuration::from_hours(90 * 24),
            uploads_for: SignedDuration::from_hours(24),
        }
    }
}

/// A share of the time, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u8);

impl Share {
    /// 100 %: the run never rests.
    pub const ALL: Self = Self(100);

    /// `None` unless `percent` is 1 to 100.
    #[must_use]
    pub const fn new(percent: u8) -> Option<Self> {
        if matches!(percent, 1..=100) { Some(Self(percent)) } else { None }
    }

    /// The value, 1 to 100.
    #[must_use]
    pub const fn percent(self) -> u8 {
        self.0
    }
}
