//! P2 from the top down: a manifest that another names is read after its bytes were secured, and what it names is looked at
//! after that. The entries by which a version is found are created on the way, each as early as its manifest is known:
//! an entry that exists earlier is found in more states than one that comes later.

use super::flow::Task;
use super::{Call, Publisher, Stage};
use crate::model::bits::{first, members};
use crate::model::copies::Bytes;
use crate::model::setup::Broken;
use crate::model::world::Store;

impl Publisher {
    /// P1 is done: from now on everything that the version needs stays once it was looked at.
    pub(super) fn rooted(&mut self, task: &Task) {
        if task.setup.by_digest && !task.breaks(Broken::EntriesAfterCommit) {
            self.call = Call::Enter(task.manifest_id());
            return;
        }
        if task.setup.follows {
            self.call = Call::ReadCount;
            return;
        }
        self.secure(task);
    }

    pub(super) fn enter(&mut self, task: &Task, store: &mut Store, manifest: u8) {
        let (name, _) = self.wish(task.op);
        store.entries.add(manifest, name, self.number.expect("only a version that is prepared has entries"));
        match self.stage {
            Stage::Child => self.check_blobs(task),
            Stage::Commit => self.enter_late(),
            _ => self.secure(task),
        }
    }

    pub(super) fn committed(&mut self, task: &Task) {
        if !task.setup.by_digest || !task.breaks(Broken::EntriesAfterCommit) {
            return self.end();
        }
        self.walk = task.setup.closure(task.manifest_id());
        self.enter_late();
    }

    fn enter_late(&mut self) {
        let Some(manifest) = first(self.walk) else { return self.end() };
        self.walk &= !(1 << manifest);
        self.call = Call::Enter(manifest);
    }

    pub(super) fn begin_walk(&mut self, task: &Task) {
        self.walk = task.manifest().children;
        let named = task.setup.named(task.manifest_id()) & !self.known;
        self.todo = if task.breaks(Broken::BottomUp) { 0 } else { named };
    }

    /// Goes on when all blobs were looked at that are known. What is missing itself is not read.
    pub(super) fn follow(&mut self, task: &Task) {
        let is_missing = |child: &u8| self.missing & 1 << task.setup.own(*child) != 0;
        self.walk &= !members(self.walk).filter(is_missing).fold(0, |set, child| set | 1 << child);
        if let Some(child) = first(self.walk) {
            (self.stage, self.call, self.digest) = (Stage::Child, Call::Read(child), task.setup.own(child));
            return;
        }
        if task.breaks(Broken::BottomUp) {
            self.todo = task.setup.named(task.manifest_id()) & !self.held & !self.missing;
            if self.todo != 0 {
                return self.check_blobs(task);
            }
        }
        self.checked(task);
    }

    pub(super) fn read_child(&mut self, task: &Task, store: &Store, child: u8) {
        self.walk &= !(1 << child);
        if store.copies(self.digest).read() != Some(Bytes::Good) {
            self.missing |= 1 << self.digest;
            return self.check_blobs(task);
        }
        let manifest = task.setup.manifest(child);
        self.walk |= manifest.children;
        self.todo |= if task.breaks(Broken::BottomUp) { manifest.blobs } else { task.setup.named(child) };
        if task.setup.by_digest && !task.breaks(Broken::EntriesAfterCommit) {
            self.call = Call::Enter(child);
            return;
        }
        self.check_blobs(task);
    }
}
