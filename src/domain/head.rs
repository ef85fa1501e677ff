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

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::version::{State, Summary, VersionRow};
use super::{Digest, Expect, ManifestName, Selector};

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
    /// Who did it (the id of a token, never the token).
    pub actor: String,
    /// The version it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Why, in the actor's words.
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
    /// The name.
    pub name: ManifestName,
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
            Self::Prepare { .. } | Self::Delete { .. } => None,
        }
    }

    fn expect(&self) -> Option<&Expect> {
        match self {
            Self::Prepare { expect, .. }
            | Self::Commit { expect, .. }
            | Self::Promote { expect, .. }
            | Self::Delete { expect, .. } => Some(expect),
            Self::Abort { .. } | Self::Pin { .. } | Self::Retire { .. } => None,
        }
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
    /// The name is already as wanted; nothing to write. Carries the version that was found so.
    Unchanged(VersionRow),
    /// The next head, and the rows that must be spilled before it is created.
    Next {
        /// The head to create. Its segment list does not include the spilled rows yet.
        head: Box<Head>,
        /// The version the change was about, in its new state. `None` for a deletion.
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
    /// holds all rows of the name.
    ///
    /// # Errors
    /// A [`Rejection`] when the present state does not allow the change.
    pub fn next(
        current: Option<&Self>,
        name: &ManifestName,
        change: &Change,
        row: Option<VersionRow>,
        everything: Vec<VersionRow>,
        operation: Operation,
        now: Timestamp,
    ) -> Result<Outcome, Rejection> {
        if let Some(unchanged) = current.and_then(|head| head.unchanged(change, row.as_ref())) {
            return Ok(Outcome::Unchanged(unchanged));
        }
        let active = current.and_then(Self::active).map(VersionRow::digest);
        if change.expect().is_some_and(|expect| !expect.holds(active)) {
            return Err(Rejection::Precondition { current: active });
        }
        let mut draft = Draft::new(current, name, operation, now);
        let row = draft.apply(change, row, everything)?;
        Ok(draft.finish(row))
    }

    /// The version that already is what `change` asks for. A retried request must succeed, whatever its
    /// precondition said the first time (RFC 9110 section 13.1.1 allows just this).
    fn unchanged(&self, change: &Change, row: Option<&VersionRow>) -> Option<VersionRow> {
        match change {
            Change::Prepare { .. } | Change::Delete { .. } | Change::Abort { .. } => None,
            Change::Commit { activate, .. } => row.filter(|row| match row.state {
                State::Active | State::Archived => true,
                State::Ready => !activate,
                State::Prepared | State::Retired | State::Aborted => false,
            }),
            Change::Promote { .. } => row.filter(|row| row.state == State::Active),
            Change::Pin { pinned, .. } => row.filter(|row| row.state.is_root() && row.pinned == *pinned),
            Change::Retire { .. } => row.filter(|row| row.state == State::Retired),
        }
        .cloned()
    }
}

/// The next head while it is being made.
struct Draft {
    head: Head,
    changed: u64,
}

impl Draft {
    fn new(current: Option<&Head>, name: &ManifestName, operation: Operation, now: Timestamp) -> Self {
        let head = match current {
            Some(head) => Head { generation: head.generation + 1, time: now.max(head.time), operation, ..head.clone() },
            None => Head {
                format: 1,
                name: name.clone(),
                generation: 1,
                time: now,
                operation,
                next_version: 1,
                previous: None,
                deleted: None,
                rows: Vec::new(),
                segments: Vec::new(),
            },
        };
        Self { head, changed: 0 }
    }

    fn apply(
        &mut self,
        change: &Change,
        row: Option<VersionRow>,
        everything: Vec<VersionRow>,
    ) -> Result<Option<VersionRow>, Rejection> {
        let changed = match change {
            Change::Prepare { summary, .. } => self.prepare(summary.clone()),
            Change::Commit { activate, .. } => self.commit(found(row)?, *activate)?,
            Change::Abort { .. } => self.abort(found(row)?)?,
            Change::Promote { .. } => self.promote(found(row)?)?,
            Change::Pin { pinned, .. } => self.pin(found(row)?, *pinned)?,
            Change::Retire { reason, .. } => self.retire(found(row)?, reason)?,
            Change::Delete { reason, .. } => return self.delete(everything, reason).map(|()| None),
        };
        self.changed = changed.number;
        self.head.operation.version = Some(changed.number);
        Ok(Some(changed))
    }

    fn prepare(&mut self, summary: Summary) -> VersionRow {
        let by = self.head.operation.actor.clone();
        let row = VersionRow::prepared(self.head.next_version, summary, by, self.head.time);
        self.head.next_version += 1;
        self.put(row)
    }

    fn commit(&mut self, mut row: VersionRow, activate: bool) -> Result<VersionRow, Rejection> {
        if row.state != State::Prepared {
            return Err(wrong_state(row));
        }
        row.published_at = Some(self.head.time);
        self.head.deleted = None;
        if activate {
            return Ok(self.activate(row));
        }
        row.state = State::Ready;
        Ok(self.put(row))
    }

    fn abort(&mut self, mut row: VersionRow) -> Result<VersionRow, Rejection> {
        if row.state != State::Prepared {
            return Err(wrong_state(row));
        }
        row.state = State::Aborted;
        let spilled = self.head.segments.iter().any(|segment| segment.covers(row.number));
        self.head.rows.retain(|other| other.number != row.number);
        // Only a row that was spilled needs something to shadow it; any other just disappears.
        Ok(if spilled { self.put(row) } else { row })
    }

    fn promote(&mut self, row: VersionRow) -> Result<VersionRow, Rejection> {
        if !row.state.is_complete() {
            return Err(wrong_state(row));
        }
        Ok(self.activate(row))
    }

    fn activate(&mut self, mut row: VersionRow) -> VersionRow {
        let now = self.head.time;
        if let Some(old) = self.head.rows.iter_mut().find(|other| other.state == State::Active) {
            old.state = State::Archived;
            old.archived_at = Some(now);
            self.head.previous = Some(old.number);
        }
        row.state = State::Active;
        row.promoted_at = Some(now);
        row.archived_at = None;
        self.put(row)
    }

    fn pin(&mut self, mut row: VersionRow, pinned: bool) -> Result<VersionRow, Rejection> {
        if !row.state.is_complete() {
            return Err(wrong_state(row));
        }
        row.pinned = pinned;
        Ok(self.put(row))
    }

    fn retire(&mut self, mut row: VersionRow, reason: &str) -> Result<VersionRow, Rejection> {
        if row.pinned {
            return Err(Rejection::Pinned(row.number));
        }
        if !matches!(row.state, State::Ready | State::Archived) {
            return Err(wrong_state(row));
        }
        self.set_retired(&mut row, reason);
        Ok(self.put(row))
    }

    fn set_retired(&self, row: &mut VersionRow, reason: &str) {
        row.state = State::Retired;
        row.retired_at = Some(self.head.time);
        row.retired_because = Some(reason.to_owned());
    }

    fn delete(&mut self, mut everything: Vec<VersionRow>, reason: &str) -> Result<(), Rejection> {
        if everything.is_empty() || self.head.deleted.is_some() {
            return Err(Rejection::NoSuchVersion);
        }
        if let Some(row) = everything.iter().find(|row| row.pinned && row.state.is_root()) {
            return Err(Rejection::Pinned(row.number));
        }
        for row in &mut everything {
            match row.state {
                State::Prepared => row.state = State::Aborted,
                State::Ready | State::Active | State::Archived => self.set_retired(row, reason),
                State::Retired | State::Aborted => {}
            }
        }
        self.head.rows = everything;
        self.head.segments = Vec::new();
        self.head.previous = None;
        self.head.deleted = Some(Deletion { at: self.head.time, reason: reason.to_owned() });
        self.head.operation.reason = Some(reason.to_owned());
        Ok(())
    }

    /// Puts a row into the head, in place of its older copy.
    fn put(&mut self, row: VersionRow) -> VersionRow {
        let rows = &mut self.head.rows;
        match rows.binary_search_by_key(&row.number, |other| other.number) {
            Ok(at) => rows[at] = row.clone(),
            Err(at) => rows.insert(at, row.clone()),
        }
        row
    }

    /// Takes the oldest rows out of a head that has grown too large.
    fn finish(mut self, row: Option<VersionRow>) -> Outcome {
        let mut spill = Vec::new();
        if self.head.rows.len() > INLINE_MAX {
            let surplus = self.head.rows.len() - INLINE_KEEP;
            let stays = |row: &VersionRow| row.state == State::Active || row.number == self.changed;
            let (old, new) = std::mem::take(&mut self.head.rows)
                .into_iter()
                .enumerate()
                .partition::<Vec<_>, _>(|(at, row)| *at < surplus && !stays(row));
            spill = old.into_iter().map(|(_, row)| row).collect();
            self.head.rows = new.into_iter().map(|(_, row)| row).collect();
        }
        Outcome::Next { head: Box::new(self.head), row, spill }
    }
}

fn found(row: Option<VersionRow>) -> Result<VersionRow, Rejection> {
    row.filter(|row| row.state != State::Aborted).ok_or(Rejection::NoSuchVersion)
}

fn wrong_state(row: VersionRow) -> Rejection {
    if row.state == State::Retired {
        Rejection::Retired(Box::new(row))
    } else {
        Rejection::WrongState { number: row.number, state: row.state }
    }
}

#[cfg(test)]
mod tests;
