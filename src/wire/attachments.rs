//! Signatures and other statements that are attached to versions.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::attestation::{self, Role};
use crate::domain::{Digest, FileName, ManifestName, Subject};

/// Something that is attached to a version. The server has not verified it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attachment {
    /// Digest of its bytes.
    #[schemars(with = "schema::Digest")]
    pub digest: Digest,
    /// Number of bytes.
    pub size: u64,
    /// Media type.
    pub media_type: String,
    /// What it is: `signature`, `provenance`, `sbom` or `notes`. Later versions of the server may add others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub role: Option<Role>,
    /// The file that it is about; absent if it is about the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub file: Option<FileName>,
    /// Who attached it, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::SubjectText")]
    pub by: Option<Subject>,
    /// When it was attached, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub at: Option<Timestamp>,
    /// For a signature of minisign: the id of the key that it claims to be made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("pattern" = "^[0-9A-F]{16}$"))]
    pub key: Option<String>,
    /// For a signature of minisign: the comment that it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub comment: Option<String>,
    /// Its bytes in base64, if there are at most 1,024 of them. Others are at `…/attachments/DIGEST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub inline: Option<String>,
    /// Digest of the OCI manifest with which a client of a repository pushed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Digest")]
    pub referrer: Option<Digest>,
}

impl From<&attestation::Attachment> for Attachment {
    fn from(attachment: &attestation::Attachment) -> Self {
        let (key, comment) = attachment.signature().unzip();
        Self {
            digest: attachment.digest,
            size: attachment.size,
            media_type: attachment.media_type.to_string(),
            role: attachment.role,
            file: attachment.file.clone(),
            by: attachment.by.clone(),
            at: attachment.at,
            key: key.map(|key| key.to_string()),
            comment,
            inline: attachment.inline.as_deref().map(Into::into),
            referrer: attachment.referrer.map(|referrer| referrer.digest),
        }
    }
}

/// What is attached to a version, in the order in which it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttachmentList {
    /// The manifest name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// Number of the version.
    pub version: u64,
    /// Digest of the version's manifest, whose bytes signatures are of.
    #[schemars(with = "schema::Digest")]
    pub manifest: Digest,
    /// The attachments, at most 64.
    pub attachments: Vec<Attachment>,
}
