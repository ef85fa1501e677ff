//! The one retry policy of the backend: what is tried again, after how long, and when to give up.
//!
//! The SDK's own retries are off. Pauses grow, are drawn by chance, and are never shorter than what the engine asks for.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::super::StoreErrorKind;
use super::error::{Failure, Reason};

/// First pause; each further one is twice as long, plus up to as much again by chance.
const FIRST: Duration = Duration::from_millis(50);
/// Longest pause that we choose ourselves.
const LONGEST: Duration = Duration::from_secs(5);
/// Slowest transfer of a body that an attempt is given time for, in bytes a second.
const SLOWEST: u64 = 128 * 1024;

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// How long to wait for a connection.
    pub connect: Duration,
    /// How long one attempt may take until its answer begins, beside the time that its body takes.
    pub attempt: Duration,
    /// How long a call is tried again, all attempts and pauses together. The attempt under way at its end is finished.
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
    /// Whether an attempt so far may have had its effect although it failed.
    pub(super) unsure: bool,
}

impl Attempts {
    /// Of a call that is answered soon.
    pub(super) fn of(operation: &'static str, timeouts: Timeouts) -> Self {
        Self::with_limit(operation, timeouts, timeouts.attempt)
    }

    /// Of a call that sends so many bytes.
    pub(super) fn sending(operation: &'static str, timeouts: Timeouts, bytes: usize) -> Self {
        let transfer = Duration::from_secs(bytes as u64 / SLOWEST);
        Self::with_limit(operation, timeouts, timeouts.attempt + transfer)
    }

    /// Of a call during which the engine moves bytes of its own.
    pub(super) fn heavy(operation: &'static str, timeouts: Timeouts, bytes: u64) -> Self {
        // Engines copy and put together much faster than networks transfer.
        let work = Duration::from_secs(bytes / (16 * SLOWEST));
        Self::with_limit(operation, timeouts, timeouts.attempt.max(timeouts.give_up) + work)
    }

    fn with_limit(operation: &'static str, timeouts: Timeouts, limit: Duration) -> Self {
        // Many callers fail at the same moment, so each must draw its own pauses.
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

    /// Makes attempts until one succeeds or none is left. Dropping this cancels the attempt under way.
    pub(super) async fn run<T, E, F>(&mut self, mut attempt: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, E>>,
        Failure: From<E>,
    {
        loop {
            // The futures of the SDK are large.
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

    /// Waits before the next attempt, or gives the failure back when there must not be one.
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

/// Reads the answer "there is none" as such.
pub(super) fn absent_is_none<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(failure) if failure.reason == Reason::Absent => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// A failure that another look would not change.
pub(super) fn odd(text: impl Into<String>) -> Failure {
    Failure::new(Reason::Other, StoreErrorKind::Internal, text)
}
