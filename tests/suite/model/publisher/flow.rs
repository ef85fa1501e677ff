//! What a publisher makes of the store's answers. The decisions are those of `src/service/publish.rs` and
//! `src/service/blobs.rs`.

use super::{Call, Publisher, Stage};
use crate::model::bits::first;
use crate::model::copies::{Bytes, Copies};
use crate::model::heads::{Change, Head, Row, State};
use crate::model::manifests::Manifest;
use crate::model::setup::{Broken, Op, Setup};
use crate::model::world::Store;

/// What a publisher works on.
pub(super) struct Task<'a> {
    pub(super) setup: &'a Setup,
    pub(super) op: Op,
}

impl Task<'_> {
    pub(super) fn breaks(&self, rule: Broken) -> bool {
        self.setup.breaks(rule)
    }

    pub(super) fn manifest_id(&self) -> u8 {
        match self.op {
            Op::Publish { manifest, .. } | Op::Session { manifest, .. } => manifest,
            _ => 0,
        }
    }

    pub(super) fn manifest(&self) -> Manifest {
        self.setup.manifest(self.manifest_id())
    }

    fn is_session(&self) -> bool {
        matches!(self.op, Op::Session { .. })
    }
}

/// What a listing means for somebody who wants to rely on a digest.
enum Check {
    Present,
    /// There are no bytes, or not the right ones.
    Missing,
    /// There are doomed bytes to copy.
    Doomed {
        from: u8,
        to: u8,
    },
}

fn check(setup: &Setup, copies: Copies) -> Check {
    let fits = |bytes| bytes == Bytes::Good || setup.same_length;
    match (copies.usable(), copies.readable()) {
        (Some((_, bytes)), _) if fits(bytes) => Check::Present,
        (None, Some((from, bytes))) if fits(bytes) => Check::Doomed { from, to: copies.next_generation() },
        _ => Check::Missing,
    }
}

impl Publisher {
    pub(super) fn listed(&mut self, task: &Task, store: &Store) {
        let copies = store.copies(self.digest);
        if matches!(self.stage, Stage::Put | Stage::Upload) {
            return self.listed_to_write(task, copies);
        }
        if self.stage == Stage::Discard {
            return self.listed_to_discard(task, copies);
        }
        match check(task.setup, copies) {
            Check::Doomed { from, to } => self.call = Call::Copy { from, to },
            Check::Present => self.is_there(task),
            Check::Missing => self.is_missing(task),
        }
    }

    fn listed_to_write(&mut self, task: &Task, copies: Copies) {
        self.damaged = copies.damaged();
        if copies.usable().is_some() && self.damaged == 0 {
            return if self.stage == Stage::Put { self.is_put(task) } else { self.uploaded(task) };
        }
        self.target = copies.generation_above_damaged();
        match first(self.damaged).filter(|_| !task.breaks(Broken::CommitBeforeBury)) {
            Some(generation) => self.call = Call::Condemn(generation),
            None => self.call = Call::Create,
        }
    }

    /// Damaged bytes go before the right ones appear, so that no reader is given the wrong ones of two.
    pub(super) fn buried(&mut self, task: &Task) {
        match first(self.damaged) {
            Some(generation) => self.call = Call::Condemn(generation),
            None if task.breaks(Broken::CommitBeforeBury) => self.created(task),
            None => self.call = Call::Create,
        }
    }

    pub(super) fn created(&mut self, task: &Task) {
        if let Some(generation) = first(self.damaged) {
            self.call = Call::Condemn(generation);
            return;
        }
        self.target = 0;
        match self.stage {
            Stage::Put => self.is_put(task),
            _ if task.breaks(Broken::NoSecondLookAfterUpload) => self.uploaded(task),
            _ => self.look_at(Stage::Look, self.digest),
        }
    }

    fn is_put(&mut self, task: &Task) {
        if self.number.is_none() && !task.breaks(Broken::CheckBeforeRoot) {
            return self.change(Stage::Prepare);
        }
        self.look_at(Stage::Manifest, self.digest);
    }

    /// The client is told that its blob is stored. A session goes on with the next.
    fn uploaded(&mut self, task: &Task) {
        self.stored = Some(self.digest);
        if self.number.is_none() {
            return self.end();
        }
        self.missing &= !(1 << self.digest);
        self.held |= 1 << self.digest;
        self.upload_missing(task);
    }

    fn upload_missing(&mut self, task: &Task) {
        if let Some(digest) = first(self.missing) {
            return self.look_at(Stage::Upload, digest);
        }
        self.again = true;
        self.secure(task);
    }

    pub(super) fn copied(&mut self, task: &Task) {
        self.call = Call::List;
        if task.breaks(Broken::NoSecondLookAfterCopy) {
            self.is_there(task);
        }
    }

    /// P2: the manifest first. A collector that finds it gone cannot know the blobs, but then they are not checked yet.
    pub(super) fn secure(&mut self, task: &Task) {
        self.begin_walk(task);
        match task.manifest().own {
            Some(own) => self.look_at(Stage::Manifest, own),
            None => self.check_blobs(task),
        }
    }

    pub(super) fn check_blobs(&mut self, task: &Task) {
        (self.stage, self.call, self.digest) = (Stage::Blobs, Call::ListAny, 0);
        if self.todo == 0 {
            self.follow(task);
        }
    }

    fn is_there(&mut self, task: &Task) {
        if self.stage == Stage::Look {
            return self.uploaded(task);
        }
        self.held |= 1 << self.digest;
        if self.stage == Stage::Blobs {
            self.todo &= !(1 << self.digest);
        }
        self.check_blobs(task);
    }

    fn is_missing(&mut self, task: &Task) {
        match self.stage {
            Stage::Look => self.end(),
            Stage::Manifest if self.again => self.rest(Stage::Short),
            Stage::Manifest if task.breaks(Broken::BlobsBeforeManifest) && self.todo != 0 => self.check_blobs(task),
            Stage::Manifest => self.look_at(Stage::Put, self.digest),
            _ => {
                self.missing |= 1 << self.digest;
                self.todo &= !(1 << self.digest);
                self.check_blobs(task);
            }
        }
    }

    /// Every blob was looked at.
    pub(super) fn checked(&mut self, task: &Task) {
        let put_back = task.manifest().own.filter(|own| self.held & 1 << own == 0);
        match (put_back, self.missing) {
            (Some(own), _) => self.look_at(Stage::Put, own),
            (None, 0) if self.number.is_none() => self.change(Stage::Prepare),
            (None, _) if self.number.is_none() => self.end(),
            (None, _) if task.is_session() && !self.again => self.upload_missing(task),
            (None, 0) => self.change(Stage::Commit),
            (None, _) if task.is_session() => self.rest(Stage::Short),
            (None, _) => self.change(Stage::Abort),
        }
    }

    pub(super) fn read(&mut self, task: &Task, store: &Store) {
        if matches!(task.op, Op::DeleteDigest { .. }) {
            return self.read_to_delete(task, store);
        }
        let (name, change) = self.wish(task.op);
        let head = store.head(name);
        let resumed = if self.stage == Stage::Prepare { resumable(task, head) } else { None };
        if let Some(number) = resumed {
            self.number = Some(number);
            return self.rooted(task);
        }
        match change {
            Change::Commit { number } if head.rows[usize::from(number)].state.is_complete() => self.end(),
            Change::Commit { .. } if head.next(change).is_none() => self.rest(Stage::Refused),
            _ if head.next(change).is_none() => self.end(),
            _ => (self.seen, self.call) = (head, Call::CreateHead),
        }
    }

    pub(super) fn changed(&mut self, task: &Task, store: &mut Store) {
        let (name, change) = self.wish(task.op);
        let seen = std::mem::take(&mut self.seen);
        if !store.create_head(task.setup, name, seen, change, task.manifest_id()) {
            self.call = Call::ReadHead;
            return;
        }
        match self.stage {
            Stage::Prepare => {}
            Stage::Commit => {
                store.note_look(task.setup, name, self.number, self.count);
                return self.committed(task);
            }
            Stage::Other if matches!(task.op, Op::DeleteDigest { .. }) => return self.deleted(),
            _ => return self.end(),
        }
        self.number = Some(seen.next_number());
        if task.breaks(Broken::CheckBeforeRoot) {
            return self.change(Stage::Commit);
        }
        self.rooted(task);
    }

    pub(super) fn end(&mut self) {
        self.rest(Stage::Done);
    }

    pub(super) fn rest(&mut self, stage: Stage) {
        (self.stage, self.call) = (stage, Call::Finish);
    }
}

/// A session that is asked for twice is the same.
fn resumable(task: &Task, head: Head) -> Option<u8> {
    let same = |row: &Row| row.state == State::Prepared && row.manifest == task.manifest_id();
    let found = head.numbered().filter(|(_, row)| task.is_session() && same(row)).last();
    found.map(|(number, _)| number)
}
