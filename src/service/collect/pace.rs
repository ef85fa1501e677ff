//! Bounds on how fast a run lists and deletes, so that it is never in the way of those who publish and read.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant};

/// A bound of so many a second. Shared by all who work at once.
#[derive(Debug)]
pub(super) struct Pace {
    each: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    /// At most `per_second`; `None` is no bound.
    pub(super) fn new(per_second: Option<NonZeroU32>) -> Self {
        let each = per_second.map_or(Duration::ZERO, |most| Duration::from_secs(1) / most.get());
        Self { each, next: Mutex::new(Instant::now()) }
    }

    /// Waits until `count` more may be done.
    pub(super) async fn wait(&self, count: usize) {
        let takes = self.each * u32::try_from(count).unwrap_or(u32::MAX);
        let begin = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let begin = (*next).max(Instant::now());
            *next = begin + takes;
            begin
        };
        tokio::time::sleep_until(begin).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_together_keep_to_the_bound() {
        let pace = Pace::new(NonZeroU32::new(100));
        let began = Instant::now();
        tokio::join!(pace.wait(50), pace.wait(50), pace.wait(100), async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            pace.wait(1).await;
        });
        assert_eq!(began.elapsed().as_millis(), 2000, "200 came before the last one");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_bound_nobody_waits() {
        let (pace, began) = (Pace::new(None), Instant::now());
        for _ in 0..1000 {
            pace.wait(1000).await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
