//! The decision of a run about the bytes of a generation: kept and why, or deleted.

use serde::Serialize;

use crate::domain::Digest;
use crate::layout::LayoutKey;
use crate::store::Key;

/// What happens to the bytes of one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Kept: a version needs them.
    Needed,
    /// Kept: no version needs them, but they are younger than the minimum age.
    Young,
    /// Deleted: no version needs them.
    Unreferenced,
    /// Deleted: their generation was condemned before. A version that needs them has, or first gets, another copy.
    Condemned,
}

impl Fate {
    /// Whether the bytes are kept.
    #[must_use]
    pub fn stays(self) -> bool {
        matches!(self, Self::Needed | Self::Young)
    }
}

/// Bytes that are to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) digest: Digest,
    pub(super) generation: u64,
    pub(super) size: u64,
    /// Whether the generation already has a tombstone.
    pub(super) condemned: bool,
}

impl Candidate {
    pub(super) fn bytes(&self) -> Key {
        LayoutKey::Blob(self.digest, self.generation).key()
    }

    pub(super) fn tombstone(&self) -> Key {
        LayoutKey::Condemned(self.digest, self.generation).key()
    }
}
