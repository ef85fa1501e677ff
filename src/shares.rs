//! Fair division of something bounded, such as memory or places to work, among owners.
//!
//! While there is enough, anybody gets what is asked for. Once somebody has to wait, whatever is released goes to the
//! waiting owner that holds least, so that an owner with a thousand requests delays another one by one turn and not by a
//! thousand. Owners that only wait would still depend on the goodwill of those that hold, so a grant can also be
//! revoked: from an owner that holds more than the waiting one would, or else from the slowest of all, and in both cases
//! only if it would take long to be used up at its present pace.

mod grant;
mod memory;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

pub use grant::Grant;
use grant::Progress;
pub use memory::{Memory, Room, RoomError};

/// How often those who wait look for grants to revoke.
const LOOK: Duration = Duration::from_millis(250);
/// Shortest time over which the pace of a grant is measured.
const MEASURED: Duration = Duration::from_secs(1);
/// A grant of an owner with more than its share is revoked if it would take longer than this to be used up.
const TOO_LONG: Duration = Duration::from_secs(5);
/// Any other grant is revoked only if it would take longer than this.
const FAR_TOO_LONG: Duration = Duration::from_mins(1);
/// A grant of an owner that does not have more than its share is left alone for this long, and for as long somebody must
/// have waited. Otherwise equally slow owners would take turns in losing what they have, and none would ever be done.
const SETTLED: Duration = Duration::from_secs(10);

/// On whose account something is granted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(Arc<str>);

impl Owner {
    /// The owner with this name.
    #[must_use]
    pub fn new(name: impl fmt::Display) -> Self {
        Self(name.to_string().into())
    }
}

/// A bounded number of units that owners share.
#[derive(Debug, Clone)]
pub struct Shares(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    total: u64,
    free: u64,
    held: HashMap<Owner, u64>,
    grants: HashMap<u64, Granted>,
    /// In order of arrival.
    waiting: Vec<Waiter>,
    next: u64,
    /// When grants to revoke were looked for last.
    looked: Instant,
}

/// What is known of an outstanding grant.
#[derive(Debug)]
struct Granted {
    owner: Owner,
    amount: u64,
    since: Instant,
    progress: Arc<Progress>,
    /// When the pace was measured last, and how much was used up by then.
    measured: (Instant, u64),
    /// How long it would take to be used up, at the pace measured last.
    left: Duration,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    owner: Owner,
    amount: u64,
    since: Instant,
    ready: oneshot::Sender<Grant>,
}

impl Shares {
    /// So many units, at least one.
    #[must_use]
    pub fn new(total: u64) -> Self {
        let total = total.max(1);
        let (held, grants, waiting) = (HashMap::new(), HashMap::new(), Vec::new());
        let state = State { total, free: total, held, grants, waiting, next: 0, looked: Instant::now() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// All units, granted or not.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.state().total
    }

    /// Waits for so many units, or for all there are if that is less. `None` if none were granted within `wait`.
    pub async fn take(&self, owner: &Owner, amount: u64, wait: Duration) -> Option<Grant> {
        let deadline = Instant::now() + wait;
        let (mut ready, _leave) = self.queue(owner, amount);
        loop {
            if let Ok(grant) = ready.try_recv() {
                return Some(grant);
            }
            self.state().revoke(Instant::now());
            match timeout_at(deadline.min(Instant::now() + LOOK), &mut ready).await {
                Ok(granted) => return granted.ok(),
                Err(_) if Instant::now() >= deadline => return None,
                Err(_) => {}
            }
        }
    }

    fn queue(&self, owner: &Owner, amount: u64) -> (oneshot::Receiver<Grant>, Leave<'_>) {
        let (ready, receiver) = oneshot::channel();
        let mut state = self.state();
        let (number, amount) = (state.number(), amount.clamp(1, state.total));
        state.waiting.push(Waiter { number, owner: owner.clone(), amount, since: Instant::now(), ready });
        drop(state);
        self.serve();
        (receiver, Leave { shares: self, number })
    }

    /// Grants what is free to those whose turn it is.
    fn serve(&self) {
        while let Some((ready, grant)) = self.next_grant() {
            // If the waiter has left, this drops the grant, which releases it again.
            let _ = ready.send(grant);
        }
    }

    fn next_grant(&self) -> Option<(oneshot::Sender<Grant>, Grant)> {
        let mut state = self.state();
        let at = state.first_in_line().filter(|at| state.waiting[*at].amount <= state.free)?;
        let Waiter { owner, amount, ready, .. } = state.waiting.remove(at);
        let (number, progress) = (state.number(), Arc::<Progress>::default());
        state.free -= amount;
        *state.held.entry(owner.clone()).or_default() += amount;
        let now = Instant::now();
        let granted = Granted {
            owner,
            amount,
            since: now,
            progress: Arc::clone(&progress),
            measured: (now, 0),
            left: Duration::ZERO,
        };
        state.grants.insert(number, granted);
        drop(state);
        Some((ready, Grant::new(self.clone(), number, amount, progress)))
    }

    fn release(&self, number: u64) {
        let mut state = self.state();
        if let Some(Granted { owner, amount, .. }) = state.grants.remove(&number) {
            state.free += amount;
            let left = state.held.get(&owner).map_or(0, |held| held.saturating_sub(amount));
            if left == 0 {
                state.held.remove(&owner);
            } else {
                state.held.insert(owner, left);
            }
        }
        drop(state);
        self.serve();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn held(&self, owner: &Owner) -> u64 {
        self.held.get(owner).copied().unwrap_or_default()
    }

    /// The waiter whose turn it is. Nobody is served before it, so that large requests get their turn too.
    fn first_in_line(&self) -> Option<usize> {
        (0..self.waiting.len()).min_by_key(|at| self.held(&self.waiting[*at].owner))
    }

    /// Asks for the return of one more grant, if the first in line needs it and there is one to be revoked.
    fn revoke(&mut self, now: Instant) {
        let Some(waiter) = self.first_in_line().map(|at| &self.waiting[at]) else { return };
        let (owner, amount, waiting_for) = (waiter.owner.clone(), waiter.amount, now.duration_since(waiter.since));
        let returning: u64 =
            self.grants.values().filter(|grant| grant.progress.is_revoked()).map(|grant| grant.amount).sum();
        if self.free + returning >= amount || now.duration_since(self.looked) < LOOK / 5 {
            return;
        }
        self.looked = now;
        for grant in self.grants.values_mut() {
            grant.measure(now);
        }
        let wanted = self.held(&owner) + amount;
        let excess = |grant: &Granted| self.held(&grant.owner).saturating_sub(grant.amount);
        let is_candidate = |grant: &&Granted| {
            let is_over = grant.owner != owner && excess(grant) >= wanted && grant.left > TOO_LONG;
            let is_slow =
                waiting_for >= SETTLED && now.duration_since(grant.since) >= SETTLED && grant.left > FAR_TOO_LONG;
            grant.progress.may_be_revoked() && (is_over || is_slow)
        };
        let victim = self.grants.values().filter(is_candidate).max_by_key(|grant| (excess(grant), grant.left));
        if let Some(victim) = victim {
            victim.progress.revoke();
        }
    }
}

impl Granted {
    fn measure(&mut self, now: Instant) {
        let (at, before) = self.measured;
        let window = now.duration_since(at);
        if window < MEASURED {
            return;
        }
        let used = self.progress.used().min(self.amount);
        let (pace, rest) = (used.saturating_sub(before), self.amount - used);
        self.left = match (rest, pace) {
            (0, _) => Duration::ZERO,
            (_, 0) => Duration::MAX,
            (rest, pace) => window.saturating_mul(u32::try_from(rest / pace).unwrap_or(u32::MAX)),
        };
        self.measured = (now, used);
    }
}

/// Leaves the line when it is dropped, as on a time-out and when a client goes away.
struct Leave<'a> {
    shares: &'a Shares,
    number: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut state = self.shares.state();
        let before = state.waiting.len();
        state.waiting.retain(|waiter| waiter.number != self.number);
        let left = state.waiting.len() < before;
        drop(state);
        if left {
            self.shares.serve();
        }
    }
}

#[cfg(test)]
mod tests;
