//! `/manifests` and `/manifests/NAME[@SELECTOR]`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED, LINK, LOCATION, VARY,
};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Deserialize;

use super::members;
use super::pages::{self, Site};
use super::parameters as p;
use super::reasons;
use crate::access::{Access, Caller};
use crate::domain::manifest::release;
use crate::domain::{ManifestName, Permission, Selector, Target};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::expectation::{expectation, required_expectation};
use crate::http::extract::{Activation, Params, RequestedFreshness, Rest};
use crate::http::openapi::{Document, Field, Operation, either, json_of, text};
use crate::http::rfc::accept::WantsHtml;
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::rfc::conditional::etag;
use crate::http::rfc::digests::state_digest;
use crate::http::rfc::hardening::defuse;
use crate::http::serving::bytes::judged;
use crate::http::serving::intake;
use crate::http::serving::last_change;
use crate::http::serving::notices;
use crate::http::serving::reading::Reading;
use crate::http::serving::response_cache::Cacheable;
use crate::http::state::{AppState, BaseUrl, Parts as AppParts};
use crate::protocol::AsOf;
use crate::service::publish::PublishOptions;
use crate::service::{Names, Resolved};
use crate::wire::manifest::ManifestDocument;
use crate::wire::{self, Deleted, Holders, NameEntry, NamePage, Row, limits};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/manifests", get(list))
        .route("/manifests/{*name}", get(read).head(head).put(publish).delete(remove).fallback(other))
}

pub(super) fn describe(document: &mut Document) {
    document.tag("manifests", "Names and what is active under them.");
    let list = Operation::new("get", "listNames", "Names that have an active version")
        .about("Names that the caller may not read are left out.")
        .by_policy()
        .takes(&[&p::PREFIX, &p::AFTER, &p::LIMIT_NAMES])
        .answers(
            200,
            "A page of them, by name, or a page for browsers.",
            &[&p::LINK, &p::CACHE_CONTROL],
            [json_of::<NamePage>(), text("text/html")],
        )
        .fails(&[400, 401, 500, 503]);
    document.path("/manifests", &[], [list]);
    let operations = [describe_read(true), describe_read(false), describe_publish(), describe_removal()];
    document.path("/manifests/{target}", &[&p::TARGET], operations);
}

/// Headers of every response with a manifest.
const FIELDS: &[&Field] = &[
    &p::ETAG,
    &p::LAST_MODIFIED,
    &p::REPR_DIGEST,
    &p::DIGEST_FIELD,
    &p::CACHE_CONTROL,
    &p::LARDER_VERSION,
    &p::LARDER_GENERATION,
    &p::LARDER_YANKED,
    &p::LARDER_MINIMUM_VERSION,
    &p::LARDER_LABEL,
    &p::LARDER_RESOLVED,
    &p::CONTENT_LOCATION,
    &p::LINK,
];

/// Headers of a response without the manifest, for a client that has it.
const UNCHANGED: &[&Field] = &[
    &p::ETAG,
    &p::LAST_MODIFIED,
    &p::CACHE_CONTROL,
    &p::LARDER_VERSION,
    &p::LARDER_GENERATION,
    &p::LARDER_LABEL,
    &p::LARDER_RESOLVED,
    &p::CONTENT_LOCATION,
];

fn describe_read(get: bool) -> Operation {
    let operation = if get {
        Operation::new("get", "getManifest", "A manifest, exactly as it was published")
            .about(
                "An OCI image manifest or index has its own media type. With `sha256:HEX` in place of a name: the names and versions that hold the manifest with this digest, as \
                 far as the caller may read them, a page at a time.",
            )
            .answers(
                200,
                "Its bytes, or who holds it; of the latter there is a page for browsers.",
                FIELDS,
                [either::<ManifestDocument, Holders>(), text("text/html")],
            )
    } else {
        Operation::new("head", "headManifest", "The headers of a manifest").empty(200, "There is one.", FIELDS)
    };
    operation
        .by_policy()
        .takes(&[
            &p::IF_MATCH,
            &p::IF_UNMODIFIED_SINCE,
            &p::IF_NONE_MATCH,
            &p::IF_MODIFIED_SINCE,
            &p::AFTER_HOLDER,
            &p::LIMIT_HOLDERS,
        ])
        .empty(304, "The client has it already.", UNCHANGED)
        .fails(&[400, 401, 403, 404, 410, 412, 500, 503])
}

fn describe_publish() -> Operation {
    Operation::new("put", "publish", "Publish a version of a name")
        .by_token(
            "The address is a name without a selector. The bytes of the manifest are kept and served exactly as they are \
             sent. An OCI image manifest or index is told from a release by its shape. All blobs must be there; 409 lists those that are not. Readers see all files of the version or none. \
             Needs `publish`.",
        )
        .takes(&[&p::ACTIVATE, &p::IF_MATCH_CHANGE, &p::IF_NONE_MATCH_CHANGE])
        .body(json_of::<ManifestDocument>())
        .answers(
            200,
            "The same manifest was there already; nothing changed.",
            &[&p::LOCATION, &p::ETAG],
            [json_of::<wire::Receipt>()],
        )
        .answers(
            201,
            "The version is complete and, unless staged, active.",
            &[&p::LOCATION, &p::ETAG],
            [json_of::<wire::Receipt>()],
        )
        .fails(&[400, 401, 403, 404, 408, 409, 412, 413, 415, 422, 428, 500, 503, 507])
}

fn describe_removal() -> Operation {
    Operation::new("delete", "remove", "Delete a name, or retire one version")
        .by_token(
            "A name without a selector: all of its versions are retired, those of open sessions aborted, and the name is \
             listed no more; its history stays. With a selector: that version is retired, unless it is active or pinned \
             (409). Needs `retire`.",
        )
        .takes(&[&p::REASON, &p::IF_MATCH_CHANGE, &p::IF_NONE_MATCH_CHANGE])
        .answers(200, "The deletion, or the row of the retired version.", &[], [either::<Deleted, Row>()])
        .fails(&[400, 401, 403, 404, 409, 410, 412, 428, 500, 503, 507])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    #[serde(default)]
    prefix: String,
    after: Option<ManifestName>,
    limit: Option<usize>,
}

async fn list(
    State(names): State<Arc<Names>>,
    State(access): State<Arc<Access>>,
    site: Site,
    caller: Caller,
    html: WantsHtml,
    Params(listing): Params<Listing>,
) -> Result<Response, ApiError> {
    let most = if html.0 { pages::browse::NAMES } else { limits::MAX_NAMES };
    let limit = listing.limit.unwrap_or(limits::NAMES).clamp(1, most);
    let visible = |name: &ManifestName| access.may_read(&caller, name);
    let page = names.page(&listing.prefix, listing.after.as_ref(), limit, visible).await?;
    let next = page.next.as_ref().map(|name| {
        let prefix = percent_encoding::utf8_percent_encode(&listing.prefix, percent_encoding::NON_ALPHANUMERIC);
        format!("{}/manifests?prefix={prefix}&after={name}&limit={limit}", site.base())
    });
    let mut headers = HeaderMap::new();
    headers.insert(VARY, HeaderValue::from_static("Accept, Authorization"));
    set_freshness(&mut headers, Freshness::Revalidate, false);
    if let Some(next) = &next {
        let link = HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).map_err(ApiError::internal)?;
        headers.insert(LINK, link);
    }
    if html.0 {
        let (first, order) = (listing.after.is_none() && listing.prefix.is_empty(), "by name");
        let listing = pages::Listing { heads: page.heads, query: String::new(), next, order, first };
        return Ok((headers, pages::listing(&site, &listing)).into_response());
    }
    let manifests = page.heads.iter().filter_map(|head| NameEntry::of(head)).collect();
    Ok((headers, Json(NamePage { manifests, next: page.next.map(|name| name.to_string()) })).into_response())
}

async fn read(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    RequestedFreshness(fresh): RequestedFreshness,
    request: Parts,
) -> Result<Response, ApiError> {
    if let Some(digest) = rest.digest() {
        return members::show(&state, &caller, digest?, request).await;
    }
    let AppParts { access, resolve, base, .. } = &*state;
    let headers = request.headers;
    let reading = Reading::new(resolve, access, &caller, rest.target()?, fresh).await?;
    let (found, loaded) = resolve.manifest(reading.target(), fresh).await?;
    let answer = manifest_headers(base, &reading, &found);
    if let Some(judged) = judged(&headers, found.row.digest(), last_change::date(&found), &answer)? {
        return Ok(judged);
    }
    let heads = reading.heads(&found).filter(|_| reading.is_public);
    let cacheable = heads.map(|heads| {
        Extension(Cacheable::of_heads(heads, loaded.bytes.clone()).valid_for(last_change::unsettled_for(&found)))
    });
    Ok((cacheable, answer, loaded.bytes.clone()).into_response())
}

async fn head(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    RequestedFreshness(fresh): RequestedFreshness,
    request: Parts,
) -> Result<Response, ApiError> {
    if let Some(digest) = rest.digest() {
        return members::show(&state, &caller, digest?, request).await;
    }
    let AppParts { access, resolve, base, .. } = &*state;
    let headers = request.headers;
    let reading = Reading::new(resolve, access, &caller, rest.target()?, fresh).await?;
    let found = resolve.readable(reading.target(), fresh).await?;
    let answer = manifest_headers(base, &reading, &found);
    if let Some(judged) = judged(&headers, found.row.digest(), last_change::date(&found), &answer)? {
        return Ok(judged);
    }
    let heads = reading.heads(&found).filter(|_| reading.is_public);
    let cacheable = heads.map(|heads| {
        let unsettled_for = last_change::unsettled_for(&found);
        Extension(Cacheable::without_body(None).under(heads).valid_for(unsettled_for))
    });
    Ok((cacheable, answer).into_response())
}

fn manifest_headers(base: &BaseUrl, reading: &Reading, found: &Resolved) -> HeaderMap {
    let digest = found.row.digest();
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(ETAG, HeaderValue::try_from(etag(digest)).expect("a digest is legal in a header"));
    let media_type = found.row.summary.media_type.as_deref().unwrap_or(release::MEDIA_TYPE);
    let media_type = HeaderValue::from_str(media_type);
    headers.insert(CONTENT_TYPE, media_type.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(found.row.summary.manifest.size));
    state_digest(&mut headers, digest);
    headers.extend(last_change::date(found).map(|date| (LAST_MODIFIED, date.header())));
    reading.describe(found, &mut headers);
    reading.locate((base, "manifests"), "", found, &mut headers);
    notices::yanked(&mut headers, &found.row);
    notices::floor(&mut headers, found.floor.as_deref());
    set_freshness(&mut headers, reading.freshness(found), reading.is_public);
    let link = format!("<{base}/versions/{}>; rel=\"version-history\"", reading.target().name);
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
    let expect = required_expectation(&state.access, &name, &headers)?;
    let options = PublishOptions { activate: activation.activate, expect };
    let limit = state.publish.limits().manifest_bytes;
    let held = intake::hold(&state, &state.memory.manifests, &caller, &headers, body, limit).await?;
    let (tasks, base) = (state.tasks.clone(), state.base.clone());
    let receipt = run_to_completion(&tasks, async move {
        // All of it, so that its memory counts until the work is done, even if the client goes away.
        let held = held;
        Ok(state.publish.publish(&name, held.bytes.clone(), options, caller.author()).await?)
    })
    .await?;
    let status = if receipt.unchanged { StatusCode::OK } else { StatusCode::CREATED };
    let location = HeaderValue::try_from(format!("{base}/manifests/{}@{}", receipt.name, receipt.row.number));
    let etag = HeaderValue::try_from(etag(receipt.row.digest())).map_err(ApiError::internal)?;
    let headers = [(LOCATION, location.map_err(ApiError::internal)?), (ETAG, etag)];
    Ok((status, headers, Json(wire::Receipt::from(&receipt))).into_response())
}

/// Other methods, OPTIONS among them: versions are published under a name, never under a selector.
async fn other(rest: Rest) -> Result<Response, ApiError> {
    let allowed = if rest.target()?.explicit { "GET,HEAD,DELETE" } else { "GET,HEAD,PUT,DELETE" };
    Err(ApiError::method_not_allowed_but(allowed))
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
    let reason = reasons::optional(removal.reason)?.unwrap_or_default();
    if target.explicit {
        retire(state, &caller, target, &headers, reason).await
    } else {
        delete(state, caller, target.name, &headers, reason).await
    }
}

/// The content of a version never changes, so its precondition can be evaluated before the change, and no policy needs
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
    let (tasks, by) = (state.tasks.clone(), caller.author());
    let receipt =
        run_to_completion(&tasks, async move { Ok(state.versions.retire(&target, reason, by).await?) }).await?;
    Ok(Json(Row::from(&receipt.row)).into_response())
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
            async move { Ok(state.versions.delete(&name, expect, reason, caller.author()).await?) },
        )
        .await?;
    let body = Deleted { name: head.name.governing(), generation: Some(head.generation), deleted: true };
    Ok(Json(body).into_response())
}
