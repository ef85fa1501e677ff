//! Readiness: whether a server should get traffic, and what operators should know besides.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::layout::marker::Watch;
use crate::store::ObjectStore;

/// How long the store may take to show that it is there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether this server should get traffic.
#[derive(Debug)]
pub struct Health {
    store: Watch,
    draining: AtomicBool,
    collector_failed: Mutex<Option<Timestamp>>,
    /// What is to be known of the store, a line each.
    about_store: OnceLock<Vec<String>>,
}

impl Health {
    /// Health of a server on `store`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store: Watch::new(store),
            draining: AtomicBool::new(false),
            collector_failed: Mutex::default(),
            about_store: OnceLock::new(),
        }
    }

    /// From now on the server is not ready: it is about to stop.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// When the collector's last run failed, if it did. The server goes on getting traffic, but says so.
    pub fn set_collector_failed(&self, at: Option<Timestamp>) {
        *self.collector_failed.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// What `/readyz?verbose` says of the store, a line each. Counts once.
    pub fn set_about_store(&self, lines: Vec<String>) {
        self.about_store.get_or_init(|| lines);
    }

    /// What a server that is ready says.
    pub(crate) fn remark(&self) -> String {
        let failed = *self.collector_failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.map_or_else(
            || "ready\n".to_owned(),
            |at| format!("ready, but the collector's run of {at:.0} failed; GET /collector/runs and the log say why\n"),
        )
    }

    /// Why the server is not ready, if it is not.
    pub(crate) async fn problem(&self) -> Option<String> {
        if self.draining.load(Ordering::Relaxed) {
            return Some("shutting down".to_owned());
        }
        match tokio::time::timeout(PATIENCE, self.store.check()).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready");
                Some("the store cannot be used; the server's log has the reason".to_owned())
            }
            Err(_) => Some("the store does not answer in time".to_owned()),
        }
    }

    /// What there is to know about the store, a line each.
    pub(crate) fn about_store(&self) -> &[String] {
        self.about_store.get().map_or(&[], Vec::as_slice)
    }
}
