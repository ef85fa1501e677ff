//! JSON bodies as they travel. Members that are not listed here are ignored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::manifest::Kind;
use crate::domain::{Digest, ManifestName, State, Subject};

/// What a change to a name came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The name.
    pub name: ManifestName,
    /// Number of the version.
    pub version: u64,
    /// Number of the name's state, which grows with every change.
    pub generation: u64,
    /// Digest of the version's manifest.
    pub manifest: Digest,
    /// Where the version is in its life now.
    pub state: State,
    /// Nothing had to change.
    #[serde(default)]
    pub unchanged: bool,
    /// The version that `@previous` picks now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
}

/// One name in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameEntry {
    /// The name.
    pub name: ManifestName,
    /// Number of its active version.
    pub version: u64,
    /// Number of its state.
    pub generation: u64,
    /// Digest of its active manifest.
    pub manifest: Digest,
    /// How many files it has.
    pub files: u64,
    /// How many bytes they have together.
    pub total_bytes: u64,
    /// Since when this version is active.
    #[serde(default)]
    pub promoted_at: Option<Timestamp>,
    /// The publisher's own version text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A page of names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NamePage {
    /// The names, in order.
    pub manifests: Vec<NameEntry>,
    /// After which name the next page begins, unless this is the last.
    pub next: Option<String>,
}

/// What a row says of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactManifest {
    /// How many there are.
    pub files: u64,
    /// How many bytes they have together.
    pub total_bytes: u64,
    /// The file that a static site starts from.
    pub entrypoint: Option<String>,
}

/// One version of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its number.
    pub number: u64,
    /// Where it is in its life.
    pub state: State,
    /// Whether it is kept whatever the retention says.
    #[serde(default)]
    pub pinned: bool,
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Size of its manifest.
    pub manifest_size: u64,
    /// The publisher's own version text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Kind of release.
    pub kind: Kind,
    /// What it consists of.
    pub artifact_manifest: ArtifactManifest,
    /// Digest of the source snapshot.
    #[serde(default)]
    pub source_sha256: Option<Digest>,
    /// Who published it.
    pub created_by: Subject,
    /// When it was prepared.
    pub prepared_at: Timestamp,
    /// When it became complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Timestamp>,
    /// When it last became active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_at: Option<Timestamp>,
    /// When it last stopped being active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Timestamp>,
    /// When it was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Timestamp>,
    /// Why it was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_because: Option<String>,
}

/// A page of the versions of a name, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The name.
    pub name: ManifestName,
    /// Number of its state.
    pub generation: u64,
    /// The active version.
    pub active: Option<u64>,
    /// The version that was active before it.
    pub previous: Option<u64>,
    /// The rows.
    pub versions: Vec<Row>,
    /// Before which number the next page begins, unless this is the last.
    pub next: Option<u64>,
}

/// A name that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// The name.
    pub name: ManifestName,
    /// Number of its last state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Always true.
    #[serde(default)]
    pub deleted: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Missing {
    pub(super) missing: Vec<Digest>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OpenSession {
    pub(super) version: u64,
    pub(super) missing: Vec<Digest>,
}
