//! Conditional requests (RFC 9110 section 13): entity tags and dates, their comparison, and the order of evaluation.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes};
use axum::http::header::{
    CONTENT_LENGTH, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures_util::stream;
use jiff::Timestamp;

use crate::domain::Digest;

/// A header that is not a list of entity tags.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} must be * or a list of quoted entity tags such as \"sha256:…\"")]
pub struct MalformedTags(pub HeaderName);

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http) enum Tags {
    /// `*`: any current representation.
    Any,
    /// At least one entity tag.
    List(Vec<Tag>),
}

/// An entity tag (RFC 9110 section 8.8.3).
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http) struct Tag {
    weak: bool,
    opaque: String,
}

/// The entity tag for bytes with this digest. Strong: equal tags mean equal bytes.
pub(in crate::http) fn etag(digest: Digest) -> String {
    format!("\"{digest}\"")
}

/// Takes the length out of a 304, whatever the method: what has none is answered to a GET, because the HTTP library takes it
/// out there, and a HEAD is to say the same.
pub(in crate::http) fn without_length(response: &mut Response) {
    if response.status() == StatusCode::NOT_MODIFIED {
        response.headers_mut().remove(CONTENT_LENGTH);
        // Of a body that is known to be empty the router would state a length of 0.
        *response.body_mut() = Body::from_stream(stream::empty::<Result<Bytes, Infallible>>());
    }
}

/// The result of evaluating the preconditions of a GET or HEAD.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the representation.
    Proceed,
    /// The client already has this representation: 304.
    NotModified,
    /// `If-Match` or `If-Unmodified-Since` does not hold: 412.
    Failed,
}

/// A date as `Last-Modified` states it: whole seconds since 1970. Whoever sends one must know that nothing else has the
/// same date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpDate(u64);

impl HttpDate {
    /// The first date that is not before a change. Rounded up, because a client without a date for what it has states
    /// when it saved it, rounded down: that may be in the second of the change, and before it. `None` if HTTP dates cannot
    /// express it.
    #[must_use]
    pub fn of(change: Timestamp) -> Option<Self> {
        /// The last second of the year 9999.
        const LAST: u64 = 253_402_300_799;
        let second = u64::try_from(change.as_second()).ok()? + u64::from(change.subsec_nanosecond() > 0);
        (second <= LAST).then_some(Self(second))
    }

    /// The value of a header.
    pub(in crate::http) fn header(self) -> HeaderValue {
        let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(self.0));
        HeaderValue::try_from(text).expect("a date is legal in a header")
    }

    /// The date in a header; `None` if it is absent, repeated or malformed, which a recipient must ignore.
    fn stated(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut values = headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let time = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
        time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| Self(since.as_secs()))
    }
}

/// Evaluates the preconditions in the order of section 13.2.2 for a representation with this digest and, if it has one,
/// this `Last-Modified`. Dates count only where there is no precondition with entity tags of the same kind.
///
/// # Errors
/// When a header is not a list of entity tags.
pub fn evaluate(headers: &HeaderMap, digest: Digest, modified: Option<HttpDate>) -> Result<Verdict, MalformedTags> {
    let stated = |name| modified.and_then(|modified| Some((modified, HttpDate::stated(headers, name)?)));
    let current = digest.to_string();
    let matches = |tags: &Tags, strong: bool| match tags {
        Tags::Any => true,
        Tags::List(tags) => tags.iter().any(|tag| tag.opaque == current && !(strong && tag.weak)),
    };
    let holds = match tags(headers, &IF_MATCH)? {
        Some(tags) => matches(&tags, true),
        None => stated(&IF_UNMODIFIED_SINCE).is_none_or(|(modified, since)| modified <= since),
    };
    if !holds {
        return Ok(Verdict::Failed);
    }
    let held = match tags(headers, &IF_NONE_MATCH)? {
        Some(tags) => matches(&tags, false),
        None => stated(&IF_MODIFIED_SINCE).is_some_and(|(modified, since)| modified <= since),
    };
    Ok(if held { Verdict::NotModified } else { Verdict::Proceed })
}

/// Whether `Range` is to be applied: there is no `If-Range`, or its tag matches strongly (section 13.1.5). A date never
/// does, because nothing that is served in ranges has one.
#[must_use]
pub fn range_applies(headers: &HeaderMap, digest: Digest) -> bool {
    headers.get(IF_RANGE).is_none_or(|value| value.as_bytes() == etag(digest).as_bytes())
}

/// The digests among the tags. A tag that is not one of our digests can never match, nor can a weak tag if the
/// comparison is strong.
pub(in crate::http) fn digests(tags: Vec<Tag>, strong: bool) -> Vec<Digest> {
    tags.into_iter().filter(|tag| !(strong && tag.weak)).filter_map(|tag| tag.opaque.parse().ok()).collect()
}

/// The entity tags in a header; `None` if the header is absent.
pub(in crate::http) fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, MalformedTags> {
    let mut list = Vec::new();
    let mut stated = false;
    for value in headers.get_all(name) {
        stated = true;
        let text = value.to_str().map_err(|_| MalformedTags(name.clone()))?.trim();
        if text == "*" {
            return Ok(Some(Tags::Any));
        }
        list.extend(parse_list(text).ok_or_else(|| MalformedTags(name.clone()))?);
    }
    Ok(stated.then_some(Tags::List(list)))
}

fn parse_list(mut text: &str) -> Option<Vec<Tag>> {
    let mut tags = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return (!tags.is_empty()).then_some(tags);
        }
        let (weak, rest) = text.strip_prefix("W/").map_or((false, text), |rest| (true, rest));
        let (opaque, rest) = rest.strip_prefix('"')?.split_once('"')?;
        tags.push(Tag { weak, opaque: opaque.to_owned() });
        text = rest.trim_start_matches([' ', '\t']);
        if !text.is_empty() && !text.starts_with(',') {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&HeaderName, String)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn comparison_is_strong_for_if_match_and_weak_for_if_none_match() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let judge = |name: &HeaderName, value: String| evaluate(&headers(&[(name, value)]), one, None).unwrap();
        assert_eq!(judge(&IF_MATCH, etag(one)), Verdict::Proceed);
        assert_eq!(judge(&IF_MATCH, format!("W/{}", etag(one))), Verdict::Failed);
        assert_eq!(judge(&IF_MATCH, etag(two)), Verdict::Failed);
        assert_eq!(judge(&IF_MATCH, "*".into()), Verdict::Proceed);
        assert_eq!(judge(&IF_NONE_MATCH, format!("W/{}", etag(one))), Verdict::NotModified);
        assert_eq!(judge(&IF_NONE_MATCH, format!("{}, {}", etag(two), etag(one))), Verdict::NotModified);
        assert_eq!(judge(&IF_NONE_MATCH, etag(two)), Verdict::Proceed);
        assert_eq!(judge(&IF_NONE_MATCH, "*".into()), Verdict::NotModified);
    }

    #[test]
    fn if_match_is_judged_before_if_none_match() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let both = headers(&[(&IF_MATCH, etag(two)), (&IF_NONE_MATCH, etag(one))]);
        assert_eq!(evaluate(&both, one, None).unwrap(), Verdict::Failed);
        let both = headers(&[(&IF_MATCH, etag(one)), (&IF_NONE_MATCH, etag(one))]);
        assert_eq!(evaluate(&both, one, None).unwrap(), Verdict::NotModified);
    }

    #[test]
    fn dates_count_where_there_are_no_tags_and_only_if_they_can_be_read() {
        let digest = Digest::of(b"1");
        let modified = HttpDate::of("2026-11-28T20:00:04.001Z".parse().unwrap());
        let date = |second: u32| format!("Sat, 28 Nov 2026 20:00:0{second} GMT");
        assert_eq!(modified.unwrap().header(), date(5));
        let judge = |pairs: &[(&HeaderName, String)], modified| evaluate(&headers(pairs), digest, modified).unwrap();
        for (since, newer, older) in [
            (date(4), Verdict::Proceed, Verdict::Failed),
            (date(5), Verdict::NotModified, Verdict::Proceed),
            (date(6), Verdict::NotModified, Verdict::Proceed),
            ("Saturday, 28-Nov-26 20:00:06 GMT".to_owned(), Verdict::NotModified, Verdict::Proceed),
            ("Sat Nov 28 20:00:06 2026".to_owned(), Verdict::NotModified, Verdict::Proceed),
            ("2026-11-28T20:00:06Z".to_owned(), Verdict::Proceed, Verdict::Proceed),
            ("Thu, 01 Jan 1970 00:00:00 GMT".to_owned(), Verdict::Proceed, Verdict::Failed),
        ] {
            assert_eq!(judge(&[(&IF_MODIFIED_SINCE, since.clone())], modified), newer, "{since}");
            assert_eq!(judge(&[(&IF_UNMODIFIED_SINCE, since.clone())], modified), older, "{since}");
            assert_eq!(judge(&[(&IF_MODIFIED_SINCE, since.clone())], None), Verdict::Proceed, "{since}");
            assert_eq!(judge(&[(&IF_UNMODIFIED_SINCE, since.clone())], None), Verdict::Proceed, "{since}");
        }
        let tag = etag(digest);
        let judge = |pairs: &[(&HeaderName, String)]| judge(pairs, modified);
        assert_eq!(judge(&[(&IF_MODIFIED_SINCE, date(6)), (&IF_NONE_MATCH, "\"x\"".into())]), Verdict::Proceed);
        assert_eq!(judge(&[(&IF_MODIFIED_SINCE, date(4)), (&IF_NONE_MATCH, tag.clone())]), Verdict::NotModified);
        assert_eq!(judge(&[(&IF_UNMODIFIED_SINCE, date(4)), (&IF_MATCH, tag)]), Verdict::Proceed);
        assert_eq!(HttpDate::of("2026-11-28T20:00:05Z".parse().unwrap()), modified);
        for unfit in ["-000001-01-01T00:00:00Z", "1969-12-31T23:59:59Z"] {
            assert_eq!(HttpDate::of(unfit.parse().unwrap()), None);
        }
    }
}
