//! Logs on stderr that do not interfere with progress bars.

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

use super::{CliError, progress};
use crate::telemetry::{EscapingWriter, parse_filter};

/// Sends logs to stderr, filtered by `LARDER_LOG` (default `warn`). A subscriber that is already installed is kept.
pub(super) fn init() -> Result<(), CliError> {
    let filter = match std::env::var("LARDER_LOG") {
        Ok(text) if !text.is_empty() => {
            parse_filter(&text).map_err(|why| CliError::usage(format!("LARDER_LOG {text:?} {why}.")))?
        }
        _ => EnvFilter::new("warn"),
    };
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let result = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .without_time()
        .with_ansi(!plain && io::stderr().is_terminal())
        .with_writer(|| EscapingWriter::text(StderrAroundBars))
        .try_init();
    // Fails only if a subscriber was installed before, which works equally well.
    drop(result);
    Ok(())
}

/// stderr, with progress bars hidden during each write.
#[derive(Debug)]
struct StderrAroundBars;

impl Write for StderrAroundBars {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        progress::suspended(|| io::stderr().write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
