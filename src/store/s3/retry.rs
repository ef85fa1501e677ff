//! The backend's only retry policy: what is retried, with which backoff, and when to stop.
//!
//! The SDK's own retries are off. Backoff is exponential with jitter, and never shorter than what the engine asks for.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::super::StoreErrorKind;
use super::error::{Failure, Reason};

/// First backoff; each further one doubles, plus a jitter of up to the same amount.
const FIRST: Duration = Duration::from_millis(50);
/// Maximum backoff of our own choosing.
const LONGEST: Duration = Duration::from_secs(5);
/// Slowest transfer of a body that the time limit of an attempt allows for, in bytes a second.
const SLOWEST: u64 = 128 * 1024;

/// Time limits of the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Time limit for establishing a connection.
    pub connect: Duration,
    /// Time limit of one attempt until its response begins, in addition to the transfer time of its body.
    pub attempt: Duration,
    /// Time limit of a call including all retries and backoff. An attempt in progress at its end is finished.
    pub give_up: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), attempt: Duration::from_secs(30), give_up: Duration::from_mins(1) }
    }
}

/// The attempts of one call.
#[derive(Debug)]
pub(super) struct Attempts {
    operation: &'static str,
    limit: Duration,
    deadline: Instant,
    backoff: ExponentialBackoff,
    /// Whether an attempt so far may have taken effect although it failed.
    pub(super) unsure: bool,
}

impl Attempts {
    /// For a call that is answered quickly.
    pub(super) fn of(operation: &'static str, timeouts: Timeouts) -> Self {
        Self::with_limit(operation, timeouts, timeouts.attempt)
    }

    /// For a call that sends this many bytes.
    pub(super) fn sending(operation: &'static str, timeouts: Timeouts, bytes: usize) -> Self {
        let transfer = Duration::from_secs(bytes as u64 / SLOWEST);
        Self::with_limit(operation, timeouts, timeouts.attempt + transfer)
    }

    /// For a call during which the engine moves this many bytes itself.
    pub(super) fn heavy(operation: &'static str, timeouts: Timeouts, bytes: u64) -> Self {
        // Engines copy and assemble objects much faster than networks transfer them.
        let work = Duration::from_secs(bytes / (16 * SLOWEST));
        Self::with_limit(operation, timeouts, timeouts.attempt.max(timeouts.give_up) + work)
    }

    fn with_limit(operation: &'static str, timeouts: Timeouts, limit: Duration) -> Self {
        // Many callers fail at the same moment, so each needs its own jitter.
        let seed = getrandom::u64().unwrap_or_default();
        let backoff = ExponentialBuilder::new()
            .with_min_delay(FIRST)
            .with_max_delay(LONGEST)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(seed)
            .build();
        Self { operation, limit, deadline: Instant::now() + timeouts.give_up, backoff, unsure: false }
    }

    /// Retries `attempt` until it succeeds or the policy says stop. Dropping this cancels the attempt in progress.
    pub(super) async fn run<T, E, F>(&mut self, mut attempt: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, E>>,
        Failure: From<E>,
    {
        loop {
            // Boxed because the futures of the SDK are large.
            let answer = tokio::time::timeout(self.limit, Box::pin(attempt())).await;
            let failure = match answer {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => Failure::from(error),
                Err(_) => Failure::timed_out(self.limit),
            };
            self.unsure |= failure.unsure;
            self.pause(failure).await?;
        }
    }

    /// Sleeps before the next attempt, or returns the failure if there must be none.
    async fn pause(&mut self, failure: Failure) -> Result<(), Failure> {
        let own = self.backoff.next().unwrap_or(LONGEST);
        let pause = failure.wait.map_or(own, |asked| asked.max(own));
        if !failure.again || Instant::now() + pause > self.deadline {
            return Err(failure);
        }
        let delay_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(operation = self.operation, failure = ?failure, delay_ms, "trying again");
        metrics::counter!("larder_store_retries_total", "operation" => self.operation).increment(1);
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Maps "there is no such object" to `None`.
pub(super) fn absent_is_none<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(failure) if failure.reason == Reason::Absent => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// A failure that a retry would not change.
pub(super) fn odd(text: impl Into<String>) -> Failure {
    Failure::new(Reason::Other, StoreErrorKind::Internal, text)
}
