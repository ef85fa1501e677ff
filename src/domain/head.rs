//! Heads: the complete state of a name at one generation, and every way it can change.
//!
//! A name is a log of heads, each written once; changing a name means computing its next head from the newest
//! one and creating it. [`Head::next`] is that computation, and nothing else in the crate decides what may
//! become of a version.
//!
//! Why rows leave the head: a name with ten thousand versions must publish and read as fast as a new one. A head
//! carries at most [`INLINE_MAX`] rows; older ones are spilled, oldest first, into immutable segments that the
//! head lists. A row that changes again comes back into the head and shadows its older copy. Segments of one
//! tier are merged [`FAN_OUT`] at a time, so their number grows with the logarithm of the version count.

mod draft;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::version::{State, Summary, VersionRow};
use super::{Digest, Expect, LogName, Selector, Subject};
use draft::Draft;

/// Most rows that a head carries itself.
pub const INLINE_MAX: usize = 32;
/// Rows that stay in the head when it spills.
pub const INLINE_KEEP: usize = 8;
/// Segments of one tier that are merged into one of the next.
pub const FAN_OUT: usize = 8;

/// Why a head was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A version's blobs became protected.
    Prepare,
    /// A version became complete and, unless staged, active.
    Publish,
    /// A prepared version was given up.
    Abort,
    /// An existing version became active.
    Promote,
    /// A version was pinned.
    Pin,
    /// A pin was taken away.
    Unpin,
    /// Versions were retired.
    Retire,
    /// Versions whose time was up were retired or given up.
    Expire,
    /// The name was deleted.
    Delete,
}

/// Who makes a head and under which id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Unique for every attempt to change a name; tells a writer whose reply was lost whether the head is its own.
    pub id: String,
    /// What was done.
    pub action: Action,
    /// Who did it.
    pub by: Subject,
    /// The version it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An immutable object that holds rows which no longer fit the head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRef {
    /// Digest of the segment's bytes, and its key.
    pub digest: Digest,
    /// Lowest version number in it.
    pub first: u64,
    /// Highest version number in it.
    pub last: u64,
    /// Rows in it.
    pub rows: u64,
    /// How often its rows have been merged.
    pub tier: u32,
    /// Rows in it that were roots when it was written. None of the others can ever become one again, so a segment
    /// with none need not be read to find the roots.
    pub roots: u64,
}

impl SegmentRef {
    /// Whether a version of this number may be in the segment.
    #[must_use]
    pub fn covers(&self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

/// When and why a name was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// The complete state of a name at one generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Version of this document's format; 1.
    pub format: u32,
    /// The name of the log.
    pub name: LogName,
    /// 1 for the first head of the name, one more for each.
    pub generation: u64,
    /// When the head was made; never before its predecessor.
    pub time: Timestamp,
    /// What made it.
    pub operation: Operation,
    /// Number that the next version gets.
    pub next_version: u64,
    /// The version that was active immediately before the active one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
    /// The name was deleted and nothing was published since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deletion>,
    /// The rows in the head, by ascending number. The active one is always among them.
    pub rows: Vec<VersionRow>,
    /// Where older rows are; a later segment shadows an earlier one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<SegmentRef>,
}

/// A version whose time is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its number.
    pub number: u64,
    /// The generation of its row that this was said of.
    pub generation: u64,
    /// Why.
    pub reason: String,
}

/// A change that somebody wants to make to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Protect the blobs of a new version (`protocol` step P1).
    Prepare {
        /// The new version.
        summary: Summary,
        /// What the client requires of the name.
        expect: Expect,
    },
    /// Complete a prepared version (P3) and, if asked to, make it active.
    Commit {
        /// Its number.
        number: u64,
        /// Whether readers get it from now on.
        activate: bool,
        /// What the client requires of the name.
        expect: Expect,
    },
    /// Give a prepared version up.
    Abort {
        /// Its number.
        number: u64,
    },
    /// Make an existing version active.
    Promote {
        /// Which one.
        selector: Selector,
        /// What the client requires of the name.
        expect: Expect,
    },
    /// Pin or unpin a version.
    Pin {
        /// Which one.
        selector: Selector,
        /// Whether it is to be pinned.
        pinned: bool,
    },
    /// Retire versions by hand.
    Retire {
        /// Which one.
        selector: Selector,
        /// Why.
        reason: String,
    },
    /// Retire or give up versions whose time is up. Those that changed since that was found out are left alone.
    Expire {
        /// Which ones.
        due: Vec<Due>,
    },
    /// Retire everything and stop listing the name.
    Delete {
        /// What the client requires of the name.
        expect: Expect,
        /// Why.
        reason: String,
    },
}

impl Change {
    /// What the head of this change is labelled with.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Self::Prepare { .. } => Action::Prepare,
            Self::Commit { .. } => Action::Publish,
            Self::Abort { .. } => Action::Abort,
            Self::Promote { .. } => Action::Promote,
            Self::Pin { pinned: true, .. } => Action::Pin,
            Self::Pin { pinned: false, .. } => Action::Unpin,
            Self::Retire { .. } => Action::Retire,
            Self::Expire { .. } => Action::Expire,
            Self::Delete { .. } => Action::Delete,
        }
    }

    /// Which version must be at hand to decide; `None` when the head itself is enough.
    #[must_use]
    pub fn selector(&self) -> Option<Selector> {
        match self {
            Self::Commit { number, .. } | Self::Abort { number } => Some(Selector::Number(*number)),
            Self::Promote { selector, .. } | Self::Pin { selector, .. } | Self::Retire { selector, .. } => {
                Some(*selector)
            }
            Self::Prepare { .. } | Self::Expire { .. } | Self::Delete { .. } => None,
        }
    }

    fn expect(&self) -> Option<&Expect> {
        match self {
            Self::Prepare { expect, .. }
            | Self::Commit { expect, .. }
            | Self::Promote { expect, .. }
            | Self::Delete { expect, .. } => Some(expect),
            Self::Abort { .. } | Self::Pin { .. } | Self::Retire { .. } | Self::Expire { .. } => None,
        }
    }

    /// The version that already is what the change asks for. A retried request must succeed, whatever its
    /// precondition said the first time (RFC 9110 section 13.1.1 allows just this).
    fn already(&self, row: Option<&VersionRow>) -> Option<VersionRow> {
        match self {
            Self::Prepare { .. } | Self::Delete { .. } | Self::Abort { .. } | Self::Expire { .. } => None,
            Self::Commit { activate, .. } => row.filter(|row| match row.state {
                State::Active | State::Archived => true,
                State::Ready => !activate,
                State::Prepared | State::Retired | State::Aborted => false,
            }),
            Self::Promote { .. } => row.filter(|row| row.state == State::Active),
            Self::Pin { pinned, .. } => row.filter(|row| row.state.is_root() && row.pinned == *pinned),
            Self::Retire { .. } => row.filter(|row| row.state == State::Retired),
        }
        .cloned()
    }
}

/// Why a change cannot be made in the present state of the name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The client's precondition does not hold.
    #[error("the name is not in the state that the request requires")]
    Precondition {
        /// The active manifest.
        current: Option<Digest>,
    },
    /// No such version, or no such name.
    #[error("there is no such version")]
    NoSuchVersion,
    /// The version is retired.
    #[error("version {} was retired", .0.number)]
    Retired(Box<VersionRow>),
    /// The version is in a state in which this cannot be done.
    #[error("version {number} is {state:?}")]
    WrongState {
        /// Its number.
        number: u64,
        /// Its state.
        state: State,
    },
    /// A pinned version cannot be retired.
    #[error("version {0} is pinned")]
    Pinned(u64),
}

/// What a change comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The name is already as wanted; nothing to write. Carries the version that was found so, if it is about one.
    Unchanged(Option<VersionRow>),
    /// The next head, and the rows that must be spilled before it is created.
    Next {
        /// The head to create. Its segment list does not include the spilled rows yet.
        head: Box<Head>,
        /// The version the change was about, in its new state. `None` if it was not about a single one.
        row: Option<VersionRow>,
        /// Rows that no longer fit, by ascending number.
        spill: Vec<VersionRow>,
    },
}

impl Head {
    /// The version that readers of the name get.
    #[must_use]
    pub fn active(&self) -> Option<&VersionRow> {
        self.rows.iter().find(|row| row.state == State::Active)
    }

    /// The row of this number, if the head itself carries it.
    #[must_use]
    pub fn inline(&self, number: u64) -> Option<&VersionRow> {
        self.rows.iter().find(|row| row.number == number)
    }

    /// The head that `change` makes of `current` (`None`: the name has never existed).
    ///
    /// `row` is the version that [`Change::selector`] picks, wherever it is stored. For a deletion, `everything`
    /// holds all rows of the name, for an expiry those that it is about.
    ///
    /// # Errors
    /// A [`Rejection`] when the present state does not allow the change.
    pub fn next(
        current: Option<&Self>,
        name: &LogName,
        change: &Change,
        row: Option<VersionRow>,
        everything: Vec<VersionRow>,
        operation: Operation,
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        if let Some(unchanged) = current.and_then(|_| change.already(row.as_ref())) {
            return Ok(Outcome::Unchanged(Some(unchanged)));
        }
        let active = current.and_then(Self::active).map(VersionRow::digest);
        if change.expect().is_some_and(|expect| !expect.holds(active)) {
            return Err(Rejection::Precondition { current: active });
        }
        let mut draft = Draft::new(current, name, operation, now);
        let row = draft.apply(change, row, everything)?;
        Ok(draft.finish(row))
    }
}

#[cfg(test)]
mod tests;
