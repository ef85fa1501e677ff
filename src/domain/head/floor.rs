//! The lowest version of a name that clients should run.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{Carried, Subject};

/// The lowest version that clients should run. Clients decide what follows from it; the server only states it.
///
/// Names the version itself, so a binary that does not know this member can carry it through any change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// Number of the version.
    pub version: u64,
    /// The version's text, unless its row has only a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Box<str>>,
    /// The reason given by the subject, verbatim; at most 500 bytes.
    pub reason: String,
    /// When the floor was set.
    pub at: Timestamp,
    /// The subject that set it.
    pub by: Subject,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

impl Floor {
    /// The version as one word of visible ASCII: its label if that is one, else its number.
    #[must_use]
    pub fn word(&self) -> String {
        let label = self.label.as_deref().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()));
        label.map_or_else(|| self.version.to_string(), str::to_owned)
    }
}
