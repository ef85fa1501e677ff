//! Mapping of domain, store and service errors to responses.

use axum::http::StatusCode;
use jiff::Timestamp;

use super::ApiError;
use crate::domain::head::Rejection;
use crate::domain::{DigestError, ManifestError, NameError, SelectorError, VersionRow};
use crate::protocol::{BlobError, ChangeError};
use crate::service::versions::CopyError;
use crate::service::{PublishError, ResolveError};
use crate::store::{StoreError, StoreErrorKind};
use crate::wire::Code;
use crate::wire::problem::WrongSize;

impl From<DigestError> for ApiError {
    fn from(error: DigestError) -> Self {
        Self::bad_request(Code::DigestInvalid, format!("This is not a digest: {error}."))
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::bad_request(Code::NameInvalid, format!("This is not a legal name: {error}."))
    }
}

impl From<SelectorError> for ApiError {
    fn from(error: SelectorError) -> Self {
        match error {
            SelectorError::Name(error) => error.into(),
            SelectorError::Selector(_) => Self::bad_request(Code::SelectorInvalid, format!("{error}.")),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error.kind {
            StoreErrorKind::Unavailable => {
                tracing::warn!(%error, "the store is not available");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "The store is busy; try again shortly.")
                    .retry_after()
            }
            StoreErrorKind::Full => {
                tracing::error!(%error, "the store is full");
                let detail = "The store is full; nothing was stored. Free or add space, then try again.";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, Code::StoreFull, detail)
            }
            StoreErrorKind::Denied => {
                tracing::error!(%error, "the store refuses access");
                let detail = "The store refuses the server's access; its operator has to correct the permissions.";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::StoreDenied, detail)
            }
            StoreErrorKind::Corrupt | StoreErrorKind::Stray => {
                tracing::error!(%error, "the store is damaged");
                let detail = "The store holds damaged data; its operator should run `larder verify`.";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::StoreCorrupt, detail)
            }
            StoreErrorKind::ReadOnly => {
                tracing::warn!(%error, "refused to write");
                let detail = "This server may only read its store at present, so nothing was changed; GET /readyz and \
                              the server's log say why.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::StoreReadOnly, detail)
            }
            StoreErrorKind::Newer => {
                tracing::error!(%error, "the store was written by a newer larder");
                let detail =
                    "This was written by a newer larder than this server; its operator has to install a newer one.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::StoreTooNew, detail)
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
                Self::bad_request(Code::DigestInvalid, detail)
                    .with("expected", expected.to_string())
                    .with("actual", actual.to_string())
            }
            BlobError::SizeMismatch { announced, received } => {
                let detail = format!("{announced} bytes were announced, {received} received; nothing was stored.");
                Self::bad_request(Code::SizeInvalid, detail).with("expected", announced).with("actual", received)
            }
            BlobError::Store(error) => error.into(),
        }
    }
}

impl From<ManifestError> for ApiError {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Malformed(_) => Self::bad_request(Code::ManifestInvalid, format!("{error}.")),
            ManifestError::Invalid(problems) => {
                let detail = format!("The manifest is not valid: {}.", problems.join("; "));
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, Code::ManifestInvalid, detail).with("problems", problems)
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
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, detail).retry_after()
            }
            ChangeError::ClockSkew(_) => {
                tracing::error!(%error, "refused to change a name");
                let detail = format!(
                    "{} Nothing was changed; the server's operator has to set its clock.",
                    sentence(&error.to_string())
                );
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::ClockSkew, detail)
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
                Self::new(StatusCode::NOT_FOUND, Code::VersionUnknown, "There is no such name or version.")
            }
            Rejection::Deleted(deletion) => {
                let detail = format!("This name was deleted at {} ({}).", deletion.at, deletion.reason);
                Self::deleted(detail, deletion.at, deletion.reason)
            }
            Rejection::Retired(row) => Self::retired(&row),
            Rejection::WrongState { number, state } => {
                let detail = format!("Version {number} is {state}, which does not allow this.");
                Self::new(StatusCode::CONFLICT, Code::VersionState, detail)
                    .with("version", number)
                    .with("state", state.as_str())
            }
            Rejection::Pinned(number) => {
                let detail = format!("Version {number} is pinned; take the pin away first.");
                Self::new(StatusCode::CONFLICT, Code::VersionPinned, detail).with("version", number)
            }
            Rejection::PinsFull(number) => {
                let detail = format!("Version {number} has as many pins as a version can have; take one away first.");
                Self::new(StatusCode::CONFLICT, Code::VersionPinned, detail).with("version", number)
            }
        }
    }
}

impl ApiError {
    fn deleted(detail: String, at: Timestamp, reason: String) -> Self {
        Self::new(StatusCode::GONE, Code::ManifestDeleted, detail)
            .with("deleted_at", at.to_string())
            .with("reason", reason)
    }

    fn retired(row: &VersionRow) -> Self {
        let (at, reason) = (row.retired_at.map(|time| time.to_string()), row.retired_because.clone());
        let detail = format!(
            "Version {} was retired{}{}; its content is gone, its row stays for the record.",
            row.number,
            at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default(),
            reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default(),
        );
        Self::new(StatusCode::GONE, Code::VersionRetired, detail)
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
                let missing: Vec<String> = missing.iter().map(|blob| blob.digest.to_string()).collect();
                let wrong_size = wrong_size.iter().map(|(blob, actual)| {
                    let wrong = WrongSize { digest: blob.digest, expected: blob.size, actual: *actual };
                    serde_json::to_value(wrong).unwrap_or_default()
                });
                Self::new(StatusCode::CONFLICT, Code::ManifestBlobUnknown, detail)
                    .with("missing", missing)
                    .with("wrong_size", wrong_size.collect::<Vec<_>>())
            }
            PublishError::Change(error) => error.into(),
        }
    }
}

impl From<ResolveError> for ApiError {
    fn from(error: ResolveError) -> Self {
        let detail = sentence(&error.to_string());
        match error {
            ResolveError::NoSuchName(_) => Self::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, detail),
            ResolveError::NoSuchVersion(_) | ResolveError::NotPublished(_) | ResolveError::UnknownState { .. } => {
                Self::new(StatusCode::NOT_FOUND, Code::VersionUnknown, detail)
            }
            ResolveError::NoSuchFile { .. } => Self::new(StatusCode::NOT_FOUND, Code::FileUnknown, detail),
            ResolveError::Deleted { at, reason, .. } => Self::deleted(detail, at, reason),
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

/// The text of an error as a full sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}
