//! The address of this server as the browser knows it, for lines that people copy.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::http::serving::origin::Origin;
use crate::http::state::{AppState, BaseUrl};

/// Placeholder for the address of a server that does not know it.
const UNKNOWN: &str = "https://THIS-HOST";

/// Where pages lead to.
#[derive(Debug, Clone)]
pub(in crate::http::native) struct Site {
    /// What links begin with.
    pub(super) base: BaseUrl,
    /// What addresses to copy begin with: always absolute, without a trailing slash.
    pub(super) absolute: String,
}

impl Site {
    /// What links begin with.
    pub(in crate::http::native) fn base(&self) -> &BaseUrl {
        &self.base
    }
}

impl FromRequestParts<AppState> for Site {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let base = state.base.clone();
        let origin = Origin::of(&base, &parts.headers, parts.uri.authority());
        Ok(Self { base, absolute: origin.address.unwrap_or_else(|| UNKNOWN.to_owned()) })
    }
}
