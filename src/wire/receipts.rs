//! Receipts of changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::{Digest, ManifestName, State};

/// The result of a change to a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The manifest name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// Number of the version.
    pub version: u64,
    /// Generation of the name's state, which grows with every change.
    pub generation: u64,
    /// Digest of the version's manifest.
    #[schemars(with = "schema::Digest")]
    pub manifest: Digest,
    /// State of the version after the change.
    #[schemars(with = "schema::VersionState")]
    pub state: State,
    /// The version that `@previous` now selects.
    #[serde(default)]
    pub previous: Option<u64>,
    /// Whether the name was already in the requested state.
    #[serde(default)]
    pub unchanged: bool,
}

/// Request body: another name to publish a version under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyRequest {
    /// The target manifest name.
    #[schemars(with = "schema::Name")]
    pub to: ManifestName,
}
