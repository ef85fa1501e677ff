//! Computing the next head of a name: the effect of each change on the rows, and which rows are spilled.

mod warnings;

use jiff::Timestamp;

use super::super::version::{MAX_PINS, MAX_ROW, Pin, ROW_RESERVE, State, Summary, VersionRow, bounded};
use super::super::{Carried, Descriptor, Origin, PinOwner};
use super::signatures::Admitted;
use super::{
    Action, Change, Deletion, Due, FORMAT, Head, LogName, MAX_LISTED, Operation, Outcome, Rejection, Standing,
};
use super::{activation, size};

/// The next head under construction.
pub(super) struct Draft {
    head: Head,
    changed: u64,
    /// The change turned out to have no effect.
    idle: bool,
}

impl Draft {
    pub(super) fn new(current: Option<&Head>, name: &LogName, operation: Operation, now: Timestamp) -> Self {
        let head = match current {
            Some(head) => Head { generation: head.generation + 1, time: now.max(head.time), operation, ..head.clone() },
            None => Head {
                format: FORMAT,
                name: name.clone(),
                generation: 1,
                time: now,
                operation,
                next_version: 1,
                previous: None,
                deleted: None,
                floor: None,
                activations: Vec::new(),
                foremost: None,
                rows: Vec::new(),
                segments: Vec::new(),
                other: Carried::default(),
            },
        };
        Self { head, changed: 0, idle: false }
    }

    pub(super) fn apply(
        &mut self,
        change: &Change,
        row: Option<VersionRow>,
        instead: Option<VersionRow>,
        everything: Vec<VersionRow>,
    ) -> Result<Option<VersionRow>, Rejection> {
        let changed = match change {
            Change::Prepare { summary, from, annex, .. } => self.prepare(summary.clone(), (from.clone(), *annex)),
            Change::BeginDraft { session, summary } => self.begin_draft(session, summary.clone()),
            Change::Amend { summary: Some(summary), .. } => self.amend(found(row)?, summary.clone())?,
            Change::Commit { activate, .. } => self.commit(found(row)?, *activate)?,
            Change::Abort { .. } | Change::Amend { summary: None, .. } => self.abort(found(row)?)?,
            Change::Promote { .. } => self.promote(found(row)?)?,
            Change::Rollback { .. } => self.promote(row.ok_or(Rejection::NoOtherContent)?)?,
            Change::Pin { pinned, owner, force, .. } => self.pin(found(row)?, *pinned, owner, *force)?,
            Change::Attach { annex, .. } => self.attach(found(row)?, *annex)?,
            Change::Retire { reason, .. } => self.retire(found(row)?, reason)?,
            Change::Yank { reason, instead: number, rollback, .. } => {
                self.yank(found(row)?, (reason, *number), *rollback, instead)?
            }
            Change::Unyank { .. } => self.unyank(found(row)?)?,
            Change::Floor { reason, .. } => self.floor(found(row)?, reason)?,
            Change::Unfloor { version } => return self.unfloor(*version).map(|()| None),
            Change::Expire { due } => {
                self.idle = !self.expire(due, everything);
                return Ok(None);
            }
            Change::Withdraw { version, reason, .. } => self.withdraw(found(row)?, *version, reason)?,
            Change::Delete { reason, .. } => return self.delete(everything, reason).map(|()| None),
        };
        self.changed = changed.number;
        self.head.operation.version = Some(changed.number);
        Ok(Some(changed))
    }

    fn prepare(&mut self, summary: Summary, (from, annex): (Option<Box<Origin>>, Option<Descriptor>)) -> VersionRow {
        let by = self.head.operation.by.clone();
        let mut row = VersionRow::prepared(self.head.next_version, summary, by, self.head.time);
        row.from.clone_from(&from);
        row.annex = annex;
        self.head.operation.from = from;
        self.head.next_version += 1;
        self.put(row)
    }

    fn begin_draft(&mut self, session: &str, summary: Summary) -> VersionRow {
        let mut row = self.prepare(summary, (None, None));
        row.session = Some(session.into());
        self.put(row)
    }

    fn amend(&mut self, mut row: VersionRow, summary: Summary) -> Result<VersionRow, Rejection> {
        if row.state != State::Prepared {
            return Err(wrong_state(row));
        }
        row.summary = summary;
        // The time limit is for drafts that nobody fills any more.
        row.prepared_at = self.head.time;
        Ok(self.put(row))
    }

    fn commit(&mut self, mut row: VersionRow, activate: bool) -> Result<VersionRow, Rejection> {
        if row.state != State::Prepared {
            return Err(wrong_state(row));
        }
        if row.is_draft() {
            return Err(Rejection::Draft(row.number));
        }
        row.published_at = Some(self.head.time);
        self.head.deleted = None;
        self.head.operation.from.clone_from(&row.from);
        if row.from.as_ref().is_some_and(|from| from.is_copy()) {
            self.head.operation.action = Action::Copy;
        }
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
        // Only a spilled row needs a newer copy that shadows it; any other is simply removed.
        Ok(if spilled { self.put(row) } else { row })
    }

    fn promote(&mut self, row: VersionRow) -> Result<VersionRow, Rejection> {
        if !row.state.is_complete() {
            return Err(wrong_state(row));
        }
        if row.yanked.is_some() {
            return Err(Rejection::Yanked(Box::new(row)));
        }
        // However the version was selected. Clients that must not race with a promotion resolve `@previous` first and
        // promote by number.
        if self.head.previous == Some(row.number) {
            self.head.operation.action = Action::Rollback;
        }
        self.head.deleted = None;
        Ok(self.activate(row))
    }

    /// The version that the change makes active.
    pub(super) fn activated(&self, before: Option<&VersionRow>) -> Option<&VersionRow> {
        self.head.active().filter(|active| before.is_none_or(|before| before.number != active.number))
    }

    /// Checks that readers who get what was active before get the same content now, or nothing.
    pub(super) fn require_same_content(&self, before: Option<&VersionRow>) -> Result<(), Rejection> {
        match (before, self.head.active()) {
            (Some(old), Some(new)) if old.digest() != new.digest() => Err(Rejection::immutable(old)),
            _ => Ok(()),
        }
    }

    fn activate(&mut self, mut row: VersionRow) -> VersionRow {
        let now = self.head.time;
        match self.archive() {
            Some(old) => self.head.previous = Some(old),
            // The name was withdrawn while this version was active.
            None if self.head.previous == Some(row.number) => {
                let others = self.head.activations.iter().map(|activation| activation.version);
                self.head.previous = others.into_iter().find(|version| *version != row.number);
            }
            None => {}
        }
        activation::open(&mut self.head.activations, row.number, now);
        row.state = State::Active;
        row.first_active_at = row.first_active_at();
        row.activations += 1;
        row.promoted_at = Some(now);
        row.promoted_by = Some(self.head.operation.by.clone());
        row.archived_at = None;
        self.put(row)
    }

    /// Archives the active version, if there is one, and returns its number.
    fn archive(&mut self) -> Option<u64> {
        let (now, generation) = (self.head.time, self.head.generation);
        let old = self.head.rows.iter_mut().find(|other| other.state == State::Active)?;
        old.state = State::Archived;
        old.archived_at = Some(now);
        old.generation = generation;
        activation::close(&mut self.head.activations, now);
        Some(old.number)
    }

    fn pin(
        &mut self,
        mut row: VersionRow,
        pinned: bool,
        owner: &PinOwner,
        force: bool,
    ) -> Result<VersionRow, Rejection> {
        if !row.state.is_complete() {
            return Err(wrong_state(row));
        }
        let Operation { by, reason, .. } = self.head.operation.clone();
        if let PinOwner::Catalog(catalog) = owner
            && !pinned
            && !(force && reason.is_some())
        {
            return Err(Rejection::Listed { number: row.number, catalog: catalog.as_str().into() });
        }
        let owner: Box<str> = owner.to_string().into();
        row.pins.retain(|pin| pin.owner != owner);
        if pinned {
            let (at, reason) = (self.head.time, reason.map(Into::into));
            row.pins.push(Pin { owner, by, at, reason, other: Carried::default() });
            if row.pins.len() > MAX_PINS || size::json_size(&row) > MAX_ROW - ROW_RESERVE {
                return Err(Rejection::PinsFull(row.number));
            }
        }
        Ok(self.put(row))
    }

    fn attach(&mut self, mut row: VersionRow, annex: Descriptor) -> Result<VersionRow, Rejection> {
        if row.is_draft() {
            return Err(Rejection::Draft(row.number));
        }
        if row.state != State::Prepared && !row.state.is_complete() {
            return Err(wrong_state(row));
        }
        row.annex = Some(annex);
        if size::json_size(&row) > MAX_ROW - ROW_RESERVE {
            return Err(Rejection::AttachmentsFull(row.number));
        }
        Ok(self.put(row))
    }

    fn retire(&mut self, mut row: VersionRow, reason: &str) -> Result<VersionRow, Rejection> {
        if !matches!(row.state, State::Unknown(_)) && row.is_pinned() {
            return Err(Rejection::pinned(&row));
        }
        if !matches!(row.state, State::Ready | State::Archived) {
            return Err(wrong_state(row));
        }
        self.head.operation.reason = given(reason);
        self.set_retired(&mut row, reason);
        Ok(self.put(row))
    }

    fn set_retired(&self, row: &mut VersionRow, reason: &str) {
        row.state = State::Retired;
        row.retired_at = Some(self.head.time);
        row.retired_by = Some(self.head.operation.by.clone());
        row.retired_because = given(reason);
    }

    /// Step C0: retires or aborts those of `rows` that are due and unchanged since they were judged. Returns whether
    /// there were any.
    fn expire(&mut self, due: &[Due], rows: Vec<VersionRow>) -> bool {
        let mut expired = Vec::new();
        for mut row in rows {
            let is_due = |due: &&Due| due.number == row.number && due.generation == row.generation && !row.is_pinned();
            let Some(due) = due.iter().find(is_due) else { continue };
            expired.push(row.number);
            match row.state {
                State::Prepared => drop(self.abort(row)),
                State::Ready | State::Archived => {
                    self.set_retired(&mut row, &due.reason);
                    self.put(row);
                }
                State::Active | State::Retired | State::Aborted | State::Unknown(_) => drop(expired.pop()),
            }
        }
        let any = !expired.is_empty();
        expired.truncate(MAX_LISTED);
        self.head.operation.versions = expired;
        any
    }

    fn withdraw(&mut self, row: VersionRow, version: Option<u64>, reason: &str) -> Result<VersionRow, Rejection> {
        if version.is_some_and(|wanted| wanted != row.number) {
            return Err(Rejection::Precondition { current: Some(row.digest()) });
        }
        if row.catalog().is_some() {
            return Err(Rejection::pinned(&row));
        }
        self.set_deleted(reason);
        self.head.previous = self.archive();
        Ok(self.head.inline(row.number).cloned().unwrap_or(row))
    }

    fn set_deleted(&mut self, reason: &str) {
        let (at, by, reason) = (self.head.time, self.head.operation.by.clone(), bounded(reason));
        self.head.operation.reason = given(&reason);
        self.head.deleted = Some(Deletion { at, by, reason, other: Carried::default() });
    }

    fn delete(&mut self, mut everything: Vec<VersionRow>, reason: &str) -> Result<(), Rejection> {
        let mut roots = everything.iter().filter(|row| row.state.is_root()).peekable();
        // A name that was only withdrawn, or that has prepared versions since its deletion, still has versions to
        // retire.
        if everything.is_empty() || (self.head.deleted.is_some() && roots.peek().is_none()) {
            return Err(Rejection::NoSuchVersion);
        }
        for row in roots {
            if let State::Unknown(_) = row.state {
                return Err(wrong_state(row.clone()));
            } else if row.is_pinned() {
                return Err(Rejection::pinned(row));
            }
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
        activation::close(&mut self.head.activations, self.head.time);
        self.set_deleted(reason);
        Ok(())
    }

    /// Inserts a row into the head, replacing its older copy.
    fn put(&mut self, mut row: VersionRow) -> VersionRow {
        row.generation = self.head.generation;
        let rows = &mut self.head.rows;
        match rows.binary_search_by_key(&row.number, |other| other.number) {
            Ok(at) => rows[at] = row.clone(),
            Err(at) => rows.insert(at, row.clone()),
        }
        row
    }

    /// Spills the oldest rows if the head has grown too large.
    /// Notes the version that became active if its serial is the highest of all that did.
    pub(super) fn admitted(&mut self, Admitted { standing, foremost }: Admitted) -> Standing {
        self.head.foremost = foremost;
        standing
    }

    pub(super) fn finish(mut self, row: Option<VersionRow>, standing: Option<Standing>) -> Outcome {
        if self.idle {
            return Outcome::Unchanged(None);
        }
        let changed = self.changed;
        let spill = size::spill(&mut self.head, |row| row.state == State::Active || row.number == changed);
        Outcome::Next { head: Box::new(self.head), row, spill, standing }
    }
}

/// A reason as it is recorded; `None` if none was given. Who did it is recorded beside it.
fn given(reason: &str) -> Option<String> {
    Some(bounded(reason)).filter(|reason| !reason.is_empty())
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
