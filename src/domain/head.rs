//! Heads: the complete state of a name at one generation, and every way it can change.
//!
//! A name is a log of heads, each written once; changing a name means computing its next head from the newest
//! one and creating it. [`Head::next`] is that computation, and nothing else in the crate decides what may
//! become of a version.
//!
//! Why rows leave the head: a name with ten thousand versions must publish and read as fast as a new one. A head
//! carries at most [`INLINE_MAX`] rows and about [`MAX_HEAD`] bytes; older ones are spilled, oldest first, into immutable
//! segments that the head lists. A row that changes again comes back into the head and shadows its older copy. Segments of one
//! tier are merged [`FAN_OUT`] at a time, so their number grows with the logarithm of the version count.

mod activation;
mod change;
mod draft;
mod operation;
mod size;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::version::{State, VersionRow};
use super::{Carried, Digest, LogName, Subject};
pub use activation::{Activation, MAX_ACTIVATIONS};
pub use change::{Change, Due};
use draft::Draft;
pub use operation::{Action, MAX_LISTED, Operation};

/// The format of heads that this binary reads and writes.
pub const FORMAT: u32 = 1;
/// Most bytes of a head as JSON that is made here. More only if the active and the changed row need them, or members
/// that this binary does not know.
pub const MAX_HEAD: usize = 12 << 10;
/// Most rows that a head carries itself.
pub const INLINE_MAX: usize = 32;
/// Rows that stay in the head when it spills.
pub const INLINE_KEEP: usize = 8;
/// Segments of one tier that are merged into one of the next.
pub const FAN_OUT: usize = 8;

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
    /// Members that this binary does not know. They are about exactly these bytes, so they end with the reference when
    /// segments are merged.
    #[serde(flatten)]
    pub other: Carried,
}

impl SegmentRef {
    /// Whether a version of this number may be in the segment.
    #[must_use]
    pub fn covers(&self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

/// When and why a name was withdrawn or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub by: Subject,
    /// Why, at most 500 bytes.
    pub reason: String,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
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
    /// The name was withdrawn or deleted, and nothing was published or promoted since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deletion>,
    /// The latest activations, newest first, at most [`MAX_ACTIVATIONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activations: Vec<Activation>,
    /// The rows in the head, by ascending number. The active one is always among them.
    pub rows: Vec<VersionRow>,
    /// Where older rows are; a later segment shadows an earlier one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<SegmentRef>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

/// Why bytes are not a head that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It is of a format that only a newer larder knows.
    #[error("it is of format {0}, written by a newer larder; this one reads format {FORMAT}")]
    Newer(u64),
    /// It is damaged.
    #[error("{0}")]
    Malformed(String),
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
    #[error("version {number} is {state}")]
    WrongState {
        /// Its number.
        number: u64,
        /// Its state.
        state: State,
    },
    /// A pinned version cannot be retired.
    #[error("version {0} is pinned")]
    Pinned(u64),
    /// The version has no room for one more pin.
    #[error("version {0} has as many pins as its row has room for")]
    PinsFull(u64),
}

/// What a change is judged by, besides the newest head.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// The version that [`Change::selector`] picks, wherever it is stored.
    pub row: Option<VersionRow>,
    /// For a deletion all rows of the name, for an expiry those that it is about.
    pub everything: Vec<VersionRow>,
    /// Who asks, and under which id.
    pub operation: Operation,
    /// The present time.
    pub now: Timestamp,
}

impl Judgement {
    /// A judgement for which the head itself is enough.
    #[must_use]
    pub fn new(operation: Operation, now: Timestamp) -> Self {
        Self { row: None, everything: Vec::new(), operation, now }
    }
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

    /// Reads a head.
    ///
    /// # Errors
    /// A [`HeadError`]; one of a newer format is told apart even if nothing else in it can be read.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeadError> {
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }
        match serde_json::from_slice::<Self>(bytes) {
            Ok(head) if head.format == FORMAT => Ok(head),
            Ok(head) => Err(HeadError::Newer(head.format.into())),
            Err(error) => Err(match serde_json::from_slice(bytes) {
                Ok(Format { format }) if format != u64::from(FORMAT) => HeadError::Newer(format),
                _ => HeadError::Malformed(error.to_string()),
            }),
        }
    }

    /// The head that `change` makes of `current` (`None`: the name has never existed).
    ///
    /// # Errors
    /// A [`Rejection`] when the present state does not allow the change.
    pub fn next(
        current: Option<&Self>,
        name: &LogName,
        change: &Change,
        judgement: Judgement,
    ) -> Result<Outcome, Rejection> {
        let Judgement { row, everything, operation, now } = judgement;
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
