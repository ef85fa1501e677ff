//! Origins of versions that were not uploaded by their publisher.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::carried::Carried;
use crate::domain::{Digest, Subject};

/// The origin of a version: another name of this store, or another server. Used for copies, imports and mirrors.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// Name at the origin. A string, since another server's names may follow another grammar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// Version number at the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Digest of its manifest at the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// Generation of the head from which it was copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// URL of the other server. Absent: this store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Box<str>>,
    /// When it was published at the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Timestamp>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

impl Origin {
    /// Whether the origin is a name in this store, possibly the same one.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        self.name.is_some() && self.url.is_none()
    }
}

/// A warning on a version: ranges and feeds skip it, exact addresses still work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Yank {
    /// When the warning was placed.
    pub at: Timestamp,
    /// The subject that placed it.
    pub by: Subject,
    /// The reason given by that subject, verbatim; at most 500 bytes.
    pub reason: Box<str>,
    /// The number of the version to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<u64>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}
