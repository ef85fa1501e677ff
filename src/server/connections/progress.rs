//! Whether a client takes the bytes of a response fast enough.

use std::time::Duration;

use tokio::time::Instant;

/// How slow a client may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How long a client may take nothing.
    pub(super) idle: Duration,
    /// Slowest average rate in bytes per second; 0 accepts any.
    pub(super) min_rate: u64,
}

impl Pace {
    /// Time between two looks at a client that seems to take nothing.
    pub(super) fn interval(self) -> Duration {
        self.idle / 8
    }

    /// Longest time for which bytes that were taken before make up for taking none. It is longer than `idle`, because a
    /// client's system reports what was read in steps of up to half a receive buffer.
    fn longest(self) -> Duration {
        self.idle * 3 / 2
    }

    /// The time that so many bytes may take.
    fn time_for(self, bytes: u64) -> Duration {
        let millis = bytes.saturating_mul(1000).checked_div(self.min_rate);
        millis.map_or_else(|| if bytes > 0 { self.longest() } else { Duration::ZERO }, Duration::from_millis)
    }
}

/// The time that a client has left. It passes while the client takes nothing, and every byte that it takes buys some.
#[derive(Debug)]
pub(super) struct Progress {
    pace: Pace,
    taken: u64,
    left: Duration,
    seen: Instant,
}

impl Progress {
    /// A client that has taken this many bytes so far and is waited for from now on.
    pub(super) fn new(pace: Pace, taken: u64, now: Instant) -> Self {
        Self { pace, taken, left: pace.longest(), seen: now }
    }

    /// Records how many bytes the client has taken in total. False if it took too few in too long a time.
    pub(super) fn observe(&mut self, taken: u64, now: Instant) -> bool {
        let bought = self.pace.time_for(taken.saturating_sub(self.taken));
        self.left = self.left.saturating_add(bought).min(self.pace.longest());
        self.taken = self.taken.max(taken);
        let passed = now.duration_since(self.seen);
        self.seen = now;
        match self.left.checked_sub(passed) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// Does not count the time until now: the client was not what was waited for.
    pub(super) fn excuse(&mut self, now: Instant) {
        self.seen = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { idle: Duration::from_secs(60), min_rate: 1024 };

    /// How long a client lasts that takes `bytes` every `pause` and is looked at often, up to a day.
    fn lasts(pace: Pace, bytes: u64, pause: Duration) -> Duration {
        let start = Instant::now();
        let mut progress = Progress::new(pace, 0, start);
        let mut passed = Duration::ZERO;
        while passed < Duration::from_secs(24 * 3600) {
            passed += pace.interval();
            let steps = passed.as_millis() / pause.as_millis();
            if !progress.observe(bytes * u64::try_from(steps).unwrap(), start + passed) {
                return passed;
            }
        }
        passed
    }

    #[test]
    fn a_steady_reader_at_the_lowest_rate_lasts_whatever_its_steps() {
        for step in [1024, 5000, 32 << 10, 64 << 10, 80 << 10] {
            let pause = Duration::from_millis(step * 1000 / 1024);
            assert_eq!(lasts(PACE, step, pause).as_secs() / 3600, 24, "{step}");
        }
    }

    #[test]
    fn who_takes_nothing_or_far_too_little_is_found_out() {
        assert!(lasts(PACE, 0, Duration::from_secs(1)) < Duration::from_secs(100));
        assert!(lasts(PACE, 1 << 20, Duration::from_secs(24 * 3600)) < Duration::from_secs(100));
        assert!(lasts(PACE, 100, Duration::from_secs(1)) < Duration::from_secs(120));
    }

    #[test]
    fn without_a_lowest_rate_any_byte_will_do() {
        let pace = Pace { min_rate: 0, ..PACE };
        assert_eq!(lasts(pace, 1, Duration::from_secs(59)).as_secs() / 3600, 24);
        assert!(lasts(pace, 0, Duration::from_secs(1)) < Duration::from_secs(100));
    }

    #[test]
    fn time_that_is_excused_does_not_count() {
        let now = Instant::now();
        let mut progress = Progress::new(PACE, 0, now);
        progress.excuse(now + Duration::from_secs(1000));
        assert!(progress.observe(0, now + Duration::from_secs(1010)));
    }
}
