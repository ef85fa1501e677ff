//! `/versions/NAME[@SELECTOR]` and what can be done to a version.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderValue, LINK, VARY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::manifests::{publish_options, required_expectation};
use super::negotiate::WantsHtml;
use super::pages;
use crate::access::Caller;
use crate::domain::Permission;
use crate::domain::manifest::Kind;
use crate::domain::{Digest, FileName, ManifestName, State as VersionState, Subject, Target, VersionRow};
use crate::http::extract::{Activation, Params, Rest, VersionPath};
use crate::http::rfc::body::{RequestBody, check_headers};
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::{ApiError, AppState, run_to_completion};
use crate::protocol::AsOf;
use crate::service::{Receipt, ResolveError, Versions};

/// Rows on a page, unless asked otherwise.
const PAGE: usize = 50;
/// Most rows on a page.
const MAX_PAGE: usize = 1000;
/// Longest body of an action, in bytes.
const MAX_BODY: u64 = 4096;

pub(in crate::http) fn routes() -> Router<AppState> {
    Router::new().route("/versions/{*name}", get(show).post(act).put(pin).delete(unpin))
}

/// A version row as clients see it.
#[derive(Debug, Serialize)]
pub(in crate::http) struct RowBody<'a> {
    number: u64,
    state: VersionState,
    pinned: bool,
    manifest: Digest,
    manifest_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    kind: Kind,
    artifact_manifest: ArtifactManifest<'a>,
    source_sha256: Option<Digest>,
    created_by: &'a Subject,
    prepared_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    published_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    promoted_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archived_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_because: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ArtifactManifest<'a> {
    files: u64,
    total_bytes: u64,
    entrypoint: Option<&'a FileName>,
}

impl<'a> RowBody<'a> {
    pub(in crate::http) fn of(row: &'a VersionRow) -> Self {
        let summary = &row.summary;
        Self {
            number: row.number,
            state: row.state,
            pinned: row.is_pinned(),
            manifest: summary.manifest.digest,
            manifest_size: summary.manifest.size,
            label: summary.label.as_deref(),
            kind: summary.kind.clone(),
            artifact_manifest: ArtifactManifest {
                files: summary.files,
                total_bytes: summary.total_bytes,
                entrypoint: summary.entrypoint.as_ref(),
            },
            source_sha256: summary.source,
            created_by: &row.created_by,
            prepared_at: row.prepared_at,
            published_at: row.published_at,
            promoted_at: row.promoted_at,
            archived_at: row.archived_at,
            retired_at: row.retired_at,
            retired_because: row.retired_because.as_deref(),
        }
    }
}

/// A receipt as clients see it.
pub(in crate::http) fn receipt_body(receipt: &Receipt) -> serde_json::Value {
    serde_json::json!({
        "name": receipt.name,
        "version": receipt.row.number,
        "generation": receipt.generation,
        "manifest": receipt.row.digest(),
        "state": receipt.row.state,
        "previous": receipt.previous,
        "unchanged": receipt.unchanged,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    before: Option<u64>,
    limit: Option<usize>,
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    html: WantsHtml,
    rest: Rest,
    Params(page): Params<Page>,
) -> Result<Response, ApiError> {
    let VersionPath { target, tail } = rest.place()?;
    caller.require_read(&state.access, &target.name)?;
    let mut headers = HeaderMap::new();
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    set_freshness(&mut headers, Freshness::Revalidate, state.access.is_public(&target.name));
    match (tail.as_deref(), target.explicit) {
        (Some("promote" | "pin" | "copy"), _) => Err(not_allowed(tail.as_deref())),
        (Some(_), _) => Err(ApiError::no_route()),
        (None, true) => {
            let found = state.resolve.row(&target, AsOf::Now).await?;
            Ok((headers, Json(RowBody::of(&found.row))).into_response())
        }
        (None, false) => history(&state.versions, &target.name, page, html, headers).await,
    }
}

/// The answer to a method that what stands behind the selector does not know.
fn not_allowed(tail: Option<&str>) -> ApiError {
    match tail {
        None => ApiError::method_not_allowed_but("GET, HEAD"),
        Some("promote" | "copy") => ApiError::method_not_allowed_but("POST"),
        Some("pin") => ApiError::method_not_allowed_but("PUT, DELETE"),
        Some(_) => ApiError::no_route(),
    }
}

async fn history(
    versions: &Versions,
    name: &ManifestName,
    page: Page,
    html: WantsHtml,
    mut headers: HeaderMap,
) -> Result<Response, ApiError> {
    let limit = page.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let history = versions.history(name, page.before, limit).await?;
    let history = history.ok_or_else(|| ResolveError::NoSuchName(name.clone()))?;
    let next = history.next.map(|before| format!("/versions/{name}?before={before}&limit={limit}"));
    if let Some(next) = &next {
        let link = HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).map_err(ApiError::internal)?;
        headers.insert(LINK, link);
    }
    if html.0 {
        return Ok((headers, pages::history(&history, next.as_deref())).into_response());
    }
    let body = serde_json::json!({
        "name": name,
        "generation": history.head.generation,
        "active": history.head.active().map(|row| row.number),
        "previous": history.head.previous,
        "versions": history.rows.iter().map(RowBody::of).collect::<Vec<_>>(),
        "next": history.next,
    });
    Ok((headers, Json(body)).into_response())
}

async fn act(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    Params(activation): Params<Activation>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let VersionPath { target, tail } = rest.place()?;
    match tail.as_deref() {
        Some("promote") => promote(state, caller, target, &headers).await,
        Some("copy") => copy(state, caller, target, &headers, activation.activate, body).await,
        Some("pin") | None => Err(not_allowed(tail.as_deref())),
        Some(_) => Err(ApiError::no_route()),
    }
}

async fn promote(state: AppState, caller: Caller, target: Target, headers: &HeaderMap) -> Result<Response, ApiError> {
    caller.require(Permission::Promote, &target.name)?;
    let expect = required_expectation(&state.access, &target.name, headers)?;
    let tasks = state.tasks.clone();
    let receipt =
        run_to_completion(&tasks, async move { Ok(state.versions.promote(&target, expect, &caller.subject()).await?) })
            .await?;
    Ok(Json(receipt_body(&receipt)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CopyBody {
    to: ManifestName,
}

async fn copy(
    state: AppState,
    caller: Caller,
    target: Target,
    headers: &HeaderMap,
    activate: bool,
    body: Body,
) -> Result<Response, ApiError> {
    caller.require_read(&state.access, &target.name)?;
    check_headers(headers, MAX_BODY)?;
    let body = RequestBody::new(body, state.timeouts, MAX_BODY).collect().await?;
    let CopyBody { to } = serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad_request("NAME_INVALID", format!("Send {{\"to\": \"NAME\"}}: {error}.")))?;
    caller.require(Permission::Publish, &to)?;
    let options = publish_options(&state.access, &to, headers, activate)?;
    let tasks = state.tasks.clone();
    let receipt =
        run_to_completion(
            &tasks,
            async move { Ok(state.versions.copy(&target, &to, options, &caller.subject()).await?) },
        )
        .await?;
    let status = if receipt.unchanged { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(receipt_body(&receipt))).into_response())
}

async fn pin(State(state): State<AppState>, caller: Caller, rest: Rest) -> Result<Response, ApiError> {
    set_pin(state, caller, &rest, true).await
}

async fn unpin(State(state): State<AppState>, caller: Caller, rest: Rest) -> Result<Response, ApiError> {
    set_pin(state, caller, &rest, false).await
}

async fn set_pin(state: AppState, caller: Caller, rest: &Rest, pinned: bool) -> Result<Response, ApiError> {
    let VersionPath { target, tail } = rest.place()?;
    if tail.as_deref() != Some("pin") {
        return Err(not_allowed(tail.as_deref()));
    }
    caller.require(Permission::Pin, &target.name)?;
    let tasks = state.tasks.clone();
    let receipt =
        run_to_completion(&tasks, async move { Ok(state.versions.pin(&target, pinned, &caller.subject()).await?) })
            .await?;
    Ok(Json(RowBody::of(&receipt.row)).into_response())
}
