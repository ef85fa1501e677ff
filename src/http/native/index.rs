//! `/` and `/openapi.json`.

use std::sync::OnceLock;

use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::negotiate::WantsHtml;
use super::pages;
use crate::http::openapi::{Document, Operation, json_of, text};
use crate::http::state::AppState;
use crate::wire::ServerIndex;
use crate::wire::schema::Anything;

/// The routes. `document` builds the OpenAPI document.
pub(super) fn routes(document: fn() -> serde_json::Value) -> Router<AppState> {
    Router::new().route("/", get(index)).route("/openapi.json", get(async move || openapi(document)))
}

pub(super) fn describe(document: &mut Document) {
    document.tag("service", "For operators and tools.");
    let index = Operation::new("get", "index", "What this server offers").answers(
        200,
        "Addresses of everything, or a page for browsers.",
        &[],
        [json_of::<ServerIndex>(), text("text/html")],
    );
    document.path("/", &[], [index]);
    let description = Operation::new("get", "description", "This document").answers(
        200,
        "OpenAPI 3.1.",
        &[],
        [json_of::<Anything>()],
    );
    document.path("/openapi.json", &[], [description]);
}

async fn index(html: WantsHtml) -> Response {
    let headers = [(VARY, "Accept"), (CACHE_CONTROL, "no-cache")];
    if html.0 {
        return (headers, pages::index()).into_response();
    }
    let body = ServerIndex {
        name: "larder".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        manifests: "/manifests".into(),
        manifest: "/manifests/{name}".into(),
        versions: "/versions/{name}".into(),
        file: "/refs/{name}/{file}".into(),
        blob: "/blobs/{digest}".into(),
        description: "/openapi.json".into(),
    };
    (headers, Json(body)).into_response()
}

fn openapi(document: fn() -> serde_json::Value) -> Response {
    /// Rendered once: the document is constant for the lifetime of the process.
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_string().into());
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], text.clone()).into_response()
}
