//! `/blobs/sha256:HEX` and `/blobs/missing`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LOCATION,
    REFERRER_POLICY, VARY,
};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::access::{Access, Caller};
use crate::domain::Permission;
use crate::domain::{Digest, FileName};
use crate::http::extract::{Params, Rest};
use crate::http::rfc::body::{self, RequestBody, check_headers};
use crate::http::rfc::caching::{Freshness, defuse, disposition, set_attachment, set_freshness};
use crate::http::rfc::conditional::{self, Verdict, etag};
use crate::http::rfc::digests::{REPR_DIGEST, check_stated_digests, repr_digest};
use crate::http::rfc::range::{self, RangeOutcome};
use crate::http::serving::response_cache::Cacheable;
use crate::http::{ApiError, AppState, Delivery, Timeouts, run_to_completion};
use crate::protocol::{BlobIntake, BlobUpload, Blobs};
use crate::store::{Created, Object, PresignOptions};

/// Most digests in one question.
const MAX_DIGESTS: usize = 10_000;
/// A list of that many digests, with room for white space.
const MAX_QUESTION: u64 = 2 << 20;

pub(in crate::http) fn routes() -> Router<AppState> {
    Router::new().route("/blobs/missing", post(missing)).route("/blobs/{*digest}", get(read).head(head).put(upload))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    digests: Vec<Digest>,
}

#[derive(Serialize)]
struct Answer {
    missing: Vec<Digest>,
}

async fn missing(
    State(blobs): State<Arc<Blobs>>,
    State(timeouts): State<Timeouts>,
    State(held): State<Arc<Semaphore>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Answer>, ApiError> {
    caller.require_somewhere(Permission::Upload)?;
    check_headers(&headers, MAX_QUESTION)?;
    let _place = body::place(&held).await?;
    let body = RequestBody::new(body, timeouts, MAX_QUESTION).collect().await?;
    let question: Question = serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request("DIGEST_INVALID", format!("Send {{\"digests\": [\"sha256:…\", …]}}: {error}."))
    })?;
    if question.digests.len() > MAX_DIGESTS {
        let detail = format!("Ask for at most {MAX_DIGESTS} digests at once.");
        return Err(ApiError::bad_request("DIGEST_INVALID", detail).with("limit", MAX_DIGESTS));
    }
    Ok(Json(Answer { missing: blobs.missing(question.digests).await? }))
}

#[derive(Deserialize)]
struct Download {
    name: Option<FileName>,
}

async fn read(
    State(blobs): State<Arc<Blobs>>,
    State(delivery): State<Delivery>,
    State(access): State<Arc<Access>>,
    caller: Caller,
    rest: Rest,
    Params(download): Params<Download>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let digest: Digest = rest.0.parse()?;
    require_blob_read(&access, &caller)?;
    if let Some(elsewhere) = presign(&delivery, &blobs, digest, &download, &headers).await? {
        return Ok(elsewhere);
    }
    let wanted = conditional::range_applies(&headers, digest) && headers.contains_key("range");
    if !wanted && !headers.contains_key("if-none-match") && !headers.contains_key("if-match") {
        let object = blobs.open(digest, None).await?.ok_or_else(|| ApiError::blob_unknown(digest))?;
        let public = access.blobs_are_public();
        let headers = blob_headers(digest, object.meta.size, &download, public);
        let cacheable = object.file.clone().filter(|_| public).map(|slice| Extension(Cacheable::of_file(slice)));
        return Ok((cacheable, send(StatusCode::OK, headers, object)).into_response());
    }
    let meta = blobs.stat(digest).await?.ok_or_else(|| ApiError::blob_unknown(digest))?;
    let mut answer = blob_headers(digest, meta.size, &download, access.blobs_are_public());
    if let Some(response) = judged(&headers, digest, &answer)? {
        return Ok(response);
    }
    let range = match if wanted { range::judge(&headers, meta.size) } else { RangeOutcome::Whole } {
        RangeOutcome::Whole => None,
        RangeOutcome::Part(range) => Some(range),
        RangeOutcome::Unsatisfiable => return Err(ApiError::range_not_satisfiable(meta.size)),
    };
    let object = blobs.open(digest, range).await?.ok_or_else(|| ApiError::blob_unknown(digest))?;
    let Some(range) = range else { return Ok(send(StatusCode::OK, answer, object)) };
    let content_range = format!("bytes {}-{}/{}", range.start, range.end - 1, meta.size);
    answer.insert(CONTENT_RANGE, HeaderValue::try_from(content_range).map_err(ApiError::internal)?);
    answer.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    Ok(send(StatusCode::PARTIAL_CONTENT, answer, object))
}

/// Sends the client to the store for the bytes, if that is how they are delivered. Not clients that show who they are: many
/// would show it to the store too, which some answer with an error and none has a right to see. Nor conditional requests:
/// what they ask, the store would judge by entity tags of its own.
async fn presign(
    delivery: &Delivery,
    blobs: &Blobs,
    digest: Digest,
    download: &Download,
    request: &HeaderMap,
) -> Result<Option<Response>, ApiError> {
    let Delivery::Redirect { valid_for } = *delivery else { return Ok(None) };
    if ["authorization", "if-match", "if-none-match", "if-range"].iter().any(|name| request.contains_key(*name)) {
        return Ok(None);
    }
    let name = download.name.as_ref().map(FileName::base);
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let options =
        PresignOptions { valid_for, media_type: text(&media_type(name)), disposition: text(&disposition(name)) };
    let Some(address) = blobs.presign(digest, &options).await? else { return Ok(None) };
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(LOCATION, HeaderValue::try_from(&address).map_err(ApiError::internal)?);
    // Whoever has the address has the bytes until it expires.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(VARY, HeaderValue::from_static("Authorization"));
    headers.insert(REPR_DIGEST, repr_digest(digest));
    defuse(&mut headers);
    metrics::counter!("larder_handed_over_total").increment(1);
    Ok(Some((StatusCode::TEMPORARY_REDIRECT, headers).into_response()))
}

async fn head(
    State(blobs): State<Arc<Blobs>>,
    State(access): State<Arc<Access>>,
    caller: Caller,
    rest: Rest,
    Params(download): Params<Download>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let digest: Digest = rest.0.parse()?;
    require_blob_read(&access, &caller)?;
    let meta = blobs.stat(digest).await?.ok_or_else(|| ApiError::blob_unknown(digest))?;
    let answer = blob_headers(digest, meta.size, &download, access.blobs_are_public());
    let judged = judged(&headers, digest, &answer)?;
    Ok(judged.unwrap_or_else(|| (answer, Body::empty()).into_response()))
}

fn require_blob_read(access: &Access, caller: &Caller) -> Result<(), ApiError> {
    if access.may_read_blobs(caller) { Ok(()) } else { Err(caller.refuse(Permission::Read, "to any name")) }
}

/// The answer that the conditionals lead to, if it is not the representation itself.
pub(in crate::http) fn judged(
    request: &HeaderMap,
    digest: Digest,
    answer: &HeaderMap,
) -> Result<Option<Response>, ApiError> {
    match conditional::evaluate(request, digest)? {
        Verdict::Proceed => Ok(None),
        Verdict::Failed => Err(ApiError::precondition_failed(Some(digest))),
        Verdict::NotModified => {
            let mut headers = answer.clone();
            for unwanted in [CONTENT_TYPE, REPR_DIGEST] {
                headers.remove(unwanted);
            }
            Ok(Some((StatusCode::NOT_MODIFIED, headers).into_response()))
        }
    }
}

fn blob_headers(digest: Digest, size: u64, download: &Download, public: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    let name = download.name.as_ref().map(FileName::base);
    headers.insert(ETAG, HeaderValue::try_from(etag(digest)).expect("a digest is legal in a header"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(CONTENT_TYPE, media_type(name));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(REPR_DIGEST, repr_digest(digest));
    set_freshness(&mut headers, Freshness::Immutable, public);
    set_attachment(&mut headers, name);
    defuse(&mut headers);
    headers
}

/// Guessed from the file's name; what compressed archives hold is not looked at.
fn media_type(name: Option<&str>) -> HeaderValue {
    let extension = name.and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension.to_ascii_lowercase());
    let guess = match extension.as_deref() {
        Some("gz" | "tgz") => "application/gzip",
        Some("zst") => "application/zstd",
        Some("sha256") => "text/plain",
        Some(extension) => mime_guess::from_ext(extension).first_raw().unwrap_or("application/octet-stream"),
        None => "application/octet-stream",
    };
    HeaderValue::from_static(guess)
}

/// The bytes of an object. An error on the way ends the connection, because `Content-Length` was already sent: the
/// client sees a broken transfer, never a short one. If they are in a file, it goes with the answer as an extension, for
/// connections that can send files.
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

async fn upload(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let digest: Digest = rest.0.parse()?;
    let mut body = RequestBody::new(body, state.timeouts, state.timeouts.blob_size);
    let taken = take_in(&state, &caller, digest, &headers, &mut body).await;
    body.discard_unless_withheld(&headers).await;
    stored(digest, taken?)
}

/// The answer to an upload that is complete.
pub(in crate::http) fn stored(digest: Digest, created: Created) -> Result<Response, ApiError> {
    let result = if created == Created::New { "new" } else { "present" };
    metrics::counter!("larder_blob_uploads_total", "result" => result).increment(1);
    let status = if created == Created::New { StatusCode::CREATED } else { StatusCode::OK };
    let location = HeaderValue::try_from(format!("/blobs/{digest}")).map_err(ApiError::internal)?;
    let etag = HeaderValue::try_from(etag(digest)).map_err(ApiError::internal)?;
    Ok((status, [(LOCATION, location), (ETAG, etag)], Json(serde_json::json!({"digest": digest}))).into_response())
}

/// Everything up to and including `begin` looks at the headers only, so that a client that waits for `100 Continue` is
/// spared sending a body that is not wanted.
async fn take_in(
    state: &AppState,
    caller: &Caller,
    digest: Digest,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<Created, ApiError> {
    caller.require_somewhere(Permission::Upload)?;
    let length = check_headers(headers, state.timeouts.blob_size)?;
    check_stated_digests(headers, digest)?;
    match state.blobs.begin(digest, length).await? {
        BlobIntake::Present(_) => Ok(Created::AlreadyExists),
        BlobIntake::Upload(mut upload) => {
            receive(body, &mut upload).await?;
            let blobs = Arc::clone(&state.blobs);
            run_to_completion(&state.tasks, async move { Ok(blobs.finish(*upload).await?) }).await
        }
    }
}

async fn receive(body: &mut RequestBody, upload: &mut BlobUpload) -> Result<(), ApiError> {
    while let Some(bytes) = body.next().await? {
        metrics::counter!("larder_received_bytes_total").increment(bytes.len() as u64);
        upload.write(bytes).await?;
    }
    Ok(())
}
