//! Who may see a preview: whoever has a token that may read the name, and may do nothing else.
//!
//! The token is typed into a browser, which keeps it and sends it along with every request; one that could publish must
//! not end up there.

use crate::access::{Access, Caller};
use crate::domain::hosts::HostedSite;
use crate::domain::{ManifestName, Permission};
use crate::http::error::ApiError;

/// Whether anybody may see this; otherwise the caller may.
pub(super) fn permit(
    access: &Access,
    caller: &Caller,
    site: &HostedSite,
    name: &ManifestName,
    is_preview: bool,
) -> Result<bool, ApiError> {
    if access.is_public(name) && (!is_preview || site.has_public_previews) {
        return Ok(true);
    }
    if caller.is_anonymous() {
        return Err(ApiError::unauthorized("Log in with any user, and a token that may read this as the password."));
    }
    if !caller.is_limited_to(Permission::Read) {
        let detail =
            "This token can do more than read, so it must not be given to a browser; use one that grants `read` only.";
        return Err(ApiError::invalid_token(detail));
    }
    if !caller.may(Permission::Read, name) {
        return Err(ApiError::invalid_token("This token may not read this."));
    }
    Ok(false)
}
