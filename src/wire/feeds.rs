//! Lists of the releases of a name, for programs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::Digest;

/// `versions.json`: the labels of all releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionLabels {
    /// Each label once, oldest first.
    pub versions: Vec<String>,
}

/// One release in `index.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IndexEntry {
    /// Its label.
    pub version: String,
    /// The day on which it was published (UTC).
    pub date: String,
    /// Names of its files.
    pub files: Vec<String>,
    /// Number of the version.
    pub number: u64,
    /// When it was published.
    #[schemars(with = "schema::Time")]
    pub published_at: Timestamp,
    /// Digest of its manifest.
    #[schemars(with = "schema::Digest")]
    pub manifest: Digest,
    /// Total size of its files, in bytes.
    pub size: u64,
    /// Digests of its files by their names.
    #[schemars(with = "BTreeMap<String, schema::Digest>")]
    pub digests: BTreeMap<String, Digest>,
    /// What the addresses of its files begin with.
    pub files_url: String,
    /// The address of its release notes.
    pub notes_url: String,
    /// Why it was yanked; `false` if it was not. Yanked releases are listed only on request.
    #[schemars(with = "schema::Anything")]
    pub yanked: Yanked,
}

/// Whether a release was yanked, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Yanked {
    /// It was not.
    No(bool),
    /// It was, for this reason.
    Because(String),
}
