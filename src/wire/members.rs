//! A release found by the digest of its manifest: the names and versions that hold it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Yank, schema};
use crate::domain::{Digest, ManifestName, State, Subject, VersionRow};

/// The versions with one manifest, of names that the caller may read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holders {
    /// Digest of the manifest.
    #[schemars(with = "schema::Digest")]
    pub digest: Digest,
    /// Size of the manifest, in bytes. Absent on a page without versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub size: Option<u64>,
    /// The versions. A page that is not the last may have fewer than requested.
    pub held_by: Vec<Holder>,
    /// Value of `after` for the next page; `null` on the last page.
    pub next: Option<String>,
}

/// A version that holds the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// The manifest name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// Number of the version.
    pub number: u64,
    /// The publisher's own version text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub label: Option<String>,
    /// State of the version.
    #[schemars(with = "schema::VersionState")]
    pub state: State,
    /// The subject that published it.
    #[schemars(with = "schema::SubjectText")]
    pub created_by: Subject,
    /// When it became complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub published_at: Option<Timestamp>,
    /// A warning against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Yank")]
    pub yanked: Option<Yank>,
}

impl Holder {
    /// The version of `name` with this row.
    #[must_use]
    pub fn of(name: &ManifestName, row: &VersionRow) -> Self {
        Self {
            name: name.clone(),
            number: row.number,
            label: row.summary.label.clone(),
            state: row.state,
            created_by: row.created_by.clone(),
            published_at: row.published_at,
            yanked: row.yanked.as_deref().map(Yank::from),
        }
    }
}
