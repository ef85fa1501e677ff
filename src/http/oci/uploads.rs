//! `R/blobs/uploads/` and `R/blobs/uploads/ID`: blobs sent in one request, or in chunks whose digest comes last.
//!
//! Addresses are always paths without a host, so that they are right whatever proxies the client went through.

mod query;

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue, LOCATION, RANGE,
};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::OciRequest;
use super::blobs::{may_read_through, stored};
use crate::access::Caller;
use crate::domain::{AnyDigest, Permission, RepositoryName};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::rfc::body::{Arrival, BodyError, RequestBody, check_headers};
use crate::http::serving::intake;
use crate::http::state::AppState;
use crate::protocol::{ChunkAppend, ChunkError, ChunkedUpload};
use crate::store::Created;
use crate::wire::Code;
use query::{ContentRange, UploadQuery};

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// Answers a request that begins an upload, sends a blob in one request, or mounts one.
pub(super) async fn begin(request: OciRequest, body: Body, repository: RepositoryName) -> Result<Response, ApiError> {
    if request.method != Method::POST {
        return Err(ApiError::method_not_allowed_but("POST"));
    }
    request.require(Permission::Upload, &repository)?;
    let query = UploadQuery::read(&request.uri)?;
    let expects_sha512 = query.expects_sha512()?;
    if let Some(digest) = query.mounted()
        && mount(&request, &query, &digest).await?
    {
        return stored(&repository, &digest);
    }
    if let Some(digest) = query.digest()? {
        return whole(request, body, &repository, digest).await;
    }
    let mut upload = request.state.chunks.begin(&repository, &request.caller.subject()).await?;
    if expects_sha512 {
        upload.expect_sha512();
    }
    standing(&request.state, &repository, &upload, StatusCode::ACCEPTED)
}

/// Whether a blob can be taken from where the client says it is. If not, it is uploaded, so nothing here is an error.
async fn mount(request: &OciRequest, query: &UploadQuery, digest: &AnyDigest) -> Result<bool, ApiError> {
    let OciRequest { state, caller, .. } = request;
    let may_read = match &query.from {
        None => state.access.may_read_blobs(caller),
        Some(from) => from.parse().is_ok_and(|from: RepositoryName| may_read_through((&state.access, caller), &from)),
    };
    if !may_read {
        return Ok(false);
    }
    let Some(digest) = request.resolve(digest).await? else { return Ok(false) };
    Ok(state.blobs.rely_on(digest).await?.is_some())
}

/// Answers a request about an upload that was begun.
pub(super) async fn answer(
    request: OciRequest,
    body: Body,
    repository: RepositoryName,
    id: &str,
) -> Result<Response, ApiError> {
    let is_known = [Method::GET, Method::HEAD, Method::PATCH, Method::PUT, Method::DELETE].contains(&request.method);
    if !is_known {
        return Err(ApiError::method_not_allowed_but("GET,HEAD,PATCH,PUT,DELETE"));
    }
    request.require(Permission::Upload, &repository)?;
    let mut upload = request.state.chunks.find(id, &repository, &request.caller.subject()).await?;
    if UploadQuery::read(&request.uri)?.expects_sha512()? {
        upload.expect_sha512();
    }
    match request.method {
        Method::PATCH if upload.is_over() => Err(ChunkError::Unknown.into()),
        Method::PATCH => patch(request, body, &repository, upload).await,
        Method::PUT => put(request, body, &repository, upload).await,
        Method::DELETE => cancel(&request.state, upload).await,
        _ if upload.is_over() => Err(ChunkError::Unknown.into()),
        _ => standing(&request.state, &repository, &upload, StatusCode::NO_CONTENT),
    }
}

async fn cancel(state: &AppState, upload: ChunkedUpload) -> Result<Response, ApiError> {
    let chunks = Arc::clone(&state.chunks);
    run_to_completion(&state.tasks, async move { Ok(chunks.cancel(&upload).await?) }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn patch(
    request: OciRequest,
    body: Body,
    repository: &RepositoryName,
    upload: ChunkedUpload,
) -> Result<Response, ApiError> {
    let OciRequest { state, caller, headers, .. } = request;
    let chunk = Chunk::new(&state, repository, upload, &headers, body)?;
    let upload = append(&state, &caller, repository, chunk).await?;
    standing(&state, repository, &upload, StatusCode::ACCEPTED)
}

/// Closes an upload, with the last bytes or without.
async fn put(
    request: OciRequest,
    body: Body,
    repository: &RepositoryName,
    upload: ChunkedUpload,
) -> Result<Response, ApiError> {
    let digest = UploadQuery::read(&request.uri)?.digest()?.ok_or_else(|| {
        ApiError::bad_request(Code::DigestInvalid, "State the digest of the whole blob: PUT …?digest=sha256:HEX.")
    })?;
    // The repetition of a request whose reply was lost needs no bytes.
    let has_body = !upload.is_over() && !body.is_end_stream();
    if has_body && upload.offset() == 0 {
        ContentRange::read(&request.headers)?
            .check(&request.headers, 0)
            .map_err(|()| out_of_order(repository, &upload))?;
        return whole(request, body, repository, digest).await;
    }
    let OciRequest { state, caller, headers, .. } = request;
    let upload = if has_body {
        append(&state, &caller, repository, Chunk::new(&state, repository, upload, &headers, body)?).await?
    } else {
        upload
    };
    let chunks = Arc::clone(&state.chunks);
    let work = async move {
        Ok(match digest {
            AnyDigest::Sha256(digest) => chunks.finish(&upload, digest).await?,
            AnyDigest::Sha512(digest) => chunks.finish_sha512(&upload, &digest).await?,
        })
    };
    count(run_to_completion(&state.tasks, work).await?);
    stored(repository, &digest)
}

/// Takes in a blob whose digest is known before its first byte.
async fn whole(
    request: OciRequest,
    body: Body,
    repository: &RepositoryName,
    digest: AnyDigest,
) -> Result<Response, ApiError> {
    let OciRequest { state, caller, mut headers, .. } = request;
    headers.remove(CONTENT_RANGE);
    let mut body = RequestBody::new(body, state.timeouts.body(state.timeouts.blob_size));
    count(match digest {
        AnyDigest::Sha256(digest) => intake::blob(&state, &caller, digest, &headers, &mut body).await?,
        AnyDigest::Sha512(digest) => intake::blob_by_sha512(&state, &caller, &digest, &headers, &mut body).await?,
    });
    stored(repository, &digest)
}

fn count(created: Created) {
    let result = if created == Created::New { "new" } else { "present" };
    metrics::counter!("larder_blob_uploads_total", "result" => result).increment(1);
}

/// Bytes to append to an upload.
struct Chunk {
    upload: ChunkedUpload,
    range: ContentRange,
    body: RequestBody,
}

impl Chunk {
    /// Checks what the headers say; uses nothing of the body.
    fn new(
        state: &AppState,
        repository: &RepositoryName,
        upload: ChunkedUpload,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Self, ApiError> {
        let range = ContentRange::read(headers)?;
        range.check(headers, upload.offset()).map_err(|()| out_of_order(repository, &upload))?;
        let most = state.timeouts.blob_size.saturating_sub(upload.offset());
        let mut without_range = headers.clone();
        without_range.remove(CONTENT_RANGE);
        check_headers(&without_range, most)?;
        Ok(Self { upload, range, body: RequestBody::new(body, state.timeouts.body(most)) })
    }
}

/// Appends a chunk. Runs on if the client goes away: what has come of a body that breaks off is kept.
async fn append(
    state: &AppState,
    caller: &Caller,
    repository: &RepositoryName,
    chunk: Chunk,
) -> Result<ChunkedUpload, ApiError> {
    let (chunks, repository, owner) = (Arc::clone(&state.chunks), repository.clone(), caller.subject());
    let Chunk { upload, range, mut body } = chunk;
    let address = upload.address();
    let work = async move {
        let mut append = chunks.append(upload).await?;
        let cut = fill(&mut append, &mut body).await?;
        if let Some(error @ BodyError::TooLarge { .. }) = cut {
            return Err(error.into());
        }
        if cut.is_none() && !range.fits(append.received()) {
            return Err(out_of_order(&repository, &append.abort().await));
        }
        match (append.end().await, cut) {
            (Ok(upload), None) => Ok(upload),
            (Ok(upload), Some(error)) => Err(cut_off(&repository, &upload, error)),
            (Err(ChunkError::Moved), _) => {
                Err(out_of_order(&repository, &chunks.find(&address, &repository, &owner).await?))
            }
            (Err(error), _) => Err(error.into()),
        }
    };
    run_to_completion(&state.tasks, work).await
}

/// Receives a body. Returns why it broke off, if it did.
async fn fill(append: &mut ChunkAppend, body: &mut RequestBody) -> Result<Option<BodyError>, ApiError> {
    loop {
        match body.next().await {
            Ok(Some(Arrival::Bytes(bytes))) => {
                metrics::counter!("larder_received_bytes_total").increment(bytes.len() as u64);
                append.write(bytes).await?;
            }
            Ok(Some(Arrival::Slow)) => append.relax().await?,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(error)),
        }
    }
}

fn address(repository: &RepositoryName, upload: &ChunkedUpload) -> String {
    let query = if upload.expects_sha512() { "?digest-algorithm=sha512" } else { "" };
    format!("/v2/{repository}/blobs/uploads/{}{query}", upload.address())
}

/// What an upload has, as the specification writes it: the last byte, and `0-0` if there is none.
fn range(upload: &ChunkedUpload) -> String {
    format!("0-{}", upload.offset().saturating_sub(1))
}

/// Where an upload is.
fn standing(
    state: &AppState,
    repository: &RepositoryName,
    upload: &ChunkedUpload,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let text = |text: String| HeaderValue::try_from(text).map_err(ApiError::internal);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(LOCATION, text(address(repository, upload))?);
    headers.insert(RANGE, text(range(upload))?);
    headers.insert(UPLOAD_UUID, text(upload.id().to_string())?);
    headers.insert(CHUNK_MIN_LENGTH, HeaderValue::from(state.uploads.part_size(None)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    }
    Ok((status, headers).into_response())
}

/// Adds to an error where the upload is, which can be continued.
fn at(error: ApiError, repository: &RepositoryName, upload: &ChunkedUpload) -> ApiError {
    error
        .header(LOCATION, &address(repository, upload))
        .header(RANGE, &range(upload))
        .header(UPLOAD_UUID, &upload.id().to_string())
        .with("offset", upload.offset())
}

fn out_of_order(repository: &RepositoryName, upload: &ChunkedUpload) -> ApiError {
    let detail = format!(
        "The chunk does not begin where the upload ends, or has another length than stated. The upload has {} bytes; \
         continue from there.",
        upload.offset()
    );
    at(ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::UploadOffset, detail), repository, upload)
}

/// A body that did not come to its end, of which what has come is kept.
fn cut_off(repository: &RepositoryName, upload: &ChunkedUpload, error: BodyError) -> ApiError {
    let error = ApiError::from(error);
    let detail = format!(
        "The body broke off or came too slowly. What has come is kept: the upload has {} bytes; continue from there.",
        upload.offset()
    );
    at(ApiError::new(error.status(), error.code().clone(), detail), repository, upload)
}

impl From<ChunkError> for ApiError {
    fn from(error: ChunkError) -> Self {
        match error {
            ChunkError::Unknown => {
                let detail = "There is no such upload. If there was one, its time is over, or it was begun with another \
                              token; begin a new one with POST …/blobs/uploads/.";
                Self::new(StatusCode::NOT_FOUND, Code::UploadUnknown, detail)
            }
            ChunkError::Moved => {
                let detail = "Another request appended to this upload. Ask with GET where it is, and continue there.";
                Self::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::UploadOffset, detail)
            }
            ChunkError::TooLarge { limit } => Self::too_large(limit),
            ChunkError::TooMany { limit } => {
                let detail = format!("An upload has at most {limit} chunks; send larger ones.");
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, detail).with("limit", limit)
            }
            ChunkError::Blob(error) => error.into(),
        }
    }
}
