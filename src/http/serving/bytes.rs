//! Blobs as responses: headers, ranges, preconditions, redirects to the store, and files that the connection sends
//! itself.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED, LOCATION,
    RANGE, REFERRER_POLICY, VARY,
};
use axum::response::{IntoResponse as _, Response};
use futures_util::TryStreamExt as _;

use super::download::Download;
use super::parts;
use super::response_cache::Cacheable;
use crate::access::{Caller, Credentials};
use crate::domain::Digest;
use crate::http::error::ApiError;
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::rfc::conditional::{self, HttpDate, Verdict, etag};
use crate::http::rfc::digests::{state_digest, withdraw_digest};
use crate::http::rfc::hardening::{Hardening, defuse, disposition};
use crate::http::rfc::range::{self, RangeOutcome};
use crate::http::state::Delivery;
use crate::protocol::{AsOf, Blobs};
use crate::store::{Object, PresignOptions};

/// How a surface serves a blob.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct BlobOptions<'a> {
    /// What the address says about it.
    pub(in crate::http) download: &'a Download,
    /// Whether the blob is readable without a token and may be stored by shared caches.
    pub(in crate::http) public: bool,
    /// Whether to redirect to the store. A surface that never redirects passes [`Delivery::Stream`].
    pub(in crate::http) delivery: Delivery,
    /// How caches may store the response: depends on whether its address determines the bytes.
    pub(in crate::http) freshness: Freshness,
    /// The date of the response, if what its address means may change.
    pub(in crate::http) modified: Option<HttpDate>,
    /// What the bytes may do in a browser.
    pub(in crate::http) hardening: Hardening,
    /// Most ranges that are sent in one response; a request for more gets the whole. 1 for single ranges only.
    pub(in crate::http) ranges: usize,
}

/// Answers a GET of a blob.
pub(in crate::http) async fn get(
    blobs: &Arc<Blobs>,
    digest: Digest,
    options: BlobOptions<'_>,
    request: &HeaderMap,
) -> Result<Response, ApiError> {
    if let Some(elsewhere) = presign(blobs, digest, options, request).await? {
        return Ok(elsewhere);
    }
    let unknown = || ApiError::blob_absent(blobs, digest);
    let wants_range = conditional::range_applies(request, digest) && request.contains_key(RANGE);
    if !wants_range && !is_conditional(request, options) {
        let object = blobs.open(digest, None).await?.ok_or_else(unknown)?;
        let headers = blob_headers(digest, object.meta.size, options);
        let cacheable =
            object.file.clone().filter(|_| options.public).map(|slice| Extension(Cacheable::of_file(digest, slice)));
        return Ok((cacheable, send(StatusCode::OK, headers, object)).into_response());
    }
    let meta = blobs.stat(digest).await?.ok_or_else(unknown)?;
    let mut answer = blob_headers(digest, meta.size, options);
    if let Some(response) = judged(request, digest, options.modified, &answer)? {
        return Ok(response);
    }
    let judge = || range::judge(request, meta.size, options.ranges);
    let range = match if wants_range { judge() } else { RangeOutcome::Whole } {
        RangeOutcome::Whole => None,
        RangeOutcome::Part(range) => Some(range),
        RangeOutcome::Parts(ranges) => return parts::send(blobs, digest, meta.size, ranges, answer).await,
        RangeOutcome::Unsatisfiable => return Err(ApiError::range_not_satisfiable(meta.size)),
    };
    let object = blobs.open(digest, range).await?.ok_or_else(unknown)?;
    let Some(range) = range else { return Ok(send(StatusCode::OK, answer, object)) };
    let content_range = format!("bytes {}-{}/{}", range.start, range.end - 1, meta.size);
    answer.insert(CONTENT_RANGE, HeaderValue::try_from(content_range).map_err(ApiError::internal)?);
    answer.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    Ok(send(StatusCode::PARTIAL_CONTENT, answer, object))
}

/// Whether preconditions have to be evaluated. Dates count only for a response that has one.
fn is_conditional(request: &HeaderMap, options: BlobOptions<'_>) -> bool {
    let is_there = |names: [HeaderName; 2]| names.iter().any(|name| request.contains_key(name));
    is_there([IF_NONE_MATCH, IF_MATCH])
        || options.modified.is_some() && is_there([IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE])
}

/// Answers a HEAD of a blob.
pub(in crate::http) async fn head(
    blobs: &Arc<Blobs>,
    digest: Digest,
    options: BlobOptions<'_>,
    request: &HeaderMap,
) -> Result<Response, ApiError> {
    let found = blobs.look(digest).await?.ok_or_else(|| ApiError::blob_absent(blobs, digest))?;
    let answer = blob_headers(digest, found.meta.size, options);
    if let Some(response) = judged(request, digest, options.modified, &answer)? {
        return Ok(response);
    }
    let cacheable = (options.public && !is_conditional(request, options)).then(|| {
        // Without a file nothing says that the bytes are gone.
        let valid_for = if found.file.is_some() { None } else { Some(blobs.max_staleness()) };
        Extension(Cacheable::without_body(found.file).valid_for(valid_for))
    });
    Ok((cacheable, answer).into_response())
}

/// The same of a blob whose size is known.
pub(in crate::http) fn head_of(
    digest: Digest,
    size: u64,
    options: BlobOptions<'_>,
    request: &HeaderMap,
) -> Result<Response, ApiError> {
    let answer = blob_headers(digest, size, options);
    let judged = judged(request, digest, options.modified, &answer)?;
    Ok(judged.unwrap_or_else(|| (answer, Body::empty()).into_response()))
}

/// Answers anonymous readers of an unknown digest without a search. Those with a token may be about to upload it, or have
/// just done so through another server.
pub(in crate::http) async fn refuse_if_recently_absent(
    blobs: &Blobs,
    digest: Digest,
    caller: &Caller,
    fresh: AsOf,
) -> Result<(), ApiError> {
    let from_memory = fresh == AsOf::Recent && caller.is_anonymous();
    if from_memory && blobs.is_recently_absent(digest).await? {
        Err(ApiError::blob_absent(blobs, digest))
    } else {
        Ok(())
    }
}

/// Redirects the client to the store if that is how blobs are delivered. Clients with credentials are excluded: many
/// would send these to the store too, which has no right to see them, and some stores respond with an error. Who states
/// to be nobody is a container client, which keeps credentials from other hosts. Excluded, too, are conditional requests,
/// which the store would evaluate against entity tags of its own.
async fn presign(
    blobs: &Arc<Blobs>,
    digest: Digest,
    options: BlobOptions<'_>,
    request: &HeaderMap,
) -> Result<Option<Response>, ApiError> {
    let Delivery::Redirect { valid_for } = options.delivery else { return Ok(None) };
    let knows_client = |value: &HeaderValue| !Credentials::are_of_nobody(value.as_bytes());
    let is_conditional = ["if-match", "if-none-match", "if-range"].iter().any(|name| request.contains_key(*name));
    if is_conditional || request.get_all(AUTHORIZATION).iter().any(knows_client) {
        return Ok(None);
    }
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let presign = PresignOptions {
        valid_for,
        media_type: text(&options.download.media_type()),
        disposition: text(&disposition(options.download.file_name())),
    };
    let Some(address) = blobs.presign(digest, &presign).await? else { return Ok(None) };
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(LOCATION, HeaderValue::try_from(&address).map_err(ApiError::internal)?);
    // The presigned URL grants access to everyone until it expires.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(VARY, HeaderValue::from_static("Authorization"));
    defuse(&mut headers);
    metrics::counter!("larder_handed_over_total").increment(1);
    Ok(Some((StatusCode::TEMPORARY_REDIRECT, headers).into_response()))
}

/// The response required by the preconditions; `None` if the representation is to be sent. `modified` is the date of its
/// `Last-Modified`, if it has one.
pub(in crate::http) fn judged(
    request: &HeaderMap,
    digest: Digest,
    modified: Option<HttpDate>,
    answer: &HeaderMap,
) -> Result<Option<Response>, ApiError> {
    match conditional::evaluate(request, digest, modified)? {
        Verdict::Proceed => Ok(None),
        Verdict::Failed => Err(ApiError::precondition_failed(Some(digest))),
        Verdict::NotModified => {
            let mut headers = answer.clone();
            headers.remove(CONTENT_TYPE);
            withdraw_digest(&mut headers);
            Ok(Some((StatusCode::NOT_MODIFIED, headers).into_response()))
        }
    }
}

fn blob_headers(digest: Digest, size: u64, options: BlobOptions<'_>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(ETAG, HeaderValue::try_from(etag(digest)).expect("a digest is legal in a header"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(CONTENT_TYPE, options.download.media_type());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    state_digest(&mut headers, digest);
    headers.extend(options.modified.map(|date| (LAST_MODIFIED, date.header())));
    set_freshness(&mut headers, options.freshness, options.public);
    options.hardening.on_bytes(&mut headers, options.download.file_name());
    headers
}

/// Streams the bytes of an object. An error in between ends the connection, because `Content-Length` has already been
/// sent: the client sees a broken transfer, never a truncated one. If the bytes are in a file, it is attached to the
/// response as an extension, for connections that can send files.
fn send(status: StatusCode, headers: HeaderMap, object: Object) -> Response {
    if let Some(bytes) = object.file.as_ref().and_then(|slice| slice.bytes.clone()) {
        return (status, headers, Body::from(bytes)).into_response();
    }
    let key = object.meta.key;
    let logged = object.body.inspect_err(move |error| tracing::error!(%key, %error, "a download broke off"));
    let mut response = (status, headers, Body::from_stream(logged)).into_response();
    if let Some(file) = object.file {
        response.extensions_mut().insert(file);
    }
    response
}
