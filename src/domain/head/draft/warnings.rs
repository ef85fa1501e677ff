//! The effect of yanks and floors.

use super::super::Floor;
use super::{Draft, Rejection, bounded, wrong_state};
use crate::domain::version::Yank;
use crate::domain::{Carried, State, VersionRow};

impl Draft {
    /// `back` is the version that becomes active if `row` is and `rollback` asks for it.
    pub(super) fn yank(
        &mut self,
        mut row: VersionRow,
        (reason, instead): (&str, Option<u64>),
        rollback: bool,
        back: Option<VersionRow>,
    ) -> Result<VersionRow, Rejection> {
        if !row.state.is_complete() {
            return Err(wrong_state(row));
        }
        let active = row.state == State::Active;
        if active && !rollback {
            return Err(Rejection::Active(row.number));
        }
        let (at, by) = (self.head.time, self.head.operation.by.clone());
        let (reason, instead) = (bounded(reason), instead.filter(|number| *number != row.number));
        self.head.operation.reason = Some(reason.clone());
        row.yanked = Some(Box::new(Yank { at, by, reason: reason.into(), instead, other: Carried::default() }));
        let row = self.put(row);
        if !active {
            return Ok(row);
        }
        // In the same swap, so that no reader gets the yanked version once the yank is known.
        self.activate(back.ok_or(Rejection::NoOtherContent)?);
        Ok(self.head.inline(row.number).cloned().unwrap_or(row))
    }

    pub(super) fn unyank(&mut self, mut row: VersionRow) -> Result<VersionRow, Rejection> {
        if !row.state.is_complete() {
            return Err(wrong_state(row));
        }
        row.yanked = None;
        Ok(self.put(row))
    }

    /// The row itself is not changed: it would seem younger to the retention.
    pub(super) fn floor(&mut self, row: VersionRow, reason: &str) -> Result<VersionRow, Rejection> {
        if !row.state.is_complete() {
            return Err(wrong_state(row));
        }
        let (at, by, reason) = (self.head.time, self.head.operation.by.clone(), bounded(reason));
        self.head.operation.reason = Some(reason.clone());
        let label = row.summary.label.as_deref().filter(|_| !row.summary.label_cut).map(Into::into);
        let floor = Floor { version: row.number, label, reason, at, by, other: Carried::default() };
        self.head.floor = Some(Box::new(floor));
        Ok(row)
    }

    pub(super) fn unfloor(&mut self, version: Option<u64>) -> Result<(), Rejection> {
        let floor = self.head.floor.take();
        if self.head.generation == 1
            || version.is_some_and(|version| floor.as_ref().is_none_or(|f| f.version != version))
        {
            return Err(Rejection::NoSuchVersion);
        }
        self.head.operation.version = floor.as_ref().map(|floor| floor.version);
        self.idle = floor.is_none();
        Ok(())
    }
}
