//! Blobs: which are missing, and what was stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::Digest;

/// The question which blobs have to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MissingQuestion {
    /// At most 10,000 digests.
    #[schemars(with = "Vec<schema::Digest>", extend("maxItems" = super::limits::MISSING_DIGESTS))]
    pub digests: Vec<Digest>,
}

/// The blobs that have to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingBlobs {
    /// Those of the question that are not there, in its order.
    #[schemars(with = "Vec<schema::Digest>")]
    pub missing: Vec<Digest>,
}

/// A blob that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredBlob {
    /// Digest of its bytes.
    #[schemars(with = "schema::Digest")]
    pub digest: Digest,
}
