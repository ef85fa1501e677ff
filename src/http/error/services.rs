//! Mapping of domain, store and service errors to responses.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

use super::ApiError;
use crate::domain::head::Rejection;
use crate::domain::text::Escaped;
use crate::domain::{AnyDigest, Descriptor, DigestError, ManifestError, NameError, SelectorError, Subject, VersionRow};
use crate::protocol::{BlobError, ChangeError};
use crate::service::assets::{AssetError, Different, Incomplete};
use crate::service::{PublishError, ResolveError};
use crate::store::{StoreError, StoreErrorKind};
use crate::wire::Code;
use crate::wire::problem::WrongSize;

/// How many blobs of another size than stated an error names; the member `wrong_size` has all of them.
const SIZES_NAMED: usize = 3;

/// How many files an error names; its members have all of them.
pub(super) const FILES_NAMED: usize = 5;

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
                let detail = format!("The store is busy{}; try again shortly.", because(&error));
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, detail).retry_after()
            }
            StoreErrorKind::Full => {
                tracing::error!(%error, "the store is full");
                let because = because(&error);
                let detail =
                    format!("The store is full{because}; nothing was stored. Free or add space, then try again.");
                Self::new(StatusCode::INSUFFICIENT_STORAGE, Code::StoreFull, detail)
            }
            StoreErrorKind::Denied => {
                tracing::error!(%error, "the store refuses access");
                let because = because(&error);
                let detail = format!(
                    "The store refuses the server's access{because}; its operator has to correct the permissions."
                );
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::StoreDenied, detail)
            }
            StoreErrorKind::Unreadable => {
                tracing::error!(%error, "a stored object cannot be read");
                let detail = "The store holds something that cannot be read; its operator should run `larder verify`.";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::StoreCorrupt, detail)
            }
            StoreErrorKind::Corrupt | StoreErrorKind::Stray => {
                tracing::error!(%error, "the store is damaged");
                let detail = "The store holds damaged data; its operator should run `larder verify`.";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::StoreCorrupt, detail)
            }
            StoreErrorKind::ReadOnly => {
                tracing::warn!(%error, "refused to write");
                let because = because(&error);
                let detail = format!(
                    "This server may only read its store at present{because}, so nothing was changed; GET /readyz and \
                     the server's log say why."
                );
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

/// The operating system's reason in brackets, if there is one.
fn because(error: &StoreError) -> String {
    error.reason().map(|reason| format!(" ({reason})")).unwrap_or_default()
}

impl From<BlobError> for ApiError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::DigestMismatch { expected, actual } => digest_mismatch(&expected.into(), &actual.into()),
            BlobError::Sha512Mismatch { expected, actual } => {
                digest_mismatch(&AnyDigest::Sha512(*expected), &AnyDigest::Sha512(*actual))
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
            Rejection::NoOtherContent => {
                let detail = "Nothing with another content was active before, or it was retired: there is nothing to go \
                              back to. Promote a version by its number instead.";
                Self::new(StatusCode::NOT_FOUND, Code::VersionUnknown, detail)
            }
            Rejection::Deleted(deletion) => {
                let because = Some(&deletion.reason).filter(|reason| !reason.is_empty());
                let because = because.map(|reason| format!(" ({reason})")).unwrap_or_default();
                let detail = format!("This name was deleted at {:.0}{because}.", deletion.at);
                Self::deleted(detail, deletion.at, &deletion.by, deletion.reason)
            }
            Rejection::Retired(row) => Self::retired(&row),
            Rejection::WrongState { number, state } => {
                let detail = format!("Version {number} is {state}, which does not allow this.");
                Self::new(StatusCode::CONFLICT, Code::VersionState, detail)
                    .with("version", number)
                    .with("state", state.as_str())
            }
            Rejection::LabelTaken { label, number } => Self::label_taken(label, number),
            Rejection::TagImmutable { active, current } => Self::tag_immutable(active, current),
            Rejection::Draft(number) => {
                let detail =
                    format!("Version {number} is a draft, which is published by its version.json or not at all.");
                Self::new(StatusCode::CONFLICT, Code::VersionState, detail).with("version", number)
            }
            Rejection::Active(number) => Self::active(number),
            Rejection::Yanked(row) => Self::yanked(&row),
            Rejection::Pinned(number) => {
                let detail = format!("Version {number} is pinned; take the pin away first.");
                Self::new(StatusCode::CONFLICT, Code::VersionPinned, detail).with("version", number)
            }
            Rejection::RollsForward => Self::rolls_forward(),
            Rejection::Listed { number, catalog } => Self::listed(number, &catalog),
            Rejection::PinsFull(number) => {
                let detail = format!("Version {number} has as many pins as a version can have; take one away first.");
                Self::new(StatusCode::CONFLICT, Code::VersionPinned, detail).with("version", number)
            }
            Rejection::AttachmentsFull(number) => Self::attachments_full(number),
            Rejection::SignaturesMissing(missing) => Self::signatures_missing(*missing),
            Rejection::SerialBehind { version, serial, active, active_serial } => {
                Self::serial_behind((version, serial), (active, active_serial))
            }
        }
    }
}

impl ApiError {
    fn active(number: u64) -> Self {
        let detail = format!(
            "Version {number} is active. Promote another version first, or go back to the content before in the same step \
             with ?rollback=true (larder yank --rollback)."
        );
        Self::new(StatusCode::CONFLICT, Code::VersionState, detail).with("version", number).with("state", "active")
    }

    fn deleted(detail: String, at: Timestamp, by: &Subject, reason: String) -> Self {
        Self::new(StatusCode::GONE, Code::ManifestDeleted, detail)
            .with("deleted_at", at.to_string())
            .with("deleted_by", by.as_str())
            .with("reason", Some(reason).filter(|reason| !reason.is_empty()))
    }

    fn label_taken(label: String, number: u64) -> Self {
        let detail = format!(
            "The label {} is taken by version {number}, which has other content, and this name allows each label only once. \
             Nothing was published; publish it with a new label.",
            Escaped::new(&label),
        );
        Self::new(StatusCode::CONFLICT, Code::LabelTaken, detail).with("version", number).with("label", label)
    }

    fn yanked(row: &VersionRow) -> Self {
        let reason = row.yanked.as_deref().map(|yank| &*yank.reason);
        let instead = row.yanked.as_deref().and_then(|yank| yank.instead);
        let detail = format!(
            "Version {} is yanked{}, so it cannot become active{}. Take the yank away first (larder unyank).",
            row.number,
            reason.map(|why| format!(" ({why})")).unwrap_or_default(),
            instead.map(|number| format!("; version {number} is to be used instead")).unwrap_or_default(),
        );
        Self::new(StatusCode::CONFLICT, Code::VersionYanked, detail)
            .with("version", row.number)
            .with("reason", reason)
            .with("instead", instead)
    }

    fn retired(row: &VersionRow) -> Self {
        let (at, reason) = (row.retired_at.map(|time| time.to_string()), row.retired_because.clone());
        let detail = format!(
            "Version {} was retired{}{}; its content is gone, its row stays for the record.",
            row.number,
            row.retired_at.map(|at| format!(" at {at:.0}")).unwrap_or_default(),
            reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default(),
        );
        Self::new(StatusCode::GONE, Code::VersionRetired, detail)
            .with("version", row.number)
            .with("retired_at", at)
            .with("retired_by", row.retired_by.as_ref().map(Subject::as_str))
            .with("reason", reason)
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Manifest(error) => error.into(),
            PublishError::TooLarge { limit } => Self::too_large(limit),
            PublishError::Blobs { missing, wrong_size, unresolved } => {
                let missing: Vec<String> = missing.iter().map(|blob| blob.digest.to_string()).collect();
                let missing = [missing, unresolved.iter().map(ToString::to_string).collect()].concat();
                let (code, detail) = blobs_detail(missing.len(), &wrong_size);
                let wrong_size = wrong_size.iter().map(|(blob, actual)| {
                    let wrong = WrongSize { digest: blob.digest, expected: blob.size, actual: *actual };
                    serde_json::to_value(wrong).unwrap_or_default()
                });
                Self::new(StatusCode::CONFLICT, code, detail)
                    .with("missing", missing)
                    .with("wrong_size", wrong_size.collect::<Vec<_>>())
            }
            PublishError::Catalog(problems) => Self::catalog(&problems),
            PublishError::Busy => Self::busy(),
            PublishError::NotFounder(name) => Self::not_founder(&name),
            PublishError::Parts(error) => error.into(),
            PublishError::Immutable(error) => error.into(),
            PublishError::Change(error) => error.into(),
        }
    }
}

impl From<ResolveError> for ApiError {
    fn from(error: ResolveError) -> Self {
        let detail = sentence(&error.to_string());
        match error {
            ResolveError::NoSuchName(_) => Self::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, detail),
            ResolveError::OnlyStaged { staged, .. } => {
                Self::new(StatusCode::NOT_FOUND, Code::VersionUnknown, detail).with("version", staged)
            }
            ResolveError::NoSuchLabel { highest, .. } => Self::new(StatusCode::NOT_FOUND, Code::VersionUnknown, detail)
                .with("labels", highest.iter().map(ToString::to_string).collect::<Vec<_>>()),
            ResolveError::NoSuchVersion(_) | ResolveError::NotPublished(_) | ResolveError::UnknownState { .. } => {
                Self::new(StatusCode::NOT_FOUND, Code::VersionUnknown, detail)
            }
            ResolveError::NoSuchFile { .. } => Self::new(StatusCode::NOT_FOUND, Code::FileUnknown, detail),
            ResolveError::Deleted { at, by, reason, .. } => Self::deleted(detail, at, &by, reason),
            ResolveError::Retired(row) => Self::retired(&row),
            ResolveError::Store(error) => error.into(),
        }
    }
}

impl From<AssetError> for ApiError {
    fn from(error: AssetError) -> Self {
        match error {
            AssetError::Sum { expected, actual } => {
                let detail = match actual {
                    Some(actual) => {
                        format!("The file that was sent has the digest {actual}, not {expected}; send it again.")
                    }
                    None => "There is no such file to compare with; send it before its digest.".to_owned(),
                };
                Self::new(StatusCode::CONFLICT, Code::DigestInvalid, detail)
                    .with("expected", expected.to_string())
                    .with("actual", actual.map(|actual| actual.to_string()))
            }
            AssetError::Incomplete(lacks) => Self::incomplete(&lacks),
            AssetError::Blob(error) => error.into(),
            AssetError::Publish(error) => error.into(),
            AssetError::Resolve(error) => error.into(),
        }
    }
}

impl ApiError {
    fn incomplete(Incomplete { absent, differ }: &Incomplete) -> Self {
        let names: Vec<_> = absent.iter().map(|(name, _)| name).chain(differ.iter().map(|one| &one.name)).collect();
        let listed: Vec<_> = names.iter().take(FILES_NAMED).map(|name| name.as_str()).collect();
        let more = names.len().saturating_sub(FILES_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let detail = format!(
            "Nothing was published: of the files that version.json lists, {} were never sent and {} are other ones than \
             it says ({}{more}). Send them, then version.json again.",
            absent.len(),
            differ.len(),
            listed.join(", "),
        );
        let absent =
            absent.iter().map(|(name, blob)| json!({"name": name, "sha256": blob.digest.hex(), "size": blob.size}));
        let differ = differ.iter().map(|Different { name, expected, expected_size, actual, actual_size }| {
            let expected = json!({"sha256": expected.hex(), "size": expected_size});
            json!({"name": name, "expected": expected, "actual": {"sha256": actual.hex(), "size": actual_size}})
        });
        Self::new(StatusCode::CONFLICT, Code::ManifestBlobUnknown, detail)
            .with("absent", absent.collect::<Vec<_>>())
            .with("differ", differ.collect::<Vec<_>>())
    }
}

fn digest_mismatch(expected: &AnyDigest, actual: &AnyDigest) -> ApiError {
    let detail = format!("The bytes received have the digest {actual}, not {expected}; nothing was stored.");
    let error = ApiError::bad_request(Code::DigestInvalid, detail);
    error.with("expected", expected.to_string()).with("actual", actual.to_string())
}

/// Code and text for blobs that a manifest cannot be published with: some must be uploaded, or its sizes are wrong.
fn blobs_detail(missing: usize, wrong_size: &[(Descriptor, u64)]) -> (Code, String) {
    let mut sizes: Vec<String> = wrong_size
        .iter()
        .take(SIZES_NAMED)
        .map(|(blob, actual)| format!("{} has {actual} bytes, but the manifest says {}", blob.digest, blob.size))
        .collect();
    if wrong_size.len() > SIZES_NAMED {
        sizes.push(format!("{} more have another size than it says", wrong_size.len() - SIZES_NAMED));
    }
    let upload = format!("{missing} blobs of the manifest must be uploaded first");
    match (missing == 0, sizes.is_empty()) {
        (true, _) => (Code::SizeInvalid, format!("Blob {}; nothing was published.", sizes.join("; blob "))),
        (false, true) => (Code::ManifestBlobUnknown, format!("{upload}; nothing was published.")),
        (false, false) => {
            (Code::ManifestBlobUnknown, format!("{upload}, and {}; nothing was published.", sizes.join("; ")))
        }
    }
}

/// The text of an error as a full sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}
