//! The one source of time. All code that needs the time gets a clock, so that tests can control it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Maximum difference between the host's clock and the store's. Beyond it the host's clock is not trusted: no version
/// is retired and no head is dated by it.
pub const MAX_SKEW: SignedDuration = SignedDuration::from_mins(5);
/// Smaller differences are within the resolution of a store's time stamps, which is a second in buckets.
const RESOLUTION: SignedDuration = SignedDuration::from_secs(2);

/// A source of the current time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The current time in UTC.
    fn now(&self) -> Timestamp;

    /// How far the host's clock is ahead of the store's (negative: behind), if that is known and exceeds [`MAX_SKEW`].
    fn skew(&self) -> Option<SignedDuration> {
        None
    }
}

/// The host's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the host's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that only moves when told to, for tests.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// Creates a clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves the clock; `by` may be negative.
    pub fn advance(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The host's clock, corrected by the store's time once that has been measured.
///
/// Between measurements the store's time is extrapolated by the monotonic clock. So a change of the host's clock while
/// the process runs is detected at once, without a request to the store.
#[derive(Debug)]
pub struct StoreClock {
    host: Arc<dyn Clock>,
    /// A time of the store, and the monotonic time when it was measured.
    measured: Mutex<Option<(Timestamp, Instant)>>,
}

impl StoreClock {
    /// Creates a clock that follows `host` until the store's time is known.
    #[must_use]
    pub fn new(host: Arc<dyn Clock>) -> Self {
        Self { host, measured: Mutex::new(None) }
    }

    /// The uncorrected clock of the host.
    #[must_use]
    pub fn host(&self) -> &Arc<dyn Clock> {
        &self.host
    }

    /// Records that the store gave `stamp` to an object created after `before` and before now, both by the host's
    /// clock. Any stamp in that interval counts as no difference, so that a slow store does not look like clock skew.
    pub fn measure(&self, before: Timestamp, stamp: Timestamp) {
        let after = self.host.now();
        let ahead = if stamp < before {
            before.duration_since(stamp)
        } else if stamp > after {
            after.duration_since(stamp)
        } else {
            SignedDuration::ZERO
        };
        let ahead = if ahead.abs() <= RESOLUTION { SignedDuration::ZERO } else { ahead };
        let store = after.checked_sub(ahead).unwrap_or(after);
        *self.measured.lock().unwrap_or_else(PoisonError::into_inner) = Some((store, monotonic()));
    }

    /// How far the host's clock is ahead of the store's, or `None` while the store's time is unknown.
    #[must_use]
    pub fn ahead(&self) -> Option<SignedDuration> {
        self.store_time().map(|store| self.host.now().duration_since(store))
    }

    /// Time since the last measurement, or `None` if there was none.
    #[must_use]
    pub fn measured_for(&self) -> Option<Duration> {
        self.measured().map(|(_, at)| monotonic().saturating_duration_since(at))
    }

    fn measured(&self) -> Option<(Timestamp, Instant)> {
        *self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store_time(&self) -> Option<Timestamp> {
        let (then, at) = self.measured()?;
        let since = SignedDuration::try_from(monotonic().saturating_duration_since(at)).ok()?;
        then.checked_add(since).ok()
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        let host = self.host.now();
        match self.store_time() {
            Some(store) if host.duration_since(store).abs() > RESOLUTION => store,
            _ => host,
        }
    }

    fn skew(&self) -> Option<SignedDuration> {
        self.ahead().filter(|ahead| ahead.abs() > MAX_SKEW)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "compared with the host's clock, which tests of the runtime's time do not move"
)]
fn monotonic() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn clocks() -> (Arc<ManualClock>, StoreClock) {
        let host = Arc::new(ManualClock::new("2026-07-01T12:00:00Z".parse().unwrap()));
        (Arc::clone(&host), StoreClock::new(host))
    }

    fn about(duration: SignedDuration, expected: SignedDuration) -> bool {
        (duration - expected).abs() < SignedDuration::from_secs(60)
    }

    #[test]
    fn an_unmeasured_clock_is_the_hosts() {
        let (host, clock) = clocks();
        assert_eq!((clock.now(), clock.skew(), clock.ahead()), (host.now(), None, None));
    }

    #[test]
    fn a_clock_that_is_right_is_not_corrected() {
        let (host, clock) = clocks();
        let before = host.now();
        host.advance(SignedDuration::from_secs(30));
        // Any time during the request, and up to a second before it, since buckets truncate to seconds.
        for stamp in [-1, 0, 7, 30] {
            clock.measure(before, before + SignedDuration::from_secs(stamp));
            assert_eq!(clock.skew(), None);
            assert_eq!(clock.now(), host.now(), "{stamp}");
        }
    }

    #[test]
    fn a_clock_that_is_a_little_off_is_corrected_and_trusted() {
        for off in [SignedDuration::from_mins(4), SignedDuration::from_mins(-4)] {
            let (host, clock) = clocks();
            clock.measure(host.now(), host.now() - off);
            assert_eq!(clock.skew(), None);
            assert!(about(host.now().duration_since(clock.now()), off), "{clock:?}");
        }
    }

    #[test]
    fn a_clock_that_is_far_off_is_not_trusted_until_it_is_set() {
        for off in [2 * 24 * HOUR, -2 * 24 * HOUR] {
            let (host, clock) = clocks();
            clock.measure(host.now(), host.now() - off);
            assert!(about(clock.skew().unwrap(), off), "{clock:?}");
            assert!(about(host.now().duration_since(clock.now()), off), "{clock:?}");
            host.advance(-off);
            assert_eq!(clock.skew(), None, "it was set");
        }
    }

    #[test]
    fn a_clock_that_is_set_wrongly_later_shows_without_a_measurement() {
        let (host, clock) = clocks();
        clock.measure(host.now(), host.now());
        host.advance(HOUR);
        assert!(about(clock.skew().unwrap(), HOUR), "{clock:?}");
    }
}
