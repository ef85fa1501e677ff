//! Problem details (RFC 9457): the body of every error of the native surface.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Code, schema};

/// An error (RFC 9457). The members after `instance` are present where they apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProblemDetails {
    /// `urn:larder:problem:` and the code in lower case with hyphens, or a registered problem type if there is one.
    #[serde(rename = "type")]
    #[schemars(extend("format" = "uri"))]
    pub kind: String,
    /// Short description of the HTTP status.
    pub title: &'static str,
    /// The HTTP status code.
    pub status: u16,
    /// Stable code, by which programs distinguish errors.
    pub code: Code,
    /// A human-readable sentence about this occurrence.
    pub detail: String,
    /// `urn:larder:request:` and the value of `X-Request-Id`.
    #[schemars(extend("format" = "uri"))]
    pub instance: String,
    /// Further members with details for programs.
    #[serde(flatten)]
    #[schemars(with = "ProblemMembers")]
    pub members: Map<String, Value>,
}

/// A blob whose size differs from the one in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WrongSize {
    /// Digest of the blob.
    #[schemars(with = "schema::Digest")]
    pub digest: crate::domain::Digest,
    /// Size in the manifest, in bytes.
    pub expected: u64,
    /// Actual size of the blob, in bytes.
    pub actual: u64,
}

/// The optional members of problems, for the API description only.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct ProblemMembers {
    /// Digests of blobs that must be uploaded first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<schema::Digest>")]
    pub missing: Option<Vec<String>>,
    /// Blobs whose size differs from the one in the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<WrongSize>")]
    pub wrong_size: Option<Vec<WrongSize>>,
    /// All problems that were found in a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub problems: Option<Vec<String>>,
    /// Entity tag of the active manifest; `null` if nothing is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_etag: Option<String>,
    /// The expected digest or size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Anything")]
    pub expected: Option<Value>,
    /// The actual digest or size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Anything")]
    pub actual: Option<Value>,
    /// The digest that the request refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Digest")]
    pub digest: Option<String>,
    /// The limit that was exceeded, in bytes or entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub limit: Option<u64>,
    /// Size of the blob, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub size: Option<u64>,
    /// Number of the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub version: Option<u64>,
    /// State of the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::VersionState")]
    pub state: Option<String>,
    /// When the version was retired.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Time>")]
    pub retired_at: Option<String>,
    /// When the name was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub deleted_at: Option<String>,
    /// The reason given for the retirement or deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The id of the collector run in the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub run: Option<String>,
    /// Name of the header field that is missing or malformed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub header: Option<String>,
    /// Number of bytes that the server has received.
    #[serde(rename = "expected-offset", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub expected_offset: Option<u64>,
    /// Offset that the request provided.
    #[serde(rename = "provided-offset", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub provided_offset: Option<u64>,
    /// An append must be a multiple of this many bytes, unless it is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub part_size: Option<u64>,
    /// Seconds to wait before retrying.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub retry_after: Option<u64>,
}
