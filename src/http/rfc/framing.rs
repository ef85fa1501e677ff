//! What a request's head must be for its meaning to be certain (RFC 9112 sections 3.2 and 6.1, RFC 9110 section 5.3).
//!
//! Programs on the way that read an ambiguous head differently than this server could be made to attribute a request to
//! another host or client. So such a request is refused, never interpreted.

use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use axum::http::{Request, StatusCode, Uri, Version};

/// Longest accepted request target, in bytes. Longer than the address of any name of this server when all of it is
/// percent-encoded.
const LONGEST_TARGET: usize = 16 * 1024;

/// Why the head of a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::http) enum HeadError {
    /// HTTP/1.1 without a `Host`.
    #[error("a request over HTTP/1.1 needs a Host header")]
    NoHost,
    /// More than one line of a header that must be there once.
    #[error("the request has more than one {0} header")]
    Repeated(&'static str),
    /// A `Host` or a target with an authority that is none.
    #[error("the host of the request is not a host with an optional port")]
    BadHost,
    /// Over HTTP/2, a `Host` other than the authority of the target (RFC 9113 section 8.3.1).
    #[error("the Host header and the authority of the request differ")]
    TwoHosts,
    /// A transfer coding other than chunked.
    #[error("the only transfer coding of this server is chunked")]
    UnknownCoding,
    /// The chunked coding is applied more than once.
    #[error("the body has the transfer coding chunked more than once")]
    ChunkedTwice,
    /// The target is longer than the limit, in bytes.
    #[error("the target of the request is longer than {LONGEST_TARGET} bytes")]
    LongTarget,
    /// Not a head at all.
    #[error("the head of the request is not valid HTTP")]
    Malformed,
    /// The head is larger than the connection's buffer, or has too many fields.
    #[error("the head of the request is larger than 64 KiB or has more than 100 fields")]
    TooLarge,
}

/// Checks the head of a request. Called for every request, cached ones too: a few look-ups and no allocation.
pub(in crate::http) fn check<B>(request: &Request<B>) -> Result<(), HeadError> {
    let headers = request.headers();
    match single(headers, &HOST, "Host")? {
        Some(host) if !is_host(host) => return Err(HeadError::BadHost),
        // With HTTP/1.1 the target counts, whatever the header says (RFC 9112 section 3.2.2).
        Some(host) if request.version() == Version::HTTP_2 && is_other(host, request.uri()) => {
            return Err(HeadError::TwoHosts);
        }
        None if request.version() == Version::HTTP_11 => return Err(HeadError::NoHost),
        _ => {}
    }
    single(headers, &AUTHORIZATION, "Authorization")?;
    check_target(request.uri())?;
    if headers.contains_key(TRANSFER_ENCODING) { check_codings(headers) } else { Ok(()) }
}

fn is_other(host: &[u8], target: &Uri) -> bool {
    target.authority().is_some_and(|authority| !authority.as_str().as_bytes().eq_ignore_ascii_case(host))
}

/// Why a head could not be parsed, of which this is the beginning. `status` is what the parser would answer.
pub(in crate::http) fn unreadable(head: &[u8], status: StatusCode) -> HeadError {
    let head = head.trim_ascii_start();
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let first = lines.next().unwrap_or_default();
    let mut names = lines.filter_map(|line| line.split(|byte| *byte == b':').next());
    match status {
        StatusCode::URI_TOO_LONG => HeadError::LongTarget,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE if !head.contains(&b'\n') => HeadError::LongTarget,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => HeadError::TooLarge,
        // With HTTP/1.0 the coding is not unknown, but out of place.
        _ if first.ends_with(b"HTTP/1.1") && names.any(|name| name.eq_ignore_ascii_case(b"transfer-encoding")) => {
            HeadError::UnknownCoding
        }
        _ => HeadError::Malformed,
    }
}

/// The value of a header that must not be repeated.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName, shown: &'static str) -> Result<Option<&'a [u8]>, HeadError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(HeadError::Repeated(shown)) } else { Ok(first.map(HeaderValue::as_bytes)) }
}

fn check_target(target: &Uri) -> Result<(), HeadError> {
    if target.authority().is_some_and(|authority| !is_host(authority.as_str().as_bytes())) {
        return Err(HeadError::BadHost);
    }
    let length = target.path().len() + target.query().map_or(0, str::len);
    if length > LONGEST_TARGET { Err(HeadError::LongTarget) } else { Ok(()) }
}

/// Whether a target without an authority is short enough.
pub(in crate::http) fn is_short(target: &str) -> bool {
    target.len() <= LONGEST_TARGET
}

/// Whether this is `uri-host [":" port]` (RFC 9110 section 7.2). May be empty, for targets without an authority.
pub(in crate::http) fn is_host(text: &[u8]) -> bool {
    let (host, port) = match text.iter().rposition(|byte| *byte == b':') {
        // The colons of an IPv6 address are inside brackets.
        Some(colon) if !text[colon..].contains(&b']') => (&text[..colon], &text[colon + 1..]),
        _ => (text, &[][..]),
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    let is_literal = |byte: &u8| is_name(byte) || *byte == b':';
    let is_valid = match host {
        [b'[', literal @ .., b']'] => !literal.is_empty() && literal.iter().all(is_literal),
        name => name.iter().all(is_name),
    };
    // A port without a host is no authority.
    is_valid && port.iter().all(u8::is_ascii_digit) && (!host.is_empty() || text.is_empty())
}

/// Passes if the codings are a single `chunked`, however they are spread over header lines.
fn check_codings(headers: &HeaderMap) -> Result<(), HeadError> {
    let lines = headers.get_all(TRANSFER_ENCODING).into_iter().map(HeaderValue::as_bytes);
    let codings = lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let mut chunked = 0;
    for coding in codings.filter(|coding| !coding.is_empty()) {
        if !coding.eq_ignore_ascii_case(b"chunked") {
            return Err(HeadError::UnknownCoding);
        }
        chunked += 1;
    }
    if chunked > 1 { Err(HeadError::ChunkedTwice) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let request = Request::builder().version(version).uri(uri);
        let add = |request: axum::http::request::Builder, (name, value): &(&str, &str)| request.header(*name, *value);
        headers.iter().fold(request, add).body(()).unwrap()
    }

    #[test]
    fn a_head_has_one_host_where_it_must() {
        let one = [("host", "a.example")];
        let two = [("host", "a.example"), ("host", "a.example")];
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            let missing = if version == Version::HTTP_11 { Err(HeadError::NoHost) } else { Ok(()) };
            assert_eq!(check(&request(version, "/", &[])), missing, "{version:?}");
            assert_eq!(check(&request(version, "/", &one)), Ok(()), "{version:?}");
            assert_eq!(check(&request(version, "/", &two)), Err(HeadError::Repeated("Host")), "{version:?}");
        }
        assert_eq!(check(&request(Version::HTTP_11, "http://a.example/", &[])), Err(HeadError::NoHost));
        assert_eq!(check(&request(Version::HTTP_11, "HTTP://A.example:80/", &one)), Ok(()));
        assert_eq!(check(&request(Version::HTTP_11, "http://me@a.example/", &one)), Err(HeadError::BadHost));
    }

    #[test]
    fn over_http_2_the_authority_and_the_host_are_the_same() {
        let check = |version, host| check(&request(version, "http://A.example:80/", &[("host", host)]));
        assert_eq!(check(Version::HTTP_2, "a.example:80"), Ok(()));
        assert_eq!(check(Version::HTTP_2, "a.example"), Err(HeadError::TwoHosts));
        assert_eq!(check(Version::HTTP_2, "b.example:80"), Err(HeadError::TwoHosts));
        assert_eq!(check(Version::HTTP_11, "b.example:80"), Ok(()));
    }

    #[test]
    fn a_host_is_an_authority_without_credentials() {
        for good in ["", "a", "a.example.", "A.example:80", "a:", "127.0.0.1:8080", "[::1]", "[::1]:80", "x_y", "%41"] {
            assert_eq!(check(&request(Version::HTTP_11, "/", &[("host", good)])), Ok(()), "{good}");
        }
        for bad in ["a b", "a/b", "me@a", "a:b", "a:80:80", ":80", "::1", "[::1", "[]", "[::1]x", "a?b", "a#", "\"a\""]
        {
            assert_eq!(check(&request(Version::HTTP_11, "/", &[("host", bad)])), Err(HeadError::BadHost), "{bad}");
        }
    }

    #[test]
    fn chunked_alone_is_a_known_coding() {
        let codings = |lines: &[&str]| {
            let lines = lines.iter().map(|line| ("transfer-encoding", *line));
            check(&request(Version::HTTP_11, "/", &lines.chain([("host", "a")]).collect::<Vec<_>>()))
        };
        for good in [&["chunked"][..], &["Chunked"], &[" chunked ,"]] {
            assert_eq!(codings(good), Ok(()), "{good:?}");
        }
        for unknown in
            [&["gzip, chunked"][..], &["gzip", "chunked"], &["identity"], &["chunked;q=1"], &["x, , chunked"]]
        {
            assert_eq!(codings(unknown), Err(HeadError::UnknownCoding), "{unknown:?}");
        }
        assert_eq!(codings(&["chunked", "chunked"]), Err(HeadError::ChunkedTwice));
    }

    #[test]
    fn a_head_that_cannot_be_parsed_has_a_reason_all_the_same() {
        let large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        for (head, status, expected) in [
            ("GET /aaaa", large, HeadError::LongTarget),
            ("GET /aaaa", StatusCode::URI_TOO_LONG, HeadError::LongTarget),
            ("GET / HTTP/1.1\r\nx: aaaa", large, HeadError::TooLarge),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n", StatusCode::BAD_REQUEST, HeadError::UnknownCoding),
            ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", StatusCode::BAD_REQUEST, HeadError::Malformed),
            ("GET / HTTP/1.1\r\nx y: z\r\n", StatusCode::BAD_REQUEST, HeadError::Malformed),
            ("", StatusCode::BAD_REQUEST, HeadError::Malformed),
        ] {
            assert_eq!(unreadable(head.as_bytes(), status), expected, "{head} {status}");
        }
    }

    #[test]
    fn credentials_are_sent_once_and_targets_end() {
        let two = [("host", "a"), ("authorization", "Bearer x"), ("authorization", "Bearer x")];
        assert_eq!(check(&request(Version::HTTP_11, "/", &two)), Err(HeadError::Repeated("Authorization")));
        let long = format!("/{}", "a".repeat(LONGEST_TARGET));
        assert_eq!(check(&request(Version::HTTP_11, &long, &[("host", "a")])), Err(HeadError::LongTarget));
    }
}
