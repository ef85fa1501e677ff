//! A surface: one interface to the same releases, with its own addresses, error format and conventions.
//!
//! A new surface needs its own folder and one entry in the list of surfaces. Layers read properties from the surface of
//! a request and know no surface by name.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::{HOST, HeaderMap, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{Request, Response, Uri};
use serde_json::Value;

use super::error::{ApiError, Denial};
use super::request_id::RequestId;
use super::rfc::hardening::Hardening;
use super::serving::response_cache::EndOfDigest;
use super::state::BaseUrl;
use crate::domain::site::normalised_host;

/// Predicate: whether a host, in lower case and without a port, belongs to a surface for this path; `None` is a request
/// without one.
pub(super) type OwnsHost = Arc<dyn Fn(Option<&str>, &str) -> bool + Send + Sync>;

/// The hosts that a surface is served under.
#[derive(Clone)]
pub(super) enum Hosts {
    /// Every host that no other surface owns.
    Any,
    /// Only the hosts for which this is true, on which surfaces with [`Hosts::Any`] are not served.
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

/// One surface, over a state `S` that its handlers extract.
#[derive(Debug, Clone)]
pub(super) struct Surface<S> {
    /// Routes, without fallbacks.
    pub(super) routes: Router<S>,
    /// The hosts that the surface is served under.
    pub(super) hosts: Hosts,
    /// Path prefix without a trailing slash, such as `/v2`; empty for all paths. Matches at segment boundaries only.
    pub(super) prefix: &'static str,
    /// Builds the OpenAPI document.
    pub(super) describe: fn() -> Value,
    /// How layers treat requests and responses of the surface.
    pub(super) properties: SurfaceProperties,
}

/// Properties that layers and the response cache read.
#[derive(Debug, Clone, Copy)]
pub(super) struct SurfaceProperties {
    /// Unique; part of the response-cache key.
    pub(super) name: &'static str,
    /// Renders an error. Status and additional headers of the response come from the error itself.
    pub(super) render: fn(&ApiError, &RequestId) -> Response<Body>,
    /// Renders the whole response for an error to a request that prefers a page, if the surface has pages.
    pub(super) page: Option<fn(&ApiError, &FailedRequest<'_>) -> Response<Body>>,
    /// The value of `WWW-Authenticate` for a denial; `None` for none.
    pub(super) challenge: fn(&Challenge<'_>) -> Option<HeaderValue>,
    /// Whether clients log in with a user and a password: any user, and a token as the password. Elsewhere only bearer tokens
    /// count, because a browser resends a password on its own, even for forms on other sites.
    pub(super) login: bool,
    /// Recognises addresses of blobs; `None` if the surface has none. What follows the digest must be what
    /// `serving::download` reads.
    pub(super) blobs: Option<EndOfDigest>,
    /// What stored bytes may do in a browser.
    pub(super) hardening: Hardening,
    /// Whether scripts of other origins may read responses (CORS).
    pub(super) cors: bool,
    /// Routes that are polled every few seconds and therefore not logged.
    pub(super) quiet: &'static [&'static str],
}

/// What a page about an error needs to know of the request.
#[derive(Debug)]
pub(super) struct FailedRequest<'a> {
    pub(super) id: &'a RequestId,
    /// What links begin with.
    pub(super) base: &'a BaseUrl,
    /// The path that was asked for, still percent-encoded.
    pub(super) path: &'a str,
}

/// What a challenge needs to know of the request that was denied.
#[derive(Debug)]
pub(super) struct Challenge<'a> {
    pub(super) denial: Denial,
    /// What links begin with.
    pub(super) base: &'a BaseUrl,
    /// The address that was asked for, its path still percent-encoded.
    pub(super) uri: &'a Uri,
    /// Host and port that the client asked. Known only to surfaces with [`SurfaceProperties::login`].
    pub(super) authority: Option<&'a str>,
    /// Whether a proxy says that the client came by HTTPS. Known only to surfaces with [`SurfaceProperties::login`].
    pub(super) is_https: bool,
    /// Whether the request had credentials, of whatever kind.
    pub(super) has_credentials: bool,
}

/// Request extension: the surface that the request was routed to.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoutedSurface {
    /// [`SurfaceProperties::name`]
    pub(super) name: &'static str,
    /// [`SurfaceProperties::login`]
    pub(super) login: bool,
}

impl Hosts {
    /// Only the hosts, and paths on them, for which this is true.
    pub(super) fn owned(owns: impl Fn(Option<&str>, &str) -> bool + Send + Sync + 'static) -> Self {
        Self::Owned(Arc::new(owns))
    }

    fn are_owned(&self) -> bool {
        matches!(self, Self::Owned(_))
    }
}

impl<S> Surface<S> {
    /// Whether responses depend on the host.
    pub(super) fn is_bound_to_hosts(&self) -> bool {
        self.hosts.are_owned()
    }
}

/// Chooses the surface for a request: returns an index into `places`, the hosts and prefixes of the surfaces. A surface
/// that owns the host takes precedence; among surfaces for the same host, the longest prefix wins. If none matches, the
/// last one is the fallback.
pub(super) fn choose<B>(places: &[(Hosts, &'static str)], request: &Request<B>) -> usize {
    choose_for(places, request.uri().path(), host(request).as_deref())
}

/// The same by the path and the host of a request.
pub(super) fn choose_for(places: &[(Hosts, &'static str)], path: &str, host: Option<&str>) -> usize {
    let (mut is_owned, mut of_owner, mut of_all) = (false, None, None);
    for (index, (hosts, prefix)) in places.iter().enumerate() {
        let chosen = match hosts {
            Hosts::Any => &mut of_all,
            Hosts::Owned(owns) if owns(host, path) => {
                is_owned = true;
                &mut of_owner
            }
            Hosts::Owned(_) => continue,
        };
        if is_below(path, prefix) {
            *chosen = (*chosen).max(Some((prefix.len(), index)));
        }
    }
    let chosen = if is_owned { of_owner } else { of_all };
    chosen.map_or(places.len() - 1, |(_, index)| index)
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

/// The host of a request in the form in which hosts are compared, without a port (RFC 9110 section 7.2).
pub(super) fn host<B>(request: &Request<B>) -> Option<Cow<'_, str>> {
    host_of(request.uri(), request.headers())
}

/// The host in a target or, if that has none, in the headers.
pub(super) fn host_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Cow<'a, str>> {
    let stated = uri.authority().map(Authority::as_str);
    Some(normal_host(stated.or_else(|| headers.get(HOST)?.to_str().ok())?))
}

/// A host as [`host`] spells it. What names no host is nobody's, so its form does not matter.
pub(super) fn normal_host(stated: &str) -> Cow<'_, str> {
    normalised_host(stated).unwrap_or_else(|_| stated.to_ascii_lowercase().into())
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
        let owned = |name: &'static str| Hosts::owned(move |host, _| host == Some(name));
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
            // An owned host is never served by other surfaces, whatever the path.
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
        for (stated, host) in [
            ("A.Example:80", "a.example"),
            ("a.example.", "a.example"),
            ("[::1]:80", "[::1]"),
            ("[0:0:0:0:0:0:0:1]:80", "[::1]"),
            ("[::FFFF:1.2.3.4]", "[::ffff:1.2.3.4]"),
            ("[2001:DB8::0:1]", "[2001:db8::1]"),
            ("XN--bcher-KVA.example", "xn--bcher-kva.example"),
            ("", ""),
            ("a..example", "a..example"),
        ] {
            assert_eq!(super::host(&request("/", Some(stated))).as_deref(), Some(host), "{stated}");
        }
        assert_eq!(host(&request("/", None)), None);
    }
}
