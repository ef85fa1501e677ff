//! Reading `/manifests/NAME[@SELECTOR]`.

use axum::Extension;
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED, LINK};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};

use crate::access::Caller;
use crate::domain::Target;
use crate::domain::manifest::release;
use crate::http::error::ApiError;
use crate::http::extract::{RequestedFreshness, Rest};
use crate::http::native::members;
use crate::http::native::parameters as p;
use crate::http::openapi::{Field, Operation, either, text};
use crate::http::rfc::caching::set_freshness;
use crate::http::rfc::conditional::etag;
use crate::http::rfc::digests::state_digest;
use crate::http::rfc::hardening::defuse;
use crate::http::serving::bytes::judged;
use crate::http::serving::last_change;
use crate::http::serving::notices;
use crate::http::serving::reading::Reading;
use crate::http::serving::response_cache::Cacheable;
use crate::http::serving::waiting::{Wait, Waited};
use crate::http::state::{AppState, BaseUrl, Parts as AppParts};
use crate::protocol::AsOf;
use crate::service::Resolved;
use crate::wire::manifest::ManifestDocument;
use crate::wire::{Code, Holders};

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

pub(super) fn describe_read(get: bool) -> Operation {
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
            &p::WAIT,
            &p::AFTER_HOLDER,
            &p::LIMIT_HOLDERS,
        ])
        .empty(204, "With `wait`: the name has not changed.", &[&p::LARDER_GENERATION, &p::CACHE_CONTROL])
        .empty(304, "The client has it already.", UNCHANGED)
        .fails(&[400, 401, 403, 404, 410, 412, 500, 503])
}

pub(super) async fn read(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    RequestedFreshness(fresh): RequestedFreshness,
    wait: Wait,
    request: Parts,
) -> Result<Response, ApiError> {
    if let Some(digest) = rest.digest() {
        return members::show(&state, &caller, digest?, request).await;
    }
    let target = rest.target()?;
    match pass(wait, &state, &caller, &target).await? {
        Waited::Unchanged(response) => Ok(response),
        Waited::Over(over) => over.finish(answer(&state, &caller, target, over.fresh(fresh), request.headers).await),
    }
}

/// Waits, if the request asks to, until the head of the name that decides about the answer has changed.
async fn pass(wait: Wait, state: &AppState, caller: &Caller, target: &Target) -> Result<Waited, ApiError> {
    if wait.is_asked() && state.resolve.followed(target).is_some() {
        caller.require_read(&state.access, &target.name)?;
        let detail = format!(
            "What readers of {0} get depends on several names; wait for {0}@active, and for those that it follows.",
            target.name
        );
        return Err(ApiError::bad_request(Code::QueryInvalid, detail));
    }
    wait.pass(state, caller, &target.name).await
}

async fn answer(
    state: &AppState,
    caller: &Caller,
    target: Target,
    fresh: AsOf,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let AppParts { access, resolve, base, .. } = &**state;
    let reading = Reading::new(resolve, access, caller, target, fresh).await?;
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

pub(super) async fn head(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    RequestedFreshness(fresh): RequestedFreshness,
    wait: Wait,
    request: Parts,
) -> Result<Response, ApiError> {
    if let Some(digest) = rest.digest() {
        return members::show(&state, &caller, digest?, request).await;
    }
    let target = rest.target()?;
    match pass(wait, &state, &caller, &target).await? {
        Waited::Unchanged(response) => Ok(response),
        Waited::Over(over) => {
            over.finish(headers_of(&state, &caller, target, over.fresh(fresh), request.headers).await)
        }
    }
}

async fn headers_of(
    state: &AppState,
    caller: &Caller,
    target: Target,
    fresh: AsOf,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let AppParts { access, resolve, base, .. } = &**state;
    let reading = Reading::new(resolve, access, caller, target, fresh).await?;
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
