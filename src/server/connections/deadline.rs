//! Deadline for receiving the head of a connection's next request.
//!
//! One runtime timer per request would nearly always be set and cancelled unused, under a lock that all connections
//! share. Instead, each connection has one deadline that is checked only occasionally.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Sleep, Timer};
use tokio::time::Instant;

use super::connection_state::ConnectionState;

/// Deadline of one connection; `None` while a request is being answered and the connection waits for nothing.
#[derive(Debug, Clone)]
pub(super) struct Deadline(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    at: Mutex<Option<Instant>>,
    /// Is notified when the connection begins to wait.
    connection: Arc<ConnectionState>,
}

impl Deadline {
    pub(super) fn new(connection: Arc<ConnectionState>) -> Self {
        Self(Arc::new(Inner { at: Mutex::new(None), connection }))
    }

    /// Completes when a deadline has passed. Requires that each deadline is set at least `notice` ahead.
    pub(super) async fn passed(&self, notice: Duration) {
        loop {
            // A deadline set during this sleep is at least `notice` away, so it cannot pass before the sleep ends.
            let next = self.get().unwrap_or_else(|| Instant::now() + notice);
            if next <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(next).await;
        }
    }

    /// Sets the deadline to this far from now.
    pub(super) fn wait(&self, patience: Duration) {
        self.set(Some(Instant::now() + patience));
    }

    /// Sets no deadline: the connection waits for no head.
    pub(super) fn clear(&self) {
        self.set(None);
    }

    fn get(&self) -> Option<Instant> {
        *self.0.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, deadline: Option<Instant>) {
        if deadline.is_some() {
            self.0.connection.wait_for_head();
        }
        *self.0.at.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
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

/// A deadline that is cleared on drop. Never ready: the caller of [`Deadline::passed`] ends the connection.
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
    use crate::server::connections::client_address::ClientAddress;
    use crate::server::connections::connection_state::CoarseClock;

    const NOTICE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_is_not_taken_back_passes_on_time() {
        let client = ClientAddress::unnamed(0);
        let deadline = Deadline::new(Arc::new(ConnectionState::new(CoarseClock::default(), client, false)));
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
