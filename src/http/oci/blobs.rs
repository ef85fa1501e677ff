//! `R/blobs/D`: the same bytes as `/blobs/D`.

use axum::http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION, RANGE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::{CONTENT_DIGEST, OciRequest};
use crate::access::{Access, Caller};
use crate::domain::{AnyDigest, Digest, Permission, RepositoryName};
use crate::http::error::ApiError;
use crate::http::rfc::caching::Freshness;
use crate::http::rfc::hardening::Hardening;
use crate::http::serving::bytes::{self, BlobOptions};
use crate::http::serving::download::Download;
use crate::http::serving::response_cache;
use crate::http::state::{AppState, Delivery};
use crate::protocol::AsOf;

/// Where the digest ends in the address of a blob. `None` with a query, which means nothing here, but could be anything.
pub(super) fn end_of_digest(address: &str) -> Option<usize> {
    const BLOBS: &str = "/blobs/";
    if address.contains('?') {
        return None;
    }
    response_cache::end_of_digest(address, address.rfind(BLOBS)? + BLOBS.len(), &[])
}

/// Answers a request for a blob.
pub(super) async fn answer(
    request: OciRequest,
    repository: &RepositoryName,
    stated: AnyDigest,
) -> Result<Response, ApiError> {
    let is_head = match request.method {
        Method::GET => false,
        Method::HEAD => true,
        // What no version needs is deleted by the collector. Deleting a blob could take it from another repository.
        _ => return Err(ApiError::method_not_allowed_but("GET,HEAD")),
    };
    let may_upload = is_head && request.caller.may_in_repository(Permission::Upload, repository);
    if !may_upload && !may_read_through((&request.state.access, &request.caller), repository) {
        return Err(request.caller.refuse(Permission::Read, &format!("to {repository}")));
    }
    let digest = request.resolve(&stated).await?.ok_or_else(|| ApiError::blob_unknown(&stated))?;
    let OciRequest { state, caller, headers, fresh, .. } = request;
    let wanted = Wanted { state, caller, headers, fresh, repository, digest };
    let mut response = match (is_head, may_upload) {
        (false, _) => wanted.get().await,
        (true, false) => wanted.head().await,
        (true, true) => wanted.head_for_upload().await,
    }?;
    response.headers_mut().insert(CONTENT_DIGEST, digest_header(&stated));
    Ok(response)
}

/// A blob that a request asks for, and that the caller may read.
struct Wanted<'a> {
    state: AppState,
    caller: Caller,
    headers: HeaderMap,
    fresh: AsOf,
    repository: &'a RepositoryName,
    digest: Digest,
}

/// A digest as the value of a header.
pub(super) fn digest_header(digest: &AnyDigest) -> HeaderValue {
    HeaderValue::try_from(digest.to_string()).expect("a digest is legal in a header")
}

/// Whether the caller may read blobs through a repository. Which of its tags need a blob does not matter: the caller knows
/// the digest.
pub(super) fn may_read_through((access, caller): (&Access, &Caller), repository: &RepositoryName) -> bool {
    access.may_read_somewhere_in(caller, repository) && access.may_read_blobs(caller)
}

impl Wanted<'_> {
    async fn get(&self) -> Result<Response, ApiError> {
        let Self { state, caller, headers, fresh, digest, .. } = self;
        bytes::refuse_if_recently_absent(&state.blobs, *digest, caller, *fresh).await?;
        if has_reversed_range(headers) {
            let meta = state.blobs.stat(*digest).await?.ok_or_else(|| ApiError::blob_absent(&state.blobs, *digest))?;
            return Err(ApiError::range_not_satisfiable(meta.size));
        }
        let download = Download::default();
        bytes::get(&state.blobs, *digest, self.options(&download, state.delivery), headers).await
    }

    async fn head(&self) -> Result<Response, ApiError> {
        let Self { state, caller, headers, fresh, digest, .. } = self;
        bytes::refuse_if_recently_absent(&state.blobs, *digest, caller, *fresh).await?;
        let download = Download::default();
        bytes::head(&state.blobs, *digest, self.options(&download, Delivery::Stream), headers).await
    }

    /// Whoever may upload to the repository asks whether the blob has to be sent. They rely on the answer, so condemned
    /// bytes do not count, and the use is recorded.
    async fn head_for_upload(&self) -> Result<Response, ApiError> {
        let Self { state, headers, digest, .. } = self;
        let size = state.blobs.rely_on(*digest).await?.ok_or_else(|| ApiError::blob_absent(&state.blobs, *digest))?;
        let download = Download::default();
        bytes::head_of(*digest, size, self.options(&download, Delivery::Stream), headers)
    }

    fn options<'a>(&self, download: &'a Download, delivery: Delivery) -> BlobOptions<'a> {
        let access = &self.state.access;
        BlobOptions {
            download,
            public: access.blobs_are_public() && access.is_public_somewhere_in(self.repository),
            delivery,
            freshness: Freshness::Immutable,
            modified: None,
            hardening: Hardening::Artefact,
            ranges: 1,
        }
    }
}

/// Whether a range ends before it begins, like `bytes=500-0`. HTTP has such a field ignored, but tests of registries
/// expect 416.
fn has_reversed_range(headers: &HeaderMap) -> bool {
    let text = headers.get(RANGE).and_then(|value| value.to_str().ok()).and_then(|text| text.strip_prefix("bytes="));
    let Some((first, last)) = text.and_then(|text| text.split_once('-')) else { return false };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    matches!((number(first), number(last)), (Some(first), Some(last)) if first > last)
}

/// The answer to a blob that was stored, or was there.
pub(super) fn stored(repository: &RepositoryName, digest: &AnyDigest) -> Result<Response, ApiError> {
    let location = HeaderValue::try_from(format!("/v2/{repository}/blobs/{digest}")).map_err(ApiError::internal)?;
    let headers =
        [(LOCATION, location), (CONTENT_DIGEST, digest_header(digest)), (CONTENT_LENGTH, HeaderValue::from(0))];
    Ok((StatusCode::CREATED, headers).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_path_itself_is_the_address_of_a_blob() {
        let digest = Digest::of(b"x");
        let path = format!("/v2/team/blobs/app/blobs/{digest}");
        assert_eq!(end_of_digest(&path), Some(path.len()));
        for other in [
            format!("{path}?ns=x"),
            format!("{path}?"),
            format!("{path}/x"),
            format!("{path}?x=/blobs/{digest}"),
            format!("/v2/team/app/manifests/v1?x=/blobs/{digest}"),
            format!("/v2/team/app/manifests/{digest}"),
        ] {
            assert_eq!(end_of_digest(&other), None, "{other}");
        }
    }
}
