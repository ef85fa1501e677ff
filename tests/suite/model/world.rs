//! The state of the model: the shared store, and what each actor remembers.

use std::hash::{Hash, Hasher};

use super::bits::Bits;
use super::collector::Collector;
use super::copies::{Bytes, Copies};
use super::entries::Entries;
use super::heads::{Change, Head, Name, VERSIONS};
use super::publisher::Publisher;
use super::setup::{Broken, COLLECTORS, DIGESTS, NAMES, PUBLISHERS, Setup};

/// What is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Store {
    pub blobs: [Copies; DIGESTS],
    pub names: [Name; NAMES],
    pub entries: Entries,
    /// Somebody was told that a blob is stored when nobody could rely on it. Never in a correct protocol.
    pub lied: bool,
    /// How often bytes were discarded.
    pub discards: u8,
    /// Of each version that was committed, if that is of use, how often bytes had been discarded when it was looked at.
    looks: [[Option<u8>; VERSIONS as usize]; NAMES],
    /// A publisher relied on an older look, and the blob was gone. Never in a correct protocol.
    pub overlooked: bool,
}

/// Everything. Whatever an actor does not need any more is reset, so that states that differ in nothing are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct World {
    pub store: Store,
    pub publishers: [Publisher; PUBLISHERS],
    pub collectors: [Collector; COLLECTORS],
}

impl World {
    pub fn of(setup: &Setup) -> Self {
        let publisher = |who| Publisher::start(setup, who, 0);
        Self {
            store: Store::of(setup),
            publishers: std::array::from_fn(publisher),
            collectors: setup.runs.map(Collector::idle),
        }
    }
}

impl Store {
    fn of(setup: &Setup) -> Self {
        let (names, entries, looks) = Default::default();
        Self { blobs: setup.stock, names, entries, lied: false, discards: 0, looks, overlooked: false }
    }

    pub fn copies(&self, digest: u8) -> Copies {
        self.blobs[usize::from(digest)]
    }

    pub fn copies_mut(&mut self, digest: u8) -> &mut Copies {
        &mut self.blobs[usize::from(digest)]
    }

    pub fn head(&self, name: u8) -> Head {
        self.names[usize::from(name)].head
    }

    /// Creates the head after `seen`. `false`: somebody else did. `manifest` is what the changer thinks it is about.
    pub fn create_head(&mut self, setup: &Setup, name: u8, seen: Head, change: Change, manifest: u8) -> bool {
        let name = &mut self.names[usize::from(name)];
        if name.head.generation != seen.generation && !setup.breaks(Broken::OverwriteHeads) {
            return false;
        }
        let next = seen.next(change).expect("it was possible when it was decided");
        if next.generation >= name.head.generation {
            name.head = next;
        }
        name.note(change, seen, manifest);
        true
    }

    /// Copies bytes into a generation, unless it has some. Without a source nothing happens.
    pub fn copy(&mut self, digest: u8, from: u8, to: u8) {
        if let Some(bytes) = self.copies(digest).bytes(from) {
            self.copies_mut(digest).create(to, bytes);
        }
    }

    /// Notes that somebody is told that a blob is stored.
    pub fn note_stored(&mut self, digest: u8) {
        self.lied |= !matches!(self.copies(digest).usable(), Some((_, Bytes::Good)));
    }

    /// Notes that a version was looked at and committed.
    pub fn note_look(&mut self, setup: &Setup, name: u8, number: Option<u8>, count: u8) {
        if let Some(number) = number.filter(|_| setup.follows) {
            self.looks[usize::from(name)][usize::from(number)] = Some(count);
        }
    }

    /// How often bytes had been discarded when a version was looked at, if it was.
    pub fn look_at(&self, name: u8, number: u8) -> Option<u8> {
        self.looks[usize::from(name)][usize::from(number)]
    }

    pub fn pack(&self) -> (u128, u64) {
        let mut bits = Bits::default();
        for copies in &self.blobs {
            copies.pack(&mut bits);
        }
        for name in &self.names {
            name.pack(&mut bits);
        }
        bits.flag(self.lied);
        let mut more = Bits::default();
        more.put(self.discards, 3);
        for look in self.looks.as_flattened() {
            more.put(look.map_or(0, |count| count + 1), 4);
        }
        more.flag(self.overlooked);
        let more = u64::try_from(more.packed()).expect("it is less than 30 bits");
        (bits.packed(), u64::from(self.entries.pack()) | more << 32)
    }
}

/// Collectors differ in nothing but what they have done, so worlds that differ only in their order count as one. The
/// checker knows states by their hashes alone.
impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.store.pack().hash(state);
        for publisher in &self.publishers {
            state.write_u128(publisher.pack());
        }
        let mut collectors = self.collectors.each_ref().map(Collector::pack);
        collectors.sort_unstable();
        for collector in collectors {
            state.write_u128(collector);
        }
    }
}
