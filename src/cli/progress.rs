//! Progress on stderr, never mixed into other output: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::Context;
use super::table::size;
use crate::client::Meter;

/// All progress bars, so that any other output can hide them while it is written.
static BARS: LazyLock<MultiProgress> = LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));

// No colours, so NO_COLOR needs no special case. The bar takes what the rest of the line leaves.
const TEMPLATE: &str = "{msg} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
/// For terminals that are too narrow for the other one.
const NARROW_TEMPLATE: &str = "{msg} {percent}% [{wide_bar}]";
/// Narrowest terminal for the full template, in columns.
const NARROW: u16 = 72;
/// Without a total there is nothing to draw a bar of.
const OPEN_TEMPLATE: &str = "{msg} {bytes} {bytes_per_sec}";
/// Shortest time between two lines where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// Runs `write` while all bars are hidden.
pub(super) fn suspended<T>(write: impl FnOnce() -> T) -> T {
    BARS.suspend(write)
}

/// Progress of the bytes of several transfers.
#[derive(Debug, Clone)]
pub(super) enum Progress {
    /// Nobody watches.
    Hidden,
    /// On a terminal.
    Bar(Arc<Bar>),
    /// Elsewhere, such as in the log of a CI job.
    Lines(Arc<Lines>),
}

impl Progress {
    /// Progress towards `total` bytes; 0 if the total is not known.
    pub(super) fn new(context: &Context, message: &'static str, total: u64) -> Self {
        if context.json || context.quiet {
            Self::Hidden
        } else if is_visible(context) {
            Self::Bar(Arc::new(Bar::new(message, total)))
        } else {
            Self::Lines(Arc::new(Lines::new(message, total)))
        }
    }

    /// A callback that advances the progress by the given number of bytes.
    pub(super) fn counter(&self) -> Meter {
        let progress = self.clone();
        Arc::new(move |bytes| progress.advance(0, bytes))
    }

    /// A callback for one transfer, which receives that transfer's total so far.
    pub(super) fn meter(&self) -> Meter {
        let (progress, last) = (self.clone(), AtomicU64::new(0));
        Arc::new(move |now| progress.advance(last.swap(now, Ordering::Relaxed), now))
    }

    /// Counts a transfer that had `before` bytes and now has `now`.
    fn advance(&self, before: u64, now: u64) {
        match self {
            Self::Hidden => {}
            Self::Bar(bar) if now >= before => bar.0.inc(now - before),
            Self::Bar(bar) => bar.0.dec(before - now),
            Self::Lines(lines) => {
                if let Some(line) = lines.advance(before, now, Instant::now()) {
                    // A closed stderr is no reason to fail.
                    let _ = writeln!(io::stderr(), "larder: {line}");
                }
            }
        }
    }
}

/// A bar, removed when it is dropped.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    fn new(message: &'static str, total: u64) -> Self {
        let columns = rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| size.ws_col);
        let template = match total {
            0 => OPEN_TEMPLATE,
            _ if (1..NARROW).contains(&columns) => NARROW_TEMPLATE,
            _ => TEMPLATE,
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(BARS.add(ProgressBar::new(total).with_style(style.progress_chars("=> ")).with_message(message)))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Lines about a transfer, at most one in [`INTERVAL`]; none about one that is over before.
#[derive(Debug)]
pub(super) struct Lines {
    message: &'static str,
    total: u64,
    done: AtomicU64,
    began: Instant,
    last: Mutex<Instant>,
}

impl Lines {
    fn new(message: &'static str, total: u64) -> Self {
        let began = Instant::now();
        Self { message, total, done: AtomicU64::new(0), began, last: Mutex::new(began) }
    }

    /// Counts bytes. Returns the next line if it is due.
    fn advance(&self, before: u64, now: u64, time: Instant) -> Option<String> {
        // Wraps round where a transfer starts again, and comes out right: the sum of all is never negative.
        let change = now.wrapping_sub(before);
        let done = self.done.fetch_add(change, Ordering::Relaxed).wrapping_add(change);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if time.saturating_duration_since(*last) < INTERVAL {
            return None;
        }
        *last = time;
        let seconds = time.saturating_duration_since(self.began).as_secs().max(1);
        let speed = size(done / seconds);
        let (message, total) = (self.message, self.total);
        let done_size = size(done);
        Some(match (u128::from(done) * 100).checked_div(u128::from(total)) {
            Some(percent) => format!("{message}: {done_size} of {} ({percent} %), {speed}/s", size(total)),
            None => format!("{message}: {done_size} so far, {speed}/s"),
        })
    }
}

/// Whether to show progress bars: stderr is a capable terminal, and somebody reads it.
pub(super) fn is_visible(context: &Context) -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !context.json && !context.quiet && !dumb && io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_there_is_a_line_every_ten_seconds_at_most() {
        let lines = Lines::new("uploading", 4 << 20);
        let at = |seconds| lines.began + Duration::from_secs(seconds);
        assert_eq!(lines.advance(0, 1 << 20, at(1)), None);
        assert_eq!(lines.advance(1 << 20, 0, at(9)), None, "a transfer that starts again");
        let line = lines.advance(0, 2 << 20, at(10)).unwrap();
        assert_eq!(line, "uploading: 2.0 MiB of 4.0 MiB (50 %), 204.8 KiB/s");
        assert_eq!(lines.advance(0, 1 << 20, at(19)), None);
        assert!(lines.advance(0, 0, at(20)).unwrap().contains("3.0 MiB of 4.0 MiB (75 %)"));
        let open = Lines::new("verifying", 0);
        assert_eq!(open.advance(0, 10, open.began + Duration::from_secs(60)).unwrap(), "verifying: 10 B so far, 0 B/s");
    }
}
