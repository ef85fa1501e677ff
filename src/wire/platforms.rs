//! The files of a version for a platform.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::Digest;

/// Response body: several files suit what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlatformFiles {
    /// Number of the version.
    pub version: u64,
    /// At most 100 of the files.
    pub files: Vec<PlatformFile>,
    /// How many more there are.
    #[serde(default)]
    pub more: usize,
}

/// A file, with what its manifest states or its name says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlatformFile {
    /// Its name.
    pub name: String,
    /// Its address, which never leads to other bytes.
    pub url: String,
    /// Its digest.
    #[schemars(with = "schema::Digest")]
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Operating system, such as `linux`, `darwin` or `windows`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Architecture, such as `amd64`, `arm64` or `universal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// C library or ABI, such as `musl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub libc: Option<String>,
    /// File format by its extension, such as `tar.gz`; `binary` for a program without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// How it is used, such as `archive` or `installer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}
