//! Marking: what the roots of a head need, as far as the manifests are there to be read.

use super::Collector;
use crate::model::bits::members;
use crate::model::copies::{Bytes, Copies};
use crate::model::heads::{Head, Row, State};
use crate::model::setup::{Broken, Setup};
use crate::model::world::Store;

/// What a look for a manifest's bytes comes to.
enum Look {
    Found(Bytes),
    Absent,
    /// Half of a torn listing showed nothing; the other half is still to come.
    HalfDone,
}

impl Collector {
    /// Notes what a head makes live, and which manifests must be read to know the rest.
    pub(super) fn adopt(&mut self, setup: &Setup, head: Head, ignored: u8) {
        let name = usize::from(self.at);
        let (known, hides) = (self.second && self.seen[name] == head.generation, self.hides(setup, head));
        let is_forgotten = self.second && setup.is_hidden(self.at) && setup.breaks(Broken::HiddenLogsForgotten);
        self.at += 1;
        self.seen[name] = head.generation;
        let looks_again = hides && !setup.breaks(Broken::SecondMarkSkipsAbsentManifests);
        if !is_forgotten && (!known || looks_again) {
            for (_, row) in head.numbered().filter(|(number, _)| ignored & 1 << number == 0) {
                match row.state {
                    State::Prepared => self.needs(setup, row.manifest, true),
                    State::Active | State::Archived => self.needs(setup, row.manifest, false),
                    State::Unused | State::Retired | State::Aborted => {}
                }
            }
        }
        if !self.second && setup.by_digest {
            self.ended[name] = ended(setup, head);
        }
        self.marked(setup);
    }

    /// Whether a version needs a manifest that was not there in the first mark.
    fn hides(&self, setup: &Setup, head: Head) -> bool {
        let lacks = |row: &Row| self.absent & setup.closure(row.manifest) != 0;
        self.absent != 0 && head.rows.iter().any(|row| row.state == State::Prepared && lacks(row))
    }

    fn needs(&mut self, setup: &Setup, id: u8, prepared: bool) {
        let manifest = setup.manifest(id);
        if let Some(own) = manifest.own {
            self.live |= 1 << own;
            if self.read & 1 << id == 0 {
                *(if prepared { &mut self.prepared } else { &mut self.complete }) |= 1 << id;
                return;
            }
        }
        self.follow(setup, id, prepared);
    }

    /// Notes what a manifest names that is known.
    fn follow(&mut self, setup: &Setup, id: u8, prepared: bool) {
        self.live |= setup.named(id);
        if !setup.breaks(Broken::ChildrenNotFollowed) {
            members(setup.manifest(id).children).for_each(|child| self.needs(setup, child, prepared));
        }
    }

    pub(super) fn read_manifest(&mut self, setup: &Setup, store: &Store, id: u8) {
        let bit = 1 << id;
        let is_complete = self.complete & bit != 0;
        match self.look_for(setup, store.copies(setup.own(id)), bit) {
            Look::HalfDone => return,
            Look::Found(Bytes::Good) => {
                self.read |= bit;
                self.follow(setup, id, !is_complete);
            }
            Look::Absent if !is_complete => self.absent |= bit,
            // Doubt keeps data.
            Look::Absent | Look::Found(Bytes::Damaged) => return self.end(),
        }
        self.complete &= !bit;
        self.prepared &= !bit;
        self.marked(setup);
    }

    fn look_for(&mut self, setup: &Setup, copies: Copies, bit: u8) -> Look {
        let found = |bytes: Option<Bytes>| bytes.map_or(Look::Absent, Look::Found);
        if !setup.breaks(Broken::TornListings) || copies.bytes(0).is_some() {
            self.half_read &= !bit;
            return found(copies.read());
        }
        let upper = self.half_read & bit == 0;
        let half = copies.read_half(upper);
        if upper && half.is_none() {
            self.half_read |= bit;
            return Look::HalfDone;
        }
        self.half_read &= !bit;
        found(half)
    }
}

/// The versions of a head whose entries may go: once ended, always ended.
fn ended(setup: &Setup, head: Head) -> u8 {
    let is_over = |state: State| match state {
        State::Retired | State::Aborted => true,
        State::Unused => setup.breaks(Broken::NewEntriesDropped),
        State::Prepared | State::Active | State::Archived => false,
    };
    head.numbered().filter(|(_, row)| is_over(row.state)).fold(0, |set, (number, _)| set | 1 << number)
}
