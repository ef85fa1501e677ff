//! Heads: the complete state of a name at one generation, and every way it can change.
//!
//! A name is a log of heads, each written once; changing a name means computing its next head from the newest one and
//! creating it. [`Head::next`] is that computation. No other code decides the state transitions of versions.
//!
//! Rows are moved out of the head so that a name with ten thousand versions can be published to and read as fast as a
//! new one. A head carries at most [`INLINE_MAX`] rows and about [`MAX_HEAD`] bytes; older rows are spilled, oldest
//! first, into immutable segments that the head lists. A row that changes again returns to the head and shadows its
//! older copy. Segments of one tier are merged [`FAN_OUT`] at a time, so their number grows with the logarithm of the
//! version count.

mod activation;
mod change;
mod draft;
mod floor;
mod operation;
mod signatures;
mod size;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::attestation::Standing;
use super::policy::Tags;
use super::version::{State, VersionRow};
use super::{Carried, Descriptor, Digest, LogName, Subject};
pub use activation::{Activation, MAX_ACTIVATIONS};
pub use change::{Change, Due};
use draft::Draft;
pub use floor::Floor;
pub use operation::{Action, MAX_LISTED, Operation};
pub use signatures::{Signatures, SignaturesMissing};

/// The format of heads that this binary reads and writes.
pub const FORMAT: u32 = 1;
/// Maximum size in bytes of a head that this binary writes, as JSON. Exceeded only if the active and the changed row,
/// or members that this binary does not know, need the space.
pub const MAX_HEAD: usize = 12 << 10;
/// Maximum number of rows in the head itself.
pub const INLINE_MAX: usize = 32;
/// Number of rows that stay in the head when it spills.
pub const INLINE_KEEP: usize = 8;
/// Number of segments of one tier that are merged into one of the next.
pub const FAN_OUT: usize = 8;

/// Reference to a segment: an immutable object with rows that no longer fit the head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRef {
    /// Digest of the segment's bytes, which is also its key.
    pub digest: Digest,
    /// Lowest version number in the segment.
    pub first: u64,
    /// Highest version number in the segment.
    pub last: u64,
    /// Number of rows.
    pub rows: u64,
    /// Number of times that its rows have been merged.
    pub tier: u32,
    /// Number of rows that were roots when the segment was written. No other row of it can ever become a root again, so
    /// the collector need not read a segment with none.
    pub roots: u64,
    /// The labels of its versions, stored as segments are. Absent for small segments, and for those that were written by
    /// a binary that knew no labels: their rows are read instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Descriptor>,
    /// Members that this binary does not know. They describe exactly these bytes, so they are dropped with the
    /// reference when segments are merged.
    #[serde(flatten)]
    pub other: Carried,
}

impl SegmentRef {
    /// Whether the segment's range includes this version number.
    #[must_use]
    pub fn covers(&self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

/// Record of the withdrawal or deletion of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// Time of the withdrawal or deletion.
    pub at: Timestamp,
    /// The subject that requested it.
    pub by: Subject,
    /// The reason given, at most 500 bytes; empty if none was.
    pub reason: String,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

/// The complete state of a name at one generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Format version of this document; see [`FORMAT`].
    pub format: u32,
    /// The log that the head belongs to.
    pub name: LogName,
    /// 1 for the first head of the name, then without gaps.
    pub generation: u64,
    /// When the head was made; never earlier than its predecessor's time.
    pub time: Timestamp,
    /// The operation that produced the head.
    pub operation: Operation,
    /// The number that the next version gets.
    pub next_version: u64,
    /// The version that was active immediately before the active one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
    /// Set while the name is withdrawn or deleted, until the next publish or promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deletion>,
    /// The lowest version that clients should run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Box<Floor>>,
    /// The latest activations, newest first, at most [`MAX_ACTIVATIONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activations: Vec<Activation>,
    /// Of the versions that became active under a policy that requires signatures, the one with the highest serial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foremost: Option<u64>,
    /// The rows in the head, by ascending number. Always includes the active one.
    pub rows: Vec<VersionRow>,
    /// Segments with older rows; a later segment shadows an earlier one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<SegmentRef>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

/// The reason why bytes cannot be read as a head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The format is newer than this binary; holds its number.
    #[error("it is of format {0}, written by a newer larder; this one reads format {FORMAT}")]
    Newer(u64),
    /// The document is damaged.
    #[error("{0}")]
    Malformed(String),
}

/// The reason why a change is not possible in the present state of the name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The client's precondition does not hold.
    #[error("the name is not in the state that the request requires")]
    Precondition {
        /// Digest of the active manifest, if any.
        current: Option<Digest>,
    },
    /// The version or the name does not exist.
    #[error("there is no such version")]
    NoSuchVersion,
    /// There is no readable version with other content than the active one's that was ever active.
    #[error("no other content was active before that could become active again")]
    NoOtherContent,
    /// The name was deleted, so that nothing is active.
    #[error("the name was deleted at {}", .0.at)]
    Deleted(Box<Deletion>),
    /// The version is retired.
    #[error("version {} was retired", .0.number)]
    Retired(Box<VersionRow>),
    /// The state of the version does not allow this change.
    #[error("version {number} is {state}")]
    WrongState {
        /// Number of the version.
        number: u64,
        /// State of the version.
        state: State,
    },
    /// The policy of the name allows each label only once, and another version has this one, with other content.
    #[error("the label {label:?} is taken by version {number}")]
    LabelTaken {
        /// The label.
        label: String,
        /// The version that has it.
        number: u64,
    },
    /// The policy of the name lets it lead elsewhere only after it was withdrawn or deleted.
    #[error("version {active} is active, and the name is immutable")]
    TagImmutable {
        /// Number of the active version.
        active: u64,
        /// Digest of its manifest.
        current: Digest,
    },
    /// A draft has parts, and no manifest that could be published.
    #[error("version {0} is a draft")]
    Draft(u64),
    /// The active version can only be yanked together with a rollback.
    #[error("version {0} is active")]
    Active(u64),
    /// A yanked version cannot become active.
    #[error("version {} is yanked", .0.number)]
    Yanked(Box<VersionRow>),
    /// A pinned version cannot be retired.
    #[error("version {0} is pinned")]
    Pinned(u64),
    /// The name holds a catalog, which never goes back to an older document.
    #[error("the name holds a catalog, which only rolls forward")]
    RollsForward,
    /// A version that a catalog lists is kept.
    #[error("version {number} is listed in the catalog {catalog}")]
    Listed {
        /// Number of the version.
        number: u64,
        /// The catalog.
        catalog: Box<str>,
    },
    /// The version already has the maximum number of pins, or its row has no space for another.
    #[error("version {0} has as many pins as its row has room for")]
    PinsFull(u64),
    /// The version has as many attachments as it can have, or as one subject may attach.
    #[error("version {0} has as many attachments as it can have")]
    AttachmentsFull(u64),
    /// The policy of the name requires signatures that the version does not have.
    #[error("version {} lacks signatures", .0.version)]
    SignaturesMissing(Box<SignaturesMissing>),
    /// The version was never active and has a lower serial than the active one, so it would be a step back.
    #[error("version {version} has the serial {serial}, below {active_serial} of version {active}")]
    SerialBehind {
        /// Number of the version.
        version: u64,
        /// Its serial.
        serial: u64,
        /// Number of the active version.
        active: u64,
        /// The serial of that one.
        active_serial: u64,
    },
}

impl Rejection {
    /// The name has to keep leading to `active`.
    #[must_use]
    pub fn immutable(active: &VersionRow) -> Self {
        Self::TagImmutable { active: active.number, current: active.digest() }
    }

    /// A version with pins is kept.
    #[must_use]
    pub fn pinned(row: &VersionRow) -> Self {
        match row.catalog() {
            Some(catalog) => Self::Listed { number: row.number, catalog: catalog.into() },
            None => Self::Pinned(row.number),
        }
    }

    /// The label of `holder` is taken.
    #[must_use]
    pub fn taken(holder: VersionRow) -> Self {
        Self::LabelTaken { label: holder.summary.label.unwrap_or_default(), number: holder.number }
    }
}

/// Inputs for judging a change, besides the newest head.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// The version that [`Change::selector`] picks, whether in the head or in a segment. For a rollback, the version to
    /// go back to.
    pub row: Option<VersionRow>,
    /// For a yank, the version that becomes active if the yanked one is active.
    pub instead: Option<VersionRow>,
    /// For a deletion, all rows of the name; for an expiry, the rows that it concerns.
    pub everything: Vec<VersionRow>,
    /// For a publish under a policy that allows each label only once: the newest version that ever had the label.
    pub label_holder: Option<VersionRow>,
    /// Whether other content may become active while a version is.
    pub tags: Tags,
    /// Whether the name holds a catalog, which never goes back.
    pub rolls_forward: bool,
    /// Whether the subject may found that catalog, and so take it away.
    pub is_founder: bool,
    /// For a change that makes a version active, under a policy that requires signatures: those that there are.
    pub signatures: Option<Signatures>,
    /// The subject that requests the change, and the operation's id.
    pub operation: Operation,
    /// The present time, by the corrected clock.
    pub now: Timestamp,
}

impl Judgement {
    /// Creates a judgement for a change that needs only the head itself.
    #[must_use]
    pub fn new(operation: Operation, now: Timestamp) -> Self {
        let (row, instead, label_holder, signatures) = (None, None, None, None);
        let (everything, tags, rolls_forward, is_founder) = (Vec::new(), Tags::default(), false, false);
        Self { row, instead, everything, label_holder, tags, rolls_forward, is_founder, signatures, operation, now }
    }
}

/// The result of a change that is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The name is already in the requested state; nothing to write. Holds the version concerned, if there is one.
    Unchanged(Option<VersionRow>),
    /// The next head, and the rows that must be spilled before it is created.
    Next {
        /// The head to create. Its segment list does not include the spilled rows yet.
        head: Box<Head>,
        /// The changed version in its new state. `None` if the change is not about a single version.
        row: Option<VersionRow>,
        /// Rows to spill, by ascending number.
        spill: Vec<VersionRow>,
        /// What clients that require the signatures of the policy make of the version that has become active.
        standing: Option<Standing>,
    },
}

impl Head {
    /// The version that readers of the name get.
    #[must_use]
    pub fn active(&self) -> Option<&VersionRow> {
        self.rows.iter().find(|row| row.state == State::Active)
    }

    /// Number of the version that was active before the active one, retired or not. A deletion takes `previous` away, but
    /// the activations remember.
    #[must_use]
    pub fn before_active(&self) -> Option<u64> {
        let active = self.active().map(|row| row.number);
        let former = || self.activations.iter().map(|activation| activation.version).find(|one| Some(*one) != active);
        self.previous.or_else(former)
    }

    /// The row with this number, if it is in the head itself.
    #[must_use]
    pub fn inline(&self, number: u64) -> Option<&VersionRow> {
        self.rows.iter().find(|row| row.number == number)
    }

    /// Parses a head.
    ///
    /// # Errors
    /// A [`HeadError`]. A newer format is reported as such even if nothing else in the document can be read.
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

    /// Computes the head that follows `current` after `change` (`None`: the name has never existed).
    ///
    /// # Errors
    /// A [`Rejection`] if the present state does not allow the change.
    pub fn next(
        current: Option<&Self>,
        name: &LogName,
        change: &Change,
        judgement: Judgement,
    ) -> Result<Outcome, Rejection> {
        let Judgement { row, instead, everything, label_holder, tags, signatures, operation, now, .. } = judgement;
        let before = current.and_then(Self::active);
        if let Some(unchanged) = current.and_then(|head| change.already(head, row.as_ref())) {
            return Ok(Outcome::Unchanged(Some(unchanged)));
        }
        let active = before.map(VersionRow::digest);
        if change.expect().is_some_and(|expect| !expect.holds(active)) {
            return Err(Rejection::Precondition { current: active });
        }
        if let (Some(summary), Some(holder)) = (change.published(row.as_ref()), label_holder)
            && holder.digest() != summary.manifest.digest
        {
            return Err(Rejection::taken(holder));
        }
        if judgement.rolls_forward {
            change.judge_catalog(current, row.as_ref(), judgement.is_founder)?;
        }
        let mut draft = Draft::new(current, name, operation, now);
        let row = draft.apply(change, row, instead, everything).map_err(|rejection| {
            let deletion = current.and_then(|head| head.deleted.clone()).filter(|_| change.is_about_what_is_active());
            match (rejection, deletion) {
                (Rejection::NoSuchVersion, Some(deletion)) => Rejection::Deleted(Box::new(deletion)),
                (rejection, _) => rejection,
            }
        })?;
        if tags == Tags::Immutable {
            draft.require_same_content(before)?;
        }
        let activated = draft.activated(before).zip(signatures);
        let admitted = activated.map(|(row, signatures)| signatures.admit(name, before, row, now)).transpose()?;
        let standing = admitted.map(|admitted| draft.admitted(admitted));
        Ok(draft.finish(row, standing))
    }
}

#[cfg(test)]
mod tests;
