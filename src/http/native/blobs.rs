//! `/blobs/sha256:HEX[/FILE]` and `/blobs/missing`.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ALLOW, ETAG, HeaderMap, HeaderValue, LOCATION};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::parameters as p;
use crate::access::{Access, Caller};
use crate::domain::{Digest, Permission};
use crate::http::error::ApiError;
use crate::http::extract::{RequestedFreshness, Rest};
use crate::http::openapi::{Document, Field, Operation, binary, json_of};
use crate::http::rfc::body::RequestBody;
use crate::http::rfc::caching::Freshness;
use crate::http::rfc::conditional::etag;
use crate::http::rfc::hardening::Hardening;
use crate::http::rfc::range::MAX_RANGES;
use crate::http::serving::bytes::{self, BlobOptions};
use crate::http::serving::download::Download;
use crate::http::serving::{intake, response_cache};
use crate::http::state::{AppState, BaseUrl, Delivery};
use crate::store::Created;
use crate::wire::limits::MISSING_DIGESTS;
use crate::wire::{Code, MissingBlobs, MissingQuestion, StoredBlob};

/// Largest request body in bytes: the maximum number of digests, with room for white space.
const MAX_QUESTION: u64 = 2 << 20;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/blobs/missing", post(missing)).route("/blobs/{*digest}", get(read).head(head).put(upload))
}

/// Where the digest ends in the address of a blob.
pub(super) fn end_of_digest(address: &str) -> Option<usize> {
    const BLOBS: &str = "/blobs/";
    response_cache::end_of_digest(address.strip_prefix(BLOBS).map(|_| address)?, BLOBS.len(), &['/', '?'])
}

/// Headers of every full response with a blob.
const BLOB_FIELDS: &[&Field] =
    &[&p::ETAG, &p::REPR_DIGEST, &p::DIGEST_FIELD, &p::CACHE_CONTROL, &p::ACCEPT_RANGES, &p::CONTENT_DISPOSITION];
/// Headers of a partial response (206).
const PART_FIELDS: &[&Field] = &[
    &p::ETAG,
    &p::REPR_DIGEST,
    &p::DIGEST_FIELD,
    &p::CACHE_CONTROL,
    &p::ACCEPT_RANGES,
    &p::CONTENT_DISPOSITION,
    &p::CONTENT_RANGE,
];

pub(super) fn describe(document: &mut Document) {
    document.tag("blobs", "Immutable bytes.");
    let missing = Operation::new("post", "missingBlobs", "Which of these blobs have to be uploaded")
        .by_token("Needs a token that grants `upload` or `publish`.")
        .body(json_of::<MissingQuestion>())
        .answers(200, "Those that are not there, in the order asked.", &[], [json_of::<MissingBlobs>()])
        .fails(&[400, 401, 403, 408, 413, 415, 500, 503, 507]);
    document.path("/blobs/missing", &[], [missing]);
    let (read, head) = (describe_read("getBlob"), describe_head("headBlob"));
    document.path("/blobs/{digest}", &[&p::DIGEST], [read, head, describe_upload()]);
    let (read, head) = (describe_read("getBlobAs"), describe_head("headBlobAs"));
    document.path("/blobs/{digest}/{file}", &[&p::DIGEST, &p::DOWNLOAD_FILE], [read, head]);
}

fn describe_head(id: &'static str) -> Operation {
    Operation::new("head", id, "Whether a blob is there, and its size")
        .by_policy()
        .takes(&[&p::DOWNLOAD_NAME, &p::DOWNLOAD_TYPE, &p::IF_MATCH, &p::IF_NONE_MATCH])
        .empty(200, "It is there.", BLOB_FIELDS)
        .empty(304, "The client has it already.", &[&p::ETAG, &p::CACHE_CONTROL])
        .fails(&[400, 401, 403, 404, 412, 500, 503])
}

fn describe_read(id: &'static str) -> Operation {
    Operation::new("get", id, "The bytes of a blob")
        .about(
            "The same bytes whatever the address says besides the digest. An error after the first byte ends the \
             connection.",
        )
        .by_policy()
        .takes(&[&p::DOWNLOAD_NAME, &p::DOWNLOAD_TYPE, &p::RANGE, &p::IF_RANGE, &p::IF_MATCH, &p::IF_NONE_MATCH])
        .answers(200, "All of them.", BLOB_FIELDS, [binary("*/*")])
        .answers(
            206,
            "What `Range` asks for: one part, or several as `multipart/byteranges` in the order asked. More than 1,000 \
             ranges, ranges that overlap, and anything that is not understood, get the whole.",
            PART_FIELDS,
            [binary("*/*")],
        )
        .empty(304, "The client has it already.", &[&p::ETAG, &p::CACHE_CONTROL])
        .empty(
            307,
            "Where the store has the bytes, if that is how this server delivers them.",
            &[&p::LOCATION, &p::CACHE_CONTROL],
        )
        .fails(&[400, 401, 403, 404, 412, 416, 500, 503])
}

fn describe_upload() -> Operation {
    Operation::new("put", "putBlob", "Upload a blob")
        .by_token(
            "The bytes, with no content coding. Length and digest are verified before anything becomes visible. With \
             `Expect: 100-continue` a client learns that the blob is there, or refused, before it sends the body. Needs \
             `upload` or `publish`.",
        )
        .takes(&[&p::CONTENT_DIGEST, &p::STATED_DIGEST])
        .body(binary("application/octet-stream"))
        .answers(200, "It was there already.", &[&p::LOCATION, &p::ETAG], [json_of::<StoredBlob>()])
        .answers(201, "It was stored.", &[&p::LOCATION, &p::ETAG], [json_of::<StoredBlob>()])
        .fails(&[400, 401, 403, 408, 413, 415, 500, 503, 507])
}

async fn missing(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<MissingBlobs>, ApiError> {
    caller.require_somewhere(Permission::Upload)?;
    let held = intake::hold(&state, &state.memory.questions, &caller, &headers, body, MAX_QUESTION).await?;
    let example = r#"{"digests": ["sha256:…", …]}"#;
    let MissingQuestion { digests } = intake::document(&held.bytes, Code::DigestInvalid, example)?;
    if digests.len() > MISSING_DIGESTS {
        let detail = format!("Ask for at most {MISSING_DIGESTS} digests at once.");
        return Err(ApiError::bad_request(Code::DigestInvalid, detail).with("limit", MISSING_DIGESTS));
    }
    Ok(Json(MissingBlobs { missing: state.blobs.missing(digests).await? }))
}

/// The digest in an address, and what follows it and a `/`.
fn split(rest: &Rest) -> Result<(Digest, Option<&str>), ApiError> {
    let (digest, file) = rest.0.split_once('/').map_or((&*rest.0, None), |(digest, file)| (digest, Some(file)));
    Ok((digest.parse()?, file))
}

/// The digest in an address, and what else the address says.
fn blob(rest: &Rest, uri: &Uri) -> Result<(Digest, Download), ApiError> {
    let (digest, file) = split(rest)?;
    Ok((digest, Download::new(file, uri)?))
}

async fn read(
    State(state): State<AppState>,
    caller: Caller,
    RequestedFreshness(fresh): RequestedFreshness,
    rest: Rest,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (digest, download) = blob(&rest, &uri)?;
    require_blob_read(&state.access, &caller)?;
    bytes::refuse_if_recently_absent(&state.blobs, digest, &caller, fresh).await?;
    bytes::get(&state.blobs, digest, options(&download, &state.access, state.delivery), &headers).await
}

async fn head(
    State(state): State<AppState>,
    caller: Caller,
    RequestedFreshness(fresh): RequestedFreshness,
    rest: Rest,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (digest, download) = blob(&rest, &uri)?;
    require_blob_read(&state.access, &caller)?;
    bytes::refuse_if_recently_absent(&state.blobs, digest, &caller, fresh).await?;
    bytes::head(&state.blobs, digest, options(&download, &state.access, Delivery::Stream), &headers).await
}

fn options<'a>(download: &'a Download, access: &Access, delivery: Delivery) -> BlobOptions<'a> {
    let public = access.blobs_are_public();
    BlobOptions {
        download,
        public,
        delivery,
        freshness: Freshness::Immutable,
        modified: None,
        hardening: Hardening::Artefact,
        ranges: MAX_RANGES,
    }
}

/// Whoever chooses the digests of what an address answers must not choose what others may not read.
pub(super) fn require_blob_read(access: &Access, caller: &Caller) -> Result<(), ApiError> {
    if access.may_read_blobs(caller) { Ok(()) } else { Err(caller.refuse(Permission::Read, "to any name")) }
}

async fn upload(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (digest, file) = split(&rest)?;
    let mut body = RequestBody::new(body, state.timeouts.body(state.timeouts.blob_size));
    caller.require_somewhere(Permission::Upload)?;
    if file.is_some() {
        return Err(named_upload(digest));
    }
    stored(&state.base, digest, intake::blob(&state, &caller, digest, &headers, &mut body).await?)
}

/// 405 for an upload to an address with a file name.
fn named_upload(digest: Digest) -> ApiError {
    let detail = format!("A blob has no name of its own; upload it to /blobs/{digest}.");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, Code::MethodNotAllowed, detail).header(ALLOW, "GET,HEAD")
}

/// The response to a completed upload.
pub(super) fn stored(base: &BaseUrl, digest: Digest, created: Created) -> Result<Response, ApiError> {
    let result = if created == Created::New { "new" } else { "present" };
    metrics::counter!("larder_blob_uploads_total", "result" => result).increment(1);
    let status = if created == Created::New { StatusCode::CREATED } else { StatusCode::OK };
    let location = HeaderValue::try_from(format!("{base}/blobs/{digest}")).map_err(ApiError::internal)?;
    let etag = HeaderValue::try_from(etag(digest)).map_err(ApiError::internal)?;
    Ok((status, [(LOCATION, location), (ETAG, etag)], Json(StoredBlob { digest })).into_response())
}
