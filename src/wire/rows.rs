//! Version rows and the history of a name.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::manifest::Kind;
use crate::domain::{Digest, FileName, ManifestName, State, Subject, VersionRow};

/// What a row says about its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactManifest {
    /// How many there are.
    pub files: u64,
    /// How many bytes they have together.
    pub total_bytes: u64,
    /// The file that a static site starts from.
    #[serde(default)]
    pub entrypoint: Option<String>,
}

/// One version of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Its number.
    pub number: u64,
    /// Its state.
    #[schemars(with = "schema::VersionState")]
    pub state: State,
    /// Whether it is kept regardless of retention.
    #[serde(default)]
    pub pinned: bool,
    /// Digest of its manifest.
    #[schemars(with = "schema::Digest")]
    pub manifest: Digest,
    /// Bytes of its manifest.
    pub manifest_size: u64,
    /// The publisher's own version text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("maxLength" = 200))]
    pub label: Option<String>,
    /// Kind of release.
    #[schemars(with = "schema::ReleaseKind")]
    pub kind: Kind,
    /// What it consists of.
    pub artifact_manifest: ArtifactManifest,
    /// Digest of the source snapshot.
    #[serde(default)]
    #[schemars(with = "Option<schema::Digest>")]
    pub source_sha256: Option<Digest>,
    /// Who published it.
    #[schemars(with = "schema::SubjectText")]
    pub created_by: Subject,
    /// When it was prepared.
    #[schemars(with = "schema::Time")]
    pub prepared_at: Timestamp,
    /// When it became complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub published_at: Option<Timestamp>,
    /// When it last became active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub promoted_at: Option<Timestamp>,
    /// When it last stopped being active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub archived_at: Option<Timestamp>,
    /// When it was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub retired_at: Option<Timestamp>,
    /// Why it was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub retired_because: Option<String>,
}

impl From<&VersionRow> for Row {
    fn from(row: &VersionRow) -> Self {
        let summary = &row.summary;
        Self {
            number: row.number,
            state: row.state,
            pinned: row.is_pinned(),
            manifest: summary.manifest.digest,
            manifest_size: summary.manifest.size,
            label: summary.label.clone(),
            kind: summary.kind.clone(),
            artifact_manifest: ArtifactManifest {
                files: summary.files,
                total_bytes: summary.total_bytes,
                entrypoint: summary.entrypoint.as_ref().map(FileName::to_string),
            },
            source_sha256: summary.source,
            created_by: row.created_by.clone(),
            prepared_at: row.prepared_at,
            published_at: row.published_at,
            promoted_at: row.promoted_at,
            archived_at: row.archived_at,
            retired_at: row.retired_at,
            retired_because: row.retired_because.clone(),
        }
    }
}

/// A page of the versions of a name, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// The name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// Number of its state.
    pub generation: u64,
    /// The active version.
    pub active: Option<u64>,
    /// The version that was active before it.
    pub previous: Option<u64>,
    /// The rows.
    pub versions: Vec<Row>,
    /// The `before` of the next page; `null` on the last.
    pub next: Option<u64>,
}
