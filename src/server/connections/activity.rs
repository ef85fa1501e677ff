//! Detects HTTP/2 connections on which nothing happens any more.
//!
//! A client can keep a connection alive with pings for ever without sending a request. That is not visible at the
//! socket. A stream under way is not idle: it ends by limits of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::progress::{Pace, Progress};
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
        let mut progress = None;
        loop {
            let now = Instant::now();
            let until = {
                let state = self.state();
                if state.streams > 0 { now + pace.idle } else { state.last + pace.idle }
            };
            if until > now {
                progress = None;
                tokio::time::sleep_until(until).await;
                continue;
            }
            let acknowledged = sent.acknowledged();
            let progress = progress.get_or_insert_with(|| Progress::new(pace, acknowledged, now));
            if acknowledged >= sent.written() || !progress.observe(acknowledged, now) {
                return;
            }
            tokio::time::sleep(pace.interval()).await;
        }
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
