//! Blobs: which are missing, and what was stored.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::manifest::Artifact;
use crate::domain::{Digest, FileName, ManifestName, MediaType};

/// What needs encoding in the last segment of a blob's path. Of what RFC 3986 section 3.3 lets stand, the characters
/// that shells interpret are encoded too, so that addresses can be pasted.
const IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@')
    .remove(b':')
    .remove(b'+')
    .remove(b',')
    .remove(b'=');
/// What needs encoding in the media type of a blob's address; a `+` would be read as a space there.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'/');

/// The immutable address of a file, relative to the server: `blobs/sha256:HEX/FILE`, with `?type=TYPE/SUBTYPE` if its
/// manifest states a media type. FILE is the last segment of the file's name.
#[must_use]
pub fn blob_address(file: &Artifact) -> String {
    let mut address = format!("blobs/{}/{}", file.blob.digest, utf8_percent_encode(file.name.base(), IN_SEGMENT));
    if let Some(media_type) = file.media_type.as_deref().and_then(|text| MediaType::essence_of(text).ok()) {
        address.push_str("?type=");
        address.extend(utf8_percent_encode(media_type.as_str(), IN_QUERY));
    }
    address
}

/// What needs encoding in a path of several segments.
const IN_PATH: &AsciiSet = &IN_SEGMENT.remove(b'/');

/// The address of a file of one version, relative to the server: `refs/NAME@NUMBER/FILE`. It leads to the same bytes for
/// as long as the version exists.
#[must_use]
pub fn file_address(name: &ManifestName, number: u64, file: &FileName) -> String {
    format!("refs/{name}@{number}/{}", utf8_percent_encode(file.as_str(), IN_PATH))
}

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
