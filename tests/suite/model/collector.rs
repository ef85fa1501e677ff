//! The collector: mark, plan, condemn, mark again, sweep, one call to the store at a time.

use super::bits::{Bits, first, members};
use super::copies::{Bytes, Copies};
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
    /// What it is about to expire, and the head that it read.
    due: (u8, Head),
    /// Generations that need a tombstone, of each digest.
    fresh: [u8; DIGESTS],
    /// Candidates: generations whose bytes are to go, of each digest.
    pub doomed: [u8; DIGESTS],
    pub heal: Heal,
}

/// What a look for a manifest's bytes comes to.
enum Look {
    Found(Bytes),
    Absent,
    /// Half of a torn listing showed nothing; the other half is still to come.
    HalfDone,
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
            Phase::Expire | Phase::Plan | Phase::Condemn | Phase::Sweep => choices.push(0),
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

    /// Notes what a head makes live, and which manifests must be read to know the rest.
    fn adopt(&mut self, setup: &Setup, head: Head, ignored: u8) {
        let name = usize::from(self.at);
        let (known, hidden) = (self.second && self.seen[name] == head.generation, self.hides(head));
        self.at += 1;
        self.seen[name] = head.generation;
        let looks_again = hidden && !setup.breaks(Broken::SecondMarkSkipsAbsentManifests);
        if !known || looks_again {
            for (_, row) in head.numbered().filter(|(number, _)| ignored & 1 << number == 0) {
                match row.state {
                    State::Prepared => self.needs(setup, row.manifest, true),
                    State::Active | State::Archived => self.needs(setup, row.manifest, false),
                    State::Unused | State::Retired | State::Aborted => {}
                }
            }
        }
        self.marked(setup);
    }

    /// Whether a version has a manifest that was not there in the first mark.
    fn hides(&self, head: Head) -> bool {
        head.rows.iter().any(|row| row.state == State::Prepared && self.absent & 1 << row.manifest != 0)
    }

    fn needs(&mut self, setup: &Setup, id: u8, prepared: bool) {
        let manifest = setup.manifest(id);
        let Some(own) = manifest.own else {
            self.live |= manifest.blobs;
            return;
        };
        self.live |= 1 << own;
        if self.read & 1 << id == 0 {
            *(if prepared { &mut self.prepared } else { &mut self.complete }) |= 1 << id;
        }
    }

    fn read_manifest(&mut self, setup: &Setup, store: &Store, id: u8) {
        let (bit, manifest) = (1 << id, setup.manifest(id));
        let own = manifest.own.expect("only a manifest with bytes is read");
        match self.look_for(setup, store.copies(own), bit) {
            Look::HalfDone => return,
            Look::Found(Bytes::Good) => {
                self.live |= manifest.blobs;
                self.read |= bit;
            }
            Look::Absent if self.complete & bit == 0 => self.absent |= bit,
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
        let (live, doomed) = (self.live, self.doomed);
        *self = Self { live, doomed, phase: Phase::Sweep, ..Self::idle(self.runs) };
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
            return self.end();
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
            self.end();
        }
    }

    fn end(&mut self) {
        *self = Self::idle(self.runs);
    }

    /// Sees to it that a live digest has bytes that may be relied on, and only then deletes the doomed ones.
    fn heal(&mut self, setup: &Setup, store: &mut Store, digest: u8, generation: u8) {
        let after_copy = if setup.breaks(Broken::NoSecondLookAfterHeal) { Heal::Delete } else { Heal::Look };
        let worth = |bytes| bytes == Bytes::Good || setup.breaks(Broken::HealCopiesAnyLength);
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

    pub fn pack(&self) -> u128 {
        let mut bits = Bits::default();
        bits.put(self.runs, 2);
        bits.put(self.phase as u8, 3);
        match self.phase {
            Phase::Idle => {}
            Phase::Mark | Phase::Expire | Phase::Plan | Phase::Condemn => self.pack_before_sweep(&mut bits),
            Phase::Sweep => self.pack_sweep(&mut bits),
        }
        bits.packed()
    }

    fn pack_before_sweep(&self, bits: &mut Bits) {
        bits.flag(self.second);
        bits.put(self.at, 2);
        bits.put(self.live, 4);
        for manifests in [self.complete, self.prepared, self.read, self.absent, self.half_read] {
            bits.put(manifests, 4);
        }
        for generation in &self.seen {
            bits.put(*generation, 4);
        }
        bits.put(self.due.0, 3);
        self.due.1.pack(bits);
        for digest in 0..DIGESTS {
            bits.put(self.fresh[digest], 6);
            bits.put(self.doomed[digest], 6);
        }
    }

    fn pack_sweep(&self, bits: &mut Bits) {
        bits.put(self.live, 4);
        for doomed in &self.doomed {
            bits.put(*doomed, 6);
        }
        let (heal, bytes, to) = match self.heal {
            Heal::Look => (0, 0, 0),
            Heal::Copy { to } => (1, 0, to),
            Heal::Paste { to, bytes } => (2, bytes as u8, to),
            Heal::Delete => (3, 0, 0),
        };
        bits.put(heal, 2);
        bits.put(bytes, 1);
        bits.put(to, 3);
    }
}

/// The first member of sets of generations: a digest and a generation.
fn lowest(sets: [u8; DIGESTS]) -> Option<(u8, u8)> {
    (0..).zip(&sets).find_map(|(digest, set)| Some((digest, first(*set)?)))
}
