//! Answers of sites: the bytes of a file with what there is to say about them, or where to go instead.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE,
    LOCATION, RANGE, VARY,
};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;

use super::Visit;
use crate::domain::manifest::{Coding, Descriptor};
use crate::domain::site::{self, Caching, FileHeaders, Origin, Page, Redirect, Site};
use crate::domain::{FileName, ManifestName, Target, text};
use crate::http::error::ApiError;
use crate::http::rfc::caching::Freshness;
use crate::http::rfc::codings::AcceptedCodings;
use crate::http::rfc::conditional::etag;
use crate::http::rfc::digests::withdraw_digest;
use crate::http::rfc::hardening::Hardening;
use crate::http::rfc::range::MAX_RANGES;
use crate::http::serving::bytes::{self, BlobOptions};
use crate::http::serving::download::Download;
use crate::http::serving::response_cache::Cacheable;
use crate::http::serving::tally::{Outcome, Tally};
use crate::http::state::{AppState, Delivery};
use crate::protocol::AsOf;
use crate::service::sites::{Found, SiteAnswer, SiteError, SiteRequest};
use crate::service::{EarlierFile, ResolveError};
use crate::wire::{Code, headers as larder};

const VERSION: HeaderName = HeaderName::from_static(larder::VERSION);
const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
/// Largest file that is read into memory to be kept, in bytes.
const SMALL: usize = 256 << 10;
/// Files that are read into memory at once. Of more, each is sent as it comes.
static READS: Semaphore = Semaphore::const_new(16);
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Bytes to send, and what to say about them.
struct Served<'a> {
    blob: Descriptor,
    coding: Option<Coding>,
    media_type: HeaderValue,
    cache: HeaderValue,
    /// What the answer depends on beside the path.
    vary: Option<HeaderValue>,
    /// What the release says about the file.
    headers: FileHeaders<'a>,
    /// 200, or the status of a page that says what went wrong.
    status: StatusCode,
}

/// What a handler knows of the request beside what a site needs.
struct Asked<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    is_public: bool,
    /// Whether there are few requests that mean the same and are written otherwise. Else anybody could displace what is
    /// cached by asking for the same under ever new addresses.
    is_usual: bool,
    /// Whether the path has no empty segments.
    is_canonical: bool,
}

impl Asked<'_> {
    /// Whether the answer may be kept for others, as far as that depends on the request.
    fn may_be_kept(&self, target: &Target) -> bool {
        self.is_public && self.is_usual && !target.selector.has_many_spellings()
    }
}

pub(super) async fn answer(
    state: &AppState,
    visit: &Visit<'_>,
    mut request: SiteRequest<'_>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let is_usual = !request.path.contains('%') && AcceptedCodings::of(headers).is_usual();
    let is_canonical = !request.path.contains("//");
    let asked = Asked { method, headers, is_public: visit.is_public, is_usual, is_canonical };
    loop {
        let answer = state.sites.answer(request).await.map_err(|error| refusal(error, visit))?;
        let sent = send(state, &asked, &answer, visit.target).await.map(|response| limited(response, visit.attached));
        match sent {
            // The version was retired and collected since its row was read.
            Err(error) if *error.code() == Code::BlobUnknown && request.fresh != AsOf::Now => request.fresh = AsOf::Now,
            Err(error) if *error.code() == Code::BlobUnknown => return Err(ApiError::internal(error.detail())),
            Err(error) => return Err(error),
            Ok(mut response) => {
                count(&mut response, &answer, visit);
                return Ok(response);
            }
        }
    }
}

/// The same response, cached no longer than its host is known to stand for what it does.
fn limited(mut response: Response, attached: Option<(u64, Duration)>) -> Response {
    if let Some((generation, known_for)) = attached
        && let Some(cacheable) = response.extensions_mut().remove::<Cacheable>()
    {
        response.extensions_mut().insert(cacheable.valid_for(Some(known_for)).while_hosts(generation));
    }
    response
}

async fn send(state: &AppState, asked: &Asked<'_>, answer: &SiteAnswer, target: &Target) -> Result<Response, ApiError> {
    match &answer.found {
        Found::Page(page) => {
            let served = of_page(asked, &answer.site, *page)?;
            let mut response = bytes_of(state, asked, &served).await?;
            let cacheable = response.extensions_mut().remove::<Cacheable>();
            let is_negative = answer.is_absent_for_all && page.origin == Origin::NotFound && asked.is_canonical;
            // Only what is at its own path is the answer to every request for it, or what is for paths with nothing at all.
            if !(page.origin == Origin::Path || is_negative) || !asked.may_be_kept(target) {
                return Ok(response);
            }
            let heads = vec![(target.name.clone(), answer.generation)];
            if let Some(cacheable) = cacheable {
                response.extensions_mut().insert(cacheable.under(heads));
                return Ok(response);
            }
            let is_small = served.blob.size <= SMALL as u64 && *asked.method == Method::GET;
            let is_whole = is_negative || response.status() == StatusCode::OK;
            if is_small && is_whole { kept(response, heads, is_negative).await } else { Ok(response) }
        }
        Found::Earlier(earlier) => {
            let mut response = of_earlier(state, asked, &answer.site, earlier).await?;
            // Not everybody who asks for the address gets it.
            response.extensions_mut().remove::<Cacheable>();
            Ok(response)
        }
        Found::Redirect(redirect) => {
            let mut response = redirected(redirect, asked.is_public)?;
            // Those of rules may be for some requests only, since pages that rules show are for navigations; and a
            // pattern, like slashes that are too many, makes one answer of ever new addresses.
            if !redirect.is_rule && asked.is_canonical && asked.may_be_kept(target) {
                let heads = vec![(target.name.clone(), answer.generation)];
                response.extensions_mut().insert(Cacheable::of_heads(heads, Bytes::new()));
            }
            Ok(response)
        }
        Found::Nothing => Err(ApiError::new(StatusCode::NOT_FOUND, Code::FileUnknown, "There is no such page.")),
    }
}

/// The same response with its body in memory, so that it can be kept: what is in a bucket costs a request each time.
async fn kept(response: Response, heads: Vec<(ManifestName, u64)>, is_negative: bool) -> Result<Response, ApiError> {
    let Ok(_turn) = READS.try_acquire() else { return Ok(response) };
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, SMALL).await;
    let body = body.map_err(|error| ApiError::unavailable(&format!("the file could not be read ({error})")))?;
    let cacheable = Cacheable::of_fetched(heads, &body);
    parts.extensions.insert(if is_negative { cacheable.negative() } else { cacheable });
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// What to send of a file of the version, and what to say about it.
fn of_page<'a>(asked: &Asked<'_>, site: &'a Site, page: Page) -> Result<Served<'a>, ApiError> {
    let status = StatusCode::from_u16(page.status).map_err(ApiError::internal)?;
    let accepted = AcceptedCodings::of(asked.headers).to_value();
    let mut chosen = site.choose(page.file, Some(&accepted), false);
    // A part is one of the file itself, unless the client has the beginning of a variant: browsers do not ask for parts of
    // what they would have to decode.
    let tag = etag(chosen.file.blob.digest);
    let has_it = asked.headers.get(IF_RANGE).is_some_and(|held| held.as_bytes() == tag.as_bytes());
    if asked.headers.contains_key(RANGE) && !has_it {
        chosen = site.choose(page.file, None, true);
    }
    let headers = site.headers(&page);
    let cache = cache_control(page.caching, headers.get("cache-control"), asked.is_public, chosen.coding.is_some());
    let vary = match (page.origin, chosen.varies) {
        (Origin::Fallback, true) => Some("Sec-Fetch-Mode, Accept, Accept-Encoding"),
        (Origin::Fallback, false) => Some("Sec-Fetch-Mode, Accept"),
        (_, true) => Some("Accept-Encoding"),
        (_, false) => None,
    };
    let file = site.file_of(page.file);
    let media_type = media_type(&file.name, file.media_type.as_deref(), &headers);
    let vary = vary.map(HeaderValue::from_static);
    Ok(Served { blob: chosen.file.blob, coding: chosen.coding, media_type, cache, vary, headers, status })
}

/// A file of an earlier version, for a page that is still open.
async fn of_earlier(
    state: &AppState,
    asked: &Asked<'_>,
    site: &Site,
    earlier: &EarlierFile,
) -> Result<Response, ApiError> {
    let name = &earlier.artifact.name;
    let headers = site.headers_at(&format!("/{}", text::composed(name.as_str())));
    let caching = if site.files().is_immutable_name(name) { Caching::Immutable } else { Caching::Revalidate };
    let cache = cache_control(caching, headers.get("cache-control"), asked.is_public, false);
    let media_type = media_type(name, earlier.artifact.media_type.as_deref(), &headers);
    let served = Served {
        blob: earlier.artifact.blob,
        coding: None,
        media_type,
        cache,
        vary: None,
        headers,
        status: StatusCode::OK,
    };
    let mut response = bytes_of(state, asked, &served).await?;
    response.headers_mut().insert(VERSION, HeaderValue::from(earlier.row.number));
    response.headers_mut().insert(ROBOTS, HeaderValue::from_static("noindex"));
    Ok(response)
}

async fn bytes_of(state: &AppState, asked: &Asked<'_>, served: &Served<'_>) -> Result<Response, ApiError> {
    let download = Download::shown(served.media_type.clone());
    let options = BlobOptions {
        download: &download,
        public: asked.is_public,
        // A redirect would change what the page's origin is, and the address that people see.
        delivery: Delivery::Stream,
        freshness: Freshness::Revalidate,
        // A date of a release goes back when the release does.
        modified: None,
        hardening: Hardening::Page,
        ranges: MAX_RANGES,
    };
    let digest = served.blob.digest;
    // What says that something is not there is sent whole, whatever the client has of it.
    let nothing = HeaderMap::new();
    let headers = if served.status.is_success() { asked.headers } else { &nothing };
    let mut response = match *asked.method {
        Method::HEAD => bytes::head(&state.blobs, digest, options, headers).await?,
        _ => bytes::get(&state.blobs, digest, options, headers).await?,
    };
    if !served.status.is_success() {
        *response.status_mut() = served.status;
        response.extensions_mut().remove::<Cacheable>();
        response.headers_mut().remove(ACCEPT_RANGES);
        response.headers_mut().remove(ETAG);
    }
    label(served, asked.is_public, &mut response);
    Ok(response)
}

/// Adds what there is to say about a file.
fn label(served: &Served<'_>, is_public: bool, response: &mut Response) {
    let is_unchanged = response.status() == StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    withdraw_digest(headers);
    for name in &served.headers.removed {
        headers.remove(*name);
    }
    for (name, value) in &served.headers.set {
        // The type is that of the parts, if there are several.
        if matches!(*name, "cache-control" | "content-type") {
            continue;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::try_from(*value)) {
            headers.insert(name, value);
        }
    }
    headers.insert(CACHE_CONTROL, served.cache.clone());
    headers.extend(served.vary.clone().map(|vary| (VARY, vary)));
    if !is_public {
        headers.append(VARY, HeaderValue::from_static("Authorization"));
    }
    if let Some(coding) = served.coding.filter(|_| !is_unchanged) {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    }
}

/// The type that the release states for the file, in its rules or its manifest, else that of its name.
fn media_type(name: &FileName, stated: Option<&str>, headers: &FileHeaders<'_>) -> HeaderValue {
    let stated = headers.get("content-type").or(stated);
    let value = stated.or_else(|| site::by_name(name.as_str())).and_then(|text| HeaderValue::from_str(text).ok());
    value.unwrap_or_else(|| HeaderValue::from_static("application/octet-stream"))
}

/// How long an answer may be kept. Errors are never kept, whatever the release says of their path.
fn cache_control(caching: Caching, stated: Option<&str>, is_public: bool, is_coded: bool) -> HeaderValue {
    let own = match caching {
        Caching::NoStore => return NO_STORE,
        Caching::Immutable => "public, max-age=31536000, immutable",
        Caching::Revalidate => "no-cache",
    };
    let mut value = stated.unwrap_or(own).to_owned();
    if !is_public {
        let others = value.split(',').map(str::trim).filter(|one| !one.eq_ignore_ascii_case("public"));
        value = std::iter::once("private").chain(others).collect::<Vec<_>>().join(", ");
    }
    if is_coded && !value.contains("no-transform") {
        value.push_str(", no-transform");
    }
    HeaderValue::try_from(value).unwrap_or(NO_STORE)
}

fn redirected(redirect: &Redirect, is_public: bool) -> Result<Response, ApiError> {
    let status = StatusCode::from_u16(redirect.status).map_err(ApiError::internal)?;
    // A browser asks again, so that a rollback takes back a redirect as well.
    let cache = HeaderValue::from_static(if is_public { "no-cache" } else { "private, no-cache" });
    let location = HeaderValue::try_from(&redirect.location).map_err(ApiError::internal)?;
    let mut response = (status, [(LOCATION, location), (CACHE_CONTROL, cache)]).into_response();
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
    Ok(response)
}

fn count(response: &mut Response, answer: &SiteAnswer, visit: &Visit<'_>) {
    let outcome = match &answer.found {
        Found::Page(page) => match page.origin {
            Origin::Path => Outcome::File,
            Origin::Rule => Outcome::Rule,
            Origin::Fallback => Outcome::Fallback,
            Origin::NotFound => Outcome::NotFound,
        },
        Found::Redirect(Redirect { is_rule: true, .. }) => Outcome::Rule,
        Found::Redirect(_) => Outcome::Redirect,
        Found::Earlier(_) => Outcome::OldAsset,
        Found::Nothing => Outcome::NotFound,
    };
    let tally = Tally::new(visit.site.id.as_str(), Some(answer.version), outcome);
    if let Some(cacheable) = response.extensions_mut().remove::<Cacheable>() {
        response.extensions_mut().insert(cacheable.counted(tally.clone()));
    }
    response.extensions_mut().insert(tally);
}

/// What is said to visitors. A site whose version was retired is not there for them; that a certain version was, those who
/// have its address may know.
fn refusal(error: SiteError, visit: &Visit<'_>) -> ApiError {
    match error {
        SiteError::Path(problem) => {
            let status = if problem.is_malformed() { StatusCode::BAD_REQUEST } else { StatusCode::NOT_FOUND };
            ApiError::new(status, Code::NameInvalid, format!("This is no path: {problem}."))
        }
        SiteError::NotASite { .. } => {
            tracing::info!(site = visit.site.id.as_str(), %error, "nothing to serve");
            ApiError::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, format!("{error}."))
        }
        SiteError::Resolve(error @ ResolveError::Retired(_)) if !visit.is_preview => {
            ApiError::from(error).with_status(StatusCode::NOT_FOUND)
        }
        SiteError::Resolve(error) => error.into(),
        SiteError::Store(error) => error.into(),
    }
}
