//! Futures that stay pending for as long as most connections last.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Polls a future only when it has been woken itself, not whenever the task that waits for it is: each poll of a
/// cancellation takes locks that all connections share.
pub(super) fn seldom<F: Future>(future: F) -> Seldom<F> {
    let signal = Arc::new(Signal { woken: AtomicBool::new(true), task: Mutex::new(None) });
    Seldom { future: Box::pin(future), waker: Arc::clone(&signal).into(), signal, task: None }
}

/// A future that is polled only when it has been woken. Must not be polled again when it has been ready.
pub(super) struct Seldom<F> {
    future: Pin<Box<F>>,
    signal: Arc<Signal>,
    /// Wakes the signal.
    waker: Waker,
    /// The task that the signal wakes.
    task: Option<Waker>,
}

struct Signal {
    /// Whether the future has been woken since it was last polled.
    woken: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<F: Future> Future for Seldom<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        // First, so that whoever wakes the signal from now on wakes this task.
        if !this.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            this.task = Some(context.waker().clone());
            this.signal.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&this.task);
        }
        if !this.signal.woken.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        this.signal.woken.store(false, Ordering::Release);
        this.future.as_mut().poll(&mut Context::from_waker(&this.waker))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt as _;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_future_is_polled_first_and_when_it_was_woken() {
        let (polls, woken) = (AtomicUsize::new(0), Notify::new());
        let mut notified = pin!(woken.notified());
        let counted = std::future::poll_fn(|context| {
            polls.fetch_add(1, Ordering::Relaxed);
            notified.as_mut().poll(context)
        });
        let mut seldom = seldom(counted);
        for _ in 0..10 {
            assert_eq!((&mut seldom).now_or_never(), None);
        }
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        woken.notify_waiters();
        assert_eq!((&mut seldom).now_or_never(), Some(()));
        assert_eq!(polls.load(Ordering::Relaxed), 2);
    }
}
