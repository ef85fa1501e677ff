//! `/livez`, `/readyz` and `/metrics`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use jiff::Timestamp;
use serde::Deserialize;

use super::AppState;
use super::extract::Params;
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
    fn remark(&self) -> String {
        let failed = *self.collector_failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.map_or_else(
            || "ready\n".to_owned(),
            |at| format!("ready, but the collector's run of {at:.0} failed; GET /collector/runs and the log say why\n"),
        )
    }

    /// Why the server is not ready, if it is not.
    async fn problem(&self) -> Option<String> {
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
}

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/livez", get(async || text(StatusCode::OK, "ok\n".to_owned())))
        .route("/healthz", get(async || text(StatusCode::OK, "ok\n".to_owned())))
        .route("/readyz", get(ready))
        .route("/metrics", get(async || text(StatusCode::OK, crate::telemetry::render_metrics())))
}

#[derive(Deserialize)]
struct Verbosity {
    verbose: Option<String>,
}

async fn ready(State(health): State<Arc<Health>>, Params(asked): Params<Verbosity>) -> Response {
    let more = match health.about_store.get().filter(|_| asked.verbose.is_some()) {
        Some(lines) => lines.join("\n") + "\n",
        None => String::new(),
    };
    match health.problem().await {
        None => text(StatusCode::OK, health.remark() + &more),
        Some(problem) => {
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {problem}\n{more}"));
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
    }
}

fn text(status: StatusCode, body: String) -> Response {
    (status, [(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}
