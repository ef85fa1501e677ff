//! The collector: mark, plan, condemn, mark again, sweep, one call to the store at a time.

mod mark;
mod pack;

use super::bits::{first, members};
use super::copies::Bytes;
use super::heads::{Change, Head, State};
use super::setup::{Broken, DIGESTS, NAMES, Setup};
use super::world::Store;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Between runs.
    Idle,
    /// It reads the roots, in the first mark or the second.
    Mark,
    /// It creates a head that ends versions whose time is up.
    Expire,
    /// It lists the blobs.
    Plan,
    Condemn,
    Sweep,
    /// It deletes the entries of versions that had ended in the first mark.
    Tend,
}

/// What a sweep does next about its first candidate if that is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heal {
    /// Looks for a generation that may be relied on.
    Look,
    Copy {
        to: u8,
    },
    /// The second half of a slow copy.
    Paste {
        to: u8,
        bytes: Bytes,
    },
    /// Deletes the doomed bytes: there is something to rely on.
    Delete,
}

/// What a collector remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collector {
    /// Runs that it has yet to begin.
    runs: u8,
    pub phase: Phase,
    /// The second mark.
    second: bool,
    /// The next name, or the next digest of the plan.
    at: u8,
    /// Digests that must stay.
    pub live: u8,
    /// Manifests that complete versions have and that it has yet to read.
    complete: u8,
    /// The same of prepared versions.
    prepared: u8,
    /// Manifests that it has read.
    read: u8,
    /// Manifests of prepared versions that were not there in the first mark.
    absent: u8,
    /// Manifests of which half a listing was seen.
    half_read: u8,
    /// Newest generations of the names in the first mark.
    seen: [u8; NAMES],
    /// Versions whose entries may go, by name: sets of numbers.
    ended: [u8; NAMES],
    /// What it is about to expire, and the head that it read.
    due: (u8, Head),
    /// Generations that need a tombstone, of each digest.
    fresh: [u8; DIGESTS],
    /// Candidates: generations whose bytes are to go, of each digest.
    pub doomed: [u8; DIGESTS],
    pub heal: Heal,
}

/// A choice of the mark: this bit and the number of a manifest to read. Without it: the next name, and the set of
/// versions that are due.
const READ_MANIFEST: u8 = 0x80;
/// A choice of the plan: nothing is old enough.
const TOO_YOUNG: u8 = 1;

impl Collector {
    pub fn idle(runs: u8) -> Self {
        Self {
            runs,
            phase: Phase::Idle,
            second: false,
            at: 0,
            live: 0,
            complete: 0,
            prepared: 0,
            read: 0,
            absent: 0,
            half_read: 0,
            seen: [0; NAMES],
            ended: [0; NAMES],
            due: (0, Head::default()),
            fresh: [0; DIGESTS],
            doomed: [0; DIGESTS],
            heal: Heal::Look,
        }
    }

    pub fn is_done(&self) -> bool {
        self.phase == Phase::Idle && self.runs == 0
    }

    /// Whether it died would make a difference: it may be started again then.
    pub fn may_crash(&self) -> bool {
        self.phase != Phase::Idle && self.runs > 0
    }

    pub fn crashed(self) -> Self {
        Self::idle(self.runs)
    }

    /// The ways in which it may go on; the first is that of a clock by which nothing is due and everything is old.
    pub fn choices(&self, setup: &Setup, store: &Store, choices: &mut Vec<u8>) {
        let first_mark = self.phase == Phase::Idle || (self.phase == Phase::Mark && !self.second);
        match self.phase {
            Phase::Idle if self.runs == 0 => {}
            Phase::Idle | Phase::Mark => {
                if self.at < setup.names {
                    choices.push(0);
                    let due = if first_mark && setup.expiry { store.head(self.at).may_expire() } else { 0 };
                    choices.extend(members(due).map(|number| 1 << number));
                    choices.extend(Some(due).filter(|due| due.count_ones() > 1));
                }
                choices.extend(members(self.complete | self.prepared).map(|manifest| READ_MANIFEST | manifest));
            }
            Phase::Plan if setup.young && self.live & 1 << self.at == 0 => choices.extend([0, TOO_YOUNG]),
            Phase::Expire | Phase::Plan | Phase::Condemn | Phase::Sweep | Phase::Tend => choices.push(0),
        }
    }

    /// Makes its next call. `pick` is one of its choices.
    pub fn step(mut self, setup: &Setup, store: &mut Store, pick: u8) -> Self {
        match self.phase {
            Phase::Idle => {
                (self.runs, self.phase) = (self.runs - 1, Phase::Mark);
                self.list_name(setup, store, pick);
            }
            Phase::Mark if pick & READ_MANIFEST != 0 => self.read_manifest(setup, store, pick & !READ_MANIFEST),
            Phase::Mark => self.list_name(setup, store, pick),
            Phase::Expire => self.expire(setup, store),
            Phase::Plan => self.plan(setup, store, pick),
            Phase::Condemn => self.condemn(setup, store),
            Phase::Sweep => self.sweep(setup, store),
            Phase::Tend => self.tend(store),
        }
        self
    }

    fn list_name(&mut self, setup: &Setup, store: &mut Store, due: u8) {
        let head = store.head(self.at);
        if due == 0 {
            return self.adopt(setup, head, 0);
        }
        if setup.breaks(Broken::AbortWithoutHead) {
            let prepared = |number: &u8| head.rows[usize::from(*number)].state == State::Prepared;
            let ignored = members(due).filter(prepared).fold(0, |set, number| set | 1 << number);
            return self.adopt(setup, head, ignored);
        }
        (self.phase, self.due) = (Phase::Expire, (due, head));
    }

    fn expire(&mut self, setup: &Setup, store: &mut Store) {
        let (due, seen) = std::mem::take(&mut self.due);
        self.phase = Phase::Mark;
        let change = Change::Expire { due };
        if store.create_head(setup, self.at, seen, change, 0) {
            self.adopt(setup, seen.next(change).expect("it was just created"), 0);
        }
    }

    /// Goes on when nothing is left to read.
    fn marked(&mut self, setup: &Setup) {
        if self.at < setup.names || self.complete | self.prepared != 0 {
            return;
        }
        self.at = 0;
        if !self.second {
            self.phase = Phase::Plan;
            return;
        }
        self.start_sweep();
    }

    fn start_sweep(&mut self) {
        let Self { live, doomed, ended, .. } = *self;
        *self = Self { live, doomed, ended, phase: Phase::Sweep, ..Self::idle(self.runs) };
    }

    fn plan(&mut self, setup: &Setup, store: &Store, pick: u8) {
        let (digest, copies) = (usize::from(self.at), store.copies(self.at));
        if self.live & 1 << self.at == 0 && pick != TOO_YOUNG {
            self.fresh[digest] = copies.fresh();
        }
        self.doomed[digest] = self.fresh[digest];
        if !setup.breaks(Broken::OnlyOwnTombstones) {
            self.doomed[digest] |= copies.doomed();
        }
        self.at += 1;
        if self.at < setup.digests() {
            return;
        }
        self.at = 0;
        if self.doomed == [0; DIGESTS] {
            return self.finish();
        }
        self.phase = Phase::Condemn;
        self.condemned(setup);
    }

    fn condemn(&mut self, setup: &Setup, store: &mut Store) {
        let (digest, generation) = lowest(self.fresh).expect("it condemns only while there is something to");
        store.copies_mut(digest).condemn(generation);
        self.fresh[usize::from(digest)] &= !(1 << generation);
        self.condemned(setup);
    }

    fn condemned(&mut self, setup: &Setup) {
        if self.fresh != [0; DIGESTS] {
            return;
        }
        if setup.breaks(Broken::NoSecondMark) {
            return self.start_sweep();
        }
        (self.phase, self.second) = (Phase::Mark, true);
    }

    /// The candidate that is to be swept next, if any.
    pub fn candidate(&self) -> Option<(u8, u8)> {
        lowest(self.doomed).filter(|_| self.phase == Phase::Sweep)
    }

    fn sweep(&mut self, setup: &Setup, store: &mut Store) {
        let (digest, generation) = self.candidate().expect("it sweeps only while there is something to");
        if self.live & 1 << digest == 0 {
            store.copies_mut(digest).delete(generation);
            if setup.breaks(Broken::ReuseGenerations) {
                store.copies_mut(digest).withdraw_tombstone(generation);
            }
            return self.swept(digest, generation);
        }
        if setup.breaks(Broken::WithdrawTombstones) {
            store.copies_mut(digest).withdraw_tombstone(generation);
            return self.swept(digest, generation);
        }
        self.heal(setup, store, digest, generation);
    }

    fn swept(&mut self, digest: u8, generation: u8) {
        self.heal = Heal::Look;
        self.doomed[usize::from(digest)] &= !(1 << generation);
        if self.doomed == [0; DIGESTS] {
            self.finish();
        }
    }

    /// The end of a run that was not given up.
    fn finish(&mut self) {
        *self = Self { ended: self.ended, phase: Phase::Tend, ..Self::idle(self.runs) };
        if self.ended == [0; NAMES] {
            self.end();
        }
    }

    /// Deletes the entries of one version; no two deletions share anything.
    fn tend(&mut self, store: &mut Store) {
        let (name, number) = lowest(self.ended).expect("it tends only while there is something to");
        store.entries.delete(name, number);
        self.ended[usize::from(name)] &= !(1 << number);
        if self.ended == [0; NAMES] {
            self.end();
        }
    }

    fn end(&mut self) {
        *self = Self::idle(self.runs);
    }

    /// Sees to it that a live digest has bytes that may be relied on, and only then deletes the doomed ones.
    fn heal(&mut self, setup: &Setup, store: &mut Store, digest: u8, generation: u8) {
        let after_copy = if setup.breaks(Broken::NoSecondLookAfterHeal) { Heal::Delete } else { Heal::Look };
        let worth = |bytes| bytes == Bytes::Good || setup.same_length || setup.breaks(Broken::HealCopiesAnyLength);
        let copies = store.copies_mut(digest);
        match self.heal {
            Heal::Look if setup.breaks(Broken::HealDeletesBeforeCopy) => {
                copies.delete(generation);
                self.swept(digest, generation);
            }
            Heal::Look => match (copies.usable(), copies.bytes(generation)) {
                (Some((_, bytes)), _) if worth(bytes) => self.heal = Heal::Delete,
                (None, Some(bytes)) if worth(bytes) => self.heal = Heal::Copy { to: copies.next_generation() },
                _ => self.swept(digest, generation),
            },
            Heal::Copy { to } => match copies.bytes(generation) {
                Some(bytes) if setup.slow_copies => self.heal = Heal::Paste { to, bytes },
                Some(bytes) => {
                    copies.create(to, bytes);
                    self.heal = after_copy;
                }
                None => self.heal = Heal::Look,
            },
            Heal::Paste { to, bytes } => {
                copies.create(to, bytes);
                self.heal = after_copy;
            }
            Heal::Delete => {
                copies.delete(generation);
                self.swept(digest, generation);
            }
        }
    }
}

/// The first member of sets: of generations by digest, or of versions by name.
fn lowest<const N: usize>(sets: [u8; N]) -> Option<(u8, u8)> {
    (0..).zip(&sets).find_map(|(digest, set)| Some((digest, first(*set)?)))
}
