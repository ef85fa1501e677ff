//! Ends connections whose client stops taking what is written to them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep};

use super::progress::{Pace, Progress};
use super::sent::Sent;

/// Watches one connection while the kernel takes nothing more to send.
#[derive(Debug)]
pub(super) struct WriteGuard {
    pace: Pace,
    /// Set while the kernel takes nothing. What the client has acknowledged is asked for only after a while.
    blocked: Option<Blocked>,
    /// Allocated once, when the kernel takes nothing for the first time.
    timer: Option<Pin<Box<Sleep>>>,
    acknowledged: u64,
}

#[derive(Debug)]
enum Blocked {
    Since(Instant),
    Watched(Progress),
}

impl WriteGuard {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, blocked: None, timer: None, acknowledged: 0 }
    }

    /// How many bytes the client had acknowledged when that was last asked for.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Records that the kernel has taken something.
    pub(super) fn taken(&mut self) {
        self.blocked = None;
    }

    /// Records that the kernel takes nothing. Ready once the client has not taken enough for too long.
    pub(super) fn poll_stalled(&mut self, context: &mut Context<'_>, sent: &Sent) -> Poll<()> {
        let (pace, interval) = (self.pace, self.pace.interval());
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(interval)));
        if self.blocked.is_none() {
            let now = Instant::now();
            self.blocked = Some(Blocked::Since(now));
            timer.as_mut().reset(now + interval);
        }
        loop {
            ready!(timer.as_mut().poll(context));
            let (now, acknowledged) = (Instant::now(), sent.acknowledged());
            self.acknowledged = acknowledged;
            match &mut self.blocked {
                Some(Blocked::Watched(progress)) => {
                    if !progress.observe(acknowledged, now) {
                        return Poll::Ready(());
                    }
                }
                Some(Blocked::Since(since)) => {
                    let since = *since;
                    self.blocked = Some(Blocked::Watched(Progress::new(pace, acknowledged, since)));
                }
                None => return Poll::Pending,
            }
            timer.as_mut().reset(now + interval);
        }
    }
}
