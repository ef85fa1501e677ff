//! `/manifests` and `/manifests/NAME[@SELECTOR]`.

mod read;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{ETAG, HeaderMap, HeaderValue, LINK, LOCATION, VARY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::pages::{self, Site};
use super::parameters as p;
use super::{reasons, signatures};
use crate::access::{Access, Caller};
use crate::domain::{ManifestName, Permission, Selector, Target};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::expectation::{expectation, required_expectation};
use crate::http::extract::{Activation, Params, Rest};
use crate::http::openapi::{Document, Operation, either, json_of, text};
use crate::http::rfc::accept::WantsHtml;
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::rfc::conditional::etag;
use crate::http::serving::intake;
use crate::http::state::AppState;
use crate::protocol::AsOf;
use crate::service::Names;
use crate::service::publish::PublishOptions;
use crate::wire::manifest::ManifestDocument;
use crate::wire::{self, Deleted, NameEntry, NamePage, Row, limits};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/manifests", get(list))
        .route("/manifests/{*name}", get(read::read).head(read::head).put(publish).delete(remove).fallback(other))
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
    let operations = [read::describe_read(true), read::describe_read(false), describe_publish(), describe_removal()];
    document.path("/manifests/{target}", &[&p::TARGET], operations);
}

fn describe_publish() -> Operation {
    Operation::new("put", "publish", "Publish a version of a name")
        .by_token(
            "The address is a name without a selector. The bytes of the manifest are kept and served exactly as they are \
             sent. An OCI image manifest or index is told from a release by its shape. All blobs must be there; 409 lists those that are not. Readers see all files of the version or none. \
             Needs `publish`.",
        )
        .takes(&[&p::ACTIVATE, &p::LARDER_SIGNATURE, &p::IF_MATCH_CHANGE, &p::IF_NONE_MATCH_CHANGE])
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
    let signature = signatures::sent_with(&headers)?;
    let limit = state.publish.limits().manifest_bytes;
    let held = intake::hold(&state, &state.memory.manifests, &caller, &headers, body, limit).await?;
    let (tasks, base) = (state.tasks.clone(), state.base.clone());
    let receipt = run_to_completion(&tasks, async move {
        // All of it, so that its memory counts until the work is done, even if the client goes away.
        let held = held;
        let (bytes, by) = (held.bytes.clone(), caller.author());
        let Some(signature) = signature else {
            return Ok(state.publish.publish(&name, bytes, options, by).await?);
        };
        let receipt = Box::pin(state.publish.publish_signed(&name, (bytes, signature), options, &by)).await?;
        state.repositories.show_attachments(&receipt.name, &receipt.row, None, &by).await?;
        Ok(receipt)
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
