//! A surface: one interface to the same releases, with addresses, errors and habits of its own.
//!
//! Adding one takes its own folder and a line in the list of surfaces. Layers ask the surface of a request instead of
//! knowing any.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{Request, Response};
use serde_json::Value;

use super::error::{ApiError, Denial};
use super::request_id::RequestId;
use super::rfc::hardening::Hardening;

/// Whether a host, in lower case and without a port, belongs to a surface.
pub(super) type OwnsHost = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// The hosts that a surface answers under.
#[derive(Clone)]
pub(super) enum Hosts {
    /// All that no other surface owns.
    Any,
    /// Only those that it owns, and nobody else answers there.
    #[cfg_attr(not(test), expect(dead_code, reason = "native answers under any host"))]
    Owned(OwnsHost),
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "Any",
            Self::Owned(_) => "Owned",
        })
    }
}

/// One surface, over a state `S` that its handlers need.
#[derive(Debug, Clone)]
pub(super) struct Surface<S> {
    /// Its routes, without fallbacks.
    pub(super) routes: Router<S>,
    /// The hosts that it answers under.
    pub(super) hosts: Hosts,
    /// The path that it answers at and below, without a slash at the end: empty for all, else such as `/v2`.
    pub(super) prefix: &'static str,
    /// Its OpenAPI document.
    pub(super) describe: fn() -> Value,
    /// What its layers do with requests and answers.
    pub(super) properties: SurfaceProperties,
}

/// What layers and the response cache have to know of a surface.
#[derive(Debug, Clone, Copy)]
pub(super) struct SurfaceProperties {
    /// Unique; part of the keys of the response cache.
    pub(super) name: &'static str,
    /// Writes an error down. The status and further fields of the answer come from the error itself.
    pub(super) render: fn(&ApiError, &RequestId) -> Response<Body>,
    /// The value of `WWW-Authenticate` that tells clients how to get what they lack.
    pub(super) challenge: fn(Denial) -> &'static str,
    /// What its bytes may do in browsers.
    pub(super) hardening: Hardening,
    /// Whether scripts of other origins may read it.
    pub(super) cors: bool,
    /// Routes that are asked every few seconds and leave no log line.
    pub(super) quiet: &'static [&'static str],
}

/// The name of the surface that a request is for, among its extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct SurfaceName(pub(super) &'static str);

impl Hosts {
    fn are_owned(&self) -> bool {
        matches!(self, Self::Owned(_))
    }
}

impl<S> Surface<S> {
    /// Whether answers differ from host to host.
    pub(super) fn is_bound_to_hosts(&self) -> bool {
        self.hosts.are_owned()
    }
}

/// Which of several surfaces a request is for: an index into `places`, the hosts and prefixes of the surfaces. A host that is
/// owned decides; among surfaces of the same host the longest prefix does. Without any that fits, the last one answers.
pub(super) fn choose<B>(places: &[(Hosts, &'static str)], request: &Request<B>) -> usize {
    let host = if places.iter().any(|(hosts, _)| hosts.are_owned()) { host(request) } else { None };
    let path = request.uri().path();
    let owns_it = |hosts: &Hosts| match hosts {
        Hosts::Any => false,
        Hosts::Owned(owns) => host.as_deref().is_some_and(&**owns),
    };
    let owned = places.iter().any(|(hosts, _)| owns_it(hosts));
    let candidates = places.iter().enumerate().filter(|(_, (hosts, prefix))| {
        (if owned { owns_it(hosts) } else { !hosts.are_owned() }) && is_below(path, prefix)
    });
    let chosen = candidates.max_by_key(|(_, (_, prefix))| prefix.len()).map(|(index, _)| index);
    chosen.unwrap_or(places.len() - 1)
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

/// The host that a request is for, in lower case and without a port or a final dot (RFC 9110 section 7.2).
pub(super) fn host<B>(request: &Request<B>) -> Option<Cow<'_, str>> {
    let stated = request.uri().authority().map(Authority::as_str);
    let stated = stated.or_else(|| request.headers().get(HOST)?.to_str().ok())?;
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let host = stated.rsplit_once(':').filter(|(_, port)| digits(port)).map_or(stated, |(host, _)| host);
    let host = host.strip_suffix('.').unwrap_or(host);
    let lower = !host.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if lower { host.into() } else { host.to_ascii_lowercase().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, host: Option<&str>) -> Request<()> {
        let request = Request::builder().uri(uri);
        let request = if let Some(host) = host { request.header(HOST, host) } else { request };
        request.body(()).unwrap()
    }

    #[test]
    fn the_host_decides_then_the_longest_prefix() {
        let owned = |name: &'static str| Hosts::Owned(Arc::new(move |host: &str| host == name));
        let places = [
            (owned("pages.example"), ""),
            (Hosts::Any, "/v2"),
            (owned("pages.example"), "/admin"),
            (Hosts::Any, "/v2/deep"),
            (owned("empty.example"), "/only"),
            (Hosts::Any, ""),
        ];
        for (uri, host, chosen) in [
            ("/", Some("api.example"), 5),
            ("/", None, 5),
            ("/v2", Some("api.example"), 1),
            ("/v2/", Some("api.example"), 1),
            ("/v2/x/y?z", Some("api.example"), 1),
            ("/v2/deep/x", Some("api.example"), 3),
            ("/v22", Some("api.example"), 5),
            ("/%76%32/", Some("api.example"), 5),
            // What is owned belongs to nobody else, whatever the path.
            ("/v2/x", Some("pages.example"), 0),
            ("/", Some("PAGES.example.:8080"), 0),
            ("/admin/x", Some("pages.example"), 2),
            ("/", Some("pages.example.evil"), 5),
            ("http://pages.example/x", Some("api.example"), 0),
            ("/only/x", Some("empty.example"), 4),
        ] {
            assert_eq!(choose(&places, &request(uri, host)), chosen, "{uri} at {host:?}");
        }
    }

    #[test]
    fn a_host_has_one_spelling() {
        for (stated, host) in
            [("A.Example:80", "a.example"), ("a.example.", "a.example"), ("[::1]:80", "[::1]"), ("", "")]
        {
            assert_eq!(super::host(&request("/", Some(stated))).as_deref(), Some(host), "{stated}");
        }
        assert_eq!(host(&request("/", None)), None);
    }
}
