//! Sessions: publishing a version in several requests.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::{Digest, ManifestName, State, Subject, VersionRow};

/// The request to begin a release that several jobs bring, each of them a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginParts {
    /// The publisher's own version text, by which all jobs find the release. 1 to 190 bytes.
    pub label: String,
    /// The names of all parts, 1 to 64.
    pub parts: Vec<String>,
}

/// Which parts of a release are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionParts {
    /// The parts that were declared. Blobs of theirs may still be missing.
    pub done: Vec<String>,
    /// The parts that were not.
    pub waiting: Vec<String>,
}

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
    /// Which of its parts are there, if it is made of parts. Only the newest 50 such sessions say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SessionParts")]
    pub parts: Option<SessionParts>,
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
            parts: None,
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
    /// The publisher's own version text, if the session is made of parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub label: Option<String>,
    /// Which of its parts are there, if it is made of parts. Absent once it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SessionParts")]
    pub parts: Option<SessionParts>,
    /// URL of the session; present if it was just begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "uri-reference"))]
    pub location: Option<String>,
}
