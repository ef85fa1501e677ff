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
    /// What clients that require the signatures of the name's policy make of it; only where it has become active under such a
    /// policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Verifying")]
    pub verifying: Option<Verifying>,
}

/// What verifying clients make of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verifying {
    /// Whether they accept it.
    pub accept: bool,
    /// Why they do not, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub why: Option<String>,
    /// Whose signatures count: ids of keys, and identities in sigstore's certificates.
    pub keys: Vec<String>,
    /// The serial that enough of them state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub serial: Option<u64>,
}

/// Request body: another name to publish a version under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyRequest {
    /// The target manifest name.
    #[schemars(with = "schema::Name")]
    pub to: ManifestName,
}
