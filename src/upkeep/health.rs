//! Readiness: whether a server should receive traffic, and further facts for operators.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Clock as _, StoreClock};
use crate::layout::marker::{Marker, Watch};

/// Timeout for the store to respond to a readiness check.
const PATIENCE: Duration = Duration::from_secs(5);

/// The readiness of this server.
#[derive(Debug)]
pub struct Health {
    watch: Arc<Watch>,
    clock: Arc<StoreClock>,
    draining: AtomicBool,
    collector_failed: Mutex<Option<Timestamp>>,
    /// Background tasks that panicked recently.
    failing: Mutex<BTreeSet<&'static str>>,
    /// Facts about the store, one line each.
    about_store: OnceLock<Vec<String>>,
}

impl Health {
    /// The health of a server whose store is observed by `watch` and whose time comes from `clock`.
    #[must_use]
    pub fn new(watch: Arc<Watch>, clock: Arc<StoreClock>) -> Self {
        Self {
            watch,
            clock,
            draining: AtomicBool::new(false),
            collector_failed: Mutex::default(),
            failing: Mutex::default(),
            about_store: OnceLock::new(),
        }
    }

    /// Makes the server not ready, because it is about to stop.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Sets when the collector's last run failed, or `None`. The server stays ready, but reports it.
    pub fn set_collector_failed(&self, at: Option<Timestamp>) {
        *self.collector_failed.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Sets whether a background task panicked recently. The server stays ready, but reports it.
    pub fn set_failing(&self, task: &'static str, failing: bool) {
        let mut tasks = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing {
            tasks.insert(task);
        } else {
            tasks.remove(task);
        }
    }

    /// Sets what `/readyz?verbose` reports about the store, one line each. Only the first call has an effect.
    pub fn set_about_store(&self, lines: Vec<String>) {
        self.about_store.get_or_init(|| lines);
    }

    /// The message of a ready server: what it can do, and what it cannot.
    ///
    /// # Errors
    /// The reason why the server is not ready.
    pub(crate) async fn readiness(&self) -> Result<String, String> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("shutting down".to_owned());
        }
        match tokio::time::timeout(PATIENCE, self.watch.check()).await {
            Ok(Ok(marker)) => {
                let remarks = self.remarks(marker).join("\nbesides, ");
                Ok(if remarks.is_empty() { "ready\n".to_owned() } else { format!("ready, but {remarks}\n") })
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready");
                Err("the store cannot be used; the server's log has the reason".to_owned())
            }
            Err(_) => Err("the store does not answer in time".to_owned()),
        }
    }

    /// Whether this server can store what is published.
    ///
    /// # Errors
    /// The reason why it cannot.
    pub(crate) async fn writing(&self) -> Result<(), String> {
        self.readiness().await?;
        let marker = self.watch.check().await.map_err(|error| error.to_string())?;
        marker.writable().map_err(|error| error.to_string())?;
        self.watch.failed_write().map_or(Ok(()), Err)
    }

    fn remarks(&self, marker: Marker) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Err(error) = marker.writable() {
            remarks.push(format!("read-only: {error}"));
        }
        if let Some(why) = self.watch.failed_write() {
            remarks.push(format!("not writable: {why}; what would write to the store is refused"));
        }
        if let Some(ahead) = self.clock.skew() {
            let seconds = ahead.as_secs();
            remarks.push(format!(
                "no name can be changed: this host's clock is {seconds} seconds ahead of the store's; set it"
            ));
        }
        if let Some(at) = *self.collector_failed.lock().unwrap_or_else(PoisonError::into_inner) {
            remarks.push(format!("the collector's run of {at:.0} failed; GET /collector/runs and the log say why"));
        }
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        remarks.extend(failing.iter().map(|task| format!("the background task {task} panicked; the log says why")));
        remarks
    }

    /// Facts about the store, one line each.
    pub(crate) fn about_store(&self) -> &[String] {
        self.about_store.get().map_or(&[], Vec::as_slice)
    }
}
