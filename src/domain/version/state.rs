//! Where a version is in its life.

use crate::domain::word::{Word, open_words};

/// Where a version is in its life: `prepared → ready → (active ⇄ archived) → retired`, or
/// `prepared → aborted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A session holds it: its blobs are protected, readers do not see it.
    Prepared,
    /// Complete, but never active yet (staged).
    Ready,
    /// What readers of the name get.
    Active,
    /// Was active before; can be promoted again.
    Archived,
    /// Its bytes may be gone; only the row remains.
    Retired,
    /// Never completed. Only kept where the row had already left the head.
    Aborted,
    /// A newer larder put it there. Its blobs are kept and its row is shown, but it is neither served nor changed.
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
    /// Whether the version's blobs must be kept. Those of an unknown state must: doubt keeps data.
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
