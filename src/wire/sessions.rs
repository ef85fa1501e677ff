//! Sessions: publishing in steps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::{Digest, ManifestName, State};

/// A version that is being published in steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// The name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// Number that the version has.
    pub version: u64,
    /// State of the version.
    #[schemars(with = "schema::VersionState")]
    pub state: State,
    /// Blobs that must be uploaded before it can be committed.
    #[schemars(with = "Vec<schema::Digest>")]
    pub missing: Vec<Digest>,
    /// Address of the session, where it was just begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "uri-reference"))]
    pub location: Option<String>,
}
