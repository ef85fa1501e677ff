//! How a response is cached: with its head as it is written to a connection.

use std::sync::atomic::AtomicBool;

use axum::body::Bytes;
use axum::extract::MatchedPath;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, LAST_MODIFIED};
use tokio::time::Instant;

use super::{CacheKey, Cacheable, CachedResponse};
use crate::domain::ManifestName;
use crate::http::rfc::digests::withdraw_digest;

/// Overhead of a cached response besides its body and key, in bytes.
pub(super) const OVERHEAD: usize = 4 << 10;
/// Overhead of a response of which only the head is kept, besides that and its key, in bytes.
const HEAD_OVERHEAD: usize = size_of::<CachedResponse>() + 256;

impl CachedResponse {
    pub(super) fn new(
        key: &CacheKey<'_>,
        (route, epoch): (MatchedPath, u64),
        source: Cacheable,
        status: StatusCode,
        headers: HeaderMap,
    ) -> Self {
        let etag = headers.get(ETAG).cloned();
        let unchanged = etag.map(|etag| (etag, head(StatusCode::NOT_MODIFIED, &unchanged(&headers))));
        let head = head(status, &headers);
        let label: Box<str> = key.label.unwrap_or_default().into();
        let names = source.heads.iter().map(|(name, _)| name.as_str().len() + size_of::<(ManifestName, u64)>());
        let variable = key.address.len() + label.len() + names.sum::<usize>();
        let dated = headers.contains_key(LAST_MODIFIED);
        let (headers, weight) = match (source.stored(), &unchanged) {
            (None, _) => (headers, variable + OVERHEAD + source.bytes().map_or(0, Bytes::len)),
            (Some(_), other) => {
                let other = other.as_ref().map_or(0, |(etag, head)| etag.len() + head.len());
                (HeaderMap::new(), variable + HEAD_OVERHEAD + head.len() + other)
            }
        };
        let cached_at = Instant::now();
        let [used, in_memory, expired] = [const { AtomicBool::new(false) }; 3];
        Self {
            source,
            epoch,
            route,
            status,
            headers,
            head,
            unchanged,
            label,
            dated,
            weight,
            cached_at,
            used,
            in_memory,
            expired,
            meters: Default::default(),
        }
    }
}

/// The headers of a 304 response in place of one with these.
pub(super) fn unchanged(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LENGTH] {
        headers.remove(name);
    }
    withdraw_digest(&mut headers);
    headers
}

/// Status line and headers as they are written to a connection.
fn head(status: StatusCode, headers: &HeaderMap) -> Bytes {
    let mut head =
        format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default()).into_bytes();
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.into()
}
