//! How the collector is set up.

use std::num::{NonZeroU32, NonZeroUsize};

use jiff::SignedDuration;

use crate::domain::LivePolicies;

/// How the collector is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long versions of a name are kept. A run goes by what is in force when it begins.
    pub policies: LivePolicies,
    /// Age below which unreferenced bytes are left alone.
    pub min_age: SignedDuration,
    /// Calls to the store at once. Only one, whatever this says, when `share` is not all of the time.
    pub jobs: NonZeroUsize,
    /// Share of the time in which a run works; it rests for the others who use the store.
    pub share: Share,
    /// Bytes of memory for digests. A store with more of them is gone through in several passes.
    pub memory: u64,
    /// Objects listed a second, at most.
    pub lists_per_second: Option<NonZeroU32>,
    /// Objects deleted, and tombstones created, a second, at most.
    pub deletes_per_second: Option<NonZeroU32>,
    /// How long reports of earlier runs are kept.
    pub reports_for: SignedDuration,
    /// How long uploads are kept that nobody goes on with, and records of complete ones.
    pub uploads_for: SignedDuration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policies: LivePolicies::default(),
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
    /// All of it.
    pub const ALL: Self = Self(100);

    /// `None` unless it is 1 to 100.
    #[must_use]
    pub const fn new(percent: u8) -> Option<Self> {
        if matches!(percent, 1..=100) { Some(Self(percent)) } else { None }
    }

    /// 1 to 100.
    #[must_use]
    pub const fn percent(self) -> u8 {
        self.0
    }
}
