//! The entry point for programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The server's version and URI templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerIndex {
    /// Always `larder`.
    pub name: String,
    /// Version of the server.
    pub version: String,
    /// URL of the list of names.
    pub manifests: String,
    /// URI template of a manifest.
    pub manifest: String,
    /// URI template of a name's versions.
    pub versions: String,
    /// URI template of one file.
    #[serde(rename = "ref")]
    pub file: String,
    /// URI template of a blob.
    pub blob: String,
    /// URL of the OpenAPI document.
    pub description: String,
}
