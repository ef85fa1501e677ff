//! Freshness of responses in caches (RFC 9111, RFC 8246).

use axum::http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};

/// How a response may be cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Freshness {
    /// The URL determines the bytes, so they never change.
    Immutable,
    /// May be reused for ten seconds: what changes by the minute, and says itself how old it is.
    Brief,
    /// Must be revalidated before each reuse.
    Revalidate,
}

impl Freshness {
    /// The `Cache-Control` value. A response that needs a token to read must not be stored by shared caches.
    pub(in crate::http) fn header(self, public: bool) -> HeaderValue {
        HeaderValue::from_static(match (self, public) {
            (Self::Immutable, true) => "public, max-age=31536000, immutable, no-transform",
            (Self::Immutable, false) => "private, max-age=31536000, immutable, no-transform",
            (Self::Brief, true) => "public, max-age=10, no-transform",
            (Self::Brief, false) => "private, max-age=10, no-transform",
            (Self::Revalidate, true) => "no-cache, no-transform",
            (Self::Revalidate, false) => "private, no-cache, no-transform",
        })
    }
}

/// Sets the `Cache-Control` header.
pub(in crate::http) fn set_freshness(headers: &mut HeaderMap, freshness: Freshness, public: bool) {
    headers.insert(CACHE_CONTROL, freshness.header(public));
}
