//! The start page for programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a server offers: its version, and templates of its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerIndex {
    /// Always `larder`.
    pub name: String,
    /// Version of the binary.
    pub version: String,
    /// Address of the list of names.
    pub manifests: String,
    /// Template of the address of a manifest.
    pub manifest: String,
    /// Template of the address of a name's versions.
    pub versions: String,
    /// Template of the address of one file.
    #[serde(rename = "ref")]
    pub file: String,
    /// Template of the address of a blob.
    pub blob: String,
    /// Address of the OpenAPI document.
    pub description: String,
}
