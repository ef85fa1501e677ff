//! Errors of attachments, and of policies that require signatures.

use axum::http::StatusCode;
use serde_json::json;

use super::ApiError;
use super::services::sentence;
use crate::domain::attestation::{AttachmentError, MAX_ATTACHMENTS, MAX_BY_SUBJECT};
use crate::domain::head::SignaturesMissing;
use crate::service::AttachError;
use crate::wire::Code;

impl From<AttachmentError> for ApiError {
    fn from(error: AttachmentError) -> Self {
        match error {
            AttachmentError::TooLarge { limit } => Self::too_large(limit),
            AttachmentError::Empty | AttachmentError::Signature(_) => {
                let detail = format!("This cannot be attached: {error}.");
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, Code::AttachmentInvalid, detail)
            }
        }
    }
}

impl From<AttachError> for ApiError {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::Invalid(error) => error.into(),
            AttachError::Resolve(error) => error.into(),
            AttachError::Change(error) => error.into(),
        }
    }
}

impl ApiError {
    pub(super) fn attachments_full(version: u64) -> Self {
        let detail = format!(
            "Nothing more can be attached to version {version}: a version has at most {MAX_ATTACHMENTS} attachments, \
             {MAX_BY_SUBJECT} of them by one subject."
        );
        Self::new(StatusCode::CONFLICT, Code::AttachmentsFull, detail).with("version", version)
    }

    pub(super) fn signatures_missing(SignaturesMissing { version, need, have, refused }: SignaturesMissing) -> Self {
        let keys: Vec<String> = have.iter().map(ToString::to_string).collect();
        let why: Vec<String> = refused.iter().map(|refused| sentence(&refused.why.to_string())).collect();
        let why = if why.is_empty() { String::new() } else { format!(" Not counted: {}", why.join(" ")) };
        let detail = format!(
            "Version {version} needs signatures of {need} of the keys and identities of this name's policy to become active, and \
             has {}. Stage it, sign it, then promote it.{why}",
            keys.len(),
        );
        let refused = refused.iter().map(|one| json!({"digest": one.signature, "why": one.why.to_string()}));
        Self::new(StatusCode::CONFLICT, Code::SignaturesMissing, detail)
            .with("version", version)
            .with("need", need)
            .with("have", keys)
            .with("refused", refused.collect::<Vec<_>>())
    }

    pub(super) fn serial_behind((version, serial): (u64, u64), (active, active_serial): (u64, u64)) -> Self {
        let detail = format!(
            "Version {version} is signed with the serial {serial}, below {active_serial} of version {active}, which is active or was: \
             verifying clients would refuse it as a step back. Sign it with a higher serial."
        );
        Self::new(StatusCode::CONFLICT, Code::SerialBehind, detail)
            .with("version", version)
            .with("serial", serial)
            .with("active", active)
            .with("active_serial", active_serial)
    }
}
