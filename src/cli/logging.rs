//! Logs on stderr that do not interfere with progress bars.

use std::fmt;
use std::io::{self, Write};

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::{CliError, Context, progress};
use crate::telemetry::{EscapingWriter, parse_filter};

/// Sends logs to stderr, filtered by `LARDER_LOG`, or else by `--quiet` and `--verbose` (default `warn`). A subscriber
/// that is already installed is kept.
pub(super) fn init(context: &Context) -> Result<(), CliError> {
    let filter = match std::env::var("LARDER_LOG") {
        Ok(text) if !text.is_empty() => {
            parse_filter(&text).map_err(|why| CliError::usage(format!("LARDER_LOG {text:?} {why}.")))?
        }
        _ if context.verbose => EnvFilter::new("warn,larder=debug"),
        // With --json, whoever reads stderr expects one document.
        _ if context.quiet || context.json => EnvFilter::new("error"),
        _ => EnvFilter::new("warn"),
    };
    let result = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .event_format(Line)
        .with_writer(|| EscapingWriter::text(StderrAroundBars))
        .try_init();
    // Fails only if a subscriber was installed before, which works equally well.
    drop(result);
    Ok(())
}

/// Log events in the form of all other output on stderr: `larder: TEXT`. Those of libraries say where they come from.
#[derive(Debug)]
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (target, level) = (event.metadata().target(), event.metadata().level());
        out.write_str("larder: ")?;
        if target.split("::").next() != Some("larder") {
            write!(out, "{level} {target}: ")?;
        }
        context.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
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
