//! How long answers stay fresh (RFC 9111, RFC 8246), and the headers that keep untrusted bytes harmless.

use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue};

/// How an answer may be cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Freshness {
    /// The address determines the bytes for ever.
    Immutable,
    /// Must be revalidated each time.
    Revalidate,
}

impl Freshness {
    /// The `Cache-Control` value. What needs a token to read must not be kept by shared caches.
    pub(in crate::http) fn header(self, public: bool) -> HeaderValue {
        HeaderValue::from_static(match (self, public) {
            (Self::Immutable, true) => "public, max-age=31536000, immutable, no-transform",
            (Self::Immutable, false) => "private, max-age=31536000, immutable, no-transform",
            (Self::Revalidate, true) => "no-cache, no-transform",
            (Self::Revalidate, false) => "private, no-cache, no-transform",
        })
    }
}

/// What untrusted bytes are sent with: they cannot run, frame or reach anything in our origin.
pub(in crate::http) fn defuse(headers: &mut HeaderMap) {
    let policy = HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
}

pub(in crate::http) fn set_freshness(headers: &mut HeaderMap, freshness: Freshness, public: bool) {
    headers.insert(CACHE_CONTROL, freshness.header(public));
}

/// `Content-Disposition: attachment` with a name, if there is one (RFC 6266, RFC 8187).
pub(in crate::http) fn set_attachment(headers: &mut HeaderMap, name: Option<&str>) {
    headers.insert(CONTENT_DISPOSITION, disposition(name));
}

/// Its value.
pub(in crate::http) fn disposition(name: Option<&str>) -> HeaderValue {
    let value = name.map_or_else(|| "attachment".to_owned(), attachment);
    HeaderValue::from_str(&value).unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

fn attachment(name: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    /// attr-char of RFC 8187, as the set that must be encoded.
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'!')
        .remove(b'#')
        .remove(b'$')
        .remove(b'&')
        .remove(b'+')
        .remove(b'-')
        .remove(b'.')
        .remove(b'^')
        .remove(b'_')
        .remove(b'`')
        .remove(b'|')
        .remove(b'~');
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ';
    if name.chars().all(plain) {
        return format!("attachment; filename=\"{name}\"");
    }
    let fallback: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{}", utf8_percent_encode(name, ENCODED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_in_content_disposition() {
        assert_eq!(attachment("miren.tar.gz"), "attachment; filename=\"miren.tar.gz\"");
        assert_eq!(
            attachment("naïve \"x\".txt"),
            "attachment; filename=\"na_ve _x_.txt\"; filename*=UTF-8''na%C3%AFve%20%22x%22.txt"
        );
    }
}
