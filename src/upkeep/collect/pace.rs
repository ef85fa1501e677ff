//! Rate limits on a run, so that it does not slow down publishers and readers.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::Share;

/// A rate limit in operations per second, shared by concurrent tasks.
#[derive(Debug)]
pub(super) struct Pace {
    each: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    /// At most `per_second` operations; `None` is unlimited.
    pub(super) fn new(per_second: Option<NonZeroU32>) -> Self {
        let each = per_second.map_or(Duration::ZERO, |most| Duration::from_secs(1) / most.get());
        Self { each, next: Mutex::new(Instant::now()) }
    }

    /// Waits until `count` more operations are allowed.
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

/// How long a run rests after each call, so that work takes only its share of the time.
///
/// A fixed limit of calls per second would have to be chosen for the speed of the store. This one adapts: on a slow
/// disk each call takes longer, and so does each rest.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    share: Share,
    stop: CancellationToken,
}

impl Rest {
    /// Rests that end early when `stop` is cancelled.
    pub(super) fn new(share: Share, stop: CancellationToken) -> Self {
        Self { share, stop }
    }

    /// Does some work, then rests in proportion to its duration.
    pub(super) async fn after<T>(&self, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let result = work.await;
        self.since(began).await;
        result
    }

    /// Rests in proportion to the time since `began`.
    pub(super) async fn since(&self, began: Instant) {
        let share = u32::from(self.share.percent());
        if share == 100 {
            return;
        }
        let rest = began.elapsed() * (100 - share) / share;
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tenth_of_the_time_is_work() {
        let rest = Rest::new(Share::new(10).expect("ten percent"), CancellationToken::new());
        let began = Instant::now();
        for _ in 0..5 {
            rest.after(tokio::time::sleep(Duration::from_millis(20))).await;
        }
        assert_eq!(began.elapsed(), Duration::from_secs(1), "five times 20 ms are a tenth of it");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_rests_who_may_take_all_the_time() {
        let rest = Rest::new(Share::ALL, CancellationToken::new());
        let began = Instant::now();
        rest.after(tokio::time::sleep(Duration::from_millis(20))).await;
        assert_eq!(began.elapsed(), Duration::from_millis(20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_ends_when_the_run_is_stopped() {
        let stop = CancellationToken::new();
        let rest = Rest::new(Share::new(1).expect("one percent"), stop.clone());
        let began = Instant::now();
        let work = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            stop.cancel();
        };
        rest.after(work).await;
        assert_eq!(began.elapsed(), Duration::from_secs(10));
    }

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
