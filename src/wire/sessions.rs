//! Sessions: publishing a version in several requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::{Digest, ManifestName, State};

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
    /// URL of the session; present if it was just begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "uri-reference"))]
    pub location: Option<String>,
}
