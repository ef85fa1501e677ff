//! Names and what is active under them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::{Digest, Head, ManifestName};

/// One name in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameEntry {
    /// The name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// Number of its state, which grows with every change.
    pub generation: u64,
    /// Number of its active version.
    pub version: u64,
    /// Digest of its active manifest.
    #[schemars(with = "schema::Digest")]
    pub manifest: Digest,
    /// The publisher's own version text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub label: Option<String>,
    /// How many files it has.
    pub files: u64,
    /// How many bytes they have together.
    pub total_bytes: u64,
    /// Since when this version is active.
    #[serde(default)]
    #[schemars(with = "Option<schema::Time>")]
    pub promoted_at: Option<Timestamp>,
}

impl NameEntry {
    /// The entry of a name; `None` if it is hidden or nothing is active under it.
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
    /// The names, in order.
    pub manifests: Vec<NameEntry>,
    /// The `after` of the next page; `null` on the last.
    #[schemars(with = "Option<schema::Name>")]
    pub next: Option<String>,
}

/// A name that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deleted {
    /// The name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// Number of its last state. Absent only where a client concludes that the name is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64", required)]
    pub generation: Option<u64>,
    /// Always true.
    #[serde(default)]
    pub deleted: bool,
}
