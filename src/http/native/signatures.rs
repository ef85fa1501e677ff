//! `Larder-Signature`: a signature that a manifest brings along.

use axum::http::header::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::attestation::{MEDIA_TYPE, NewAttachment};
use crate::http::error::ApiError;
use crate::wire::{Code, headers};

/// The signature in the head of a request, parsed but not verified.
pub(super) fn sent_with(request: &HeaderMap) -> Result<Option<NewAttachment>, ApiError> {
    let mut values = request.get_all(headers::SIGNATURE).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let base64 = value.to_str().ok().and_then(|text| text.trim().strip_prefix(':')?.strip_suffix(':'));
    let bytes = base64.filter(|_| values.next().is_none()).and_then(|text| STANDARD.decode(text).ok());
    let bytes = bytes.ok_or_else(|| {
        let detail = "Larder-Signature must be there once, as `:BASE64:` of a minisign signature file.";
        ApiError::bad_request(Code::RequestInvalid, detail)
    })?;
    Ok(Some(NewAttachment::new(&bytes, MEDIA_TYPE, None)?))
}

/// Refuses a signature with the beginning of a release of parts, whose manifest is composed when the last one is there.
pub(super) fn none_for_parts(signature: Option<&NewAttachment>) -> Result<(), ApiError> {
    if signature.is_none() {
        return Ok(());
    }
    let detail = "A release of parts has no manifest yet that could be signed: stage it, sign it, and promote it.";
    Err(ApiError::bad_request(Code::RequestInvalid, detail))
}
