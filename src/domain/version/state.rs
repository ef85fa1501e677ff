//! The life cycle of versions.

use crate::domain::word::{Word, open_words};

/// The state of a version: `prepared → ready → (active ⇄ archived) → retired`, or `prepared → aborted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Being published: its blobs are protected (P1), readers do not see it.
    Prepared,
    /// Complete, but never active yet (staged).
    Ready,
    /// Served to readers of the name.
    Active,
    /// Was active before; can be promoted again.
    Archived,
    /// Retired: its bytes may be deleted; only the row remains.
    Retired,
    /// Never completed. The row is only kept if it had already been spilled from the head.
    Aborted,
    /// A state set by a newer Larder. Its blobs are kept and its row is shown, but it is neither served nor changed.
    Unknown(Word),
}

open_words!(State {
    Prepared = "prepared",
    Ready = "ready",
    Active = "active",
    Archived = "archived",
    Retired = "retired",
    Aborted = "aborted",
});

impl State {
    /// Whether the version's blobs must be kept. True for unknown states: in doubt, data is kept.
    #[must_use]
    pub fn is_root(self) -> bool {
        match self {
            Self::Prepared | Self::Ready | Self::Active | Self::Archived | Self::Unknown(_) => true,
            Self::Retired | Self::Aborted => false,
        }
    }

    /// Whether the version's manifest may be read and promoted.
    #[must_use]
    pub fn is_complete(self) -> bool {
        match self {
            Self::Ready | Self::Active | Self::Archived => true,
            Self::Prepared | Self::Retired | Self::Aborted | Self::Unknown(_) => false,
        }
    }
}
