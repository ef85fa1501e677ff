//! Sites: releases of the kind `static` under hosts of their own, and their versions under hosts for previews.
//!
//! One manifest answers a request: its files, its rules and its settings are of the same version. Nothing of the API is
//! found here: no CORS, no redirects to the store, no problem documents.

mod answer;
mod describe;
mod errors;
mod login;

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, LOCATION};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::time::Instant;

use super::error::ApiError;
use super::extract::RequestedFreshness;
use super::rfc::hardening::Hardening;
use super::serving::tally::{Outcome, Tally};
use super::state::AppState;
use super::surface::{Hosts, Surface, SurfaceProperties, host_of};
use crate::access::Caller;
use crate::domain::Target;
use crate::domain::hosts::{HostRole, HostedSite, LiveHosts};
use crate::domain::site::{HostName, RequestKind};
use crate::protocol::AsOf;
use crate::service::sites::{RequestMode, SiteRequest};
use crate::wire::Code;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What load balancers ask for by address: answered by the API's surface, whatever the host, unless it is a site's.
const FOR_EVERY_HOST: [&str; 2] = ["/livez", "/readyz"];

/// What counts in metrics for hosts that are no site's.
const NO_SITE: &str = "";

/// The surface of sites: their hosts, those that redirect to them, and those that are nobody's.
pub(super) fn surface(hosts: &LiveHosts) -> Surface<AppState> {
    let hosts = hosts.clone();
    let owns = move |host: Option<&str>, path: &str| {
        !hosts.is_api(host)
            && match hosts.find(host) {
                HostRole::Api | HostRole::Preview(..) => false,
                HostRole::Site(_) | HostRole::Redirect(_) => true,
                HostRole::Unlisted => !FOR_EVERY_HOST.contains(&path),
            }
    };
    let properties = SurfaceProperties { name: "sites", hardening: Hardening::Page, ..PROPERTIES };
    Surface { routes: routes(), hosts: Hosts::owned(owns), prefix: "", describe: describe::sites, properties }
}

/// The surface of previews.
pub(super) fn previews(hosts: &LiveHosts) -> Surface<AppState> {
    let hosts = hosts.clone();
    let owns = move |host: Option<&str>, _: &str| hosts.is_preview(host);
    Surface {
        routes: routes(),
        hosts: Hosts::owned(owns),
        prefix: "",
        describe: describe::previews,
        properties: PROPERTIES,
    }
}

const PROPERTIES: SurfaceProperties = SurfaceProperties {
    name: "previews",
    render: errors::render,
    page: None,
    challenge: errors::challenge,
    login: true,
    blobs: None,
    hardening: Hardening::Preview,
    cors: false,
    quiet: &[],
};

fn routes() -> Router<AppState> {
    Router::new().route("/", get(visit).fallback(other)).route("/{*path}", get(visit).fallback(other))
}

/// What a request is for.
struct Visit<'a> {
    site: &'a HostedSite,
    target: &'a Target,
    is_preview: bool,
    /// Whether it can be read without credentials.
    is_public: bool,
    /// Since which generation the host stands for this, and for how long that may be taken as it is; `None` if the
    /// configuration says so.
    attached: Option<(u64, Duration)>,
}

/// What a host stands for, and [`Visit::attached`]. Only hosts that the configuration does not list need a look at those
/// that were attached.
async fn role_of(state: &AppState, host: Option<&str>) -> Result<(HostRole, Option<(u64, Duration)>), ApiError> {
    match (state.hosts.configured(host), host) {
        (HostRole::Unlisted, Some(_)) => {
            let known_for = state.domains.refresh().await?;
            // Read before the role, so that a change in between makes it too old.
            let generation = state.hosts.attached().source;
            Ok((state.hosts.find(host), Some((generation, known_for))))
        }
        (role, _) => Ok((role, None)),
    }
}

async fn visit(
    State(state): State<AppState>,
    caller: Caller,
    fresh: RequestedFreshness,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let arrived = Instant::now();
    let host = host_of(&uri, &headers);
    let (role, attached) = match role_of(&state, host.as_deref()).await {
        Ok(found) => found,
        Err(error) => return refused(NO_SITE, error),
    };
    let (site, target, is_preview) = match role {
        HostRole::Site(site) => {
            let target = site.target.clone();
            (site, target, false)
        }
        HostRole::Preview(domain, label) => match domain.locate(&label) {
            Some(preview) => (preview.site, Some(preview.target), true),
            None => return refused(NO_SITE, nothing("There is no such preview.")),
        },
        HostRole::Redirect(canonical) => return to_canonical(&canonical, &uri),
        HostRole::Api | HostRole::Unlisted => return refused(NO_SITE, misdirected()),
    };
    let Some(target) = target else { return refused(site.id.as_str(), nothing("This host serves nothing.")) };
    let allowed = login::permit(&state.access, &caller, &site, &target.name, is_preview);
    let is_public = match allowed {
        Ok(is_public) => is_public,
        Err(denied) => return refused(site.id.as_str(), denied),
    };
    let visit = Visit { site: &site, target: &target, is_preview, is_public, attached };
    let mode = mode(&headers);
    let request = SiteRequest {
        site: site.id.as_str(),
        target: visit.target,
        path: uri.path(),
        query: uri.query(),
        mode,
        is_preview,
        fresh: if fresh.0 == AsOf::Recent { AsOf::Recent } else { AsOf::After(arrived) },
        arrived,
    };
    answer::answer(&state, &visit, request, &method, &headers)
        .await
        .unwrap_or_else(|error| refused(site.id.as_str(), error))
}

/// Other methods. Whoever publishes under a host that is nobody's has to learn that, not that sites are only read.
async fn other(State(state): State<AppState>, uri: Uri, headers: HeaderMap) -> Response {
    let error = match role_of(&state, host_of(&uri, &headers).as_deref()).await {
        Ok((HostRole::Api | HostRole::Unlisted, _)) => misdirected(),
        Ok(_) => ApiError::method_not_allowed_but("GET,HEAD"),
        Err(error) => error,
    };
    refused(NO_SITE, error)
}

/// How a browser wants to use the answer.
fn mode(headers: &HeaderMap) -> RequestMode {
    match headers.get(SEC_FETCH_MODE) {
        Some(mode) if mode.as_bytes() == b"navigate" => RequestMode::Navigation,
        Some(_) => RequestMode::Subresource,
        None => {
            let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
            let accepts_pages = accepted.into_iter().any(|accept| RequestKind::of(None, Some(accept)).navigation);
            if accepts_pages { RequestMode::LikelyNavigation } else { RequestMode::Unknown }
        }
    }
}

/// The same path and query at the canonical host. It can change, so browsers must not keep it.
fn to_canonical(canonical: &HostName, uri: &Uri) -> Response {
    let location = format!("https://{canonical}{}", uri.path_and_query().map_or("/", |target| target.as_str()));
    let Ok(location) = HeaderValue::try_from(location) else { return refused(NO_SITE, nothing("This is no address.")) };
    let headers = [(LOCATION, location), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    let mut response = (StatusCode::PERMANENT_REDIRECT, headers).into_response();
    response.extensions_mut().insert(Tally::new(NO_SITE, None, Outcome::Redirect));
    response
}

fn refused(site: &str, error: ApiError) -> Response {
    let mut response = error.into_response();
    let outcome = Outcome::of_error(response.status());
    response.extensions_mut().insert(Tally::new(site, None, outcome));
    response
}

fn nothing(detail: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, Code::NotFound, detail)
}

fn misdirected() -> ApiError {
    let detail = "This server does not serve this host: neither server.api_hosts nor [[sites]] lists it, and it is not attached.";
    ApiError::new(StatusCode::MISDIRECTED_REQUEST, Code::Misdirected, detail)
}
