//! `/uploads` and `/uploads/ID`: blobs uploaded over several requests, as specified by the IETF draft on resumable
//! uploads (draft-ietf-httpbis-resumable-upload).
//!
//! Clients create an upload, receive its URL and append to it. The draft's interim response 104, which announces the
//! URL while the body is still being received, is not sent: the HTTP library does not support it. So bytes that are
//! sent along with the creation are lost if the connection breaks.

mod describe;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{patch, post};
use serde::Deserialize;

pub(super) use describe::describe;

use super::blobs::stored;
use crate::access::Caller;
use crate::domain::{Digest, Permission};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::extract::{Params, Rest};
use crate::http::rfc::body::{Arrival, RequestBody, check_headers};
use crate::http::rfc::conditional::etag;
use crate::http::rfc::digests::stated_digest;
use crate::http::state::AppState;
use crate::protocol::Append;
use crate::protocol::uploads::{Progress, StartedUpload};
use crate::store::Created;
use crate::wire::{self, Code};

const UPLOAD_OFFSET: HeaderName = HeaderName::from_static(wire::headers::UPLOAD_OFFSET);
const UPLOAD_COMPLETE: HeaderName = HeaderName::from_static(wire::headers::UPLOAD_COMPLETE);
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static(wire::headers::UPLOAD_LENGTH);
const UPLOAD_LIMIT: HeaderName = HeaderName::from_static(wire::headers::UPLOAD_LIMIT);
const ACCEPT_PATCH: HeaderName = HeaderName::from_static(wire::headers::ACCEPT_PATCH);
const PARTIAL_UPLOAD: HeaderValue = HeaderValue::from_static(wire::headers::PARTIAL_UPLOAD);
const FALSE: HeaderValue = HeaderValue::from_static(wire::headers::FALSE);
const TRUE: HeaderValue = HeaderValue::from_static(wire::headers::TRUE);

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/uploads", post(create).options(limits))
        .route("/uploads/{*id}", patch(append).head(show).delete(give_up).options(limits_of_one))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateQuery {
    digest: Option<Digest>,
}

/// The result of a request that appends bytes.
enum UploadOutcome {
    /// The upload is incomplete.
    Open(Box<Progress>),
    /// The upload is complete and the blob is stored.
    Stored(Digest, Created),
}

async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Params(query): Params<CreateQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let mut body = RequestBody::new(body, state.timeouts.body(state.timeouts.blob_size));
    let taken = begin(&state, &caller, &query, &headers, &mut body).await?;
    answer(&state, StatusCode::CREATED, taken)
}

async fn begin(
    state: &AppState,
    caller: &Caller,
    query: &CreateQuery,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<UploadOutcome, ApiError> {
    caller.require_somewhere(Permission::Upload)?;
    let sent = check_headers(headers, state.uploads.most())?;
    let complete = completes(headers)?;
    let stated = stated_digest(headers, wire::headers::REPR_DIGEST)?;
    let digest = query.digest.or(stated).ok_or_else(ApiError::upload_without_digest)?;
    if stated.is_some_and(|stated| stated != digest) {
        return Err(ApiError::bad_request(Code::DigestInvalid, "Repr-Digest and ?digest= state different digests."));
    }
    let length = length(headers, complete.then_some(sent).flatten())?;
    if length.is_some_and(|length| length > state.uploads.most()) {
        return Err(ApiError::too_large(state.uploads.most()));
    }
    match state.uploads.begin(digest, length, &caller.subject()).await? {
        StartedUpload::Present(_) => Ok(UploadOutcome::Stored(digest, Created::AlreadyExists)),
        StartedUpload::Upload(upload) => {
            let location = address(state, &upload);
            let taken = receive(state, *upload, body, complete).await;
            taken.map_err(|error| error.header(LOCATION, &location))
        }
    }
}

/// Appends the request body.
async fn receive(
    state: &AppState,
    upload: Progress,
    body: &mut RequestBody,
    complete: bool,
) -> Result<UploadOutcome, ApiError> {
    let digest = upload.digest();
    let mut append = Append::new(&state.uploads, upload)?;
    if let Err(error) = fill(&mut append, body).await {
        // Settle first: a client whose body was rejected as too slow may request the offset at once.
        append.give_way().await?;
        return Err(error);
    }
    let ended = async move {
        if complete {
            Ok(UploadOutcome::Stored(digest, append.complete().await?))
        } else {
            Ok(UploadOutcome::Open(Box::new(append.pause().await?)))
        }
    };
    run_to_completion(&state.tasks, ended).await
}

async fn fill(append: &mut Append, body: &mut RequestBody) -> Result<(), ApiError> {
    while let Some(arrival) = body.next().await? {
        match arrival {
            Arrival::Bytes(bytes) => {
                metrics::counter!("larder_received_bytes_total").increment(bytes.len() as u64);
                append.write(bytes).await?;
            }
            Arrival::Slow => append.check()?,
        }
    }
    Ok(())
}

async fn append(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let mut body = RequestBody::new(body, state.timeouts.body(state.timeouts.blob_size));
    let taken = continue_upload(&state, &caller, &rest, &headers, &mut body).await?;
    answer(&state, StatusCode::NO_CONTENT, taken)
}

async fn continue_upload(
    state: &AppState,
    caller: &Caller,
    rest: &Rest,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<UploadOutcome, ApiError> {
    let upload = find(state, caller, rest).await?;
    let sent = check_headers(headers, state.uploads.most())?;
    if headers.get(CONTENT_TYPE) != Some(&PARTIAL_UPLOAD) {
        return Err(ApiError::upload_media_type());
    }
    let complete = completes(headers)?;
    let number = || ApiError::upload_header(&UPLOAD_OFFSET, "the number of bytes that the upload has");
    let offset = number_in(headers, &UPLOAD_OFFSET, number)?.ok_or_else(number)?;
    if upload.is_complete() {
        return Err(ApiError::upload_complete());
    }
    if offset != upload.offset() {
        return Err(ApiError::upload_offset(upload.offset(), offset));
    }
    let follows = sent.filter(|_| complete).map(|sent| sent.saturating_add(offset));
    let stated = length(headers, follows)?;
    if let (Some(known), Some(stated)) = (upload.length(), stated)
        && known != stated
    {
        return Err(ApiError::upload_length(known, stated));
    }
    if stated.is_some_and(|stated| stated > state.uploads.most()) {
        return Err(ApiError::too_large(state.uploads.most()));
    }
    receive(state, upload, body, complete).await
}

async fn show(State(state): State<AppState>, caller: Caller, rest: Rest) -> Result<Response, ApiError> {
    let upload = find(&state, &caller, &rest).await?;
    let mut headers = standing(&state, &upload)?;
    if let Some(length) = upload.length() {
        headers.insert(UPLOAD_LENGTH, HeaderValue::from(length));
    }
    if upload.is_complete() {
        let blob = format!("{}/blobs/{}", state.base, upload.digest());
        headers.insert(LOCATION, HeaderValue::try_from(blob).map_err(ApiError::internal)?);
        headers.insert(ETAG, HeaderValue::try_from(etag(upload.digest())).map_err(ApiError::internal)?);
    }
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

async fn give_up(State(state): State<AppState>, caller: Caller, rest: Rest) -> Result<StatusCode, ApiError> {
    let upload = find(&state, &caller, &rest).await?;
    let uploads = Arc::clone(&state.uploads);
    run_to_completion(&state.tasks, async move { Ok(uploads.give_up(&upload).await?) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn limits(State(state): State<AppState>) -> Result<Response, ApiError> {
    let limit = limit(&state, state.uploads.part_size(None))?;
    Ok((StatusCode::NO_CONTENT, [(ALLOW, HeaderValue::from_static("POST,OPTIONS")), (UPLOAD_LIMIT, limit)])
        .into_response())
}

async fn limits_of_one(State(state): State<AppState>) -> Result<Response, ApiError> {
    let limit = limit(&state, state.uploads.part_size(None))?;
    let allow = HeaderValue::from_static("HEAD,PATCH,DELETE,OPTIONS");
    let headers = [(ALLOW, allow), (ACCEPT_PATCH, PARTIAL_UPLOAD), (UPLOAD_LIMIT, limit)];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

/// Looks up the upload in the URL and checks that the caller may continue it.
async fn find(state: &AppState, caller: &Caller, rest: &Rest) -> Result<Progress, ApiError> {
    caller.require_somewhere(Permission::Upload)?;
    let id = rest.0.parse().map_err(|_| ApiError::upload_unknown())?;
    let upload = state.uploads.look(id).await?.ok_or_else(ApiError::upload_unknown)?;
    let may = *upload.owner() == caller.subject() || caller.may_somewhere(Permission::Admin);
    if may { Ok(upload) } else { Err(ApiError::upload_of_another()) }
}

fn answer(state: &AppState, status: StatusCode, taken: UploadOutcome) -> Result<Response, ApiError> {
    match taken {
        UploadOutcome::Open(upload) => {
            let mut headers = standing(state, &upload)?;
            headers.insert(LOCATION, HeaderValue::try_from(address(state, &upload)).map_err(ApiError::internal)?);
            if status == StatusCode::CREATED {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            }
            Ok((status, headers).into_response())
        }
        UploadOutcome::Stored(digest, created) => {
            let mut response = stored(&state.base, digest, created)?;
            response.headers_mut().insert(UPLOAD_COMPLETE, TRUE);
            Ok(response)
        }
    }
}

/// Headers with the state of an upload and its limits.
fn standing(state: &AppState, upload: &Progress) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::new();
    headers.insert(UPLOAD_OFFSET, HeaderValue::from(upload.offset()));
    headers.insert(UPLOAD_COMPLETE, if upload.is_complete() { TRUE } else { FALSE });
    headers.insert(UPLOAD_LIMIT, limit(state, upload.part_size())?);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(headers)
}

fn limit(state: &AppState, part_size: u64) -> Result<HeaderValue, ApiError> {
    let (most, age) = (state.uploads.most(), state.timeouts.uploads_for.std().as_secs());
    let text = format!("max-size={most}, min-append-size={part_size}, max-age={age}");
    HeaderValue::try_from(text).map_err(ApiError::internal)
}

fn address(state: &AppState, upload: &Progress) -> String {
    format!("{}/uploads/{}", state.base, upload.id)
}

/// Whether the request contains the last bytes (`Upload-Complete`).
fn completes(headers: &HeaderMap) -> Result<bool, ApiError> {
    match headers.get(&UPLOAD_COMPLETE) {
        Some(value) if value == TRUE => Ok(true),
        Some(value) if value == FALSE => Ok(false),
        Some(_) | None => {
            let form = "?1 if these are the last bytes of the upload, else ?0";
            Err(ApiError::upload_header(&UPLOAD_COMPLETE, form))
        }
    }
}

/// Total length of the upload, as stated in the header or implied by the length of the last body.
fn length(headers: &HeaderMap, follows: Option<u64>) -> Result<Option<u64>, ApiError> {
    let number = || ApiError::upload_header(&UPLOAD_LENGTH, "the number of bytes of the whole blob");
    match (number_in(headers, &UPLOAD_LENGTH, number)?, follows) {
        (Some(stated), Some(follows)) if stated != follows => Err(ApiError::upload_length(stated, follows)),
        (stated, follows) => Ok(stated.or(follows)),
    }
}

fn number_in(headers: &HeaderMap, name: &HeaderName, wrong: impl Fn() -> ApiError) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| wrong())?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map(Some).map_err(|_| wrong())
    } else {
        Err(wrong())
    }
}
