//! The address of this server as a client knows it, for absolute addresses in what the server makes.

use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::uri::Authority;

use crate::config::PublicUrl;
use crate::http::state::BaseUrl;

/// What absolute addresses begin with, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Origin {
    /// The public URL, else what the request says; `None` if that is nothing that an address or a command can have in it.
    pub(in crate::http) address: Option<String>,
    /// Whether it is from the configuration. Else only the client that asked may see what it is in: a cache may keep the
    /// answer for others under an address that says nothing of `X-Forwarded-Proto`.
    pub(in crate::http) is_configured: bool,
}

impl Origin {
    /// The origin for a request with these headers, to this authority if its target states one. A proxy's word for the
    /// scheme counts whoever the proxy is: a client that lies deceives itself.
    pub(in crate::http) fn of(base: &BaseUrl, headers: &HeaderMap, authority: Option<&Authority>) -> Self {
        match base.url().map(PublicUrl::as_str) {
            Some(url) => Self { address: Some(url.to_owned()), is_configured: true },
            None => Self { address: stated(headers, authority.map(Authority::as_str)), is_configured: false },
        }
    }
}

fn stated(headers: &HeaderMap, authority: Option<&str>) -> Option<String> {
    let host = authority.or_else(|| headers.get(HOST)?.to_str().ok())?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let scheme = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
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
            let origin = Origin::of(&BaseUrl::default(), &parts.headers, parts.uri.authority());
            assert_eq!((origin.address.as_deref(), origin.is_configured), (shown, false), "{host}");
        }
    }
}
