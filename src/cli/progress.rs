//! Progress on stderr: only on a terminal, and never between the lines of anything else.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Context;
use crate::client::Meter;

/// All bars, so that everybody who writes to the terminal can move them out of the way.
static BARS: LazyLock<MultiProgress> = LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));

// No colours at all: nothing to switch off for NO_COLOR.
const TEMPLATE: &str = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";

/// Writes something while no bar is on the screen.
pub(super) fn suspended<T>(write: impl FnOnce() -> T) -> T {
    BARS.suspend(write)
}

/// One bar over the bytes of many transfers.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A bar for `total` bytes, shown if anybody can see it.
    pub(super) fn new(context: &Context, message: &'static str, total: u64) -> Self {
        if !visible(context) {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(BARS.add(ProgressBar::new(total).with_style(style.progress_chars("=> ")).with_message(message)))
    }

    /// Moves the bar by so many bytes.
    pub(super) fn counter(&self) -> Meter {
        let bar = self.0.clone();
        Arc::new(move |bytes| bar.inc(bytes))
    }

    /// A meter for one of the transfers.
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

/// Whether anybody can see a bar.
pub(super) fn visible(context: &Context) -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !context.json && !dumb && io::stderr().is_terminal()
}
