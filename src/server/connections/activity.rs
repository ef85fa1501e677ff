//! Detects HTTP/2 connections on which nothing happens any more.
//!
//! A client can keep a connection alive with pings for ever without sending a request. That is not visible at the
//! socket. A stream under way is not idle: it ends by limits of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::progress::Pace;
use super::sent::Sent;

#[derive(Debug)]
struct State {
    /// Number of streams under way.
    streams: usize,
    /// When the last one ended.
    last: Instant,
}

/// Activity on one connection.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { streams: 0, last: Instant::now() })))
    }

    /// Completes when there has been no stream for the time that a client may be idle. A client that still receives
    /// what was written to its connection is not idle.
    pub(super) async fn idle(&self, pace: Pace, sent: &Sent) {
        loop {
            let until = self.deadline(pace);
            if until > Instant::now() {
                tokio::time::sleep_until(until).await;
                continue;
            }
            sent.settled(pace).await;
            if self.deadline(pace) <= Instant::now() {
                return;
            }
        }
    }

    /// When the connection will have been idle for too long if nothing happens until then.
    fn deadline(&self, pace: Pace) -> Instant {
        let state = self.state();
        if state.streams > 0 { Instant::now() + pace.idle } else { state.last + pace.idle }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a stream for as long as the guard lives.
    pub(super) fn begin(&self) -> UnderWay {
        self.state().streams += 1;
        UnderWay(self.clone())
    }
}

/// Guard for a stream.
#[derive(Debug)]
pub(super) struct UnderWay(Activity);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.streams -= 1;
        state.last = Instant::now();
    }
}
