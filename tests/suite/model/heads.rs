//! A name: its newest head, and what happened to its versions for the properties to judge.
//!
//! Of a log of heads only the newest matters, because a head is only ever created one above the newest.

use std::fmt;

use super::bits::Bits;

/// Versions of one name that fit. The model panics when it needs more.
pub const VERSIONS: u8 = 3;

/// Where a version is in its life. `Archived` stands for *ready*, too: both are complete, roots, not active, and may be
/// retired, which is all that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    #[default]
    Unused,
    Prepared,
    Active,
    Archived,
    Retired,
    Aborted,
}

impl State {
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Active | Self::Archived)
    }
}

/// A version; its number is its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Row {
    pub state: State,
    /// Which of the setup's manifests.
    pub manifest: u8,
}

/// The complete state of a name at one generation; 0 means that there is no head yet.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    pub generation: u8,
    pub rows: [Row; VERSIONS as usize],
}

/// What somebody wants to become of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// P1.
    Prepare {
        manifest: u8,
    },
    /// P3.
    Commit {
        number: u8,
    },
    Abort {
        number: u8,
    },
    /// Retire these versions, or abort them if they are prepared: a set of numbers.
    Expire {
        due: u8,
    },
    /// Make the newest archived version active again.
    Rollback,
    /// Retire everything.
    Delete,
    /// Leave no version active.
    Withdraw,
    /// Retire the complete versions with this manifest.
    Retire {
        manifest: u8,
    },
}

impl Head {
    pub fn numbered(&self) -> impl Iterator<Item = (u8, Row)> {
        (0..).zip(self.rows)
    }

    /// The set of versions that retention or the time-out of prepared versions may end.
    pub fn may_expire(self) -> u8 {
        let due = |row: Row| matches!(row.state, State::Prepared | State::Archived);
        self.numbered().filter(|(_, row)| due(*row)).fold(0, |set, (number, _)| set | 1 << number)
    }

    /// The number that the next version gets. Numbers are never reused: an aborted version keeps its place.
    pub fn next_number(self) -> u8 {
        let free = self.numbered().find(|(_, row)| row.state == State::Unused);
        free.expect("the model needs room for more versions").0
    }

    fn row(&mut self, number: u8) -> &mut Row {
        &mut self.rows[usize::from(number)]
    }

    /// The next head, or `None` when the present state does not allow the change or needs none.
    pub fn next(self, change: Change) -> Option<Self> {
        let mut head = self;
        head.generation += 1;
        match change {
            Change::Prepare { manifest } => *head.row(self.next_number()) = Row { state: State::Prepared, manifest },
            Change::Commit { number } => {
                if head.row(number).state != State::Prepared {
                    return None;
                }
                head.activate(number);
            }
            Change::Abort { number } => {
                if head.row(number).state != State::Prepared {
                    return None;
                }
                head.row(number).state = State::Aborted;
            }
            Change::Expire { due } => head.end(due & self.may_expire())?,
            Change::Rollback => {
                let archived = self.numbered().filter(|(_, row)| row.state == State::Archived).last()?;
                head.activate(archived.0);
            }
            Change::Delete => head.end(u8::MAX)?,
            Change::Withdraw => head.deactivate().then_some(())?,
            Change::Retire { manifest } => head.end(self.complete_with(manifest))?,
        }
        Some(head)
    }

    /// The set of complete versions with this manifest.
    pub fn complete_with(self, manifest: u8) -> u8 {
        let is_it = |row: Row| row.state.is_complete() && row.manifest == manifest;
        self.numbered().filter(|(_, row)| is_it(*row)).fold(0, |set, (number, _)| set | 1 << number)
    }

    fn activate(&mut self, number: u8) {
        self.deactivate();
        self.row(number).state = State::Active;
    }

    fn deactivate(&mut self) -> bool {
        let active = self.rows.iter_mut().filter(|row| row.state == State::Active);
        active.map(|row| row.state = State::Archived).count() > 0
    }

    fn end(&mut self, numbers: u8) -> Option<()> {
        let before = self.rows;
        for (number, row) in (0_u8..).zip(&mut self.rows) {
            row.state = match row.state {
                State::Prepared if numbers & 1 << number != 0 => State::Aborted,
                State::Active | State::Archived if numbers & 1 << number != 0 => State::Retired,
                state => state,
            };
        }
        (self.rows != before).then_some(())
    }

    pub fn pack(self, bits: &mut Bits) {
        bits.put(self.generation, 4);
        if self.generation == 0 {
            return;
        }
        for row in &self.rows {
            bits.put(row.state as u8, 3);
            bits.put(row.manifest, 2);
        }
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "head {}:", self.generation)?;
        for (number, row) in self.numbered().filter(|(_, row)| row.state != State::Unused) {
            write!(f, " version {number} {:?} (manifest {})", row.state, row.manifest)?;
        }
        Ok(())
    }
}

/// A name, with what the properties need to know of its past. In a correct protocol the past can be read off the rows,
/// so it makes no states more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Name {
    pub head: Head,
    /// The versions that were ever given up.
    pub aborted: u8,
    /// The versions whose publisher was told that they are committed.
    pub committed: u8,
    /// A version was committed twice, or as another manifest than its publisher's.
    pub muddled: bool,
}

impl Name {
    /// Notes what a change that was just made means for the versions.
    pub fn note(&mut self, change: Change, before: Head, manifest: u8) {
        match change {
            Change::Commit { number } => {
                let row = self.head.rows[usize::from(number)];
                self.muddled |= self.committed & 1 << number != 0 || row.manifest != manifest;
                self.committed |= 1 << number;
            }
            Change::Prepare { .. } | Change::Rollback | Change::Withdraw | Change::Retire { .. } => {}
            Change::Abort { .. } | Change::Expire { .. } | Change::Delete => {
                for (number, row) in before.numbered() {
                    if row.state == State::Prepared && self.head.rows[usize::from(number)].state == State::Aborted {
                        self.aborted |= 1 << number;
                    }
                }
            }
        }
    }

    pub fn pack(&self, bits: &mut Bits) {
        self.head.pack(bits);
        bits.put(self.aborted, VERSIONS);
        bits.put(self.committed, VERSIONS);
        bits.flag(self.muddled);
    }
}
