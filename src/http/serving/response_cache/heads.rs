//! How a response is cached: with its head as it is written to a connection.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED,
};
use tokio::time::Instant;

use super::{CacheKey, CachedBody, CachedResponse, Common};
use crate::http::rfc::digests::is_digest;

/// Overhead of a cached response besides its head, body and key, in bytes.
const OVERHEAD: usize = size_of::<CachedResponse>() + 128;
/// The status line of an answer to a client that already has the body.
const NOT_MODIFIED: &[u8] = b"HTTP/1.1 304 Not Modified\r\n";

/// Status line and header fields as they are written to a connection, without the end.
#[derive(Debug)]
pub(super) struct CachedHead {
    /// The address, which is not written, the status line, the fields that are about the body, and the others. In one
    /// piece, because what is far apart takes long to get from memory.
    text: Bytes,
    /// Where the status line begins.
    start: usize,
    /// Where the others begin, which a 304 response has, too (RFC 9110 section 15.4.5).
    others: usize,
    /// Where the entity tag is, if there is one.
    etag: Option<Range<usize>>,
}

impl CachedHead {
    fn new(address: &str, status: StatusCode, headers: &HeaderMap) -> Self {
        let (number, reason) = (status.as_str(), status.canonical_reason().unwrap_or_default());
        let mut text = format!("{address}HTTP/1.1 {number} {reason}\r\n").into_bytes();
        let (mut others, mut etag) = (0, None);
        for of_body in [true, false] {
            others = text.len();
            for (name, value) in headers.iter().filter(|(name, _)| is_of_body(name) == of_body) {
                text.extend_from_slice(name.as_str().as_bytes());
                text.extend_from_slice(b": ");
                let start = text.len();
                text.extend_from_slice(value.as_bytes());
                if *name == ETAG {
                    etag = Some(start..text.len());
                }
                text.extend_from_slice(b"\r\n");
            }
        }
        // Without what it has room for beside that: there are many, and their lengths are counted.
        Self { text: text.into_boxed_slice().into(), start: address.len(), others, etag }
    }

    /// The [`CacheKey::address`] of the response.
    pub(super) fn address(&self) -> &[u8] {
        &self.text[..self.start]
    }

    /// The head of the response, or of a 304 response in its place, in two parts.
    pub(super) fn parts(&self, unchanged: bool) -> [&[u8]; 2] {
        if unchanged { [NOT_MODIFIED, &self.text[self.others..]] } else { [&self.text[self.start..], &[]] }
    }

    pub(super) fn etag(&self) -> Option<&[u8]> {
        self.etag.clone().map(|etag| &self.text[etag])
    }

    /// The fields of the response, or of a 304 response in its place.
    pub(super) fn headers(&self, unchanged: bool) -> HeaderMap {
        let text = self.text.slice(if unchanged { self.others } else { self.start }..);
        // No value contains a line break, and the status line no colon.
        let fields = text.split(|byte| *byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            Some((name, HeaderValue::from_maybe_shared(text.slice_ref(line.get(colon + 2..)?)).ok()?))
        });
        let mut headers = HeaderMap::with_capacity(16);
        for (name, value) in fields {
            headers.append(name, value);
        }
        headers
    }
}

/// Whether a field says something about the body, which a 304 response lacks.
fn is_of_body(name: &HeaderName) -> bool {
    [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LENGTH].contains(name) || is_digest(name)
}

impl CachedResponse {
    pub(super) fn new(
        key: &CacheKey<'_>,
        common: Arc<Common>,
        headers: &HeaderMap,
        (body, until): (CachedBody, Option<Instant>),
        now: u64,
    ) -> Self {
        let head = CachedHead::new(&key.address, common.status, headers);
        let label: Box<str> = key.label.unwrap_or_default().into();
        let texts = label.len() + head.text.len();
        let weight = OVERHEAD + common.weight() + texts + body.bytes().map_or(0, Bytes::len);
        let [used, in_memory, expired] = [const { AtomicBool::new(false) }; 3];
        Self {
            surface: key.surface,
            common,
            head,
            body,
            until,
            label,
            dated: headers.contains_key(LAST_MODIFIED),
            weight,
            opened: AtomicU64::new(now),
            used,
            in_memory,
            expired,
            place: AtomicUsize::new(0),
        }
    }

    /// The same without the bytes, which are opened for each request. `None` if they cannot be.
    pub(super) fn without_bytes(self) -> Option<Self> {
        let weight = self.weight - self.bytes();
        Some(Self { body: self.body.without_bytes()?, weight, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_has_its_fields_and_those_of_a_304_response() {
        let field =
            |name: &'static str, value: &'static str| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let lasting = [
            field("etag", "\"x\""),
            field("vary", "accept"),
            field("vary", "accept-encoding"),
            field("x-empty", ""),
            field("x-colon", "a: b"),
        ];
        let of_body = [field("content-type", "text/plain"), field("content-length", "3"), field("repr-digest", "y")];
        let map = |fields: &[(HeaderName, HeaderValue)]| {
            let mut map = HeaderMap::new();
            for (name, value) in fields {
                map.append(name, value.clone());
            }
            map
        };
        let all = map(&[&lasting[..3], &of_body[..], &lasting[3..]].concat());
        let head = CachedHead::new("/a: b", StatusCode::OK, &all);
        assert_eq!(head.address(), b"/a: b");
        assert_eq!(head.headers(false), all);
        assert_eq!(head.headers(true), map(&lasting));
        assert_eq!(head.etag(), Some(&b"\"x\""[..]));
        let text = |unchanged| String::from_utf8(head.parts(unchanged).concat()).unwrap();
        assert!(text(false).starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"), "{}", text(false));
        assert_eq!(
            text(true),
            "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\nvary: accept\r\nvary: accept-encoding\r\nx-empty: \r\n\
             x-colon: a: b\r\n"
        );
    }
}
