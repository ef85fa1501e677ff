//! The next head of a name while it is being made: what each change does to the rows, and which rows must leave.

use jiff::Timestamp;

use super::super::version::{State, Summary, VersionRow};
use super::{Change, Deletion, Due, Head, INLINE_KEEP, INLINE_MAX, LogName, Operation, Outcome, Rejection};

/// The next head while it is being made.
pub(super) struct Draft {
    head: Head,
    changed: u64,
    /// It turned out that there is nothing to change.
    idle: bool,
}

impl Draft {
    pub(super) fn new(current: Option<&Head>, name: &LogName, operation: Operation, now: Timestamp) -> Self {
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
        Self { head, changed: 0, idle: false }
    }

    pub(super) fn apply(
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
            Change::Expire { due } => {
                self.idle = !self.expire(due, everything);
                return Ok(None);
            }
            Change::Delete { reason, .. } => return self.delete(everything, reason).map(|()| None),
        };
        self.changed = changed.number;
        self.head.operation.version = Some(changed.number);
        Ok(Some(changed))
    }

    fn prepare(&mut self, summary: Summary) -> VersionRow {
        let by = self.head.operation.by.clone();
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
            old.generation = self.head.generation;
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

    /// Retires or gives up those of `rows` that are due and still as they were then. Whether there were any.
    fn expire(&mut self, due: &[Due], rows: Vec<VersionRow>) -> bool {
        let mut any = false;
        for mut row in rows {
            let is_due = |due: &&Due| due.number == row.number && due.generation == row.generation && !row.pinned;
            let Some(due) = due.iter().find(is_due) else { continue };
            match row.state {
                State::Prepared => drop(self.abort(row)),
                State::Ready | State::Archived => {
                    self.set_retired(&mut row, &due.reason);
                    self.put(row);
                }
                State::Active | State::Retired | State::Aborted => continue,
            }
            any = true;
        }
        any
    }

    fn delete(&mut self, mut everything: Vec<VersionRow>, reason: &str) -> Result<(), Rejection> {
        if everything.is_empty() || self.head.deleted.is_some() {
            return Err(Rejection::NoSuchVersion);
        }
        if let Some(row) = everything.iter().find(|row| row.pinned && row.state.is_root()) {
            return Err(Rejection::Pinned(row.number));
        }
        for row in everything.iter_mut().filter(|row| row.state.is_root()) {
            if row.state == State::Prepared {
                row.state = State::Aborted;
            } else {
                self.set_retired(row, reason);
            }
            row.generation = self.head.generation;
        }
        self.head.rows = everything;
        self.head.segments = Vec::new();
        self.head.previous = None;
        self.head.deleted = Some(Deletion { at: self.head.time, reason: reason.to_owned() });
        self.head.operation.reason = Some(reason.to_owned());
        Ok(())
    }

    /// Puts a row into the head, in place of its older copy.
    fn put(&mut self, mut row: VersionRow) -> VersionRow {
        row.generation = self.head.generation;
        let rows = &mut self.head.rows;
        match rows.binary_search_by_key(&row.number, |other| other.number) {
            Ok(at) => rows[at] = row.clone(),
            Err(at) => rows.insert(at, row.clone()),
        }
        row
    }

    /// Takes the oldest rows out of a head that has grown too large.
    pub(super) fn finish(mut self, row: Option<VersionRow>) -> Outcome {
        if self.idle {
            return Outcome::Unchanged(None);
        }
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
