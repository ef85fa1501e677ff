//! Grants: what an owner holds, and how it learns that others need it more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Shares;

/// Granted units; dropping it releases them.
#[derive(Debug)]
pub struct Grant {
    shares: Shares,
    number: u64,
    amount: u64,
    progress: Arc<Progress>,
}

/// What a holder and those who wait tell each other. Approximate, so the order of accesses does not matter.
#[derive(Debug, Default)]
pub(super) struct Progress {
    used: AtomicU64,
    kept: AtomicBool,
    revoked: AtomicBool,
}

impl Grant {
    pub(super) fn new(shares: Shares, number: u64, amount: u64, progress: Arc<Progress>) -> Self {
        Self { shares, number, amount, progress }
    }

    /// Number of units.
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// Reports how many of the units are in use, from which others estimate when they come back.
    pub fn report(&self, used: u64) {
        self.progress.used.store(used, Ordering::Relaxed);
    }

    /// Protects the grant from being revoked: from now on its holder does not wait for its client any more.
    pub fn keep(&self) {
        self.progress.kept.store(true, Ordering::Relaxed);
    }

    /// Whether others need the units more. The holder should drop the grant soon.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.progress.is_revoked()
    }
}

impl Progress {
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Relaxed)
    }

    pub(super) fn may_be_revoked(&self) -> bool {
        !self.kept.load(Ordering::Relaxed) && !self.is_revoked()
    }

    pub(super) fn revoke(&self) {
        self.revoked.store(true, Ordering::Relaxed);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.shares.release(self.number);
    }
}
