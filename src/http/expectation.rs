//! Preconditions of changes: `If-Match` and `If-None-Match` as an expected state of the name.

use axum::http::HeaderMap;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};

use super::error::ApiError;
use super::rfc::conditional::{Tags, digests, tags};
use crate::access::Access;
use crate::domain::{Expect, ManifestName};
use crate::wire::Code;

/// The precondition stated by the request; [`Expect::Anything`] without one.
pub(super) fn expectation(headers: &HeaderMap) -> Result<Expect, ApiError> {
    match (tags(headers, &IF_MATCH)?, tags(headers, &IF_NONE_MATCH)?) {
        (None, None) => Ok(Expect::Anything),
        (Some(Tags::Any), None) => Ok(Expect::Something),
        (None, Some(Tags::Any)) => Ok(Expect::Nothing),
        (Some(Tags::List(tags)), None) => Ok(Expect::OneOf(digests(tags, true))),
        (None, Some(Tags::List(tags))) => Ok(Expect::NoneOf(digests(tags, false))),
        (Some(_), Some(_)) => {
            let detail = "Send either If-Match or If-None-Match, not both.";
            Err(ApiError::bad_request(Code::PreconditionInvalid, detail))
        }
    }
}

/// Like [`expectation`], but refuses a request without a precondition if the policy of the name requires one.
pub(super) fn required_expectation(
    access: &Access,
    name: &ManifestName,
    headers: &HeaderMap,
) -> Result<Expect, ApiError> {
    let expect = expectation(headers)?;
    if access.needs_precondition(name) && !expect.is_stated() {
        return Err(ApiError::precondition_required());
    }
    Ok(expect)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;
    use crate::domain::Digest;

    #[test]
    fn an_expectation_never_widens_by_accident() {
        let headers = |name: &HeaderName, value: &str| HeaderMap::from_iter([(name.clone(), value.parse().unwrap())]);
        let expect = |name: &HeaderName, value: &str| expectation(&headers(name, value)).unwrap();
        assert_eq!(expect(&IF_MATCH, "\"other\""), Expect::OneOf(vec![]));
        assert!(!expect(&IF_MATCH, "\"other\"").holds(Some(Digest::of(b"1"))));
        assert_eq!(expect(&IF_NONE_MATCH, "*"), Expect::Nothing);
        for bad in ["", "sha256:unquoted", "\"open", "\"a\" \"b\"", ","] {
            assert!(expectation(&headers(&IF_MATCH, bad)).is_err(), "{bad}");
        }
    }
}
