//! What is not looked at because the active version has it, and the discards that a publisher has to notice all the same.
//! As in `src/service/publish/looks.rs` and `src/protocol/blobs/discards.rs`.

use super::flow::Task;
use super::{Call, Publisher, Stage};
use crate::model::bits::{first, members};
use crate::model::copies::Copies;
use crate::model::heads::State;
use crate::model::setup::{Broken, Op};
use crate::model::world::Store;

impl Publisher {
    pub(super) fn listed_to_discard(&mut self, task: &Task, copies: Copies) {
        self.damaged = copies.damaged();
        self.discard_next(task);
    }

    fn discard_next(&mut self, task: &Task) {
        self.call = match first(self.damaged) {
            Some(generation) if task.breaks(Broken::CountBeforeTombstone) => Call::Count(generation),
            Some(generation) => Call::Condemn(generation),
            None => return self.end(),
        };
    }

    /// A damaged generation has its tombstone.
    pub(super) fn condemned(&mut self, task: &Task, generation: u8) {
        let counts = self.stage == Stage::Discard;
        let late = [Broken::CountAfterDelete, Broken::CountBeforeTombstone].iter().any(|rule| task.breaks(*rule));
        self.call = if counts && !late { Call::Count(generation) } else { Call::Delete(generation) };
    }

    pub(super) fn counted(&mut self, task: &Task, generation: u8) {
        if task.breaks(Broken::CountAfterDelete) {
            return self.discard_next(task);
        }
        let early = task.breaks(Broken::CountBeforeTombstone);
        self.call = if early { Call::Condemn(generation) } else { Call::Delete(generation) };
    }

    pub(super) fn deleted_damaged(&mut self, task: &Task, generation: u8) {
        self.damaged &= !(1 << generation);
        match self.stage {
            Stage::Discard if task.breaks(Broken::CountAfterDelete) => self.call = Call::Count(generation),
            Stage::Discard => self.discard_next(task),
            _ => self.buried(task),
        }
    }

    pub(super) fn read_count(&mut self, store: &Store) {
        self.count = store.discards;
        self.gone =
            (0..).zip(store.blobs).filter(|(_, copies)| !copies.has_bytes()).fold(0, |set, (id, _)| set | 1 << id);
        self.call = Call::ReadActive;
    }

    /// Whatever process looked at the active version may be this one.
    pub(super) fn read_active(&mut self, task: &Task, store: &mut Store) {
        let Op::Publish { name, .. } = task.op else { unreachable!("only publishes follow") };
        let any = task.breaks(Broken::KnownFromAnyVersion);
        let head = store.head(name);
        let rows = head.numbered().filter(|(_, row)| any || row.state == State::Active);
        let is_valid = |count: u8| count == self.count || task.breaks(Broken::DiscardsNotCompared);
        let looked_at = rows.filter(|(number, _)| store.look_at(name, *number).is_some_and(is_valid));
        let has = looked_at.fold(0, |set, (_, row)| set | task.setup.needs(row.manifest));
        self.known = has & task.manifest().blobs;
        store.overlooked |= members(self.known & self.gone).any(|digest| !store.copies(digest).has_bytes());
        self.gone = 0;
        self.held |= self.known;
        self.secure(task);
    }
}
