//! What the store holds of one digest: up to a few generations of bytes, each with or without a tombstone.
//!
//! The decisions are those of `Copies` in `src/service/blobs/copies.rs`.

use std::fmt;

use super::bits::{Bits, first, last, members};

/// Generations of one digest that fit. The model panics when it needs more, so the bound never hides anything.
const GENERATIONS: u8 = 6;

/// What stored bytes are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// They have the digest that they are stored under.
    Good,
    /// They have another length than they should have.
    Damaged,
}

/// All generations of one digest, as one listing shows them: sets of generation numbers.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Copies {
    good: u8,
    damaged: u8,
    condemned: u8,
}

impl Copies {
    /// A digest whose bytes were doomed once, copied and deleted.
    pub fn moved() -> Self {
        Self { good: 0b10, damaged: 0, condemned: 0b01 }
    }

    /// A digest whose generation 0 has these bytes.
    pub fn of(bytes: Bytes) -> Self {
        let mut copies = Self::default();
        copies.create(0, bytes);
        copies
    }

    pub fn bytes(self, generation: u8) -> Option<Bytes> {
        if self.good & 1 << generation != 0 {
            return Some(Bytes::Good);
        }
        (self.damaged & 1 << generation != 0).then_some(Bytes::Damaged)
    }

    fn newest(self, generations: u8) -> Option<(u8, Bytes)> {
        let generation = last(generations)?;
        Some((generation, self.bytes(generation)?))
    }

    fn all(self) -> u8 {
        self.good | self.damaged
    }

    /// Create if absent.
    pub fn create(&mut self, generation: u8, bytes: Bytes) {
        assert!(generation < GENERATIONS, "the model needs room for more generations");
        if self.all() & 1 << generation == 0 {
            *(if bytes == Bytes::Good { &mut self.good } else { &mut self.damaged }) |= 1 << generation;
        }
    }

    pub fn condemn(&mut self, generation: u8) {
        self.condemned |= 1 << generation;
    }

    pub fn delete(&mut self, generation: u8) {
        self.good &= !(1 << generation);
        self.damaged &= !(1 << generation);
    }

    /// What a correct protocol never does.
    pub fn withdraw_tombstone(&mut self, generation: u8) {
        self.condemned &= !(1 << generation);
    }

    /// The generations with bytes and no tombstone.
    pub fn fresh(self) -> u8 {
        self.all() & !self.condemned
    }

    /// The generations with bytes and a tombstone.
    pub fn doomed(self) -> u8 {
        self.all() & self.condemned
    }

    /// The newest generation whose bytes may be relied on.
    pub fn usable(self) -> Option<(u8, Bytes)> {
        self.newest(self.fresh())
    }

    /// Bytes that may be copied: those that may be relied on, else any that are still there.
    pub fn readable(self) -> Option<(u8, Bytes)> {
        self.usable().or_else(|| self.newest(self.all()))
    }

    /// What a reader is given: generation 0 if it is there, which takes one request, else as a listing says.
    pub fn read(self) -> Option<Bytes> {
        self.bytes(0).or_else(|| self.readable().map(|(_, bytes)| bytes))
    }

    /// What a reader is given who sees only the generations from 2 on in the listing, or only those below.
    pub fn read_half(self, upper: bool) -> Option<Bytes> {
        let half = if upper { self.all() & !0b11 } else { self.all() & 0b11 };
        self.newest(half).map(|(_, bytes)| bytes)
    }

    /// The generation to write when none may be relied on: numbers of doomed bytes are never reused.
    pub fn next_generation(self) -> u8 {
        last(self.condemned).map_or(0, |highest| highest + 1)
    }

    /// The generations with bytes of another length.
    pub fn damaged(self) -> u8 {
        self.damaged
    }

    /// The generation to write so that it outranks the damaged ones.
    pub fn generation_above_damaged(self) -> u8 {
        self.next_generation().max(last(self.damaged).map_or(0, |highest| highest + 1))
    }

    pub fn has_good_bytes(self) -> bool {
        self.good != 0
    }

    pub fn has_bytes(self) -> bool {
        self.all() != 0
    }

    pub fn pack(self, bits: &mut Bits) {
        bits.put(self.good, GENERATIONS);
        bits.put(self.damaged, GENERATIONS);
        bits.put(self.condemned, GENERATIONS);
    }
}

impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.all() | self.condemned;
        for generation in members(known) {
            let after = if Some(generation) == first(known) { "" } else { ", " };
            let bytes = match self.bytes(generation) {
                Some(Bytes::Good) => "good",
                Some(Bytes::Damaged) => "damaged",
                None => "gone",
            };
            let doomed = if self.condemned & 1 << generation == 0 { "" } else { " condemned" };
            write!(f, "{after}{generation} {bytes}{doomed}")?;
        }
        if known == 0 { write!(f, "nothing") } else { Ok(()) }
    }
}
