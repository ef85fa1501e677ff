//! Errors as the distribution specification has them: `{"errors": [{code, message, detail}]}`.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use serde_json::{Value, json};

use super::API_VERSION;
use crate::domain::text::escape_json;
use crate::http::error::ApiError;
use crate::http::request_id::RequestId;
use crate::wire::Code;

/// Renders an error. `detail` has what the native surface sends as members of a problem.
pub(super) fn render(error: &ApiError, id: &RequestId) -> Response {
    let mut detail = error.members().clone();
    detail.insert("code".to_owned(), error.code().as_str().into());
    detail.insert("request".to_owned(), id.as_str().into());
    let one = json!({"code": code(error), "message": error.detail(), "detail": Value::Object(detail)});
    let body = escape_json(&json!({"errors": [one]}).to_string()).into_owned();
    let length = body.len();
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.extend([API_VERSION]);
    response
}

/// The error with the status that registry clients expect for it: they know neither 410 nor 422, and repeat a 409.
pub(super) fn as_registry(error: ApiError) -> ApiError {
    let status = match (error.status(), error.code()) {
        (StatusCode::GONE, _) => StatusCode::NOT_FOUND,
        (StatusCode::CONFLICT, Code::ManifestBlobUnknown | Code::SizeInvalid)
        | (StatusCode::UNPROCESSABLE_ENTITY, _) => StatusCode::BAD_REQUEST,
        (StatusCode::CONFLICT | StatusCode::PRECONDITION_REQUIRED, _) => StatusCode::FORBIDDEN,
        (status, _) => status,
    };
    error.with_status(status)
}

/// The code of the specification for an error. Clients decide by it whether to repeat a request.
fn code(error: &ApiError) -> &str {
    match error.code() {
        Code::UploadUnknown => "BLOB_UPLOAD_UNKNOWN",
        Code::UploadInvalid | Code::UploadOffset | Code::UploadComplete | Code::RangeInvalid => "BLOB_UPLOAD_INVALID",
        Code::ManifestDeleted | Code::VersionRetired | Code::VersionUnknown | Code::FileUnknown => "MANIFEST_UNKNOWN",
        Code::PreconditionRequired
        | Code::PreconditionFailed
        | Code::VersionPinned
        | Code::VersionState
        | Code::VersionYanked
        | Code::ImmutableChanged
        | Code::LabelTaken
        | Code::TagImmutable
        | Code::ListedInCatalog
        | Code::CatalogRollsForward => "DENIED",
        Code::MethodNotAllowed | Code::NotFound => "UNSUPPORTED",
        code if error.status() == StatusCode::SERVICE_UNAVAILABLE => match code {
            Code::Unavailable => "UNAVAILABLE",
            _ => "UNKNOWN",
        },
        code if error.status().is_server_error() => match code {
            Code::StoreFull => "DENIED",
            _ => "UNKNOWN",
        },
        code => code.as_str(),
    }
}
