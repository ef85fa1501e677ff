//! The form of Larder's own manifests, for descriptions: they are read by [`crate::domain::manifest`] and travel as the
//! bytes that were published.

use schemars::JsonSchema;

use super::schema;

/// Bytes by their digest.
#[derive(Debug, Clone, JsonSchema)]
pub struct BlobReference {
    /// Digest of the bytes.
    #[schemars(with = "schema::Digest")]
    pub blob: String,
    /// How many there are, at most 2^53 - 1.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub size: u64,
}

/// One file of a release.
#[derive(Debug, Clone, JsonSchema)]
pub struct ArtifactEntry {
    /// Its bytes.
    #[schemars(flatten)]
    pub blob: BlobReference,
    /// Unique in the manifest; may hold `/`.
    #[schemars(length(max = 1024))]
    pub name: String,
    /// Its media type.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Its platform, such as `linux`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its architecture, such as `amd64`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
}

/// A release. Members that Larder does not know are kept as they are.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct ManifestDocument {
    /// The publisher's own text; histories call it `label`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How the release is meant to be used; `files` unless stated.
    #[schemars(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::ReleaseKind>")]
    pub kind: Option<String>,
    /// One of the artifacts. Required for `static`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// The files.
    #[schemars(length(min = 1))]
    pub artifacts: Vec<ArtifactEntry>,
    /// The source snapshot; kept like an artifact.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub source: Option<BlobReference>,
    /// Required for `dynamic`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Anything>")]
    pub command: Option<serde_json::Value>,
    /// Required for `dynamic`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Anything>")]
    pub port: Option<serde_json::Value>,
}
