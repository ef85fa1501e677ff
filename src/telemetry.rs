//! Logs and metrics.

mod escaping;
mod filter;

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};
use filter::{ByCurrentFilter, CurrentFilter};

pub use escaping::EscapingWriter;
pub use filter::{LogFilter, parse_filter};

static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// The active log filter, set once by [`start_logging`].
static FILTER: OnceLock<CurrentFilter> = OnceLock::new();

/// Starts logging to standard error. Does nothing if a subscriber is already installed.
///
/// # Errors
/// When the filter cannot be parsed.
pub fn start_logging(log: &Log) -> Result<(), String> {
    let filter = LogFilter::parse(&log.filter)?;
    let current = FILTER.get_or_init(|| CurrentFilter::new(filter));
    let text = match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = tracing_subscriber::fmt::layer();
    // The filter is the outermost layer, so that it is consulted first.
    let _ = if text {
        let lines = lines.with_writer(|| EscapingWriter::text(std::io::stderr()));
        let lines = lines.with_ansi(std::io::stderr().is_terminal());
        tracing_subscriber::registry().with(lines).with(ByCurrentFilter(current)).try_init()
    } else {
        let lines = lines.json().flatten_event(true).with_span_list(false);
        let lines = lines.with_writer(|| EscapingWriter::json(std::io::stderr()));
        tracing_subscriber::registry().with(lines).with(ByCurrentFilter(current)).try_init()
    };
    Ok(())
}

/// Replaces the log filter. Has no effect unless [`start_logging`] installed it.
pub fn replace_log_filter(filter: LogFilter) {
    if let Some(current) = FILTER.get() {
        current.replace(filter);
    }
}

/// Installs the metrics recorder, once per process.
pub fn start_metrics() {
    METRICS.get_or_init(|| {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&[0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0])
            .ok()?
            .build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).ok()?;
        metrics::gauge!("larder_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Some(handle)
    });
}

/// Folds recorded measurements into their histograms. Individual samples are buffered until then, so this must be
/// called periodically even if the metrics are never scraped.
pub fn sum_up_metrics() {
    if let Some(Some(handle)) = METRICS.get() {
        handle.run_upkeep();
    }
}

/// All metrics in the Prometheus text exposition format.
#[must_use]
pub fn render_metrics() -> String {
    let Some(Some(handle)) = METRICS.get() else { return String::new() };
    handle.run_upkeep();
    handle.render()
}
