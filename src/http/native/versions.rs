//! `/versions/NAME[@SELECTOR]` and the actions on a version.

mod pins;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue, LINK, VARY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::attachments;
use super::dynamic;
use super::pages::{Site, browse};
use super::parameters as p;
use super::reasons;
use super::selecting::require_selectable;
use super::warnings::{self, Warning};
use crate::access::Caller;
use crate::domain::{FileName, ManifestName, Permission, Selector, Target};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::expectation::required_expectation;
use crate::http::extract::{Params, Rest, VersionPath};
use crate::http::openapi::{Document, Operation, either, json_of, text};
use crate::http::rfc::accept::WantsHtml;
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::serving::intake;
use crate::http::serving::waiting::{Wait, Waited};
use crate::http::state::AppState;
use crate::protocol::AsOf;
use crate::service::ResolveError;
use crate::service::publish::PublishOptions;
use crate::wire::{self, Code, CopyRequest, Floor, History, Receipt, Row, VersionDiff, limits};

/// Largest request body of an action, in bytes.
const MAX_BODY: u64 = 4096;
const GENERATION: HeaderName = HeaderName::from_static(wire::headers::GENERATION);

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/versions/{*name}", get(show).post(act).put(put).delete(delete).fallback(other))
}

pub(super) fn describe(document: &mut Document) {
    document.tag("versions", "History, promotion, pins, copies.");
    let show = Operation::new("get", "versions", "The history of a name, or one version")
        .by_policy()
        .takes(&[&p::BEFORE, &p::LIMIT_ROWS, &p::PAGE, &p::WAIT, &p::AFTER_GENERATION])
        .answers(
            200,
            "Without a selector a page of the history, newest first; with one a row. Browsers get pages.",
            &[&p::LINK, &p::CACHE_CONTROL, &p::LARDER_GENERATION],
            [either::<History, Row>(), text("text/html")],
        )
        .empty(204, "With `wait`: the name has not changed.", &[&p::LARDER_GENERATION, &p::CACHE_CONTROL])
        .fails(&[400, 401, 403, 404, 410, 500, 503]);
    document.path("/versions/{target}", &[&p::TARGET], [show]);
    document.path("/versions/{target}/diff", &[&p::TARGET_EXPLICIT], [describe_diff()]);
    let promote = Operation::new("post", "promote", "Make a version the active one")
        .by_token("`previous` is a rollback. No bytes move. A yanked version is refused (409). Needs `promote`.")
        .takes(&[&p::REASON, &p::IF_MATCH_CHANGE, &p::IF_NONE_MATCH_CHANGE])
        .answers(200, "It is active.", &[], [json_of::<Receipt>()])
        .fails(&[400, 401, 403, 404, 409, 410, 412, 428, 500, 503, 507]);
    document.path("/versions/{target}/promote", &[&p::TARGET_EXPLICIT], [promote]);
    document.path("/versions/{target}/rollback", &[&p::TARGET_ACTIVE], rollback_operations());
    pins::describe(document);
    let copy = Operation::new("post", "copy", "Publish a version under another name")
        .by_token(
            "The bytes stay where they are. Preconditions are about the other name. Needs `publish` on it, and to be \
             allowed to read this one.",
        )
        .takes(&[&p::ACTIVATE, &p::REASON, &p::IF_MATCH_CHANGE, &p::IF_NONE_MATCH_CHANGE])
        .body(json_of::<CopyRequest>())
        .answers(200, "The other name had this manifest already.", &[], [json_of::<Receipt>()])
        .answers(201, "The other name's new version.", &[], [json_of::<Receipt>()])
        .fails(&[400, 401, 403, 404, 408, 409, 410, 412, 413, 415, 422, 428, 500, 503, 507]);
    document.path("/versions/{target}/copy", &[&p::TARGET_EXPLICIT], [copy]);
}

fn describe_diff() -> Operation {
    Operation::new("get", "diff", "What differs between two versions of a name")
        .about("Files are compared by name: those that were added, removed and changed.")
        .by_policy()
        .takes(&[&p::TO, &p::PAGE])
        .answers(
            200,
            "The differences, in pages if there are many. Browsers get a page.",
            &[&p::CACHE_CONTROL],
            [json_of::<VersionDiff>(), text("text/html")],
        )
        .fails(&[400, 401, 403, 404, 410, 500, 503])
}

fn rollback_operations() -> [Operation; 2] {
    let about = "It was active last among those with another manifest than the active one's. Needs `promote`.";
    let target = Operation::new("get", "rollbackTarget", "The version that a rollback goes back to")
        .by_token(about)
        .answers(200, "Its row.", &[&p::CACHE_CONTROL], [json_of::<Row>()])
        .fails(&[400, 401, 403, 404, 500, 503]);
    let rollback = Operation::new("post", "rollback", "Go back to the content before the present one")
        .by_token(
            "Other versions with the present manifest, and yanked ones, are skipped, unlike by promoting `previous`. A repeated request \
             goes back again; state `If-Match` to prevent that. Needs `promote`.",
        )
        .takes(&[&p::REASON, &p::IF_MATCH_CHANGE, &p::IF_NONE_MATCH_CHANGE])
        .answers(200, "The version is active.", &[], [json_of::<Receipt>()])
        .fails(&[400, 401, 403, 404, 412, 428, 500, 503, 507]);
    [target, rollback]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    before: Option<u64>,
    limit: Option<usize>,
    /// Of the files of a version, or of the differences of two; from 1.
    page: Option<usize>,
    /// Selector of the version to compare with.
    to: Option<String>,
    /// See [`Wait`].
    #[serde(rename = "wait")]
    _wait: Option<String>,
    #[serde(rename = "after")]
    _after: Option<String>,
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    (WantsHtml(html), site): (WantsHtml, Site),
    rest: Rest,
    (Params(query), wait): (Params<Query>, Wait),
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let (path, request) = (rest.place()?, &request);
    caller.require_read(&state.access, &path.target.name)?;
    if html || path.tail.is_some() {
        return answer((&state, &caller), (html, &site), path, (&query, request), AsOf::Now).await;
    }
    match wait.pass(&state, &caller, &path.target.name).await? {
        Waited::Unchanged(response) => Ok(response),
        Waited::Over(over) => {
            let fresh = over.fresh(AsOf::Now);
            over.finish(answer((&state, &caller), (html, &site), path, (&query, request), fresh).await)
        }
    }
}

async fn answer(
    (state, caller): (&AppState, &Caller),
    (html, site): (bool, &Site),
    VersionPath { target, tail }: VersionPath,
    (query, request): (&Query, &HeaderMap),
    fresh: AsOf,
) -> Result<Response, ApiError> {
    let mut headers = HeaderMap::new();
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    set_freshness(&mut headers, Freshness::Revalidate, state.access.is_public(&target.name));
    match (tail.as_deref(), target.explicit) {
        (Some("rollback"), true) => {
            // Looking for it may take reading the whole history, so it is not for everybody.
            caller.require(Permission::Promote, &target.name)?;
            set_freshness(&mut headers, Freshness::Revalidate, false);
            let row = state.versions.rollback_target(name_to_roll_back(&target)?).await?;
            Ok((headers, Json(Row::from(&row))).into_response())
        }
        (Some("diff"), true) => {
            let to = query.to.as_deref().unwrap_or("active").parse()?;
            browse::compare((state, caller), (site, html), (&target, to), query.page, headers).await
        }
        (Some("promote" | "pin" | "copy" | "yank" | "floor"), _) => Err(not_allowed(tail.as_deref())),
        (Some(tail), true) => attachments::read(state, &target, tail, (headers, request)).await,
        (Some(_), false) => Err(ApiError::no_route()),
        (None, true) if html => {
            Ok((headers, browse::version(state, (site, caller), &target, query.page).await?).into_response())
        }
        (None, true) => {
            let found = state.resolve.row(&target, fresh).await?;
            let claims = state.versions.claims(&target.name, &found.row).await?;
            let (generation, runtime) = (Some(found.generation), dynamic::runtime(state, &found.row).await?);
            let attachments = attachments::list(state, &target.name, &found.row).await?;
            headers.insert(GENERATION, HeaderValue::from(found.generation));
            let row = Row { claims, attachments, generation, runtime, ..Row::from(&found.row) };
            Ok((headers, Json(row)).into_response())
        }
        (None, false) => history(state, &target.name, query, html.then_some(site), (fresh, headers)).await,
    }
}

/// Other methods, OPTIONS among them: what is allowed depends on the end of the path.
async fn other(rest: Rest) -> Result<Response, ApiError> {
    Err(not_allowed(rest.place()?.tail.as_deref()))
}

/// 405, with the methods of the resource after the selector.
fn not_allowed(tail: Option<&str>) -> ApiError {
    match tail {
        None | Some("diff") => ApiError::method_not_allowed_but("GET,HEAD"),
        Some("attachments") => ApiError::method_not_allowed_but("GET,HEAD,POST"),
        Some(tail) if attachments::digest(tail).is_some() => ApiError::method_not_allowed_but("GET,HEAD"),
        Some("promote" | "copy") => ApiError::method_not_allowed_but("POST"),
        Some("rollback") => ApiError::method_not_allowed_but("GET,HEAD,POST"),
        Some("pin" | "yank" | "floor") => ApiError::method_not_allowed_but("PUT,DELETE"),
        Some(_) => ApiError::no_route(),
    }
}

async fn history(
    state: &AppState,
    name: &ManifestName,
    query: &Query,
    site: Option<&Site>,
    (fresh, mut headers): (AsOf, HeaderMap),
) -> Result<Response, ApiError> {
    let most = if site.is_some() { browse::ROWS } else { limits::MAX_ROWS };
    let limit = query.limit.unwrap_or(limits::ROWS).clamp(1, most);
    let history = state.versions.history(name, (query.before, limit), fresh).await?;
    let history = history.ok_or_else(|| ResolveError::NoSuchName(name.clone()))?;
    if let Some(site) = site {
        let page = browse::name(state, site, history, query.before.is_none(), limit).await?;
        return Ok((headers, page).into_response());
    }
    if let Some(before) = history.next {
        let link = format!("<{}/versions/{name}?before={before}&limit={limit}>; rel=\"next\"", state.base);
        headers.insert(LINK, HeaderValue::try_from(link).map_err(ApiError::internal)?);
    }
    headers.insert(GENERATION, HeaderValue::from(history.head.generation));
    let body = History {
        name: name.clone(),
        generation: history.head.generation,
        active: history.head.active().map(|row| row.number),
        previous: history.head.previous,
        floor: history.head.floor.as_deref().map(Floor::from),
        versions: history.rows.iter().map(Row::from).collect(),
        next: history.next,
    };
    Ok((headers, Json(body)).into_response())
}

/// Query of a POST.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// For a copy: whether it becomes active at once. True unless stated.
    activate: Option<bool>,
    reason: Option<String>,
    /// For an attachment: the file that it is about.
    file: Option<FileName>,
}

async fn act(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    Params(Wanted { activate, reason, file }): Params<Wanted>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let VersionPath { target, tail } = rest.place()?;
    match tail.as_deref() {
        Some("promote") => promote(state, caller, target, &headers, reason).await,
        Some("rollback") => rollback(state, caller, &target, &headers, reason).await,
        Some("copy") => copy(state, caller, target, &headers, (activate.unwrap_or(true), reason), body).await,
        Some("attachments") => attachments::attach(state, caller, target, (&headers, body), file).await,
        tail => Err(not_allowed(tail)),
    }
}

async fn promote(
    state: AppState,
    caller: Caller,
    target: Target,
    headers: &HeaderMap,
    reason: Option<String>,
) -> Result<Response, ApiError> {
    caller.require(Permission::Promote, &target.name)?;
    let expect = required_expectation(&state.access, &target.name, headers)?;
    require_selectable(&state, &target).await?;
    let by = caller.author().because(reasons::optional(reason)?.as_deref());
    let tasks = state.tasks.clone();
    let receipt =
        run_to_completion(&tasks, async move { Ok(state.versions.promote(&target, expect, by).await?) }).await?;
    Ok(Json(Receipt::from(&receipt)).into_response())
}

/// The name of `NAME@active`: what a rollback leaves is always what is active.
fn name_to_roll_back(target: &Target) -> Result<&ManifestName, ApiError> {
    if target.selector == Selector::Active {
        return Ok(&target.name);
    }
    let name = &target.name;
    let detail = format!("A rollback is about the active version: write {name}@active/rollback.");
    Err(ApiError::bad_request(Code::SelectorInvalid, detail))
}

async fn rollback(
    state: AppState,
    caller: Caller,
    target: &Target,
    headers: &HeaderMap,
    reason: Option<String>,
) -> Result<Response, ApiError> {
    let name = name_to_roll_back(target)?.clone();
    caller.require(Permission::Promote, &name)?;
    let expect = required_expectation(&state.access, &name, headers)?;
    let by = caller.author().because(reasons::optional(reason)?.as_deref());
    let tasks = state.tasks.clone();
    let work = async move { Ok(state.versions.rollback(&name, expect, by).await?) };
    Ok(Json(Receipt::from(&run_to_completion(&tasks, work).await?)).into_response())
}

async fn copy(
    state: AppState,
    caller: Caller,
    target: Target,
    headers: &HeaderMap,
    (activate, reason): (bool, Option<String>),
    body: Body,
) -> Result<Response, ApiError> {
    caller.require_read(&state.access, &target.name)?;
    let held = intake::hold(&state, &state.memory.questions, &caller, headers, body, MAX_BODY).await?;
    let CopyRequest { to } = intake::document(&held.bytes, Code::NameInvalid, r#"{"to": "NAME"}"#)?;
    caller.require(Permission::Publish, &to)?;
    let options = PublishOptions { activate, expect: required_expectation(&state.access, &to, headers)? };
    let by = caller.author().because(reasons::optional(reason)?.as_deref());
    let tasks = state.tasks.clone();
    let receipt = run_to_completion(&tasks, async move {
        let receipt = state.versions.copy(&target, &to, options, by.clone()).await?;
        state.repositories.show_attachments(&receipt.name, &receipt.row, None, &by).await?;
        Ok(receipt)
    })
    .await?;
    let status = if receipt.unchanged { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(Receipt::from(&receipt))).into_response())
}

async fn put(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    Params(query): Params<Warning>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let VersionPath { target, tail } = rest.place()?;
    match tail.as_deref() {
        Some("pin") => pins::set(state, caller, target, true, query).await,
        Some("yank") => warnings::yank(state, caller, target, query, (&headers, body)).await,
        Some("floor") => warnings::set_floor(state, caller, target, (&headers, body)).await,
        tail => Err(not_allowed(tail)),
    }
}

async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    Params(query): Params<Warning>,
) -> Result<Response, ApiError> {
    let VersionPath { target, tail } = rest.place()?;
    match tail.as_deref() {
        Some("pin") => pins::set(state, caller, target, false, query).await,
        Some("yank") => warnings::unyank(state, caller, target, query).await,
        Some("floor") => warnings::clear_floor(state, caller, target, query).await,
        tail => Err(not_allowed(tail)),
    }
}
