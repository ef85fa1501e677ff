//! Documents that are made for a request: their entity tag is the digest of their bytes, so that conditional requests
//! work, and `Content-Location` says where the same is found when the name has moved on.

use axum::Extension;
use axum::body::Bytes;
use axum::http::header::{CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};

use super::bytes::judged;
use super::response_cache::Cacheable;
use crate::domain::{Digest, ManifestName};
use crate::http::error::ApiError;
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::rfc::conditional::etag;
use crate::http::rfc::digests::state_digest;
use crate::http::rfc::hardening::defuse;

/// A document, and what there is to say about it.
#[derive(Debug)]
pub(in crate::http) struct Rendered {
    pub(in crate::http) bytes: Bytes,
    pub(in crate::http) media_type: &'static str,
    /// The address under which the document is found for good.
    pub(in crate::http) location: String,
    /// Whether the address of the request determines the bytes.
    pub(in crate::http) freshness: Freshness,
    /// Whether it is readable without a token.
    pub(in crate::http) public: bool,
    /// Headers that say which version it is about, or of which state of the name it was made.
    pub(in crate::http) headers: HeaderMap,
    /// The names that it was made of, each with the generation of its head; `None` if there is more to it.
    pub(in crate::http) heads: Option<Vec<(ManifestName, u64)>>,
    /// Whether it depends on nothing but the address and the head: not if it has the host of the request in it.
    pub(in crate::http) is_cacheable: bool,
}

impl Rendered {
    /// The answer to a GET or HEAD with these headers.
    pub(in crate::http) fn answer(self, request: &HeaderMap) -> Result<Response, ApiError> {
        let digest = Digest::of(&self.bytes);
        self.answer_with(digest, request)
    }

    /// The same if the digest of the bytes is known.
    pub(in crate::http) fn answer_with(self, digest: Digest, request: &HeaderMap) -> Result<Response, ApiError> {
        let mut answer = self.headers;
        answer.insert(ETAG, HeaderValue::try_from(etag(digest)).map_err(ApiError::internal)?);
        answer.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        answer.insert(CONTENT_LENGTH, HeaderValue::from(self.bytes.len()));
        answer.insert(CONTENT_LOCATION, HeaderValue::try_from(&self.location).map_err(ApiError::internal)?);
        state_digest(&mut answer, digest);
        set_freshness(&mut answer, self.freshness, self.public);
        defuse(&mut answer);
        if let Some(judged) = judged(request, digest, None, &answer)? {
            return Ok(judged);
        }
        let heads = self.heads.filter(|_| self.public && self.is_cacheable);
        let cacheable = heads.map(|heads| Extension(Cacheable::of_heads(heads, self.bytes.clone())));
        Ok((cacheable, answer, self.bytes).into_response())
    }
}
