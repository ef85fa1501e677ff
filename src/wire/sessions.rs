//! Sessions: publishing a version in several requests.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::{Digest, ManifestName, State, Subject, VersionRow};

/// The sessions of a name that are open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenSessions {
    /// The manifest name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// The sessions, oldest first.
    pub sessions: Vec<OpenSession>,
}

/// A session that was neither completed nor given up, nor has expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenSession {
    /// Number of the version.
    pub version: u64,
    /// When the session was begun.
    #[schemars(with = "schema::Time")]
    pub prepared_at: Timestamp,
    /// Who began it.
    #[schemars(with = "schema::SubjectText")]
    pub created_by: Subject,
    /// The publisher's own version text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub label: Option<String>,
    /// Number of files.
    pub files: u64,
    /// Total size of the files, in bytes.
    pub total_bytes: u64,
}

impl From<&VersionRow> for OpenSession {
    fn from(row: &VersionRow) -> Self {
        Self {
            version: row.number,
            prepared_at: row.prepared_at,
            created_by: row.created_by.clone(),
            label: row.summary.label.clone(),
            files: row.summary.files,
            total_bytes: row.summary.total_bytes,
        }
    }
}

/// A version that is being published in several requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// The manifest name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// Number of the version.
    pub version: u64,
    /// State of the version.
    #[schemars(with = "schema::VersionState")]
    pub state: State,
    /// Digests of the blobs that must be uploaded before the session can be committed.
    #[schemars(with = "Vec<schema::Digest>")]
    pub missing: Vec<Digest>,
    /// URL of the session; present if it was just begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "uri-reference"))]
    pub location: Option<String>,
}
