//! `/refs/NAME[@SELECTOR]/FILE`: a redirect to the blob, for one-line downloads.
//!
//! The redirect has the date of the name, but preconditions are not evaluated: RFC 9110 section 13.1 wants it so for
//! everything but a 2xx, and with reason. The blob has no date, so a client that compares dates states when it saved the
//! file, which may be later than the publish of a version that it does not have.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LAST_MODIFIED, LINK, LOCATION, REFERRER_POLICY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::parameters as p;
use crate::access::{Access, Caller};
use crate::http::error::ApiError;
use crate::http::extract::{RequestedFreshness, Rest};
use crate::http::openapi::{Document, Operation, text};
use crate::http::rfc::caching::set_freshness;
use crate::http::rfc::hardening::defuse;
use crate::http::serving::last_change;
use crate::http::serving::notices;
use crate::http::serving::reading::Reading;
use crate::http::serving::response_cache::Cacheable;
use crate::http::state::{AppState, BaseUrl};
use crate::service::Resolve;
use crate::wire::blob_address;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/refs/{*path}", get(follow))
}

pub(super) fn describe(document: &mut Document) {
    document.tag("refs", "Plain downloads.");
    let follow = |method, id| {
        Operation::new(method, id, "Redirect to one file of a version")
            .about(
                "Behind a selector `file` may hold slashes; without one it is the last segment of the path. `Location` \
                 never leads to other bytes: resume, and fetch in segments, from there.",
            )
            .by_policy()
            .answers(
                307,
                "Where the bytes are.",
                &[
                    &p::LOCATION,
                    &p::LAST_MODIFIED,
                    &p::CACHE_CONTROL,
                    &p::LARDER_VERSION,
                    &p::LARDER_GENERATION,
                    &p::LARDER_LABEL,
                    &p::LARDER_RESOLVED,
                    &p::LARDER_YANKED,
                    &p::LINK,
                ],
                [text("text/plain")],
            )
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
    let reading = Reading::new(&resolve, &access, &caller, target, fresh).await?;
    let (found, artifact) = resolve.file(reading.target(), &file, fresh).await?;
    let location = format!("{base}/{}", blob_address(&artifact));
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(LOCATION, HeaderValue::try_from(&location).map_err(ApiError::internal)?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let target = reading.target();
    let link = format!("<{base}/manifests/{}@{}>; rel=\"describedby\"", target.name, found.row.number);
    headers.insert(LINK, HeaderValue::try_from(link).map_err(ApiError::internal)?);
    headers.extend(last_change::date(&found).map(|date| (LAST_MODIFIED, date.header())));
    notices::yanked(&mut headers, &found.row);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    reading.describe(&found, &mut headers);
    set_freshness(&mut headers, reading.freshness(&found), reading.is_public);
    defuse(&mut headers);
    let body = Bytes::from(location + "\n");
    let heads = reading.heads(&found).filter(|_| reading.is_public);
    let cacheable = heads
        .map(|heads| Extension(Cacheable::of_heads(heads, body.clone()).valid_for(last_change::unsettled_for(&found))));
    Ok((StatusCode::TEMPORARY_REDIRECT, cacheable, headers, body).into_response())
}
