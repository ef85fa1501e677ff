//! The address of this server as the browser knows it, for lines that people copy.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::uri::Authority;

use crate::config::PublicUrl;
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
        let absolute = base.url().map(PublicUrl::as_str).map(str::to_owned).or_else(|| origin(parts));
        Ok(Self { base, absolute: absolute.unwrap_or_else(|| UNKNOWN.to_owned()) })
    }
}

/// The origin that the request names. Only what its sender sees is made of it, so a proxy's word for the scheme counts
/// whoever the proxy is.
fn origin(parts: &Parts) -> Option<String> {
    let stated = parts.uri.authority().map(Authority::as_str);
    let host = stated.or_else(|| parts.headers.get(HOST)?.to_str().ok())?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let scheme = parts.headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    let scheme = if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")) { "https" } else { "http" };
    (!host.is_empty() && host.bytes().all(plain)).then(|| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    #[test]
    fn a_host_that_a_shell_would_interpret_is_not_shown() {
        for (host, scheme, shown) in [
            ("releases.example:8080", None, Some("http://releases.example:8080")),
            ("releases.example", Some("https"), Some("https://releases.example")),
            ("[::1]:80", Some("ftp"), Some("http://[::1]:80")),
            ("x;rm", None, None),
            ("$(id)", None, None),
            ("", None, None),
        ] {
            let request = Request::builder().header(HOST, host);
            let request =
                scheme.into_iter().fold(request, |request, scheme| request.header("x-forwarded-proto", scheme));
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(origin(&parts).as_deref(), shown, "{host}");
        }
    }
}
