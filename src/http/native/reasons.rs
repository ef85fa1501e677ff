//! Reasons that callers give for their changes.

use crate::http::error::ApiError;
use crate::wire::{Code, limits};

/// A reason in a query, which may be left out. An empty one is none.
pub(super) fn optional(reason: Option<String>) -> Result<Option<String>, ApiError> {
    let reason = reason.filter(|reason| !reason.is_empty());
    if reason.as_ref().is_some_and(|reason| reason.len() > limits::REASON) {
        let detail = format!("A reason has at most {} bytes.", limits::REASON);
        return Err(ApiError::bad_request(Code::QueryInvalid, detail));
    }
    Ok(reason)
}

/// A reason in a body, which must be there.
pub(super) fn required(reason: String) -> Result<String, ApiError> {
    let reason = optional(Some(reason))?.filter(|reason| !reason.trim().is_empty());
    reason.ok_or_else(|| ApiError::bad_request(Code::RequestInvalid, "State the reason: others will ask for it."))
}
