//! Blobs: which are missing, and what was stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::Digest;

/// Request body: digests of blobs that may have to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MissingQuestion {
    /// At most 10,000 digests.
    #[schemars(with = "Vec<schema::Digest>", extend("maxItems" = super::limits::MISSING_DIGESTS))]
    pub digests: Vec<Digest>,
}

/// Response body: the blobs that have to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingBlobs {
    /// Those of the requested digests that are not stored, in the order of the request.
    #[schemars(with = "Vec<schema::Digest>")]
    pub missing: Vec<Digest>,
}

/// Response body: a blob that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredBlob {
    /// Digest of the blob's bytes.
    #[schemars(with = "schema::Digest")]
    pub digest: Digest,
}
