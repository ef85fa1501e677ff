//! Receipts of changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::{Digest, ManifestName, State};

/// The receipt of a change to a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// Number of the version.
    pub version: u64,
    /// Number of the name's state, which grows with every change.
    pub generation: u64,
    /// Digest of the version's manifest.
    #[schemars(with = "schema::Digest")]
    pub manifest: Digest,
    /// The state that the version is in now.
    #[schemars(with = "schema::VersionState")]
    pub state: State,
    /// The version that `@previous` picks now.
    #[serde(default)]
    pub previous: Option<u64>,
    /// Whether nothing had to change.
    #[serde(default)]
    pub unchanged: bool,
}

/// Where a version is to be published as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyRequest {
    /// The name.
    #[schemars(with = "schema::Name")]
    pub to: ManifestName,
}
