//! Conditional requests (RFC 9110 section 13): entity tags, their comparison, and the order of evaluation.

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE};

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

/// The result of evaluating the preconditions of a GET or HEAD.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the representation.
    Proceed,
    /// The client already has this representation: 304.
    NotModified,
    /// `If-Match` does not hold: 412.
    Failed,
}

/// Evaluates `If-Match`, then `If-None-Match` (section 13.2.2) for a representation with this digest. We send no
/// `Last-Modified`, so the date preconditions do not apply.
///
/// # Errors
/// When a header is not a list of entity tags.
pub fn evaluate(headers: &HeaderMap, digest: Digest) -> Result<Verdict, MalformedTags> {
    let current = digest.to_string();
    let matches = |tags: &Tags, strong: bool| match tags {
        Tags::Any => true,
        Tags::List(tags) => tags.iter().any(|tag| tag.opaque == current && !(strong && tag.weak)),
    };
    if tags(headers, &IF_MATCH)?.is_some_and(|tags| !matches(&tags, true)) {
        return Ok(Verdict::Failed);
    }
    if tags(headers, &IF_NONE_MATCH)?.is_some_and(|tags| matches(&tags, false)) {
        return Ok(Verdict::NotModified);
    }
    Ok(Verdict::Proceed)
}

/// Whether `Range` is to be applied: there is no `If-Range`, or its tag matches strongly (section 13.1.5).
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
        let judge = |name: &HeaderName, value: String| evaluate(&headers(&[(name, value)]), one).unwrap();
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
        assert_eq!(evaluate(&both, one).unwrap(), Verdict::Failed);
        let both = headers(&[(&IF_MATCH, etag(one)), (&IF_NONE_MATCH, etag(one))]);
        assert_eq!(evaluate(&both, one).unwrap(), Verdict::NotModified);
    }
}
