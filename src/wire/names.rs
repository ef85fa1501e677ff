//! Names and their active versions.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::{Digest, Head, ManifestName, Subject, head};

/// A name in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameEntry {
    /// The manifest name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// Generation of the name's state, which grows with every change.
    pub generation: u64,
    /// Number of the active version.
    pub version: u64,
    /// Digest of the active manifest.
    #[schemars(with = "schema::Digest")]
    pub manifest: Digest,
    /// The publisher's own version text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub label: Option<String>,
    /// Number of files.
    pub files: u64,
    /// Total size of the files, in bytes.
    pub total_bytes: u64,
    /// When this version last became active.
    #[serde(default)]
    #[schemars(with = "Option<schema::Time>")]
    pub promoted_at: Option<Timestamp>,
}

impl NameEntry {
    /// The list entry of a name; `None` if it is hidden or has no active version.
    #[must_use]
    pub fn of(head: &Head) -> Option<Self> {
        let row = head.active()?;
        Some(Self {
            name: head.name.visible()?,
            generation: head.generation,
            version: row.number,
            manifest: row.digest(),
            label: row.summary.label.clone(),
            files: row.summary.files,
            total_bytes: row.summary.total_bytes,
            promoted_at: row.promoted_at,
        })
    }
}

/// A page of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamePage {
    /// The names, in ascending order.
    pub manifests: Vec<NameEntry>,
    /// Value of `after` for the next page; `null` on the last page.
    #[schemars(with = "Option<schema::Name>")]
    pub next: Option<String>,
}

/// The withdrawal or deletion of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deletion {
    /// When it was withdrawn or deleted.
    #[schemars(with = "schema::Time")]
    pub at: Timestamp,
    /// The subject that did it.
    #[schemars(with = "schema::SubjectText")]
    pub by: Subject,
    /// The reason that was given.
    pub reason: String,
}

impl From<&head::Deletion> for Deletion {
    fn from(deletion: &head::Deletion) -> Self {
        Self { at: deletion.at, by: deletion.by.clone(), reason: deletion.reason.clone() }
    }
}

/// Confirmation that a name was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deleted {
    /// The manifest name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// Generation of the name's last state. Absent only where a client infers that the name is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64", required)]
    pub generation: Option<u64>,
    /// Always true.
    #[serde(default)]
    pub deleted: bool,
}
