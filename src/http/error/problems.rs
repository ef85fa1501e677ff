//! Errors as problem details (RFC 9457), and challenges for bearer tokens: for surfaces without a format of their own.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use serde_json::Value;

use super::{ApiError, Denial};
use crate::domain::text::escape_json;
use crate::http::request_id::RequestId;
use crate::http::surface::Challenge;
use crate::wire::ProblemDetails;

/// Renders an error as problem details.
pub(in crate::http) fn render(error: &ApiError, id: &RequestId) -> Response {
    let mut members = error.members().clone();
    // Problem types that a standard defines are passed as a member.
    let kind = match members.remove("type") {
        Some(Value::String(registered)) => registered,
        _ => format!("urn:larder:problem:{}", error.code().as_str().to_ascii_lowercase().replace('_', "-")),
    };
    let problem = ProblemDetails {
        kind,
        title: error.status().canonical_reason().unwrap_or("Error"),
        status: error.status().as_u16(),
        code: error.code().clone(),
        detail: error.detail().to_owned(),
        instance: format!("urn:larder:request:{}", id.as_str()),
        members,
    };
    // People read this in terminals; to programs the values are the same.
    let body = escape_json(&serde_json::to_string(&problem).unwrap_or_default()).into_owned();
    let length = body.len();
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// The `WWW-Authenticate` value for bearer tokens (RFC 6750 section 3).
#[expect(clippy::unnecessary_wraps, reason = "other surfaces have denials without a challenge")]
pub(in crate::http) fn challenge(challenge: &Challenge<'_>) -> Option<HeaderValue> {
    Some(HeaderValue::from_static(match challenge.denial {
        Denial::Missing => "Bearer realm=\"larder\"",
        Denial::Unknown => "Bearer realm=\"larder\", error=\"invalid_token\"",
        Denial::Insufficient => "Bearer realm=\"larder\", error=\"insufficient_scope\"",
    }))
}
