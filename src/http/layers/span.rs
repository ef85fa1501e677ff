//! The span of a request, whose fields are part of its log lines.

use axum::http::Method;
use tracing::Span;
use tracing::field::Empty;

/// The span of a request. What is not known at first is recorded by whoever finds it out: who the caller is, and on sites
/// which version of which site answers, and how.
pub(super) fn span(id: &str, method: &Method, path: &str) -> Span {
    tracing::info_span!(
        "request",
        %id,
        %method,
        %path,
        subject = Empty,
        site = Empty,
        version = Empty,
        outcome = Empty
    )
}
