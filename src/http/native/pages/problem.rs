//! Errors for people who follow links.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, HeaderValue, VARY};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use super::layout::Frame;
use super::text;
use crate::domain::ManifestName;
use crate::http::error::ApiError;
use crate::http::surface::FailedRequest;
use crate::wire::Code;

/// Renders an error as a page.
pub(in crate::http::native) fn problem(error: &ApiError, request: &FailedRequest<'_>) -> Response<Body> {
    let (status, title) = (error.status(), title(error));
    let name = name_in(request.path);
    let main = html! {
        p.status { (status.as_u16()) }
        h1 { (title) }
        (explanation(error))
        nav.pager aria-label="From here" {
            @if let (Some(name), true) = (&name, is_about_a_version(error)) {
                a.button href={(request.base) "/versions/" (name)} { "All versions of " (name) }
            }
            a.button href={(request.base) "/"} { "All releases" }
        }
        p.small.soft { "Code " code { (error.code().as_str()) } ", request " code { (request.id.as_str()) } }
    };
    let (headers, html) = Frame { base: request.base, title, about: title, listed: false, feed: None }.page(&main);
    let length = HeaderValue::from(html.0.len());
    let mut response = (status, headers, html).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CONTENT_LENGTH, length);
    response
}

fn title(error: &ApiError) -> &'static str {
    match (error.code(), error.status()) {
        (Code::VersionRetired, _) => "This version was retired",
        (Code::ManifestDeleted, _) => "This name was deleted",
        (Code::FileUnknown, _) => "There is no such file",
        (Code::VersionUnknown, _) => "There is no such version",
        (Code::ManifestUnknown, _) => "There is no such name",
        (_, StatusCode::NOT_FOUND) => "There is nothing here",
        (_, StatusCode::GONE) => "This is gone",
        (_, StatusCode::UNAUTHORIZED) => "This needs a token",
        (_, StatusCode::FORBIDDEN) => "This is not for everybody",
        (_, StatusCode::SERVICE_UNAVAILABLE) => "Not now",
        (_, status) if status.is_server_error() => "The server failed",
        _ => "This cannot be answered",
    }
}

fn is_about_a_version(error: &ApiError) -> bool {
    matches!(error.code(), Code::VersionRetired | Code::ManifestDeleted | Code::VersionUnknown | Code::FileUnknown)
}

/// What happened: for what was taken away, when, by whom and why.
fn explanation(error: &ApiError) -> Markup {
    let member = |name: &str| error.members().get(name).and_then(Value::as_str);
    let at = member("retired_at").or_else(|| member("deleted_at")).and_then(|at| at.parse::<Timestamp>().ok());
    let by = member("retired_by").or_else(|| member("deleted_by"));
    let verb = if error.members().contains_key("deleted_at") { "Deleted" } else { "Retired" };
    html! {
        @if let Some(at) = at {
            p.reason {
                (verb) " on " (text::time(at))
                @if let Some(by) = by { " by " (text::escaped(by)) }
                @if let Some(reason) = member("reason") { ", because: " strong { (text::escaped(reason)) } }
            }
            p { "Its bytes may be deleted. Its entry stays in the history." }
        } @else {
            p.reason { (text::escaped(error.detail())) }
        }
        @if error.status() == StatusCode::UNAUTHORIZED {
            p { "Browsers have no way to send one. With a program:" }
            (text::copyable("the command", "curl -fLO -H \"Authorization: Bearer $TOKEN\" ADDRESS"))
        }
    }
}

/// The name that an address of this surface is about.
fn name_in(path: &str) -> Option<ManifestName> {
    let rest =
        ["/versions/", "/manifests/", "/history/", "/refs/"].iter().find_map(|prefix| path.strip_prefix(prefix))?;
    let name = match (rest.split_once('@'), path.starts_with("/refs/")) {
        (Some((name, _)), _) => name,
        (None, true) => rest.rsplit_once('/')?.0,
        (None, false) => rest,
    };
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_in_the_address() {
        for (path, name) in [
            ("/versions/a/b", Some("a/b")),
            ("/versions/a/b@3", Some("a/b")),
            ("/versions/a/b@3/diff", Some("a/b")),
            ("/manifests/a@active", Some("a")),
            ("/history/a/b@3", Some("a/b")),
            ("/refs/a/b/file", Some("a/b")),
            ("/refs/a@1/dir/file", Some("a")),
            ("/refs/a", None),
            ("/blobs/x", None),
            ("/versions/%3Cscript%3E", None),
        ] {
            assert_eq!(name_in(path).map(|name| name.to_string()).as_deref(), name, "{path}");
        }
    }
}
