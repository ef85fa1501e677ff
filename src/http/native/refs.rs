//! `/refs/NAME[@SELECTOR]/FILE`: a redirect to the blob, for one-line downloads.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LINK, LOCATION, REFERRER_POLICY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::parameters as p;
use crate::access::{Access, Caller};
use crate::http::error::ApiError;
use crate::http::extract::{RequestedFreshness, Rest};
use crate::http::openapi::{Document, Operation, text};
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::rfc::hardening::defuse;
use crate::http::serving::response_cache::Cacheable;
use crate::http::state::{AppState, BaseUrl};
use crate::service::Resolve;

/// Characters that need no encoding in the value of a query parameter, besides letters and digits.
const IN_QUERY: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/refs/{*path}", get(follow))
}

pub(super) fn describe(document: &mut Document) {
    document.tag("refs", "Plain downloads.");
    let follow = |method, id| {
        Operation::new(method, id, "Redirect to one file of a version")
            .about("Behind a selector `file` may hold slashes; without one it is the last segment of the path.")
            .by_policy()
            .answers(307, "Where the bytes are.", &[&p::LOCATION, &p::CACHE_CONTROL, &p::LINK], [text("text/plain")])
            .fails(&[400, 401, 403, 404, 410, 500, 503])
    };
    let operations = [follow("get", "followRef"), follow("head", "headRef")];
    document.path("/refs/{target}/{file}", &[&p::TARGET, &p::FILE], operations);
}

/// Handles HEAD as well: there is no body worth saving.
async fn follow(
    State(resolve): State<Arc<Resolve>>,
    State(access): State<Arc<Access>>,
    State(base): State<BaseUrl>,
    caller: Caller,
    rest: Rest,
    RequestedFreshness(fresh): RequestedFreshness,
) -> Result<Response, ApiError> {
    let (target, file) = rest.file()?;
    caller.require_read(&access, &target.name)?;
    let (found, artifact) = resolve.file(&target, &file, fresh).await?;
    let location =
        format!("{base}/blobs/{}?name={}", artifact.blob.digest, utf8_percent_encode(artifact.name.base(), IN_QUERY));
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(LOCATION, HeaderValue::try_from(&location).map_err(ApiError::internal)?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let link = format!("<{base}/manifests/{target}>; rel=\"describedby\"");
    headers.insert(LINK, HeaderValue::try_from(link).map_err(ApiError::internal)?);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let freshness = if target.selector.is_moving() { Freshness::Revalidate } else { Freshness::Immutable };
    let public = access.is_public(&target.name);
    set_freshness(&mut headers, freshness, public);
    defuse(&mut headers);
    let body = Bytes::from(location + "\n");
    let heads = || vec![(target.name.clone(), found.generation)];
    let cacheable = public.then(|| Extension(Cacheable::of_heads(heads(), body.clone())));
    Ok((StatusCode::TEMPORARY_REDIRECT, cacheable, headers, body).into_response())
}
