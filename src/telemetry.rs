//! Logs and metrics.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Starts logging to standard error. Does nothing when something already logs.
///
/// # Errors
/// When the filter cannot be understood.
pub fn start_logging(log: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|error| {
        format!("log.filter {:?} is not a filter such as `info` or `larder=debug`: {error}", log.filter)
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let text = match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let _ = if text {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    } else {
        builder.json().flatten_event(true).with_span_list(false).try_init()
    };
    Ok(())
}

/// Starts collecting metrics, once a process.
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

/// Sums up what was measured. Measurements are kept one by one until then, so this has to be called now and then even
/// if nobody asks for the metrics.
pub fn sum_up_metrics() {
    if let Some(Some(handle)) = METRICS.get() {
        handle.run_upkeep();
    }
}

/// The metrics in Prometheus' text format.
#[must_use]
pub fn render_metrics() -> String {
    let Some(Some(handle)) = METRICS.get() else { return String::new() };
    handle.run_upkeep();
    handle.render()
}
