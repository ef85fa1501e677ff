//! The time by which the head of a connection's next request must be there.
//!
//! A timer of the runtime for every request would be set and taken back unused nearly every time, under a lock that all
//! connections share. Here each connection has one, which is looked at once in a while.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Sleep, Timer};
use tokio::time::Instant;

/// What one connection waits for; `None` while it waits for nothing, because a request is being answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Deadline(Arc<Mutex<Option<Instant>>>);

impl Deadline {
    /// Ends when a deadline has passed. Each was set at least `notice` before.
    pub(super) async fn passed(&self, notice: Duration) {
        loop {
            // One that is set while this sleeps is not over before it wakes.
            let next = self.get().unwrap_or_else(|| Instant::now() + notice);
            if next <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(next).await;
        }
    }

    fn get(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, deadline: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }
}

impl Timer for Deadline {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        self.set(Some(deadline.into()));
        Box::pin(Set(self.clone()))
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }

    fn reset(&self, _: &mut Pin<Box<dyn Sleep>>, deadline: std::time::Instant) {
        self.set(Some(deadline.into()));
    }
}

/// A deadline that is set, until this is dropped. Never ready: whoever waits for [`Deadline::passed`] ends the connection.
struct Set(Deadline);

impl Sleep for Set {}

impl Future for Set {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTICE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_is_not_taken_back_passes_on_time() {
        let deadline = Deadline::default();
        let began = Instant::now();
        let passed = deadline.passed(NOTICE);
        let requests = async {
            for _ in 0..5 {
                let set = deadline.sleep(NOTICE);
                tokio::time::sleep(Duration::from_secs(7)).await;
                drop(set);
                tokio::time::sleep(Duration::from_secs(30)).await;
            }
            let _kept = deadline.sleep(NOTICE);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = passed => {}
            () = requests => {}
        }
        assert_eq!(began.elapsed(), Duration::from_secs(5 * 37 + 10));
    }
}
