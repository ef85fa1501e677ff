//! Progress on stderr: only on a terminal, and never mixed into other output.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Context;
use crate::client::Meter;

/// All progress bars, so that any other output can hide them while it is written.
static BARS: LazyLock<MultiProgress> = LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));

// No colours, so NO_COLOR needs no special case.
const TEMPLATE: &str = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";

/// Runs `write` while all bars are hidden.
pub(super) fn suspended<T>(write: impl FnOnce() -> T) -> T {
    BARS.suspend(write)
}

/// One bar for the bytes of several transfers.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A bar for `total` bytes, shown only if [`visible`].
    pub(super) fn new(context: &Context, message: &'static str, total: u64) -> Self {
        if !visible(context) {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(BARS.add(ProgressBar::new(total).with_style(style.progress_chars("=> ")).with_message(message)))
    }

    /// A callback that advances the bar by the given number of bytes.
    pub(super) fn counter(&self) -> Meter {
        let bar = self.0.clone();
        Arc::new(move |bytes| bar.inc(bytes))
    }

    /// A callback for one transfer, which receives that transfer's total so far.
    pub(super) fn meter(&self) -> Meter {
        let (bar, last) = (self.0.clone(), AtomicU64::new(0));
        Arc::new(move |now| {
            let before = last.swap(now, Ordering::Relaxed);
            if now >= before { bar.inc(now - before) } else { bar.dec(before - now) }
        })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Whether to show progress bars: stderr is a capable terminal, and the output is not JSON.
pub(super) fn visible(context: &Context) -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !context.json && !dumb && io::stderr().is_terminal()
}
