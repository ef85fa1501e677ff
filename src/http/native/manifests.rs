//! `/manifests` and `/manifests/NAME[@SELECTOR]`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LINK, LOCATION, VARY,
};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::blobs::judged;
use super::negotiate::WantsHtml;
use super::pages;
use super::versions::{RowBody, receipt_body};
use crate::access::{Access, Caller};
use crate::domain::Permission;
use crate::domain::version::MAX_REASON;
use crate::domain::{Digest, Expect, LogName, ManifestName, Selector, Target};
use crate::http::extract::{Activation, Params, RequestedFreshness, Rest};
use crate::http::rfc::body::{self, RequestBody, check_headers};
use crate::http::rfc::caching::{Freshness, defuse, set_freshness};
use crate::http::rfc::conditional::{etag, expectation};
use crate::http::rfc::digests::{REPR_DIGEST, repr_digest};
use crate::http::serving::response_cache::Cacheable;
use crate::http::{ApiError, AppState, run_to_completion};
use crate::protocol::AsOf;
use crate::service::publish::PublishOptions;
use crate::service::{NamePage, Names, Resolve, Resolved};

/// Number of the version that was served.
const VERSION: HeaderName = HeaderName::from_static("larder-version");
/// Generation of the head that was asked.
const GENERATION: HeaderName = HeaderName::from_static("larder-generation");
/// Names on a page, unless asked otherwise.
const PAGE: usize = 100;
/// Most names on a page.
const MAX_PAGE: usize = 1000;

pub(in crate::http) fn routes() -> Router<AppState> {
    Router::new()
        .route("/manifests", get(list))
        .route("/manifests/{*name}", get(read).head(head).put(publish).delete(remove))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    #[serde(default)]
    prefix: String,
    after: Option<ManifestName>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct NameRow<'a> {
    name: &'a LogName,
    generation: u64,
    version: u64,
    manifest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    files: u64,
    total_bytes: u64,
    promoted_at: Option<jiff::Timestamp>,
}

async fn list(
    State(names): State<Arc<Names>>,
    State(access): State<Arc<Access>>,
    caller: Caller,
    html: WantsHtml,
    Params(listing): Params<Listing>,
) -> Result<Response, ApiError> {
    let limit = listing.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let visible = |name: &ManifestName| access.may_read(&caller, name);
    let page = names.page(&listing.prefix, listing.after.as_ref(), limit, visible).await?;
    let next = page.next.as_ref().map(|name| {
        let prefix = percent_encoding::utf8_percent_encode(&listing.prefix, percent_encoding::NON_ALPHANUMERIC);
        format!("/manifests?prefix={prefix}&after={name}&limit={limit}")
    });
    let mut headers = HeaderMap::new();
    headers.insert(VARY, HeaderValue::from_static("Accept, Authorization"));
    set_freshness(&mut headers, Freshness::Revalidate, false);
    if let Some(next) = &next {
        let link = HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).map_err(ApiError::internal)?;
        headers.insert(LINK, link);
    }
    if html.0 {
        return Ok((headers, pages::names(&page, next.as_deref())).into_response());
    }
    Ok((headers, Json(page_body(&page))).into_response())
}

fn page_body(page: &NamePage) -> serde_json::Value {
    let rows = page.heads.iter().filter_map(|head| {
        let row = head.active()?;
        Some(NameRow {
            name: &head.name,
            generation: head.generation,
            version: row.number,
            manifest: row.digest(),
            label: row.summary.label.as_deref(),
            files: row.summary.files,
            total_bytes: row.summary.total_bytes,
            promoted_at: row.promoted_at,
        })
    });
    serde_json::json!({"manifests": rows.collect::<Vec<_>>(), "next": page.next})
}

async fn read(
    State(resolve): State<Arc<Resolve>>,
    State(access): State<Arc<Access>>,
    caller: Caller,
    rest: Rest,
    RequestedFreshness(fresh): RequestedFreshness,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let target = rest.target()?;
    caller.require_read(&access, &target.name)?;
    let (found, loaded) = resolve.manifest(&target, fresh).await?;
    let public = access.is_public(&target.name);
    let answer = manifest_headers(&target, &found, public);
    if let Some(judged) = judged(&headers, found.row.digest(), &answer)? {
        return Ok(judged);
    }
    let cacheable = public.then(|| Extension(Cacheable::of_head(target.name, found.generation, loaded.bytes.clone())));
    Ok((cacheable, answer, loaded.bytes.clone()).into_response())
}

async fn head(
    State(resolve): State<Arc<Resolve>>,
    State(access): State<Arc<Access>>,
    caller: Caller,
    rest: Rest,
    RequestedFreshness(fresh): RequestedFreshness,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let target = rest.target()?;
    caller.require_read(&access, &target.name)?;
    let found = resolve.readable(&target, fresh).await?;
    let answer = manifest_headers(&target, &found, access.is_public(&target.name));
    let judged = judged(&headers, found.row.digest(), &answer)?;
    Ok(judged.unwrap_or_else(|| (answer, Body::empty()).into_response()))
}

fn manifest_headers(target: &Target, found: &Resolved, public: bool) -> HeaderMap {
    let digest = found.row.digest();
    let mut headers = HeaderMap::with_capacity(10);
    headers.insert(ETAG, HeaderValue::try_from(etag(digest)).expect("a digest is legal in a header"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(found.row.summary.manifest.size));
    headers.insert(REPR_DIGEST, repr_digest(digest));
    headers.insert(VERSION, HeaderValue::from(found.row.number));
    headers.insert(GENERATION, HeaderValue::from(found.generation));
    let freshness = if target.selector.is_moving() { Freshness::Revalidate } else { Freshness::Immutable };
    set_freshness(&mut headers, freshness, public);
    let link = format!("</versions/{}>; rel=\"version-history\"", target.name);
    headers.insert(LINK, HeaderValue::try_from(link).expect("a name is legal in a header"));
    defuse(&mut headers);
    headers
}

async fn publish(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    Params(activation): Params<Activation>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let name = rest.name()?;
    caller.require(Permission::Publish, &name)?;
    let options = publish_options(&state.access, &name, &headers, activation.activate)?;
    let held = read_manifest(&state, &headers, body).await?;
    let tasks = state.tasks.clone();
    let receipt = run_to_completion(&tasks, async move {
        Ok(state.publish.publish(&name, held.bytes.clone(), options, &caller.subject()).await?)
    })
    .await?;
    let status = if receipt.unchanged { StatusCode::OK } else { StatusCode::CREATED };
    let location = HeaderValue::try_from(format!("/manifests/{}@{}", receipt.name, receipt.row.number));
    let etag = HeaderValue::try_from(etag(receipt.row.digest())).map_err(ApiError::internal)?;
    let headers = [(LOCATION, location.map_err(ApiError::internal)?), (ETAG, etag)];
    Ok((status, headers, Json(receipt_body(&receipt))).into_response())
}

/// What the client wants of `name`, if its policy lets it say so.
pub(in crate::http) fn publish_options(
    access: &Access,
    name: &ManifestName,
    headers: &HeaderMap,
    activate: bool,
) -> Result<PublishOptions, ApiError> {
    Ok(PublishOptions { activate, expect: required_expectation(access, name, headers)? })
}

/// The precondition of a change, which some policies require.
pub(in crate::http) fn required_expectation(
    access: &Access,
    name: &ManifestName,
    headers: &HeaderMap,
) -> Result<Expect, ApiError> {
    let expect = expectation(headers)?;
    if access.needs_precondition(name) && !expect.is_stated() {
        return Err(ApiError::precondition_required());
    }
    Ok(expect)
}

/// A manifest that is held in memory, and the place it takes up.
pub(in crate::http) struct BufferedManifest {
    pub(in crate::http) bytes: bytes::Bytes,
    _place: OwnedSemaphorePermit,
}

/// Reads a manifest. While too many are held by others, the client waits.
pub(in crate::http) async fn read_manifest(
    state: &AppState,
    headers: &HeaderMap,
    body: Body,
) -> Result<BufferedManifest, ApiError> {
    let limit = state.publish.limits().manifest_bytes;
    check_headers(headers, limit)?;
    let place = body::place(&state.held).await?;
    let bytes = RequestBody::new(body, state.timeouts, limit).collect().await?;
    Ok(BufferedManifest { bytes, _place: place })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Removal {
    reason: Option<String>,
}


async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    Params(removal): Params<Removal>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let target = rest.target()?;
    caller.require(Permission::Retire, &target.name)?;
    let reason = removal.reason.unwrap_or_else(|| format!("by {}", caller.subject()));
    if reason.len() > MAX_REASON {
        let detail = format!("A reason has at most {MAX_REASON} bytes.");
        return Err(ApiError::bad_request("QUERY_INVALID", detail));
    }
    if target.explicit {
        retire(state, &caller, target, &headers, reason).await
    } else {
        delete(state, caller, target.name, &headers, reason).await
    }
}

/// What a version consists of never changes, so its precondition can be judged before the change, and no policy needs
/// to require one.
async fn retire(
    state: AppState,
    caller: &Caller,
    target: Target,
    headers: &HeaderMap,
    reason: String,
) -> Result<Response, ApiError> {
    let row = state.resolve.row(&target, AsOf::Now).await?.row;
    if !expectation(headers)?.holds(Some(row.digest())) {
        return Err(ApiError::precondition_failed(Some(row.digest())));
    }
    let target = Target { selector: Selector::Number(row.number), ..target };
    let (tasks, by) = (state.tasks.clone(), caller.subject());
    let receipt =
        run_to_completion(&tasks, async move { Ok(state.versions.retire(&target, reason, &by).await?) }).await?;
    Ok(Json(RowBody::of(&receipt.row)).into_response())
}

async fn delete(
    state: AppState,
    caller: Caller,
    name: ManifestName,
    headers: &HeaderMap,
    reason: String,
) -> Result<Response, ApiError> {
    let expect = required_expectation(&state.access, &name, headers)?;
    let tasks = state.tasks.clone();
    let head =
        run_to_completion(
            &tasks,
            async move { Ok(state.versions.delete(&name, expect, reason, &caller.subject()).await?) },
        )
        .await?;
    let body = serde_json::json!({"name": head.name, "generation": head.generation, "deleted": true});
    Ok(Json(body).into_response())
}
