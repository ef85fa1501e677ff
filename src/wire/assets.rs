//! Answers to publishers of flat layouts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::{Digest, FileName, ManifestName};

/// Response body: a file that was sent, or the digest of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredAsset {
    /// The manifest name that it is for.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// The file.
    #[schemars(with = "String")]
    pub file: FileName,
    /// Digest of its bytes.
    #[schemars(with = "schema::Digest")]
    pub digest: Digest,
    /// Number of the version that readers get with it. Absent while it waits for `version.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}
