//! Where a version came from, if not from its publisher's own hands.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::carried::Carried;
use crate::domain::{Digest, Subject};

/// Where a version came from: another name of this store, or another place. One shape for copies, imports and mirrors.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// Its name there; another place may have names of another grammar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// Its number there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Digest of its manifest there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// Generation of the head that showed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The other place. Absent: this store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Box<str>>,
    /// When it was published there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Timestamp>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

impl Origin {
    /// Whether it is a version of another name, or the same one, in this store.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        self.name.is_some() && self.url.is_none()
    }
}

/// A warning on a version: ranges and feeds skip it, exact addresses still answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Yank {
    /// When.
    pub at: Timestamp,
    /// Who placed it.
    pub by: Subject,
    /// Why, in their words; at most 500 bytes.
    pub reason: Box<str>,
    /// The number of the version to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<u64>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}
