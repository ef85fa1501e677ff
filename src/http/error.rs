//! The one error boundary: every service error becomes a status, a stable code and a sentence for people.
//!
//! Bodies are problem details (RFC 9457). They are rendered in the outermost layer, which knows the request id.

use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::domain::head::Rejection;
use crate::domain::{Digest, DigestError, ManifestError, NameError, SelectorError, VersionRow};
use crate::protocol::{BlobError, ChangeError};
use crate::service::versions::CopyError;
use crate::service::{PublishError, ResolveError};
use crate::store::{StoreError, StoreErrorKind};

/// Seconds after which a client should try again when the store or the name is busy.
const RETRY_AFTER: u32 = 2;

/// An answer that says what went wrong and what to do about it.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    detail: String,
    members: Map<String, Value>,
    /// Boxed to keep every `Result` of a handler small.
    headers: Box<HeaderMap>,
}

impl ApiError {
    /// An error of a stable `code`. `detail` is a full sentence for the client's eyes.
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), members: Map::new(), headers: Box::default() }
    }

    /// Adds a member that a program can act on.
    #[must_use]
    pub(super) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub(super) fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    fn retry_after(self) -> Self {
        self.with("retry_after", RETRY_AFTER).header(header::RETRY_AFTER, &RETRY_AFTER.to_string())
    }

    pub(super) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(super) fn no_route() -> Self {
        let detail = "There is nothing at this address; GET / lists what this server offers.";
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", detail)
    }

    /// For resources whose methods the router does not know.
    pub(super) fn method_not_allowed_but(allow: &str) -> Self {
        Self::method_not_allowed().header(header::ALLOW, allow)
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "This method is not allowed here; the Allow header lists those that are.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", detail)
    }

    pub(super) fn blob_unknown(digest: Digest) -> Self {
        Self::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", format!("There is no blob {digest}."))
            .with("digest", digest.to_string())
    }

    pub(super) fn session_unknown() -> Self {
        let detail =
            "There is no such session. If there was one, it was given up, or not completed in time; begin a new one.";
        Self::new(StatusCode::NOT_FOUND, "VERSION_UNKNOWN", detail)
    }

    pub(super) fn run_unknown(run: &str) -> Self {
        let detail = "There is no such run of the collector; GET /collector/runs lists those that are remembered.";
        Self::new(StatusCode::NOT_FOUND, "RUN_UNKNOWN", detail).with("run", run.chars().take(80).collect::<String>())
    }

    pub(super) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", detail)
            .header(header::WWW_AUTHENTICATE, "Bearer realm=\"larder\"")
    }

    pub(super) fn invalid_token() -> Self {
        Self::unauthorized("The token is not known to this server.")
            .header(header::WWW_AUTHENTICATE, "Bearer realm=\"larder\", error=\"invalid_token\"")
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "DENIED", detail)
            .header(header::WWW_AUTHENTICATE, "Bearer realm=\"larder\", error=\"insufficient_scope\"")
    }

    pub(super) fn precondition_required() -> Self {
        let detail = "Changes to this name must state what they expect: send If-Match with the ETag of the manifest \
                      you saw, or If-None-Match: * to create it.";
        Self::new(StatusCode::PRECONDITION_REQUIRED, "PRECONDITION_REQUIRED", detail)
    }

    pub(super) fn precondition_failed(current: Option<Digest>) -> Self {
        let detail = match current {
            Some(digest) => format!("The precondition does not hold: the current ETag is \"{digest}\"."),
            None => "The precondition does not hold: nothing is active under this name.".to_owned(),
        };
        Self::new(StatusCode::PRECONDITION_FAILED, "PRECONDITION_FAILED", detail)
            .with("current_etag", current.map(|digest| format!("\"{digest}\"")))
    }

    pub(super) fn too_large(limit: u64) -> Self {
        let detail = format!("The body is larger than {limit} bytes, which is the limit of this server.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", detail).with("limit", limit)
    }

    pub(super) fn range_not_satisfiable(size: u64) -> Self {
        let detail = format!("The range begins behind the end; the blob has {size} bytes.");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID", detail)
            .with("size", size)
            .header(header::CONTENT_RANGE, &format!("bytes */{size}"))
    }

    pub(super) fn too_slow(detail: &str) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "TIMEOUT", detail).header(header::CONNECTION, "close")
    }

    pub(super) fn busy() -> Self {
        let detail = "The server is busy with other requests of this kind; try again shortly.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", detail).retry_after()
    }

    /// A failure of ours. `source` is logged, never sent.
    pub(super) fn internal(source: impl std::fmt::Display) -> Self {
        tracing::error!(error = %source, "internal error");
        let detail = "The server failed; its log has the reason under this request's id.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", detail)
    }

    /// The status that the client gets.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The problem details as they are sent.
    pub(super) fn render(&self, request_id: Option<&str>) -> Value {
        let mut body = self.members.clone();
        let slug = self.code.to_ascii_lowercase().replace('_', "-");
        let title = self.status.canonical_reason().unwrap_or("Error");
        // Problems that a standard gives a type to bring it along.
        body.entry("type").or_insert_with(|| json!(format!("urn:larder:problem:{slug}")));
        body.insert("title".into(), json!(title));
        body.insert("status".into(), json!(self.status.as_u16()));
        body.insert("code".into(), json!(self.code));
        body.insert("detail".into(), json!(self.detail));
        if let Some(id) = request_id {
            body.insert("instance".into(), json!(format!("urn:larder:request:{id}")));
        }
        Value::Object(body)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, *self.headers.clone()).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<DigestError> for ApiError {
    fn from(error: DigestError) -> Self {
        Self::bad_request("DIGEST_INVALID", format!("This is not a digest: {error}."))
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::bad_request("NAME_INVALID", format!("This is not a legal name: {error}."))
    }
}

impl From<SelectorError> for ApiError {
    fn from(error: SelectorError) -> Self {
        match error {
            SelectorError::Name(error) => error.into(),
            SelectorError::Selector(_) => Self::bad_request("SELECTOR_INVALID", format!("{error}.")),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error.kind {
            StoreErrorKind::Unavailable => {
                tracing::warn!(%error, "the store is not available");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "The store is busy; try again shortly.")
                    .retry_after()
            }
            StoreErrorKind::Full => {
                tracing::error!(%error, "the store is full");
                let detail = "The store is full; nothing was stored. Free or add space, then try again.";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "STORE_FULL", detail)
            }
            StoreErrorKind::Denied => {
                tracing::error!(%error, "the store refuses access");
                let detail = "The store refuses the server's access; its operator has to mend the permissions.";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "STORE_DENIED", detail)
            }
            StoreErrorKind::Corrupt | StoreErrorKind::Stray => {
                tracing::error!(%error, "the store is damaged");
                let detail = "The store holds damaged data; its operator should run `larder verify`.";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "STORE_CORRUPT", detail)
            }
            StoreErrorKind::Internal => Self::internal(error),
        }
    }
}

impl From<BlobError> for ApiError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::DigestMismatch { expected, actual } => {
                let detail =
                    format!("The bytes received have the digest {actual}, not {expected}; nothing was stored.");
                Self::bad_request("DIGEST_INVALID", detail)
                    .with("expected", expected.to_string())
                    .with("actual", actual.to_string())
            }
            BlobError::SizeMismatch { announced, received } => {
                let detail = format!("{announced} bytes were announced, {received} received; nothing was stored.");
                Self::bad_request("SIZE_INVALID", detail).with("expected", announced).with("actual", received)
            }
            BlobError::Store(error) => error.into(),
        }
    }
}

impl From<ManifestError> for ApiError {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Malformed(_) => Self::bad_request("MANIFEST_INVALID", format!("{error}.")),
            ManifestError::Invalid(problems) => {
                let detail = format!("The manifest is not valid: {}.", problems.join("; "));
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "MANIFEST_INVALID", detail).with("problems", problems)
            }
        }
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Rejected(rejection) => rejection.into(),
            ChangeError::Contended => {
                let detail = "Others are changing this name at the same time; try again shortly.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", detail).retry_after()
            }
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Precondition { current } => Self::precondition_failed(current),
            Rejection::NoSuchVersion => {
                Self::new(StatusCode::NOT_FOUND, "VERSION_UNKNOWN", "There is no such name or version.")
            }
            Rejection::Retired(row) => Self::retired(&row),
            Rejection::WrongState { number, state } => {
                let state = format!("{state:?}").to_ascii_lowercase();
                let detail = format!("Version {number} is {state}, which does not allow this.");
                Self::new(StatusCode::CONFLICT, "VERSION_STATE", detail).with("version", number).with("state", state)
            }
            Rejection::Pinned(number) => {
                let detail = format!("Version {number} is pinned; take the pin away first.");
                Self::new(StatusCode::CONFLICT, "VERSION_PINNED", detail).with("version", number)
            }
        }
    }
}

impl ApiError {
    fn retired(row: &VersionRow) -> Self {
        let (at, reason) = (row.retired_at.map(|time| time.to_string()), row.retired_because.clone());
        let detail = format!(
            "Version {} was retired{}{}; its content is gone, its row stays for the record.",
            row.number,
            at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default(),
            reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default(),
        );
        Self::new(StatusCode::GONE, "VERSION_RETIRED", detail)
            .with("version", row.number)
            .with("retired_at", at)
            .with("reason", reason)
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Manifest(error) => error.into(),
            PublishError::TooLarge { limit } => Self::too_large(limit),
            PublishError::Blobs { missing, wrong_size } => {
                let detail = format!(
                    "The manifest refers to {} blobs that must be uploaded first and to {} whose size is another than it \
                     says; nothing was published.",
                    missing.len(),
                    wrong_size.len()
                );
                let missing: Vec<Value> = missing.iter().map(|blob| json!(blob.digest)).collect();
                let wrong_size: Vec<Value> = wrong_size
                    .iter()
                    .map(|(blob, actual)| json!({"digest": blob.digest, "expected": blob.size, "actual": actual}))
                    .collect();
                Self::new(StatusCode::CONFLICT, "MANIFEST_BLOB_UNKNOWN", detail)
                    .with("missing", missing)
                    .with("wrong_size", wrong_size)
            }
            PublishError::Change(error) => error.into(),
        }
    }
}

impl From<ResolveError> for ApiError {
    fn from(error: ResolveError) -> Self {
        let detail = sentence(&error.to_string());
        match error {
            ResolveError::NoSuchName(_) => Self::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", detail),
            ResolveError::NoSuchVersion(_) | ResolveError::NotPublished(_) => {
                Self::new(StatusCode::NOT_FOUND, "VERSION_UNKNOWN", detail)
            }
            ResolveError::NoSuchFile { .. } => Self::new(StatusCode::NOT_FOUND, "FILE_UNKNOWN", detail),
            ResolveError::Deleted { at, reason, .. } => Self::new(StatusCode::GONE, "MANIFEST_DELETED", detail)
                .with("deleted_at", at.to_string())
                .with("reason", reason),
            ResolveError::Retired(row) => Self::retired(&row),
            ResolveError::Store(error) => error.into(),
        }
    }
}

impl From<CopyError> for ApiError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::From(error) => error.into(),
            CopyError::To(error) => error.into(),
        }
    }
}

/// An error's text as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}
