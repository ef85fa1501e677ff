//! `/`, `/openapi.json` and `/robots.txt`.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::pages::{Site, browse};
use crate::access::Caller;
use crate::http::error::ApiError;
use crate::http::openapi::{Document, Operation, json_of, text};
use crate::http::rfc::accept::WantsHtml;
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::state::{AppState, BaseUrl};
use crate::wire::ServerIndex;
use crate::wire::schema::Anything;

/// The routes. `document` builds the OpenAPI document.
pub(super) fn routes(document: fn() -> serde_json::Value) -> Router<AppState> {
    let text = Arc::new(OnceLock::new());
    let description = async move |State(base): State<BaseUrl>| openapi(document, &text, &base);
    Router::new().route("/", get(index)).route("/openapi.json", get(description)).route("/robots.txt", get(robots))
}

pub(super) fn describe(document: &mut Document) {
    document.tag("service", "For operators and tools.");
    let index = Operation::new("get", "index", "What this server offers").answers(
        200,
        "Addresses of everything, or for browsers a page with the names that they may read.",
        &[],
        [json_of::<ServerIndex>(), text("text/html")],
    );
    let index = index.fails(&[500, 503]);
    let robots = Operation::new("get", "robots", "What search engines may visit").answers(
        200,
        "RFC 9309.",
        &[],
        [text("text/plain")],
    );
    document.path("/robots.txt", &[], [robots]);
    document.path("/", &[], [index]);
    let description = Operation::new("get", "description", "This document").answers(
        200,
        "OpenAPI 3.1.",
        &[],
        [json_of::<Anything>()],
    );
    document.path("/openapi.json", &[], [description]);
}

async fn index(
    State(state): State<AppState>,
    caller: Caller,
    site: Site,
    html: WantsHtml,
    uri: Uri,
) -> Result<Response, ApiError> {
    if html.0 {
        let mut headers = HeaderMap::new();
        headers.insert(VARY, HeaderValue::from_static("Accept, Authorization"));
        set_freshness(&mut headers, Freshness::Revalidate, false);
        return Ok((headers, browse::start(&state, &site, &caller, &uri).await?).into_response());
    }
    let (headers, base) = ([(VARY, "Accept"), (CACHE_CONTROL, "no-cache")], &state.base);
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
    Ok((headers, Json(body)).into_response())
}

/// What search engines may visit: pages. Names that need a token refuse them by nature.
async fn robots() -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "max-age=86400")], ROBOTS).into_response()
}

const ROBOTS: &str = "User-agent: *\nDisallow: /blobs/\nDisallow: /manifests\nDisallow: /refs/\nDisallow: /assets/\n\
                      Disallow: /openapi.json\nDisallow: /metrics\nDisallow: /tls/\nDisallow: /versions/*/diff\n";

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
