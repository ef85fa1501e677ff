//! Version rows and the history of a name.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Attachment, Floor, Origin, Pin, Runtime, Yank, schema};
use crate::domain::manifest::Kind;
use crate::domain::{Digest, FileName, ManifestName, State, Subject, VersionRow};

/// Summary of a version's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactManifest {
    /// Number of files.
    pub files: u64,
    /// Total size of the files, in bytes.
    pub total_bytes: u64,
    /// Name of the file that is the start page of a static site, or the packaged server of a dynamic release.
    #[serde(default)]
    pub entrypoint: Option<String>,
}

/// One version of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Number of the version.
    pub number: u64,
    /// State of the version.
    #[schemars(with = "schema::VersionState")]
    pub state: State,
    /// The same number, under the name that other tools of releases use.
    #[serde(default)]
    pub version_number: u64,
    /// Whether the version is exempt from retention.
    #[serde(default)]
    pub pinned: bool,
    /// Who keeps it from being retired, at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<Pin>,
    /// A warning against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Yank")]
    pub yanked: Option<Yank>,
    /// Digest of the version's manifest.
    #[schemars(with = "schema::Digest")]
    pub manifest: Digest,
    /// The same digest without `sha256:`.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[0-9a-f]{64}$"))]
    pub artifact_sha256: String,
    /// Size of the version's manifest, in bytes.
    pub manifest_size: u64,
    /// The publisher's own version text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("maxLength" = 200))]
    pub label: Option<String>,
    /// How the release is meant to be used.
    #[schemars(with = "schema::ReleaseKind")]
    pub kind: Kind,
    /// Summary of the version's files.
    pub artifact_manifest: ArtifactManifest,
    /// Digest of the source snapshot.
    #[serde(default)]
    #[schemars(with = "Option<schema::Digest>")]
    pub source_sha256: Option<Digest>,
    /// The subject that published it.
    #[schemars(with = "schema::SubjectText")]
    pub created_by: Subject,
    /// What the issuer of the publisher's identity token says of it, each as `NAME=VALUE`; only where one version is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub claims: Vec<Box<str>>,
    /// When it was prepared.
    #[schemars(with = "schema::Time")]
    pub prepared_at: Timestamp,
    /// When it became complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub published_at: Option<Timestamp>,
    /// When it first became active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub first_active_at: Option<Timestamp>,
    /// Number of times that it became active.
    #[serde(default)]
    pub activations: u64,
    /// When it last became active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub promoted_at: Option<Timestamp>,
    /// The subject that last made it active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::SubjectText")]
    pub promoted_by: Option<Subject>,
    /// When it last stopped being active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub archived_at: Option<Timestamp>,
    /// When it was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub retired_at: Option<Timestamp>,
    /// The subject that retired it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::SubjectText")]
    pub retired_by: Option<Subject>,
    /// The reason given for its retirement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub retired_because: Option<String>,
    /// Where it was published before, if it was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Origin")]
    pub from: Option<Origin>,
    /// What is attached to it; only where one version is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Generation of the name's state that this was read from; only where one version is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub generation: Option<u64>,
    /// What it takes to run it, of a dynamic release; only where one version is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Runtime")]
    pub runtime: Option<Runtime>,
}

impl From<&VersionRow> for Row {
    fn from(row: &VersionRow) -> Self {
        let summary = &row.summary;
        Self {
            number: row.number,
            state: row.state,
            version_number: row.number,
            pinned: row.is_pinned(),
            pins: row.pins.iter().map(Pin::from).collect(),
            yanked: row.yanked.as_deref().map(Yank::from),
            manifest: summary.manifest.digest,
            artifact_sha256: summary.manifest.digest.hex(),
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
            claims: Vec::new(),
            prepared_at: row.prepared_at,
            published_at: row.published_at,
            first_active_at: row.first_active_at(),
            activations: row.activations,
            promoted_at: row.promoted_at,
            promoted_by: row.promoted_by.clone(),
            archived_at: row.archived_at,
            retired_at: row.retired_at,
            retired_by: row.retired_by.clone(),
            retired_because: row.retired_because.clone(),
            from: row.from.as_deref().and_then(Origin::of),
            attachments: Vec::new(),
            generation: None,
            runtime: None,
        }
    }
}

/// A page of a name's versions, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// The manifest name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// Generation of the name's state, which grows with every change.
    pub generation: u64,
    /// Number of the active version.
    pub active: Option<u64>,
    /// Number of the version that was active before it.
    pub previous: Option<u64>,
    /// The lowest version that clients should run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Floor")]
    pub floor: Option<Floor>,
    /// The version rows, newest first.
    pub versions: Vec<Row>,
    /// Value of `before` for the next page; `null` on the last page.
    pub next: Option<u64>,
}
