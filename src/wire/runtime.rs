//! What it takes to run a dynamic release.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{blob_address, schema};
use crate::domain::manifest::Artifact;
use crate::domain::{Digest, FileName};

/// The packaged server of a dynamic release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeArtifact {
    /// File name.
    pub name: String,
    /// Where its bytes are; the address never leads to others. Begins with `server.public_url` or, without one, with `/`.
    pub url: String,
    /// Digest of its bytes.
    #[schemars(with = "schema::Digest")]
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// Media type, if it is stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub media_type: Option<String>,
    /// Whether it is a program, which may be run itself.
    #[serde(default)]
    pub executable: bool,
}

impl RuntimeArtifact {
    /// A file whose address begins with `base`, which has no trailing slash.
    #[must_use]
    pub fn new(base: &str, file: &Artifact) -> Self {
        Self {
            name: file.name.to_string(),
            url: format!("{base}/{}", blob_address(file)),
            digest: file.blob.digest,
            size: file.blob.size,
            media_type: file.media_type.clone(),
            executable: file.executable,
        }
    }
}

/// What it takes to run a dynamic release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Runtime {
    /// The packaged server: the entrypoint, or the only file. `null` if the release says neither.
    pub artifact: Option<RuntimeArtifact>,
    /// Name of that file, as the release states it.
    pub entrypoint: Option<String>,
    /// `command` of the release, as it was published.
    #[schemars(with = "schema::Anything")]
    pub command: Value,
    /// `port` of the release, as it was published.
    #[schemars(with = "schema::Anything")]
    pub port: Value,
}

impl Runtime {
    /// Of a release with this entrypoint and, if it has it, this file.
    #[must_use]
    pub fn new(
        base: &str,
        entrypoint: Option<&FileName>,
        file: Option<&Artifact>,
        (command, port): (Value, Value),
    ) -> Self {
        let artifact = file.map(|file| RuntimeArtifact::new(base, file));
        Self { artifact, entrypoint: entrypoint.map(FileName::to_string), command, port }
    }
}
