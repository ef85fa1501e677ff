//! Logging in, as container clients do it (the token protocol of the Distribution project).
//!
//! Clients ask `GET /v2/`, are sent to `/v2/token` with the user's password, and send what they get there with everything
//! else. The password is a token of this server already, so that is what they get: nothing is kept, any server understands
//! it, and each request is judged by the rules of its time. So what clients say that they want (`scope`) does not matter.
//!
//! The address in the challenge is where clients send passwords. It begins with `https` unless the configuration says
//! otherwise or the host is a loopback address: behind a proxy that ends TLS and does not say so, anything else would have
//! passwords sent in clear.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::address::Address;
use super::{API_VERSION, SURFACE};
use crate::access::{ANONYMOUS_TOKEN, Access, Caller, Credentials, Identity};
use crate::domain::RepositoryName;
use crate::http::error::{ApiError, Denial};
use crate::http::state::AppState;
use crate::http::surface::Challenge;

/// How long clients may use a token before they ask for it again, in seconds.
const EXPIRES_IN: i64 = 300;

/// Who sends a request, if its credentials are good.
enum Sender {
    /// There are no credentials.
    Silent,
    /// Nobody, and the credentials say so.
    Nobody,
    /// The owner of this token.
    Known(String, Caller),
}

/// `GET /v2/`: whether the client may go on. Clients send credentials only to servers that ask for them here.
pub(super) async fn ping(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, ApiError> {
    match sender(&state.access, &headers).await? {
        Sender::Silent => {
            Err(ApiError::unauthorized("Get a token where the challenge says, without a login for public images."))
        }
        Sender::Nobody | Sender::Known(..) => Ok(([API_VERSION], Json(json!({}))).into_response()),
    }
}

/// `GET /v2/token`: the token for everything else. A wrong password is refused here, which is how clients check one.
pub(super) async fn token(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, ApiError> {
    let now = state.access.now();
    let (token, expires_in) = match sender(&state.access, &headers).await? {
        Sender::Silent | Sender::Nobody => (ANONYMOUS_TOKEN.to_owned(), EXPIRES_IN),
        Sender::Known(token, caller) => {
            let left = caller.until().map_or(EXPIRES_IN, |until| until.duration_since(now).as_secs());
            (token, left.clamp(0, EXPIRES_IN))
        }
    };
    let issued_at = format!("{now:.0}");
    let answer = json!({"token": token, "access_token": token, "expires_in": expires_in, "issued_at": issued_at});
    Ok(([API_VERSION], [(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

async fn sender(access: &Access, headers: &HeaderMap) -> Result<Sender, ApiError> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(Sender::Silent) };
    let Some(sent) = value.to_str().ok().and_then(Credentials::parse) else {
        return Err(ApiError::invalid_token("Log in with any user and a token of this server as the password."));
    };
    if sent.are_anonymous() {
        return Ok(Sender::Nobody);
    }
    let token = sent.as_token();
    match access.identify(&token, SURFACE).await {
        Identity::Known(caller) => {
            tracing::Span::current().record("subject", tracing::field::display(caller.subject()));
            let Credentials::Bearer(token) = token else { return Err(ApiError::internal("a password is no token")) };
            Ok(Sender::Known(token.to_owned(), caller))
        }
        Identity::NotMine => Err(ApiError::invalid_token("The password is no token that this server knows.")),
        Identity::Refused(why) => Err(ApiError::invalid_token(&why)),
        Identity::Unavailable(why) => Err(ApiError::unavailable(&why)),
    }
}

/// The challenge for a denied request. None for callers who lack a permission: another login would not help, and clients
/// that are challenged try again and again.
pub(super) fn challenge(challenge: &Challenge<'_>) -> Option<HeaderValue> {
    let error = match challenge.denial {
        Denial::Insufficient => return None,
        Denial::Unknown => ",error=\"invalid_token\"",
        // They asked for a token already, and got that of nobody.
        Denial::Missing if challenge.has_credentials => ",error=\"insufficient_scope\"",
        Denial::Missing => "",
    };
    let (origin, service) = origin(challenge)?;
    let scope = scope(challenge.uri.path()).map(|scope| format!(",scope=\"{scope}\"")).unwrap_or_default();
    let value = format!("Bearer realm=\"{origin}/v2/token\",service=\"{service}\"{scope}{error}");
    HeaderValue::try_from(value).ok()
}

/// Scheme and authority of the server as clients reach it, and the authority alone. Without a usable one there is no
/// challenge; only a client that sends no `Host` finds that.
fn origin(challenge: &Challenge<'_>) -> Option<(String, String)> {
    if let Some(url) = challenge.base.url() {
        let (_, authority) = url.origin().split_once("://")?;
        return Some((url.origin().to_owned(), authority.to_owned()));
    }
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let authority = challenge.authority.filter(|text| !text.is_empty() && text.chars().all(is_legal))?;
    let scheme = if challenge.is_https || !is_loopback(authority) { "https" } else { "http" };
    Some((format!("{scheme}://{authority}"), authority.to_owned()))
}

/// Whether a host, with or without a port, is the client's own machine.
fn is_loopback(authority: &str) -> bool {
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let host = authority.rsplit_once(':').filter(|(_, port)| digits(port)).map_or(authority, |(host, _)| host);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let lower = bare.to_ascii_lowercase();
    bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
        || lower == "localhost"
        || lower.ends_with(".localhost")
}

/// What a token for an address would be asked for, in the words of the protocol.
fn scope(path: &str) -> Option<String> {
    let rest = path.strip_prefix("/v2/")?;
    if rest == "_catalog" {
        return Some("registry:catalog:*".to_owned());
    }
    let of = |repository: RepositoryName| format!("repository:{repository}:pull,push");
    rest.parse::<Address>().ok().map(|address| of(address.into_repository()))
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;

    use super::*;
    use crate::http::state::BaseUrl;

    fn challenged(base: Option<&str>, uri: &str, authority: Option<&str>, is_https: bool) -> Option<String> {
        let base = BaseUrl::new(base.map(|base| base.parse().unwrap()));
        let uri: Uri = uri.parse().unwrap();
        let (denial, uri) = (Denial::Missing, &uri);
        let of = Challenge { denial, base: &base, uri, authority, is_https, has_credentials: false };
        challenge(&of).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_realm_is_where_the_client_came_from_and_never_in_clear_over_a_network() {
        for (base, authority, is_https, origin) in [
            (None, "assets.example", false, "https://assets.example"),
            (None, "assets.example:8443", true, "https://assets.example:8443"),
            (None, "192.168.1.5:5000", false, "https://192.168.1.5:5000"),
            (None, "localhost:5000", false, "http://localhost:5000"),
            (None, "127.0.0.1:5000", false, "http://127.0.0.1:5000"),
            (None, "[::1]:5000", false, "http://[::1]:5000"),
            (None, "[::1]", false, "http://[::1]"),
            (None, "localhost:5000", true, "https://localhost:5000"),
            (None, "127.0.0.1.example", false, "https://127.0.0.1.example"),
            (Some("http://lab.example:5000"), "other", true, "http://lab.example:5000"),
            (Some("https://assets.example/larder"), "inner:8080", false, "https://assets.example"),
        ] {
            let (_, service) = origin.split_once("://").unwrap();
            let expected = format!("Bearer realm=\"{origin}/v2/token\",service=\"{service}\"");
            assert_eq!(challenged(base, "/v2/", Some(authority), is_https).as_deref(), Some(&*expected), "{authority}");
        }
    }

    #[test]
    fn a_host_that_would_change_the_challenge_is_no_host() {
        for host in ["", "a\",realm=\"http://evil", "a/b", "user@host", "a b", "a,b", "a\\"] {
            assert_eq!(challenged(None, "/v2/", Some(host), false), None, "{host}");
        }
        assert_eq!(challenged(None, "/v2/", None, false), None);
    }

    #[test]
    fn the_scope_is_that_of_the_address() {
        for (path, scope) in [
            ("/v2/", None),
            ("/v2/team/app/manifests/v1", Some("repository:team/app:pull,push")),
            ("/v2/team/app/blobs/uploads/", Some("repository:team/app:pull,push")),
            ("/v2/app/tags/list", Some("repository:app:pull,push")),
            ("/v2/_catalog", Some("registry:catalog:*")),
            ("/v2/%22,scope/manifests/v1", None),
        ] {
            assert_eq!(super::scope(path).as_deref(), scope, "{path}");
        }
    }
}
