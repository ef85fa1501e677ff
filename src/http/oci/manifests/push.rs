//! `PUT` of manifests.

use axum::body::Body;
use axum::extract::Query;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use crate::access::Caller;
use crate::domain::manifest::{ReadError, oci};
use crate::domain::{AnyDigest, BothDigests, Digest, Expect, ManifestName, Permission, RepositoryName, Sha512, Target};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::expectation::required_expectation;
use crate::http::oci::address::Reference;
use crate::http::oci::blobs::digest_header;
use crate::http::oci::{CONTENT_DIGEST, OciRequest};
use crate::http::serving::intake;
use crate::http::state::AppState;
use crate::protocol::{BlobError, ChangeError};
use crate::service::AttachError;
use crate::service::repositories::{PushRequest, PushedManifest, PushedStatement};
use crate::wire::Code;

/// Most tags that one request may set.
const MAX_TAGS: usize = 32;

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const TAG: HeaderName = HeaderName::from_static("oci-tag");

pub(super) async fn answer(
    request: OciRequest,
    body: Body,
    repository: RepositoryName,
    reference: Reference,
) -> Result<Response, ApiError> {
    let tags = tags(&repository, &reference, &request.uri)?;
    let expect = permit(&request, &repository, &tags)?;
    let OciRequest { state, caller, headers, .. } = request;
    let limit = state.publish.limits().manifest_bytes;
    let held = intake::hold(&state, &state.memory.manifests, &caller, &headers, body, limit).await?;
    let sha512 = check_digest(&reference, &held.bytes)?;
    check_type(&headers, &held.bytes)?;
    let tasks = state.tasks.clone();
    let pushed = run_to_completion(&tasks, {
        let (repository, tags) = (repository.clone(), tags.clone());
        async move {
            // All of it, so that its memory counts until the work is done, even if the client goes away.
            let held = held;
            let (bytes, by) = (held.bytes.clone(), caller.author());
            let push = PushRequest { repository: repository.clone(), tags, bytes: bytes.clone(), sha512, expect };
            let pushed = state.repositories.push(push, &by).await?;
            attach(&state, &caller, &repository, &bytes).await?;
            Ok(pushed)
        }
    })
    .await
    .inspect_err(count_lost_blobs)?;
    answered(&repository, &reference, pushed)
}

/// Attaches a statement about another manifest to the versions that have that, as far as the caller may.
async fn attach(
    state: &AppState,
    caller: &Caller,
    repository: &RepositoryName,
    manifest: &[u8],
) -> Result<(), ApiError> {
    let may_attest = |name: &ManifestName| caller.may(Permission::Attest, name);
    let pushed = state.repositories.pushed_statement(repository, manifest, may_attest).await?;
    let Some(PushedStatement { bytes, attachment, about }) = pushed else { return Ok(()) };
    for (name, number) in about {
        let target = Target::numbered(name, number);
        match state.attachments.add(&target, (bytes.clone(), &attachment), &caller.author()).await {
            // It has as much as it can have, or has ended since. The manifest is there all the same.
            Err(AttachError::Change(ChangeError::Rejected(why))) => {
                tracing::debug!(%target, %why, "what was pushed is not attached");
            }
            attached => drop(attached?),
        }
    }
    Ok(())
}

/// The tags that the manifest is to get.
fn tags(repository: &RepositoryName, reference: &Reference, uri: &Uri) -> Result<Vec<ManifestName>, ApiError> {
    if let Reference::Tag(tag) = reference {
        return Ok(vec![repository.tag(tag)?]);
    }
    let unreadable = |_| ApiError::bad_request(Code::QueryInvalid, "The query cannot be read.");
    let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(unreadable)?;
    let mut tags: Vec<ManifestName> = Vec::new();
    for (_, tag) in query.iter().filter(|(key, _)| key == "tag") {
        let tag = repository.tag(tag)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        if tags.len() > MAX_TAGS {
            let detail = format!("Set at most {MAX_TAGS} tags in one request.");
            return Err(ApiError::new(StatusCode::URI_TOO_LONG, Code::QueryInvalid, detail).with("limit", MAX_TAGS));
        }
    }
    Ok(tags)
}

/// Fails unless the caller may push this. Returns the precondition of the request.
fn permit(
    OciRequest { state, caller, headers, .. }: &OciRequest,
    repository: &RepositoryName,
    tags: &[ManifestName],
) -> Result<Expect, ApiError> {
    if tags.is_empty() {
        caller.require_in_repository(Permission::Publish, repository)?;
    }
    let mut expect = Expect::Anything;
    for tag in tags {
        caller.require(Permission::Publish, tag)?;
        expect = required_expectation(&state.access, tag, headers)?;
    }
    Ok(expect)
}

/// Fails if the bytes do not have the digest by which they are pushed. Returns it if it is one in SHA-512.
fn check_digest(reference: &Reference, bytes: &[u8]) -> Result<Option<Sha512>, BlobError> {
    match reference {
        Reference::Tag(_) => Ok(None),
        Reference::Digest(AnyDigest::Sha256(expected)) => {
            let (expected, actual) = (*expected, Digest::of(bytes));
            if expected == actual { Ok(None) } else { Err(BlobError::DigestMismatch { expected, actual }) }
        }
        Reference::Digest(AnyDigest::Sha512(expected)) => {
            let both = BothDigests::of(bytes);
            let is_it = both.sha512() == *expected;
            if is_it { Ok(Some(*expected)) } else { Err(BlobError::sha512_mismatch(expected, &both)) }
        }
    }
}

/// Fails if the stated media type is not that of the document. Without one there is nothing to contradict.
fn check_type(headers: &HeaderMap, bytes: &[u8]) -> Result<(), ApiError> {
    let unreadable = |error: ReadError| {
        ApiError::bad_request(Code::ManifestInvalid, format!("This is no manifest: {}.", error.into_reason()))
    };
    let actual = oci::media_type_of(bytes).map_err(unreadable)?;
    let Some(stated) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let stated = String::from_utf8_lossy(stated.as_bytes());
    let essence = stated.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(actual) {
        return Ok(());
    }
    let detail = format!("Content-Type says {essence:?}, but the manifest is {actual:?}.");
    Err(ApiError::bad_request(Code::ManifestInvalid, detail))
}

fn answered(repository: &RepositoryName, reference: &Reference, pushed: PushedManifest) -> Result<Response, ApiError> {
    let PushedManifest { digest, subject, receipts, failed } = pushed;
    if let Some(error) = failed.filter(|_| receipts.is_empty()) {
        return Err(error.into());
    }
    let named = if let Reference::Digest(named) = reference { *named } else { digest.into() };
    let text = |text: String| HeaderValue::try_from(text).map_err(ApiError::internal);
    let mut headers = HeaderMap::new();
    headers.insert(LOCATION, text(format!("/v2/{repository}/manifests/{named}"))?);
    headers.insert(CONTENT_DIGEST, digest_header(&named));
    if let Some(subject) = subject {
        headers.insert(SUBJECT, text(subject.to_string())?);
    }
    if matches!(reference, Reference::Digest(_)) {
        for tag in receipts.iter().filter_map(|receipt| repository.tag_of(&receipt.name)) {
            headers.append(TAG, text(tag.to_owned())?);
        }
    }
    Ok((StatusCode::CREATED, headers).into_response())
}

/// Counts pushes that name blobs which are not there. Clients upload what is missing before, so either they skipped that,
/// or the collector was faster.
fn count_lost_blobs(error: &ApiError) {
    if *error.code() == Code::ManifestBlobUnknown {
        metrics::counter!("larder_oci_push_lost_blob_total").increment(1);
    }
}
