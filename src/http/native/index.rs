//! `/` and `/openapi.json`.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::pages;
use crate::http::openapi::{Document, Operation, json_of, text};
use crate::http::rfc::accept::WantsHtml;
use crate::http::state::{AppState, BaseUrl};
use crate::wire::ServerIndex;
use crate::wire::schema::Anything;

/// The routes. `document` builds the OpenAPI document.
pub(super) fn routes(document: fn() -> serde_json::Value) -> Router<AppState> {
    let text = Arc::new(OnceLock::new());
    let description = async move |State(base): State<BaseUrl>| openapi(document, &text, &base);
    Router::new().route("/", get(index)).route("/openapi.json", get(description))
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

async fn index(State(base): State<BaseUrl>, html: WantsHtml) -> Response {
    let headers = [(VARY, "Accept"), (CACHE_CONTROL, "no-cache")];
    if html.0 {
        return (headers, pages::index(&base)).into_response();
    }
    let at = |path: &str| format!("{base}{path}");
    let body = ServerIndex {
        name: "larder".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        manifests: at("/manifests"),
        manifest: at("/manifests/{name}"),
        versions: at("/versions/{name}"),
        file: at("/refs/{name}/{file}"),
        blob: at("/blobs/{digest}"),
        description: at("/openapi.json"),
    };
    (headers, Json(body)).into_response()
}

/// `text` keeps the document: it is constant for the lifetime of the server.
fn openapi(document: fn() -> serde_json::Value, text: &OnceLock<Bytes>, base: &BaseUrl) -> Response {
    let render = || {
        let mut document = document();
        if let Some(url) = base.url() {
            document["servers"] = json!([{"url": url.as_str()}]);
        }
        document.to_string().into()
    };
    let text = text.get_or_init(render).clone();
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], text).into_response()
}
