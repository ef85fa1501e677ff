//! `/refs/NAME[@SELECTOR]/FILE`: a redirect to the blob, for one-line downloads. Checksums of a version, and links that
//! choose a file by platform, are beside the files; and so are, if the policy of the name says so, files of earlier
//! versions.
//!
//! The redirect has the date of the name, but preconditions are not evaluated: RFC 9110 section 13.1 wants it so for
//! everything but a 2xx, and with reason. The blob has no date, so a client that compares dates states when it saved the
//! file, which may be later than the publish of a version that it does not have.

mod attached;
mod checksums;
mod earlier;
mod platforms;

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{
    CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, LINK, LOCATION, REFERRER_POLICY,
};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use tokio::time::Instant;

use super::parameters as p;
use crate::access::Caller;
use crate::domain::FileName;
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
use crate::protocol::AsOf;
use crate::service::{ResolveError, Resolved};
use crate::wire::schema::Anything;
use crate::wire::{PlatformFiles, blob_address, headers};

const EARLIER: HeaderName = HeaderName::from_static(headers::EARLIER);

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
                 platform leave out of `SHA256SUMS` what a platform link would not lead to. Where the policy of the name has \
                 `earlier_files`, a file that the active version lacks is one of a version that was active before, for a while; \
                 and `DIRECTORY/by-hash/SHA256/HEX` is the file with that digest in the directory. `FILE.minisig`, \
                 `FILE.sigstore.json` and `FILE.sbom.cdx.json` lead to what is attached to the version about that file.",
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
                    &p::LARDER_EARLIER,
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
    let arrived = Instant::now();
    if platforms::is_asked(request.uri())
        && let Some(target) = platforms::target(&state, &caller, &rest, fresh).await?
    {
        let reading = Reading::new(&state.resolve, &state.access, &caller, target, fresh).await?;
        return platforms::follow((&state, &caller), &reading, fresh, request).await;
    }
    let (target, file) = rest.file()?;
    let reading = Reading::new(&state.resolve, &state.access, &caller, target, fresh).await?;
    let (request, _) = request.into_parts();
    let asked = FileRequest { state: &state, caller: &caller, reading: &reading, file: &file, request: &request };
    match asked.answer(fresh).await? {
        Ok(response) => Ok(response),
        Err(missing) => earlier::answer(&asked, missing, arrived).await,
    }
}

/// A request for one file of a version.
struct FileRequest<'a> {
    state: &'a AppState,
    caller: &'a Caller,
    reading: &'a Reading,
    file: &'a FileName,
    request: &'a Parts,
}

impl FileRequest<'_> {
    /// The answer from the version that is asked for, or the reason why there is none.
    async fn answer(&self, fresh: AsOf) -> Result<Result<Response, ResolveError>, ApiError> {
        let Self { state, caller, reading, file, request } = *self;
        let (found, loaded) = match state.resolve.manifest(reading.target(), fresh).await {
            Ok(found) => found,
            Err(ResolveError::Store(error)) => return Err(error.into()),
            Err(missing) => return Ok(Err(missing)),
        };
        if let Some(artifact) = loaded.file(file)? {
            return redirect(state, reading, (&found, artifact), true, None).map(Ok);
        }
        if let Some(artifact) = earlier::by_hash(self, &loaded).await? {
            return redirect(state, reading, (&found, &artifact), true, None).map(Ok);
        }
        let sums = checksums::answer((state, caller), reading, file, (&found, &loaded), request).await?;
        let sums = match sums {
            None => attached::answer(state, reading, &found, file).await?,
            sums => sums,
        };
        let missing = || ResolveError::NoSuchFile { target: reading.target().clone(), file: file.clone() };
        Ok(sums.ok_or_else(missing))
    }
}

/// The redirect to a file. `by_address` says whether the address alone, without a query, decides about it; `earlier` is
/// for how long the answer holds at most, if the version is not the one that is asked for.
fn redirect(
    state: &AppState,
    reading: &Reading,
    (found, artifact): (&Resolved, &Artifact),
    by_address: bool,
    earlier: Option<Duration>,
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
    if earlier.is_some() {
        headers.insert(EARLIER, HeaderValue::from_static(headers::TRUE));
    }
    set_freshness(&mut headers, reading.freshness(found), reading.is_public);
    defuse(&mut headers);
    let body = Bytes::from(location + "\n");
    let heads = reading.heads(found).filter(|_| reading.is_public && by_address);
    let cacheable = heads.map(|heads| {
        let cacheable = Cacheable::of_heads(heads, body.clone());
        Extension(cacheable.valid_for(last_change::unsettled_for(found)).valid_for(earlier))
    });
    Ok((StatusCode::TEMPORARY_REDIRECT, cacheable, headers, body).into_response())
}
