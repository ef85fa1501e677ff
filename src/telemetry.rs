//! Logs and metrics.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::Handle;

use crate::config::{Log, LogFormat};

static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Puts another filter in the place of the one that was started with.
type SetFilter = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

static FILTER: OnceLock<SetFilter> = OnceLock::new();

/// What is logged, understood.
#[derive(Debug)]
pub struct LogFilter(EnvFilter);

impl LogFilter {
    /// Reads tracing's filter directives.
    ///
    /// # Errors
    /// When they cannot be understood, as a sentence about `log.filter`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let unfit = |error| format!("log.filter {text:?} is not a filter such as `info` or `larder=debug`: {error}");
        EnvFilter::try_new(text).map(Self).map_err(unfit)
    }

    /// Logs by this filter from now on. Does nothing when something else logs.
    pub fn apply(self) {
        let applied = FILTER.get().is_some_and(|set| set(self.0));
        if !applied {
            tracing::warn!("the log filter could not be replaced; it stays as it was");
        }
    }
}

fn setter<S: 'static>(handle: Handle<EnvFilter, S>) -> SetFilter {
    Box::new(move |filter| handle.reload(filter).is_ok())
}

/// Starts logging to standard error. Does nothing when something already logs.
///
/// # Errors
/// When the filter cannot be understood.
pub fn start_logging(log: &Log) -> Result<(), String> {
    let LogFilter(filter) = LogFilter::parse(&log.filter)?;
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr);
    let text = match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let (started, set) = if text {
        let builder = builder.with_ansi(std::io::stderr().is_terminal());
        let builder = builder.with_env_filter(filter).with_filter_reloading();
        let set = setter(builder.reload_handle());
        (builder.try_init(), set)
    } else {
        let builder = builder.json().flatten_event(true).with_span_list(false);
        let builder = builder.with_env_filter(filter).with_filter_reloading();
        let set = setter(builder.reload_handle());
        (builder.try_init(), set)
    };
    if started.is_ok() {
        let _ = FILTER.set(set);
    }
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
