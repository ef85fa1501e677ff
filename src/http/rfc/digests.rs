//! Digests in headers (RFC 9530).

use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;

use crate::domain::Digest;
use crate::wire::headers;

/// Digest of a whole representation (RFC 9530 section 3).
pub(in crate::http) const REPR_DIGEST: HeaderName = HeaderName::from_static(headers::REPR_DIGEST);

/// Why a digest that a request states cannot be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::http) enum StatedDigestError {
    /// Not a dictionary of byte sequences.
    #[error("{0} must be a structured field such as sha-256=:BASE64:")]
    Malformed(&'static str),
    /// Another digest than the address says.
    #[error("{field} states another digest than the address")]
    Contradicts {
        /// The field.
        field: &'static str,
        /// The digest in the address.
        expected: Digest,
    },
}

/// `sha-256=:BASE64:`, the structured form of a digest.
pub(in crate::http) fn repr_digest(digest: Digest) -> HeaderValue {
    let text = format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(digest.bytes()));
    HeaderValue::try_from(text).expect("base64 is legal in a header")
}

/// A digest that the request states in `Repr-Digest` or `Content-Digest` (RFC 9530) must be the one in its address.
pub(in crate::http) fn check_stated_digests(request: &HeaderMap, expected: Digest) -> Result<(), StatedDigestError> {
    for field in [headers::REPR_DIGEST, headers::CONTENT_DIGEST] {
        if stated_digest(request, field)?.is_some_and(|stated| stated != expected) {
            return Err(StatedDigestError::Contradicts { field, expected });
        }
    }
    Ok(())
}

/// The SHA-256 digest in a header of RFC 9530, if it has one.
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
