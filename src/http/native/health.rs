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
        .about(
            "A server whose store is full or read-only still answers 200, with the reason: its readers need it. \
             `?for=write` asks whether it can store what is published, `?verbose` for more facts.",
        )
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
struct Question {
    verbose: Option<String>,
    #[serde(rename = "for")]
    purpose: Option<Purpose>,
}

/// What the caller wants to send here.
#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Purpose {
    Read,
    Write,
}

async fn ready(State(health): State<Arc<Health>>, Params(asked): Params<Question>) -> Response {
    let about = health.about_store().iter().filter(|_| asked.verbose.is_some());
    let mut more = about.fold(String::new(), |text, line| text + line + "\n");
    let for_writing = asked.purpose == Some(Purpose::Write);
    let writing = if for_writing || asked.verbose.is_some() { health.writing().await } else { Ok(()) };
    if asked.verbose.is_some() {
        let writable = writing.as_ref().map_or_else(|why| format!("no ({why})"), |()| "yes".to_owned());
        more = format!("{more}writable: {writable}\n");
    }
    let ready = health.readiness().await.map_err(|why| format!("not ready: {why}"));
    let ready = ready.and_then(|ready| match writing {
        Err(why) if for_writing => Err(format!("not writable: {why}")),
        _ => Ok(ready),
    });
    match ready {
        Ok(ready) => text(StatusCode::OK, ready + &more),
        Err(problem) => {
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n{more}"));
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
    }
}

fn text(status: StatusCode, body: String) -> Response {
    (status, [(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}
