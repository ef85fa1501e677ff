//! The one error boundary: every error becomes a status, a stable code and a sentence for people.
//!
//! How it is rendered is up to the surface of the request; that happens in the outermost layer, which knows the request
//! id.

mod domains;
mod immutable;
mod mechanics;
mod parts;
pub(super) mod problems;
mod services;
mod tokens;

use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use crate::domain::{AnyDigest, Digest, ManifestName, RepositoryName};
use crate::protocol::Blobs;
use crate::wire::Code;

/// `Retry-After`, in seconds, when the store or the name is busy.
const RETRY_AFTER: u32 = 2;

/// Why a request is not authorised. The surface translates it into a challenge that its clients understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denial {
    /// Credentials are required, and there are none, or none that the surface can read.
    Missing,
    /// The credentials are invalid or unknown.
    Unknown,
    /// The credentials lack the permission.
    Insufficient,
}

/// An error response: what went wrong, and what to do about it.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: StatusCode,
    code: Code,
    denial: Option<Denial>,
    detail: String,
    members: Map<String, Value>,
    /// Boxed to keep the `Result` of every handler small.
    headers: Box<HeaderMap>,
}

impl ApiError {
    /// An error with a stable `code`. `detail` is a full sentence for people.
    pub(super) fn new(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        Self { status, code, denial: None, detail: detail.into(), members: Map::new(), headers: Box::default() }
    }

    /// Adds a member for programs to act on.
    #[must_use]
    pub(super) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// Adds a response header.
    #[must_use]
    pub(super) fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The same error under another status.
    #[must_use]
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    fn denied(self, denial: Denial) -> Self {
        Self { denial: Some(denial), ..self }
    }

    fn retry_after(self) -> Self {
        self.with("retry_after", RETRY_AFTER).header(header::RETRY_AFTER, &RETRY_AFTER.to_string())
    }

    pub(super) fn bad_request(code: Code, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(super) fn no_route() -> Self {
        let detail = "There is nothing at this address; GET / lists what this server offers.";
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, detail)
    }

    /// 405 for resources whose methods the router does not know.
    pub(super) fn method_not_allowed_but(allow: &str) -> Self {
        Self::method_not_allowed().header(header::ALLOW, allow)
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "This method is not allowed here; the Allow header lists those that are.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::MethodNotAllowed, detail)
    }

    /// No bytes can be served for this digest.
    pub(super) fn blob_absent(blobs: &Blobs, digest: Digest) -> Self {
        let detail = if blobs.is_damaged(&digest) {
            format!("The stored bytes of blob {digest} are damaged. Uploading the same file again replaces them.")
        } else {
            format!("There is no blob {digest}.")
        };
        Self::new(StatusCode::NOT_FOUND, Code::BlobUnknown, detail).with("digest", digest.to_string())
    }

    /// Nothing was uploaded by this digest.
    pub(super) fn blob_unknown(digest: &AnyDigest) -> Self {
        let detail = format!("There is no blob {digest}.");
        Self::new(StatusCode::NOT_FOUND, Code::BlobUnknown, detail).with("digest", digest.to_string())
    }

    /// The caller may read no name that holds this manifest.
    pub(super) fn manifest_held_by_nobody(digest: Digest) -> Self {
        let detail = format!("No version that may be read here has the manifest {digest}.");
        Self::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, detail).with("digest", digest.to_string())
    }

    pub(super) fn manifest_unknown(repository: &RepositoryName, digest: &AnyDigest) -> Self {
        let detail = format!("The repository {repository} has no manifest {digest}.");
        Self::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, detail).with("digest", digest.to_string())
    }

    pub(super) fn tag_unknown(tag: &ManifestName) -> Self {
        let detail = format!("Nothing that registry clients read is published as {tag}.");
        Self::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, detail)
    }

    pub(super) fn repository_unknown(repository: &RepositoryName) -> Self {
        let detail = format!("There is no repository {repository}, or none of its tags is active.");
        Self::new(StatusCode::NOT_FOUND, Code::NameUnknown, detail)
    }

    fn tag_immutable(active: u64, current: Digest) -> Self {
        let detail = format!(
            "Version {active} is active, and this name is immutable: nothing else may become active. Publish under a new \
             name (tag), or delete this one first, which needs `retire`."
        );
        Self::new(StatusCode::CONFLICT, Code::TagImmutable, detail)
            .with("version", active)
            .with("current", current.to_string())
    }

    pub(super) fn session_unknown() -> Self {
        let detail =
            "There is no such session. If there was one, it was given up, or not completed in time; begin a new one.";
        Self::new(StatusCode::NOT_FOUND, Code::VersionUnknown, detail)
    }

    pub(super) fn run_unknown(run: &str) -> Self {
        let detail = "There is no such run of the collector; GET /collector/runs lists those that are remembered.";
        Self::new(StatusCode::NOT_FOUND, Code::RunUnknown, detail).with("run", run.chars().take(80).collect::<String>())
    }

    pub(super) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, detail).denied(Denial::Missing)
    }

    pub(super) fn invalid_token(detail: &str) -> Self {
        Self::unauthorized(detail).denied(Denial::Unknown)
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, Code::Denied, detail).denied(Denial::Insufficient)
    }

    pub(super) fn precondition_required() -> Self {
        let detail = "Changes to this name must state what they expect: send If-Match with the ETag of the manifest \
                      you saw, or If-None-Match: * to create it.";
        Self::new(StatusCode::PRECONDITION_REQUIRED, Code::PreconditionRequired, detail)
    }

    pub(super) fn precondition_failed(current: Option<Digest>) -> Self {
        let detail = match current {
            Some(digest) => format!("The precondition does not hold: the current ETag is \"{digest}\"."),
            None => "The precondition does not hold: nothing is active under this name.".to_owned(),
        };
        Self::new(StatusCode::PRECONDITION_FAILED, Code::PreconditionFailed, detail)
            .with("current_etag", current.map(|digest| format!("\"{digest}\"")))
    }

    pub(super) fn too_large(limit: u64) -> Self {
        let detail = format!("The body is larger than {limit} bytes, which is the limit of this server.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, detail).with("limit", limit)
    }

    pub(super) fn range_not_satisfiable(size: u64) -> Self {
        let detail = format!("The range begins behind the end; the blob has {size} bytes.");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::RangeInvalid, detail)
            .with("size", size)
            .header(header::CONTENT_RANGE, &format!("bytes */{size}"))
    }

    pub(super) fn busy() -> Self {
        let detail = "The server is busy with other requests of this kind; try again shortly.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, detail).retry_after()
    }

    /// Something that is needed does not work at present; `why` is a sentence without a full stop.
    pub(super) fn unavailable(why: &str) -> Self {
        let detail = format!("{}; try again shortly.", services::sentence(why).trim_end_matches('.'));
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, detail).retry_after()
    }

    /// Others wait for the memory that a slow body takes.
    pub(super) fn slow_while_others_wait() -> Self {
        let detail = "The body arrived slowly while others waited for the memory that it takes. What is stored of it stays; \
                      try again shortly.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, detail).retry_after()
    }

    /// An internal error. `source` is logged, never sent.
    pub(super) fn internal(source: impl std::fmt::Display) -> Self {
        tracing::error!(error = %source, "internal error");
        let detail = "The server failed; its log has the reason under this request's id.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, detail)
    }

    /// HTTP status of the response.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code, for programs.
    pub(super) fn code(&self) -> &Code {
        &self.code
    }

    /// A full sentence, for people.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// Additional members, for programs.
    pub(super) fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// Why the request is not authorised; `None` for other errors.
    pub(super) fn denial(&self) -> Option<Denial> {
        self.denial
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, *self.headers.clone()).into_response();
        response.extensions_mut().insert(self);
        response
    }
}
