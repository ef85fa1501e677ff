//! The one retry policy: which failures are retried, how often, and with what backoff.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use jiff::Timestamp;

use super::ClientError;
use crate::clock::{Clock as _, SystemClock};
use crate::wire::Code;

/// Initial backoff. It doubles with each retry, plus random jitter of up to the same amount.
const FIRST: Duration = Duration::from_millis(500);
/// Upper limit of our own backoff.
const LONGEST: Duration = Duration::from_secs(30);
/// Longest `Retry-After` that is honoured. Beyond it, failing with the server's answer is better than hanging.
const PATIENCE: Duration = Duration::from_mins(5);

/// How often a failed request is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    retries: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new(5)
    }
}

impl RetryPolicy {
    /// At most `retries` attempts after the first one.
    #[must_use]
    pub fn new(retries: u32) -> Self {
        Self { retries }
    }

    pub(super) fn start(self) -> Retries {
        Retries { policy: self, backoff: self.backoff(), attempts: 0, progressed: false, repeated: false }
    }

    fn backoff(self) -> ExponentialBackoff {
        // Many clients start at the same moment (at a release), so each needs its own jitter.
        let seed = getrandom::u64().unwrap_or_default();
        ExponentialBuilder::new()
            .with_min_delay(FIRST)
            .with_max_delay(LONGEST)
            .with_max_times(usize::try_from(self.retries).unwrap_or(usize::MAX))
            .with_jitter()
            .with_jitter_seed(seed)
            .build()
    }
}

/// Retry state of one operation.
#[derive(Debug)]
pub(super) struct Retries {
    policy: RetryPolicy,
    backoff: ExponentialBackoff,
    /// Number of retries since the last progress.
    attempts: u32,
    progressed: bool,
    repeated: bool,
}

impl Retries {
    /// Sleeps before the next attempt, or returns the error if it must not be retried.
    pub(super) async fn pause(&mut self, error: ClientError) -> Result<(), ClientError> {
        let Some(asked) = wait_of(&error).filter(|asked| *asked <= PATIENCE) else { return Err(error) };
        if std::mem::take(&mut self.progressed) {
            self.backoff = self.policy.backoff();
            self.attempts = 0;
        }
        let Some(own) = self.backoff.next() else { return Err(error) };
        let delay = if asked.is_zero() { own } else { asked + own / 4 };
        self.attempts += 1;
        let (retry, retries, seconds) = (self.attempts, self.policy.retries, delay.as_secs_f64());
        tracing::warn!("{}; trying again in {seconds:.1} s ({retry} of {retries})", describe(&error));
        self.repeated = true;
        tokio::time::sleep(delay).await;
        Ok(())
    }

    /// Records progress, which resets the backoff at the next failure.
    pub(super) fn progressed(&mut self) {
        self.progressed = true;
    }

    /// Whether an earlier attempt may have taken effect although it failed here.
    pub(super) fn repeated(&self) -> bool {
        self.repeated
    }
}

/// What happened, without the advice of the error's own text: it is followed already.
fn describe(error: &ClientError) -> String {
    match error {
        ClientError::Connect { server, reason } => format!("cannot reach {server} ({reason})"),
        ClientError::Timeout { server, after } => format!("{server} was silent for {} s", after.as_secs()),
        ClientError::Broken { server, reason } => format!("the connection to {server} broke ({reason})"),
        ClientError::Refused(problem) => {
            format!("the server answered {}: {}", problem.status, problem.detail.trim_end_matches('.'))
        }
        ClientError::NoSource { what, .. } => format!("no server has served {what}"),
        other => other.to_string(),
    }
}

/// Minimum delay before a retry, zero if unspecified; `None` if the failure is permanent.
fn wait_of(error: &ClientError) -> Option<Duration> {
    match error {
        ClientError::Connect { .. } | ClientError::Timeout { .. } | ClientError::Broken { .. } => Some(Duration::ZERO),
        ClientError::NoSource { is_passing, .. } => is_passing.then_some(Duration::ZERO),
        ClientError::Refused(problem) => {
            // These two persist until an operator intervenes.
            let lasting = matches!(problem.code, Code::StoreDenied | Code::StoreCorrupt);
            // An earlier request of ours may still be in progress; the current offset can be requested.
            let moved = problem.code == Code::UploadOffset;
            let passing = matches!(problem.status, 408 | 429 | 500 | 502 | 503 | 504) && !lasting || moved;
            passing.then(|| problem.retry_after.unwrap_or_default())
        }
        ClientError::Setup(_)
        | ClientError::Identity(_)
        | ClientError::Redirected { .. }
        | ClientError::Protocol { .. }
        | ClientError::Unusable { .. }
        | ClientError::RateLimited { .. }
        | ClientError::Damaged { .. }
        | ClientError::Changed { .. }
        | ClientError::Io { .. } => None,
    }
}

/// Parses `Retry-After`: seconds or an HTTP date (RFC 9110 section 10.2.3).
pub(super) fn retry_after(value: &str) -> Option<Duration> {
    retry_after_at(value, SystemClock.now())
}

fn retry_after_at(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = Timestamp::try_from(httpdate::parse_http_date(value).ok()?).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::Problem;
    use super::*;

    fn refused(status: u16, retry_after: Option<Duration>) -> ClientError {
        ClientError::Refused(Box::new(Problem::read(status, "", b"", retry_after)))
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(wait_of(&refused(status, None)), Some(Duration::ZERO), "{status}");
        }
        for status in [400, 401, 403, 404, 409, 410, 412, 413, 415, 416, 422, 428, 501, 505, 507] {
            assert_eq!(wait_of(&refused(status, Some(Duration::from_secs(1)))), None, "{status}");
        }
        assert_eq!(wait_of(&refused(503, Some(Duration::from_secs(7)))), Some(Duration::from_secs(7)));
        let denied = Problem::read(500, "application/problem+json", br#"{"code":"STORE_DENIED"}"#, None);
        assert_eq!(wait_of(&ClientError::Refused(Box::new(denied))), None);
        let moved = Problem::read(409, "", br#"{"code":"UPLOAD_OFFSET"}"#, None);
        assert_eq!(wait_of(&ClientError::Refused(Box::new(moved))), Some(Duration::ZERO));
        let broken = ClientError::Broken { server: String::new(), reason: String::new() };
        assert_eq!(wait_of(&broken), Some(Duration::ZERO));
        assert_eq!(wait_of(&ClientError::Changed { path: "x".into() }), None);
    }

    #[tokio::test]
    async fn attempts_are_bounded_and_long_waits_refused() {
        let mut none = RetryPolicy::new(0).start();
        assert!(none.pause(refused(503, None)).await.is_err());
        let mut some = RetryPolicy::new(3).start();
        assert!(some.pause(refused(503, Some(Duration::from_secs(3600)))).await.is_err());
        assert!(!some.repeated());
    }

    #[test]
    fn a_retry_says_what_happened_and_gives_no_other_advice() {
        let server = "http://localhost:8080".to_owned();
        let broken = ClientError::Broken { server, reason: "reset".into() };
        assert_eq!(describe(&broken), "the connection to http://localhost:8080 broke (reset)");
        let body = br#"{"detail":"The store is unavailable."}"#;
        let refused = ClientError::Refused(Box::new(Problem::read(503, "", body, None)));
        assert_eq!(describe(&refused), "the server answered 503: The store is unavailable");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-05-14T18:20:00Z".parse().unwrap();
        let seconds = |text| retry_after_at(text, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("12"), Some(12));
        assert_eq!(seconds("Thu, 14 May 2026 18:21:00 GMT"), Some(60));
        assert_eq!(seconds("Thu, 14 May 2026 18:00:00 GMT"), Some(0));
        assert_eq!(seconds("soon"), None);
    }
}
