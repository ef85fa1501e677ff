//! `/sites`: hosts that serve releases as sites; attaching, verifying, pointing and detaching domains.

mod view;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{ETAG, HeaderMap, HeaderValue, VARY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::parameters as p;
use super::reasons;
use crate::access::Caller;
use crate::domain::manifest::Kind;
use crate::domain::site::HostName;
use crate::domain::{ManifestName, Permission, Target};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::expectation::expectation;
use crate::http::extract::Params;
use crate::http::openapi::{Document, Operation, json_of};
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::rfc::conditional::etag;
use crate::http::serving::intake;
use crate::http::state::AppState;
use crate::protocol::{AsOf, HostState};
use crate::service::domains::tag;
use crate::service::{DomainError, DomainRequest};
use crate::wire::sites::{RedirectPolicy, SiteHost, SitePage, SiteRequest};
use crate::wire::{Code, limits};
use view::View;

/// Largest request body, in bytes.
const MAX_BODY: u64 = 4096;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/sites", get(list))
        .route("/sites/{host}", get(show).put(put).delete(detach))
        .route("/sites/{host}/verify", post(verify))
}

pub(super) fn describe(document: &mut Document) {
    document.tag("sites", "Hosts that serve releases as sites.");
    let list = Operation::new("get", "sites", "The hosts that serve releases")
        .about("Those of names that the caller may read; what waits to be verified, only for callers with `host` on the name.")
        .by_policy()
        .takes(&[&p::NAME_OF_HOSTS, &p::AFTER_HOST, &p::LIMIT_HOSTS])
        .answers(200, "A page of them.", &[&p::CACHE_CONTROL], [json_of::<SitePage>()])
        .fails(&[400, 401, 500, 503]);
    document.path("/sites", &[], [list]);
    let show = Operation::new("get", "site", "One host, with its history")
        .about("The `ETag` of a host that was attached goes into the preconditions of its changes.")
        .by_policy()
        .answers(200, "The host.", &[&p::CACHE_CONTROL], [json_of::<SiteHost>()])
        .fails(&[400, 401, 404, 500, 503]);
    let put = Operation::new("put", "attachSite", "Attach a host to a name, or point it elsewhere")
        .by_token(
            "A host that is new, or that belongs to another name, waits for the TXT record in `challenge`: set it, then \
             `POST …/verify`. Until then whatever the host serves stays. Another version of the same name, or another \
             redirect, takes effect at once. Needs `host` on the name, and on the one that has the host.",
        )
        .takes(&[&p::IF_MATCH_HOST, &p::IF_NONE_MATCH_HOST])
        .body(json_of::<SiteRequest>())
        .answers(200, "It serves this.", &[], [json_of::<SiteHost>()])
        .answers(202, "It waits for its TXT record.", &[], [json_of::<SiteHost>()])
        .fails(&[400, 401, 403, 404, 408, 409, 410, 412, 413, 415, 500, 503, 507]);
    let detach = Operation::new("delete", "detachSite", "Detach a host")
        .by_token("Drops claims that wait, too. Needs `host` on the name.")
        .takes(&[&p::REASON, &p::IF_MATCH_HOST, &p::IF_NONE_MATCH_HOST])
        .empty(204, "It is nobody's.", &[])
        .fails(&[400, 401, 403, 404, 409, 412, 500, 503, 507]);
    document.path("/sites/{host}", &[&p::HOST], [show, put, detach]);
    let verify = Operation::new("post", "verifySite", "Look for the TXT record of a host")
        .by_token("503 if the DNS does not answer. Needs `host` on a name that has or claims it.")
        .answers(200, "It is there: the host serves.", &[], [json_of::<SiteHost>()])
        .answers(202, "It is not; `problem` says what was found.", &[], [json_of::<SiteHost>()])
        .fails(&[400, 401, 403, 404, 409, 500, 503, 507]);
    document.path("/sites/{host}/verify", &[&p::HOST], [verify]);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    name: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

async fn list(State(state): State<AppState>, caller: Caller, Params(page): Params<Page>) -> Result<Response, ApiError> {
    let limit = page.limit.unwrap_or(limits::NAMES).clamp(1, limits::MAX_NAMES);
    let after = page.after.as_deref().map(host).transpose()?;
    let name: Option<ManifestName> = page.name.as_deref().map(str::parse).transpose()?;
    let stored = stored(&state, &caller).await?;
    let view = View::new(&state, &caller);
    let (sites, next) = view.page(&stored, name.as_ref(), after.as_ref(), limit);
    let next = next.map(|host| host.to_string());
    let previews = name.and_then(|name| view.previews(&name));
    Ok((private(), Json(SitePage { sites, next, previews })).into_response())
}

async fn show(State(state): State<AppState>, caller: Caller, Path(text): Path<String>) -> Result<Response, ApiError> {
    let host = host(&text)?;
    let stored = stored(&state, &caller).await?;
    answer(&state, &caller, &host, &stored, (StatusCode::OK, None))
}

/// Who may attach hosts sees at once what has changed; others cause no request to the store of their own.
async fn stored(state: &AppState, caller: &Caller) -> Result<Arc<HostState>, ApiError> {
    let (domains, is_author) = (&state.domains, caller.may_somewhere(Permission::Host));
    Ok(if is_author { domains.hosts().await? } else { domains.recent_hosts().await? })
}

async fn put(
    State(state): State<AppState>,
    caller: Caller,
    Path(text): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    caller.require_somewhere(Permission::Host)?;
    let host = host(&text)?;
    let held = intake::hold(&state, &state.memory.questions, &caller, &headers, body, MAX_BODY).await?;
    let wanted: SiteRequest = intake::document(&held.bytes, Code::RequestInvalid, r#"{"name": "NAME"}"#)?;
    let target: Target = wanted.name.parse()?;
    caller.require(Permission::Host, &target.name)?;
    check(&state, &target).await?;
    let redirect_to = redirect(&host, wanted.redirect_to.as_deref(), wanted.redirect_policy)?;
    let (by, reason, expect) = (caller.subject(), reasons::optional(wanted.reason)?, expectation(&headers)?);
    let request = DomainRequest { target, redirect_to, by, reason, expect };
    let (tasks, who, at) = (state.tasks.clone(), caller.clone(), host.clone());
    let (domains, wanted) = (Arc::clone(&state.domains), request.clone());
    let work = async move { Ok(domains.claim(&at, &wanted, may_host(&who)).await?) };
    let stored = run_to_completion(&tasks, work).await?;
    let owner = stored.hosts.get(&host).and_then(|entry| entry.owner.as_ref());
    let serves = owner.is_some_and(|owner| owner.target.name == request.target.name);
    let status = if serves { StatusCode::OK } else { StatusCode::ACCEPTED };
    answer(&state, &caller, &host, &stored, (status, None))
}

async fn verify(State(state): State<AppState>, caller: Caller, Path(text): Path<String>) -> Result<Response, ApiError> {
    caller.require_somewhere(Permission::Host)?;
    let host = host(&text)?;
    let (tasks, who, at) = (state.tasks.clone(), caller.clone(), host.clone());
    let domains = Arc::clone(&state.domains);
    let work = async move { Ok(domains.verify(&at, &who.subject(), may_host(&who)).await?) };
    let (stored, problem) = run_to_completion(&tasks, work).await?;
    let status = if problem.is_none() { StatusCode::OK } else { StatusCode::ACCEPTED };
    answer(&state, &caller, &host, &stored, (status, problem))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Detaching {
    reason: Option<String>,
}

async fn detach(
    State(state): State<AppState>,
    caller: Caller,
    Path(text): Path<String>,
    Params(query): Params<Detaching>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    caller.require_somewhere(Permission::Host)?;
    let (host, expect) = (host(&text)?, expectation(&headers)?);
    let by = (caller.subject(), reasons::optional(query.reason)?);
    let configured = state.hosts.configured(Some(host.as_str()));
    if let Some(error) = DomainError::configured(&configured) {
        return Err(error.into());
    }
    let tasks = state.tasks.clone();
    let work = async move { Ok(state.domains.detach(&host, by, &expect, may_host(&caller)).await?) };
    run_to_completion(&tasks, work).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The host as the caller may see it. Whoever changed it sees it even if that was the last of its names.
fn answer(
    state: &AppState,
    caller: &Caller,
    host: &HostName,
    stored: &HostState,
    (status, problem): (StatusCode, Option<String>),
) -> Result<Response, ApiError> {
    let view = View::new(state, caller);
    let found = view.one(host, stored.hosts.get(host)).ok_or_else(|| ApiError::host_unknown(host))?;
    let mut headers = private();
    if let Some(tag) = stored.hosts.get(host).filter(|_| found.source == view::API).and_then(tag) {
        headers.insert(ETAG, HeaderValue::try_from(etag(tag)).map_err(ApiError::internal)?);
    }
    Ok((status, headers, Json(SiteHost { problem, ..found })).into_response())
}

fn private() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(VARY, HeaderValue::from_static("Authorization"));
    set_freshness(&mut headers, Freshness::Revalidate, false);
    headers
}

fn may_host(caller: &Caller) -> impl Fn(&ManifestName) -> bool + Send + Sync {
    |name| caller.may(Permission::Host, name)
}

/// A host in an address or a body: without a port.
fn host(text: &str) -> Result<HostName, ApiError> {
    let parsed = if text.contains(':') { None } else { text.parse().ok() };
    parsed.ok_or_else(ApiError::host_invalid)
}

/// Whether a host may serve this at all.
async fn check(state: &AppState, target: &Target) -> Result<(), ApiError> {
    let name = &target.name;
    let invalid = |why: String| Err(ApiError::bad_request(Code::RequestInvalid, why));
    if !state.access.is_public(name) {
        return invalid(format!("A host would show {name} to everybody, and its policy wants a token of readers."));
    }
    if !state.access.policies().current().of(name).follow.is_empty() && !target.explicit {
        return invalid(format!(
            "{name} follows other names by its policy, which sites do not: use {name}@active, or the name that it follows."
        ));
    }
    // A name may be attached before anything is published, but a version that is asked for must be there.
    if target.explicit {
        let row = state.resolve.readable(target, AsOf::Now).await?.row;
        if row.summary.media_type.is_some() || row.summary.kind != Kind::Static {
            let kind = &row.summary.kind;
            return invalid(format!("Version {} of {name} is no site: its kind is {kind}.", row.number));
        }
    }
    Ok(())
}

/// Where a host is to redirect to.
fn redirect(host: &HostName, to: Option<&str>, policy: Option<RedirectPolicy>) -> Result<Option<HostName>, ApiError> {
    let apex = host.as_str().strip_prefix("www.");
    let to = match (to, policy) {
        (Some(_), Some(_)) => {
            let detail = "Send redirect_to or redirect_policy, not both.";
            return Err(ApiError::bad_request(Code::RequestInvalid, detail));
        }
        (Some(to), None) => to.to_owned(),
        (None, Some(RedirectPolicy::Apex)) => match apex {
            Some(apex) => apex.to_owned(),
            None => return Ok(None),
        },
        (None, Some(RedirectPolicy::Www)) if apex.is_none() => format!("www.{host}"),
        (None, _) => return Ok(None),
    };
    self::host(&to).map(Some)
}
