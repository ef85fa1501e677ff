//! Problem details (RFC 9457): the body of every error of the native surface.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Code, schema};

/// An error (RFC 9457). The members behind `instance` occur where they help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProblemDetails {
    /// `urn:larder:problem:` and the code in lower case with hyphens, or the registered type where there is one.
    #[serde(rename = "type")]
    #[schemars(extend("format" = "uri"))]
    pub kind: String,
    /// The meaning of the status.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Stable; what programs decide by.
    pub code: Code,
    /// A sentence for people.
    pub detail: String,
    /// `urn:larder:request:` and the `X-Request-Id`.
    #[schemars(extend("format" = "uri"))]
    pub instance: String,
    /// What a program can act on.
    #[serde(flatten)]
    #[schemars(with = "ProblemMembers")]
    pub members: Map<String, Value>,
}

/// A blob whose size is another than a manifest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WrongSize {
    /// The blob.
    #[schemars(with = "schema::Digest")]
    pub digest: crate::domain::Digest,
    /// Bytes that the manifest says.
    pub expected: u64,
    /// Bytes that the blob has.
    pub actual: u64,
}

/// Members that problems may have, for descriptions.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct ProblemMembers {
    /// Blobs that must be uploaded first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<schema::Digest>")]
    pub missing: Option<Vec<String>>,
    /// Blobs whose size is another than the manifest says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<WrongSize>")]
    pub wrong_size: Option<Vec<WrongSize>>,
    /// Everything that is wrong with a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub problems: Option<Vec<String>>,
    /// Entity tag of the active manifest; `null` if nothing is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_etag: Option<String>,
    /// A digest or a size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Anything")]
    pub expected: Option<Value>,
    /// A digest or a size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Anything")]
    pub actual: Option<Value>,
    /// The digest that the request is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Digest")]
    pub digest: Option<String>,
    /// The limit that was exceeded, in bytes or entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub limit: Option<u64>,
    /// Bytes of the blob.
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
    /// Why it was retired or deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The run of the collector that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub run: Option<String>,
    /// The header field that is missing or malformed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub header: Option<String>,
    /// Bytes that the upload has.
    #[serde(rename = "expected-offset", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub expected_offset: Option<u64>,
    /// Bytes that the request said the upload has.
    #[serde(rename = "provided-offset", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub provided_offset: Option<u64>,
    /// Bytes that an append must be a multiple of, unless it is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub part_size: Option<u64>,
    /// Seconds to wait before trying again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub retry_after: Option<u64>,
}
