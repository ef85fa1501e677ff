//! What a run decides about the bytes of a blob: which stay and why, and which are to be deleted.

use serde::Serialize;

use crate::domain::Digest;
use crate::layout::LayoutKey;
use crate::store::Key;

/// What is to become of the bytes of one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// They stay: a version needs them.
    Needed,
    /// They stay: no version needs them, but they are younger than the minimum age.
    Young,
    /// They go: no version needs them.
    Unreferenced,
    /// They go: their generation was condemned before. Whoever needs them has, or gets, another copy first.
    Condemned,
}

impl Fate {
    /// Whether the bytes stay.
    #[must_use]
    pub fn stays(self) -> bool {
        matches!(self, Self::Needed | Self::Young)
    }
}

/// Bytes that are to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) digest: Digest,
    pub(super) generation: u64,
    pub(super) size: u64,
    /// Whether the generation is condemned already.
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
