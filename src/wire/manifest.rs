//! The schema of Larder's own manifests, for the API description only: manifests are parsed by
//! [`crate::domain::manifest`] and transferred as the bytes that were published.

use schemars::JsonSchema;

use super::schema;

/// Digest and size of some bytes.
#[derive(Debug, Clone, JsonSchema)]
pub struct BlobReference {
    /// Digest of the bytes.
    #[schemars(with = "schema::Digest")]
    pub blob: String,
    /// Size in bytes, at most 2^53 - 1.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub size: u64,
}

/// One file of a release.
#[derive(Debug, Clone, JsonSchema)]
pub struct ArtifactEntry {
    /// The file's content.
    #[schemars(flatten)]
    pub blob: BlobReference,
    /// File name, unique in the manifest; may contain `/`.
    #[schemars(length(max = 1024))]
    pub name: String,
    /// Media type (RFC 9110 section 8.3.1).
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Platform, such as `linux`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Architecture, such as `amd64`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// C library or ABI, such as `musl`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub libc: Option<String>,
    /// File format by its extension, such as `tar.gz`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// How the file is used, such as `installer`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Whether it is a program: downloaded to a file, it may be run.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub executable: Option<bool>,
    /// Content coding of the bytes, if the file is a variant of another one: `br`, `gzip` or `zstd`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Name of the artifact that this one is a compressed variant of.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// How a static site answers requests.
#[derive(Debug, Clone, JsonSchema)]
pub struct SiteDocument {
    /// Name of the artifact that answers navigations to paths that nothing else answers, with status 200.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Whether pages are found without `.html`; `true` by default.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub clean_urls: Option<bool>,
    /// Whether addresses of pages end with a slash: `auto` (default), `always` or `never`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub trailing_slash: Option<String>,
    /// Patterns of names of artifacts that never change their bytes, such as `assets/**`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub immutable: Option<Vec<String>>,
    /// Names of artifacts that are not immutable although their names look so.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub revalidate: Option<Vec<String>>,
}

/// A part of a release.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct PartDocument {
    /// The files of the part.
    #[schemars(length(min = 1))]
    pub artifacts: Vec<ArtifactEntry>,
    /// Becomes part of the `metadata` of the release.
    #[schemars(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Anything>")]
    pub metadata: Option<serde_json::Value>,
}

/// A release. Unknown members are preserved.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct ManifestDocument {
    /// The publisher's own version text; called `label` in histories.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How the release is meant to be used; `files` by default.
    #[schemars(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::ReleaseKind>")]
    pub kind: Option<String>,
    /// Name of the artifact that is the start page; required for `static`. Of a `dynamic` release, the artifact that is the
    /// packaged server; without it, the only artifact.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// The files of the release.
    #[schemars(length(min = 1))]
    pub artifacts: Vec<ArtifactEntry>,
    /// The source snapshot; kept as long as the artifacts.
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
    /// How a release of the kind `static` answers requests.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteDocument>,
}
