//! Errors of resumable uploads as problem details. Those that the draft defines have its types and members.

use axum::http::StatusCode;
use axum::http::header::HeaderName;

use crate::http::error::ApiError;
use crate::protocol::UploadError;
use crate::wire::{Code, headers};

/// Prefix of the problem types registered by the draft.
const REGISTRY: &str = "https://iana.org/assignments/http-problem-types#";

impl ApiError {
    fn registered(self, kind: &str) -> Self {
        self.with("type", format!("{REGISTRY}{kind}"))
    }

    /// There is no upload with this id, or no longer.
    pub(in crate::http) fn upload_unknown() -> Self {
        let detail = "There is no such upload. If there was one, it was given up, or nothing was appended to it for too \
                      long; begin a new one with POST /uploads.";
        Self::new(StatusCode::NOT_FOUND, Code::UploadUnknown, detail)
    }

    /// A header that resumable uploads require is missing or malformed.
    pub(in crate::http) fn upload_header(name: &HeaderName, form: &str) -> Self {
        let detail = format!("The header {name} must be {form}.");
        Self::bad_request(Code::UploadInvalid, detail).with("header", name.as_str())
    }

    /// The digest must be stated when an upload is created.
    pub(in crate::http) fn upload_without_digest() -> Self {
        let detail = "State the digest of the whole blob to begin an upload: as POST /uploads?digest=sha256:HEX, or in the \
                      header Repr-Digest.";
        Self::bad_request(Code::DigestInvalid, detail)
    }

    pub(in crate::http) fn upload_media_type() -> Self {
        let detail = "Append with Content-Type: application/partial-upload.";
        let error = Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Unsupported, detail);
        error.header(HeaderName::from_static(headers::ACCEPT_PATCH), headers::PARTIAL_UPLOAD)
    }

    /// The stated offset is not the end of the upload.
    pub(in crate::http) fn upload_offset(expected: u64, provided: u64) -> Self {
        let detail = format!("The upload has {expected} bytes; continue from there, not from {provided}.");
        Self::upload_moved(detail)
            .with("expected-offset", expected)
            .with("provided-offset", provided)
            .header(HeaderName::from_static(headers::UPLOAD_OFFSET), &expected.to_string())
    }

    fn upload_moved(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, Code::UploadOffset, detail).registered("mismatching-upload-offset")
    }

    /// The blob is stored, so nothing can be appended.
    pub(in crate::http) fn upload_complete() -> Self {
        let detail = "The upload is complete; its blob is stored.";
        Self::bad_request(Code::UploadComplete, detail).registered("completed-upload")
    }

    /// The stated length contradicts an earlier statement.
    pub(in crate::http) fn upload_length(stated: u64, other: u64) -> Self {
        let detail =
            format!("The length {stated} contradicts {other}, which was stated before or follows from the body.");
        Self::bad_request(Code::SizeInvalid, detail)
            .registered("inconsistent-upload-length")
            .with("expected", stated)
            .with("actual", other)
    }

    /// The upload belongs to another subject.
    pub(in crate::http) fn upload_of_another() -> Self {
        Self::forbidden(
            "This upload was begun with another token; only that one, or one that grants `admin`, may continue it.",
        )
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        let gone = |detail: &str| Self::new(StatusCode::GONE, Code::UploadUnknown, detail);
        match error {
            UploadError::Gone => gone(
                "The upload is gone: it was given up, or nothing was appended to it for too long. Begin a new one with \
                 POST /uploads.",
            ),
            UploadError::Foreign => gone(
                "The upload was begun by another version of the server, and this one cannot continue it. Begin a new \
                 one with POST /uploads.",
            ),
            UploadError::Moved => Self::upload_moved(
                "Another request appends to this upload too. Ask with HEAD where it is, and continue there.",
            ),
            UploadError::Unfilled { offset, part_size } => {
                let detail = format!(
                    "An append that does not complete the upload must be a multiple of {part_size} bytes. The upload has \
                     {offset} bytes; continue from there."
                );
                Self::bad_request(Code::SizeInvalid, detail)
                    .with("expected-offset", offset)
                    .with("part_size", part_size)
                    .header(HeaderName::from_static(headers::UPLOAD_OFFSET), &offset.to_string())
            }
            UploadError::TooLarge { limit } => Self::too_large(limit),
            UploadError::Busy => Self::busy(),
            UploadError::TooSlow => Self::slow_while_others_wait(),
            UploadError::Blob(error) => error.into(),
        }
    }
}
