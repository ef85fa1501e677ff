//! Digest headers: `Repr-Digest` (RFC 9530), and `Digest` (RFC 3230) for clients that are older.
//!
//! Downloaders that fetch a file through several connections compare `Digest` between the responses. It keeps them from
//! mixing the bytes of two versions when a name moves between two of their requests.

use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;

use crate::domain::Digest;
use crate::wire::headers;

/// Header with the digest of a whole representation (RFC 9530 section 3).
pub(in crate::http) const REPR_DIGEST: HeaderName = HeaderName::from_static(headers::REPR_DIGEST);
/// Header with the digest of a whole representation (RFC 3230 section 4.3.2).
pub(in crate::http) const DIGEST: HeaderName = HeaderName::from_static(headers::DIGEST);

/// Why a digest stated by a request is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::http) enum StatedDigestError {
    /// The header is not a dictionary of byte sequences.
    #[error("{0} must be a structured field such as sha-256=:BASE64:")]
    Malformed(&'static str),
    /// The stated digest differs from the one in the URL.
    #[error("{field} states another digest than the address")]
    Contradicts {
        /// Name of the header.
        field: &'static str,
        /// The digest in the URL.
        expected: Digest,
    },
}

/// States the digest of a representation that is sent without a content coding: whole (200), in parts (206), or only its
/// headers (HEAD). A redirect has another representation, so it never states one.
pub(in crate::http) fn state_digest(headers: &mut HeaderMap, digest: Digest) {
    let base64 = base64::engine::general_purpose::STANDARD.encode(digest.bytes());
    let value = |text: String| HeaderValue::try_from(text).expect("base64 is legal in a header");
    headers.insert(REPR_DIGEST, value(format!("sha-256=:{base64}:")));
    headers.insert(DIGEST, value(format!("SHA-256={base64}")));
}

/// Removes what [`state_digest`] adds.
pub(in crate::http) fn withdraw_digest(headers: &mut HeaderMap) {
    headers.remove(REPR_DIGEST);
    headers.remove(DIGEST);
}

/// Whether [`state_digest`] adds fields of this name.
pub(in crate::http) fn is_digest(name: &HeaderName) -> bool {
    [REPR_DIGEST, DIGEST].contains(name)
}

/// Checks that a digest stated in `Repr-Digest` or `Content-Digest` (RFC 9530) equals the one in the URL.
pub(in crate::http) fn check_stated_digests(request: &HeaderMap, expected: Digest) -> Result<(), StatedDigestError> {
    for field in [headers::REPR_DIGEST, headers::CONTENT_DIGEST] {
        if stated_digest(request, field)?.is_some_and(|stated| stated != expected) {
            return Err(StatedDigestError::Contradicts { field, expected });
        }
    }
    Ok(())
}

/// Reads the SHA-256 digest from an RFC 9530 header; `None` if the header or that algorithm is absent.
pub(in crate::http) fn stated_digest(
    request: &HeaderMap,
    field: &'static str,
) -> Result<Option<Digest>, StatedDigestError> {
    let Some(stated) = request.get(field) else { return Ok(None) };
    let malformed = || StatedDigestError::Malformed(field);
    let text = stated.to_str().map_err(|_| malformed())?;
    let fields: sfv::Dictionary = sfv::Parser::new(text).parse().map_err(|_| malformed())?;
    match fields.iter().find(|(key, _)| key.as_str() == "sha-256").map(|(_, member)| member) {
        None => Ok(None),
        Some(sfv::ListEntry::Item(item)) => match &item.bare_item {
            sfv::BareItem::ByteSequence(bytes) => {
                Digest::from_hex(&hex::encode(bytes)).map(Some).map_err(|_| malformed())
            }
            _ => Err(malformed()),
        },
        Some(sfv::ListEntry::InnerList(_)) => Err(malformed()),
    }
}
