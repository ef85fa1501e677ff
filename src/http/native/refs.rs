//! `/refs/NAME[@SELECTOR]/FILE`: a redirect to the blob, for one-line downloads. Checksums of a version, and links that
//! choose a file by platform, are beside the files.
//!
//! The redirect has the date of the name, but preconditions are not evaluated: RFC 9110 section 13.1 wants it so for
//! everything but a 2xx, and with reason. The blob has no date, so a client that compares dates states when it saved the
//! file, which may be later than the publish of a version that it does not have.

mod checksums;
mod platforms;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LAST_MODIFIED, LINK, LOCATION, REFERRER_POLICY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::parameters as p;
use crate::access::Caller;
use crate::domain::manifest::Artifact;
use crate::http::error::ApiError;
use crate::http::extract::{RequestedFreshness, Rest};
use crate::http::openapi::{Document, Operation, json_of, text};
use crate::http::rfc::caching::set_freshness;
use crate::http::rfc::hardening::defuse;
use crate::http::serving::last_change;
use crate::http::serving::notices;
use crate::http::serving::reading::Reading;
use crate::http::serving::response_cache::Cacheable;
use crate::http::state::AppState;
use crate::service::Resolved;
use crate::wire::schema::Anything;
use crate::wire::{PlatformFiles, blob_address};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/refs/{*path}", get(follow))
}

pub(super) fn describe(document: &mut Document) {
    document.tag("refs", "Plain downloads.");
    let follow = |method, id| {
        Operation::new(method, id, "Redirect to one file of a version, or its checksum")
            .about(
                "Behind a selector `file` may hold slashes; without one it is the last segment of the path. `Location` \
                 never leads to other bytes: resume, and fetch in segments, from there. Where a version has no such files, \
                 `SHA256SUMS` and `FILE.sha256` are made of its manifest. The parameters are for these; those about a \
                 platform leave out of `SHA256SUMS` what a platform link would not lead to.",
            )
            .by_policy()
            .takes(&[&p::SUM_FORMAT, &p::OS, &p::ARCH, &p::LIBC, &p::TRIPLE, &p::IF_NONE_MATCH])
            .answers(
                200,
                "Checksums, sorted by name.",
                &[&p::ETAG, &p::CONTENT_LOCATION, &p::CACHE_CONTROL, &p::LARDER_VERSION, &p::LARDER_GENERATION],
                [text("text/plain"), json_of::<Anything>()],
            )
            .empty(304, "The client has the checksums already.", &[&p::ETAG, &p::CONTENT_LOCATION, &p::CACHE_CONTROL])
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
            .fails(&[400, 401, 403, 404, 410, 412, 500, 503])
    };
    let operations = [follow("get", "followRef"), follow("head", "headRef")];
    document.path("/refs/{target}/{file}", &[&p::TARGET, &p::FILE], operations);
    describe_platforms(document);
}

fn describe_platforms(document: &mut Document) {
    let platform = |method, id| {
        Operation::new(method, id, "Redirect to the file for a platform")
            .about(
                "At least one parameter is needed. All usual spellings are understood: `macos` and `darwin`, `x64` and \
                 `amd64`. What the manifest does not state of a file is read from its name. Parameters of other names are \
                 ignored.",
            )
            .by_policy()
            .takes(&[&p::OS, &p::ARCH, &p::LIBC, &p::FORMAT, &p::KIND, &p::TRIPLE])
            .answers(
                300,
                "Several files suit: a list of them, or a page for browsers.",
                &[&p::CACHE_CONTROL, &p::LARDER_FALLBACK],
                [json_of::<PlatformFiles>(), text("text/html")],
            )
            .answers(
                307,
                "Where the bytes are.",
                &[&p::LOCATION, &p::CONTENT_LOCATION, &p::LAST_MODIFIED, &p::CACHE_CONTROL, &p::LINK, &p::LARDER_FALLBACK],
                [text("text/plain")],
            )
            .fails(&[400, 401, 403, 404, 410, 500, 503])
    };
    let operations = [platform("get", "followPlatform"), platform("head", "headPlatform")];
    document.path("/refs/{target}", &[&p::TARGET], operations);
}

/// Handles HEAD as well: there is no body worth saving.
async fn follow(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    RequestedFreshness(fresh): RequestedFreshness,
    request: Request,
) -> Result<Response, ApiError> {
    if platforms::is_asked(request.uri())
        && let Some(target) = platforms::target(&state, &caller, &rest, fresh).await?
    {
        let reading = Reading::new(&state.resolve, &state.access, &caller, target, fresh).await?;
        return platforms::follow((&state, &caller), &reading, fresh, request).await;
    }
    let (target, file) = rest.file()?;
    let reading = Reading::new(&state.resolve, &state.access, &caller, target, fresh).await?;
    let (found, loaded) = state.resolve.manifest(reading.target(), fresh).await?;
    if let Some(artifact) = loaded.file(&file)? {
        return redirect(&state, &reading, &found, artifact, true);
    }
    let (request, _) = request.into_parts();
    checksums::answer((&state, &caller), &reading, &file, (&found, &loaded), &request).await
}

/// The redirect to a file. `by_address` says whether the address alone, without a query, decides about it.
fn redirect(
    state: &AppState,
    reading: &Reading,
    found: &Resolved,
    artifact: &Artifact,
    by_address: bool,
) -> Result<Response, ApiError> {
    let base = &state.base;
    let location = format!("{base}/{}", blob_address(artifact));
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(LOCATION, HeaderValue::try_from(&location).map_err(ApiError::internal)?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let target = reading.target();
    let link = format!("<{base}/manifests/{}@{}>; rel=\"describedby\"", target.name, found.row.number);
    headers.insert(LINK, HeaderValue::try_from(link).map_err(ApiError::internal)?);
    headers.extend(last_change::date(found).map(|date| (LAST_MODIFIED, date.header())));
    notices::yanked(&mut headers, &found.row);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    reading.describe(found, &mut headers);
    set_freshness(&mut headers, reading.freshness(found), reading.is_public);
    defuse(&mut headers);
    let body = Bytes::from(location + "\n");
    let heads = reading.heads(found).filter(|_| reading.is_public && by_address);
    let cacheable = heads
        .map(|heads| Extension(Cacheable::of_heads(heads, body.clone()).valid_for(last_change::unsettled_for(found))));
    Ok((StatusCode::TEMPORARY_REDIRECT, cacheable, headers, body).into_response())
}
