//! Errors as pages for people who know nothing of this server, and the login of protected previews.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use maud::{DOCTYPE, html};

use crate::http::error::ApiError;
use crate::http::request_id::RequestId;
use crate::http::surface::Challenge;

/// Renders an error. What the API would say is not for visitors: it has names of releases in it.
pub(super) fn render(error: &ApiError, id: &RequestId) -> Response {
    let (title, text) = words(error.status());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
            }
            body {
                h1 { (title) }
                p { (text) }
                p { small { (error.status().as_u16()) " · " code { (id.as_str()) } } }
            }
        }
    };
    let body = page.into_string();
    let length = body.len();
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::NOT_FOUND => ("Not found", "There is no page at this address."),
        StatusCode::GONE => ("Gone", "What was at this address has been taken away."),
        StatusCode::UNAUTHORIZED => (
            "A password is needed",
            "Any user name will do. The password is a token that may read this release and do nothing else.",
        ),
        StatusCode::MISDIRECTED_REQUEST => ("No such site", "This server does not serve this host."),
        StatusCode::METHOD_NOT_ALLOWED => ("Not possible here", "This address can only be read."),
        StatusCode::PRECONDITION_FAILED => ("Changed", "What is at this address is not what the request expects."),
        StatusCode::RANGE_NOT_SATISFIABLE => ("No such part", "The part that was asked for is behind the end."),
        StatusCode::SERVICE_UNAVAILABLE => ("Not now", "This cannot be answered at present. Please try again shortly."),
        status if status.is_server_error() => {
            ("An error", "The server failed. Its log has the reason under this number.")
        }
        _ => ("Not understood", "The request cannot be understood."),
    }
}

/// The challenge of a denial. Always the same one, so that people can try another password.
#[expect(clippy::unnecessary_wraps, reason = "other surfaces have denials without a challenge")]
pub(super) fn challenge(_: &Challenge<'_>) -> Option<HeaderValue> {
    Some(HeaderValue::from_static("Basic realm=\"preview\", charset=\"UTF-8\""))
}
