//! Deleting a manifest by its digest: its entries name the versions to look at; when none of them needs it because of another
//! manifest, those whose manifest it is are retired, one name after the other.

use super::flow::Task;
use super::{Call, Publisher, Stage};
use crate::model::bits::first;
use crate::model::heads::{Change, Head, Row};
use crate::model::setup::NAMES;
use crate::model::world::Store;

impl Publisher {
    /// The name that a deletion by digest is at.
    pub(super) fn name_to_delete_in(&self) -> u8 {
        first(if self.stage == Stage::Parents { self.todo } else { self.missing }).unwrap_or_default()
    }

    pub(super) fn listed_entries(&mut self, task: &Task, store: &Store) {
        let Change::Retire { manifest } = self.wish(task.op).1 else { unreachable!("only a deletion lists entries") };
        let is_named =
            |name: &u8| (0..).zip(store.head(*name).rows).any(|(number, _)| store.entries.has(manifest, *name, number));
        self.todo = (0_u8..).take(NAMES).filter(is_named).fold(0, |set, name| set | 1 << name);
        self.go_on();
    }

    fn go_on(&mut self) {
        if self.todo == 0 {
            self.stage = Stage::Other;
        }
        if self.todo | self.missing == 0 {
            return self.end();
        }
        self.call = Call::ReadHead;
    }

    pub(super) fn read_to_delete(&mut self, task: &Task, store: &Store) {
        let (name, change) = self.wish(task.op);
        let Change::Retire { manifest } = change else { unreachable!("a deletion by digest only retires") };
        let head = store.head(name);
        if self.stage == Stage::Parents {
            return self.looked_for_parents(store, name, head, manifest);
        }
        if head.next(change).is_none() {
            return self.deleted();
        }
        (self.seen, self.call) = (head, Call::CreateHead);
    }

    fn looked_for_parents(&mut self, store: &Store, name: u8, head: Head, manifest: u8) {
        let is_parent = |(number, row): (u8, Row)| {
            row.state.is_complete() && row.manifest != manifest && store.entries.has(manifest, name, number)
        };
        if head.numbered().any(is_parent) {
            (self.todo, self.missing) = (0, 0);
            return self.rest(Stage::Kept);
        }
        self.todo &= !(1 << name);
        if head.complete_with(manifest) != 0 {
            self.missing |= 1 << name;
        }
        self.go_on();
    }

    /// A name has no complete version of the manifest any more.
    pub(super) fn deleted(&mut self) {
        self.missing &= self.missing.wrapping_sub(1);
        self.go_on();
    }
}
