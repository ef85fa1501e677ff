//! The publisher's half: uploads, publishes and sessions, one call to the store at a time.

mod call;
mod deletion;
mod discard;
mod flow;
mod walk;

pub use call::{Call, Stage};

use super::bits::{Bits, members};
use super::copies::Bytes;
use super::heads::{Change, Head};
use super::setup::{Broken, Op, Setup};
use super::world::Store;
use flow::Task;

/// What a publisher remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publisher {
    /// Which of its script's operations it is in.
    pub op: u8,
    pub stage: Stage,
    /// Its next call to the store.
    pub call: Call,
    /// The digest that it is at.
    pub digest: u8,
    /// Generations of it that are damaged and must go.
    damaged: u8,
    /// The generation of it to write.
    target: u8,
    /// The version that it has prepared.
    pub number: Option<u8>,
    /// Blobs that it has yet to check. In a deletion by digest: names to look at.
    todo: u8,
    /// Manifests that it has yet to read, because another names them.
    walk: u8,
    /// Blobs that it found missing. In a deletion by digest: names to change.
    missing: u8,
    /// What it found to be there: this is promised to stay while the version is prepared.
    pub held: u8,
    /// What it found to be there without a look, because the active version has it.
    pub known: u8,
    /// How often bytes had been discarded when its look began.
    count: u8,
    /// The digests without bytes at that moment.
    gone: u8,
    /// A session's second check, before it commits.
    again: bool,
    /// The head that it read last, while it matters.
    seen: Head,
    /// The digest that its client is told is stored, during a step.
    stored: Option<u8>,
}

impl Publisher {
    /// Takes up the next operation, or rests when there is none.
    pub fn start(setup: &Setup, who: usize, op: u8) -> Self {
        let mut publisher = Self {
            op,
            stage: Stage::Done,
            call: Call::Nothing,
            digest: 0,
            damaged: 0,
            target: 0,
            number: None,
            todo: 0,
            walk: 0,
            missing: 0,
            held: 0,
            known: 0,
            count: 0,
            gone: 0,
            again: false,
            seen: Head::default(),
            stored: None,
        };
        match publisher.operation(setup, who) {
            None => {}
            Some(Op::Upload { digest }) => publisher.look_at(Stage::Upload, digest),
            Some(Op::Discard { digest }) => publisher.look_at(Stage::Discard, digest),
            Some(Op::Rollback { .. } | Op::Delete { .. } | Op::Withdraw { .. }) => publisher.change(Stage::Other),
            Some(Op::DeleteDigest { .. }) => (publisher.stage, publisher.call) = (Stage::Parents, Call::ListEntries),
            Some(Op::Publish { manifest, .. } | Op::Session { manifest, .. }) => {
                let manifest = setup.manifest(manifest);
                publisher.todo = manifest.blobs;
                match manifest.own {
                    Some(own) => publisher.look_at(Stage::Put, own),
                    None if setup.breaks(Broken::CheckBeforeRoot) => {
                        (publisher.stage, publisher.call) = (Stage::Blobs, Call::ListAny);
                    }
                    None => publisher.change(Stage::Prepare),
                }
            }
        }
        publisher
    }

    pub fn operation(&self, setup: &Setup, who: usize) -> Option<Op> {
        setup.scripts[who].get(usize::from(self.op)).copied()
    }

    /// The ways in which it may go on.
    pub fn choices(&self) -> impl Iterator<Item = u8> {
        members(match self.call {
            Call::Nothing => 0,
            Call::ListAny => self.todo,
            _ => 1,
        })
    }

    /// Whether it died would make a difference: a client may try something else then.
    pub fn may_crash(&self, setup: &Setup, who: usize) -> bool {
        let fresh = Self::start(setup, who, self.op);
        usize::from(self.op) + 1 < setup.scripts[who].len() && *self != fresh
    }

    fn look_at(&mut self, stage: Stage, digest: u8) {
        (self.stage, self.call, self.digest) = (stage, Call::List, digest);
    }

    fn change(&mut self, stage: Stage) {
        (self.stage, self.call) = (stage, Call::ReadHead);
    }

    /// The change that it is about to make, and the name.
    fn wish(&self, op: Op) -> (u8, Change) {
        let number = self.number.unwrap_or_default();
        match (op, self.stage) {
            (Op::Rollback { name }, _) => (name, Change::Rollback),
            (Op::Delete { name }, _) => (name, Change::Delete),
            (Op::Withdraw { name }, _) => (name, Change::Withdraw),
            (Op::DeleteDigest { manifest }, _) => (self.name_to_delete_in(), Change::Retire { manifest }),
            (Op::Publish { name, manifest } | Op::Session { name, manifest }, Stage::Prepare) => {
                (name, Change::Prepare { manifest })
            }
            (Op::Publish { name, .. } | Op::Session { name, .. }, Stage::Commit) => (name, Change::Commit { number }),
            (Op::Publish { name, .. } | Op::Session { name, .. }, _) => (name, Change::Abort { number }),
            (Op::Upload { .. } | Op::Discard { .. }, _) => unreachable!("an upload changes no name"),
        }
    }

    /// What it was promised: the name, the number, and the digests that are to stay.
    pub fn promise(&self, setup: &Setup, who: usize) -> Option<(u8, u8, u8)> {
        let (Op::Publish { name, .. } | Op::Session { name, .. }) = self.operation(setup, who)? else { return None };
        Some((name, self.number?, self.held))
    }

    /// Makes its next call. `pick` is one of its choices.
    pub fn step(mut self, setup: &Setup, who: usize, store: &mut Store, pick: u8) -> Self {
        let op = self.operation(setup, who).expect("a publisher with a call has an operation");
        self.make_call(&Task { setup, op }, store, pick);
        if let Some(digest) = self.stored.take() {
            store.note_stored(digest);
        }
        let over = self.call == Call::Nothing || (self.stage == Stage::Done && self.call == Call::Finish);
        if over { Self::start(setup, who, self.op + 1) } else { self }
    }

    fn make_call(&mut self, task: &Task, store: &mut Store, pick: u8) {
        match self.call {
            Call::Nothing | Call::Finish => self.call = Call::Nothing,
            Call::ListAny => {
                self.digest = pick;
                self.listed(task, store);
            }
            Call::List => self.listed(task, store),
            Call::Condemn(generation) => {
                store.copies_mut(self.digest).condemn(generation);
                self.condemned(task, generation);
            }
            Call::Delete(generation) => {
                store.copies_mut(self.digest).delete(generation);
                self.deleted_damaged(task, generation);
            }
            Call::Count(generation) => {
                store.discards += 1;
                self.counted(task, generation);
            }
            Call::ReadCount => self.read_count(store),
            Call::ReadActive => self.read_active(task, store),
            Call::Create => {
                store.copies_mut(self.digest).create(self.target, Bytes::Good);
                self.created(task);
            }
            Call::Copy { from, to } if task.setup.slow_copies => match store.copies(self.digest).bytes(from) {
                Some(bytes) => self.call = Call::Paste { to, bytes },
                None => self.copied(task),
            },
            Call::Copy { from, to } => {
                store.copy(self.digest, from, to);
                self.copied(task);
            }
            Call::Paste { to, bytes } => {
                store.copies_mut(self.digest).create(to, bytes);
                self.copied(task);
            }
            Call::ReadHead => self.read(task, store),
            Call::CreateHead => self.changed(task, store),
            Call::Read(child) => self.read_child(task, store, child),
            Call::Enter(manifest) => self.enter(task, store, manifest),
            Call::ListEntries => self.listed_entries(task, store),
        }
    }

    pub fn pack(&self) -> u128 {
        let mut bits = Bits::default();
        bits.put(self.op, 3);
        bits.put(self.stage as u8, 4);
        if self.call == Call::Nothing {
            return bits.packed();
        }
        self.call.pack(&mut bits);
        bits.put(self.digest, 2);
        bits.put(self.damaged, 6);
        bits.put(self.target, 3);
        bits.put(self.number.unwrap_or(7), 3);
        bits.put(self.todo, 4);
        bits.put(self.walk, 4);
        bits.put(self.missing, 4);
        bits.put(self.held, 4);
        bits.put(self.known, 4);
        bits.put(self.count, 3);
        bits.put(self.gone, 4);
        bits.flag(self.again);
        self.seen.pack(&mut bits);
        bits.packed()
    }
}
