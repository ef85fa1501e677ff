//! `/livez`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;

use super::parameters as p;
use crate::http::extract::Params;
use crate::http::openapi::{Document, Operation, text as text_of};
use crate::http::state::AppState;
use crate::upkeep::Health;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/livez", get(async || text(StatusCode::OK, "ok\n".to_owned())))
        .route("/healthz", get(async || text(StatusCode::OK, "ok\n".to_owned())))
        .route("/readyz", get(ready))
        .route("/metrics", get(async || text(StatusCode::OK, crate::telemetry::render_metrics())))
}

/// Routes that are polled every few seconds and therefore not logged.
pub(super) const QUIET: &[&str] = &["/livez", "/readyz", "/healthz", "/metrics"];

/// These operations belong to the tag that [`super::index`] adds.
pub(super) fn describe(document: &mut Document) {
    for (path, id) in [("/livez", "livez"), ("/healthz", "healthz")] {
        let alive = Operation::new("get", id, "Whether the process lives").answers(
            200,
            "It does. Never asks the store.",
            &[],
            [text_of("text/plain")],
        );
        document.path(path, &[], [alive]);
    }
    let ready = Operation::new("get", "readyz", "Whether this server should get traffic")
        .answers(200, "It should.", &[], [text_of("text/plain")])
        .answers(503, "It is shutting down, or its store cannot be used.", &[&p::RETRY_AFTER], [text_of("text/plain")]);
    document.path("/readyz", &[], [ready]);
    let metrics = Operation::new("get", "metrics", "Metrics in Prometheus' text format").answers(
        200,
        "The metrics.",
        &[],
        [text_of("text/plain")],
    );
    document.path("/metrics", &[], [metrics]);
}

#[derive(Deserialize)]
struct Verbosity {
    verbose: Option<String>,
}

async fn ready(State(health): State<Arc<Health>>, Params(asked): Params<Verbosity>) -> Response {
    let about = health.about_store().iter().filter(|_| asked.verbose.is_some());
    let more = about.fold(String::new(), |text, line| text + line + "\n");
    match health.readiness().await {
        Ok(ready) => text(StatusCode::OK, ready + &more),
        Err(problem) => {
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {problem}\n{more}"));
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
    }
}

fn text(status: StatusCode, body: String) -> Response {
    (status, [(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}
