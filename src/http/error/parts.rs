//! Mapping of errors of releases that are made of parts to responses.

use axum::http::StatusCode;

use super::ApiError;
use crate::domain::manifest::parts::ComposeError;
use crate::service::publish::PartsError;
use crate::wire::Code;

impl From<PartsError> for ApiError {
    fn from(error: PartsError) -> Self {
        match error {
            PartsError::Differ { begun, stated } => {
                let detail = format!(
                    "The release with this label was begun with the parts {}, not {}. All jobs must state the same parts; \
                     give the release up to begin it with others.",
                    begun.join(", "),
                    stated.join(", ")
                );
                Self::new(StatusCode::CONFLICT, Code::PartsConflict, detail).with("parts", begun)
            }
            PartsError::Unknown { part, parts } => {
                let part: String = part.chars().take(80).collect();
                let detail = format!("The release has no part {part:?}; its parts are {}.", parts.join(", "));
                Self::new(StatusCode::NOT_FOUND, Code::PartUnknown, detail).with("parts", parts)
            }
            PartsError::NotParts(number) => {
                let detail = format!("Version {number} is not made of parts.");
                Self::new(StatusCode::CONFLICT, Code::VersionState, detail).with("version", number)
            }
            PartsError::Complete(number) => {
                let detail = format!(
                    "Version {number} has been completed with other files than these. Publish them with another label."
                );
                Self::new(StatusCode::CONFLICT, Code::VersionState, detail).with("version", number)
            }
            PartsError::Compose(error) => error.into(),
        }
    }
}

impl From<ComposeError> for ApiError {
    fn from(error: ComposeError) -> Self {
        match error {
            ComposeError::Missing(parts) => {
                let detail = format!("Nothing was published yet: the release still waits for {}.", parts.join(", "));
                Self::new(StatusCode::CONFLICT, Code::PartsMissing, detail).with("missing_parts", parts)
            }
            ComposeError::File { file, parts: [one, other] } => {
                let detail = format!(
                    "The file {file} is in both parts {one} and {other}; a release has it once. Name it otherwise in one \
                     of them."
                );
                Self::new(StatusCode::CONFLICT, Code::PartsConflict, detail)
                    .with("file", file.as_str())
                    .with("parts", vec![one, other])
            }
            ComposeError::Member { member, parts: [one, other] } => {
                let member: String = member.chars().take(80).collect();
                let detail = format!("The parts {one} and {other} disagree about `{member}`; a release says it once.");
                Self::new(StatusCode::CONFLICT, Code::PartsConflict, detail)
                    .with("member", member)
                    .with("parts", vec![one, other])
            }
        }
    }
}
