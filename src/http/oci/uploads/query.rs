//! What requests say about an upload besides its address: parameters, and the place of a chunk.

use axum::extract::Query;
use axum::http::Uri;
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap};
use serde::Deserialize;

use crate::domain::AnyDigest;
use crate::http::error::ApiError;
use crate::wire::Code;

/// The parameters of requests about uploads. Clients add others, which are ignored.
#[derive(Debug, Default, Deserialize)]
pub(super) struct UploadQuery {
    digest: Option<String>,
    mount: Option<String>,
    /// The repository to mount from, not checked yet.
    pub(super) from: Option<String>,
    #[serde(rename = "digest-algorithm")]
    algorithm: Option<String>,
}

impl UploadQuery {
    pub(super) fn read(uri: &Uri) -> Result<Self, ApiError> {
        match Query::<Self>::try_from_uri(uri) {
            Ok(Query(read)) => Ok(read),
            Err(why) => Err(ApiError::bad_request(Code::QueryInvalid, format!("A query parameter is wrong: {why}."))),
        }
    }

    /// The digest of the blob, if it is stated.
    pub(super) fn digest(&self) -> Result<Option<AnyDigest>, ApiError> {
        Ok(self.digest.as_deref().map(str::parse).transpose()?)
    }

    /// The digest of the blob to mount. `None` if there is none, or it is none that could be here.
    pub(super) fn mounted(&self) -> Option<AnyDigest> {
        self.mount.as_deref()?.parse().ok()
    }

    /// Whether the digest will be stated in SHA-512. Refuses algorithms that digests here cannot have.
    pub(super) fn expects_sha512(&self) -> Result<bool, ApiError> {
        match self.algorithm.as_deref() {
            None | Some("sha256") => Ok(false),
            Some("sha512") => Ok(true),
            Some(_) => Err(ApiError::bad_request(
                Code::DigestInvalid,
                "The digest algorithms that are supported are sha256 and sha512.",
            )),
        }
    }
}

/// The place of a chunk in its blob, as stated: `Content-Range: FIRST-LAST`. Without it a chunk follows what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange(Option<(u64, u64)>);

impl ContentRange {
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get(CONTENT_RANGE) else { return Ok(Self(None)) };
        let invalid = || ApiError::bad_request(Code::RangeInvalid, "Write Content-Range as FIRST-LAST, in bytes.");
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| text.parse::<u64>().ok()).flatten()
        };
        let parts = value.to_str().ok().and_then(|text| text.split_once('-'));
        let read = parts.and_then(|(first, last)| Some((number(first)?, number(last)?)));
        let (first, last) = read.filter(|(first, last)| first <= last).ok_or_else(invalid)?;
        Ok(Self(Some((first, last))))
    }

    /// Whether a chunk with these headers may follow `offset` bytes.
    pub(super) fn check(self, headers: &HeaderMap, offset: u64) -> Result<(), ()> {
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let follows = self.0.is_none_or(|(first, _)| first == offset);
        if follows && length.is_none_or(|length| self.fits(length)) { Ok(()) } else { Err(()) }
    }

    /// Whether the chunk has the length that was stated, if one was.
    pub(super) fn fits(self, length: u64) -> bool {
        self.0.is_none_or(|(first, last)| length > 0 && last - first == length - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(range: &str, length: Option<u64>) -> HeaderMap {
        let range = (CONTENT_RANGE, range.parse().unwrap());
        let length = length.map(|length| (CONTENT_LENGTH, length.into()));
        std::iter::once(range).chain(length).collect()
    }

    #[test]
    fn a_chunk_follows_what_is_there_and_is_as_long_as_it_says() {
        let check = |range: &str, length, offset| {
            let headers = headers(range, length);
            ContentRange::read(&headers).unwrap().check(&headers, offset).is_ok()
        };
        assert!(check("0-9", Some(10), 0));
        assert!(check("10-10", Some(1), 10));
        assert!(check("0-9", None, 0), "the length of a chunked body is looked at when it has come");
        for (range, length, offset) in
            [("0-9", Some(9), 0), ("0-9", Some(11), 0), ("0-9", Some(10), 1), ("0-0", Some(0), 0), ("1-9", None, 0)]
        {
            assert!(!check(range, length, offset), "{range} {length:?} {offset}");
        }
        assert!(ContentRange::read(&HeaderMap::new()).unwrap().check(&HeaderMap::new(), 7).is_ok());
        assert!(check(&format!("0-{}", u64::MAX), None, 0));
    }

    #[test]
    fn a_place_that_is_none_is_refused() {
        for bad in ["", "-", "0", "0-", "-1", "5-4", "a-b", "+0-1", "0-1-2", "bytes 0-1", "0-99999999999999999999"] {
            assert!(ContentRange::read(&headers(bad, None)).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_parameters_are_ignored_and_escapes_are_read() {
        let digest = AnyDigest::from(crate::domain::Digest::of(b"x"));
        let escaped = digest.to_string().replace(':', "%3A");
        let read = |query: &str| UploadQuery::read(&format!("/v2/a/blobs/uploads/?{query}").parse().unwrap());
        let query = read(&format!("origin=x&mount={escaped}&from=a%2Fb&ns=y")).unwrap();
        assert_eq!((query.mounted(), query.from.as_deref()), (Some(digest), Some("a/b")));
        assert_eq!(read(&format!("_state=x&digest={digest}")).unwrap().digest().unwrap(), Some(digest));
        assert!(read("digest=sha256:x").unwrap().digest().is_err());
        assert!(read("mount=sha256:x").unwrap().mounted().is_none(), "what cannot be mounted is uploaded");
        assert!(read("digest-algorithm=sha384").unwrap().expects_sha512().is_err());
        assert!(read("digest-algorithm=sha512").unwrap().expects_sha512().unwrap());
        assert!(!read("digest-algorithm=sha256").unwrap().expects_sha512().unwrap());
        assert!(read("").unwrap().digest().unwrap().is_none());
    }
}
