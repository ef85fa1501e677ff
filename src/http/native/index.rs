//! `/` and `/openapi.json`.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::negotiate::WantsHtml;
use super::pages;
use crate::http::AppState;

/// The interface's description, which a test holds against the routes.
const OPENAPI: &str = include_str!("openapi.json");

pub(in crate::http) fn routes() -> Router<AppState> {
    Router::new().route("/", get(index)).route("/openapi.json", get(openapi))
}

async fn index(html: WantsHtml) -> Response {
    let headers = [(VARY, "Accept"), (CACHE_CONTROL, "no-cache")];
    if html.0 {
        return (headers, pages::index()).into_response();
    }
    let body = json!({
        "name": "larder",
        "version": env!("CARGO_PKG_VERSION"),
        "manifests": "/manifests",
        "manifest": "/manifests/{name}",
        "versions": "/versions/{name}",
        "ref": "/refs/{name}/{file}",
        "blob": "/blobs/{digest}",
        "description": "/openapi.json",
    });
    (headers, Json(body)).into_response()
}

async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], OPENAPI).into_response()
}
