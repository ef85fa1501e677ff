//! What is cached at present, within budgets: bytes of those responses that are in memory, bytes of those among them that
//! say that something is not there, bytes of heads alone, and a number of open files with their bytes. Asking for ever more
//! blobs, or for ever more that is not there, displaces no manifests.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::CachedResponse;
use super::key::CacheKey;

/// Total weight of the cached responses that are in memory, in bytes.
const REMEMBERED_BYTES: usize = 8 << 20;
/// Total weight of those of them that say that something is not there, in bytes.
const NEGATIVE_BYTES: usize = 2 << 20;
/// Total weight of those of which only the head is kept, in bytes.
const HEAD_BYTES: usize = 24 << 20;
/// Shortest time between two searches for heads that nobody has asked for lately.
const SEARCHED_EVERY: Duration = Duration::from_secs(1);
/// Total size of the bytes of open files that are in memory as well, because the files are small.
const FILE_BYTES: usize = 8 << 20;

/// What a response without an open file is, which decides about its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is in memory.
    Whole,
    /// It says that something is not there.
    Negative,
    /// Only its head is in memory.
    Head,
}

impl Kind {
    fn of(response: &CachedResponse) -> Self {
        match &response.source {
            source if source.is_negative => Self::Negative,
            source if source.stored().is_some() => Self::Head,
            _ => Self::Whole,
        }
    }
}

pub(super) type ByAddress = HashMap<Box<str>, Arc<CachedResponse>>;

/// The cached responses.
pub(super) struct Entries {
    /// Weight of the responses without an open file, by [`Kind`].
    bytes: [usize; 3],
    /// When heads were last sought that nobody has asked for.
    searched: Option<Instant>,
    /// Number of responses with an open file.
    files: usize,
    /// Size of those of their bodies that are in memory.
    file_bytes: usize,
    /// Most open files.
    max_files: usize,
    /// A list, because there are few enough surfaces for a linear search.
    by_surface: Vec<(&'static str, ByAddress)>,
    /// A task that closes open files is running.
    closing: bool,
}

impl Entries {
    pub(super) fn new(max_files: usize) -> Self {
        Self {
            bytes: [0; 3],
            searched: None,
            files: 0,
            file_bytes: 0,
            max_files,
            by_surface: Vec::new(),
            closing: false,
        }
    }

    pub(super) fn get(&self, key: &CacheKey<'_>) -> Option<&Arc<CachedResponse>> {
        let (_, responses) = self.by_surface.iter().find(|(name, _)| *name == key.surface)?;
        responses.get(&*key.address)
    }

    /// Whether one more open file may be kept, with this many bytes in memory. If not, there is room within a second:
    /// files that were not asked for again are closed.
    pub(super) fn has_room_for_file(&self, bytes: usize) -> bool {
        self.files < self.max_files && self.file_bytes + bytes <= FILE_BYTES
    }

    /// Adds a response and returns those that are not cached any more. Evicts all responses of its kind that are in memory
    /// when there is no room for another one: popular ones are soon cached again.
    pub(super) fn add(&mut self, key: &CacheKey<'_>, response: CachedResponse) -> Vec<Arc<CachedResponse>> {
        let mut old = Vec::new();
        if response.source.file().is_some() {
            if !self.has_room_for_file(response.bytes()) {
                return vec![Arc::new(response)];
            }
        } else {
            let kind = Kind::of(&response);
            if !self.has_room(kind, response.weight) {
                old = self.make_room(kind);
            }
            if !self.has_room(kind, response.weight) {
                old.push(Arc::new(response));
                return old;
            }
        }
        self.count(&response, true);
        let index = self.by_surface.iter().position(|(name, _)| *name == key.surface).unwrap_or_else(|| {
            self.by_surface.push((key.surface, ByAddress::new()));
            self.by_surface.len() - 1
        });
        if let Some(before) = self.by_surface[index].1.insert((*key.address).into(), Arc::new(response)) {
            self.count(&before, false);
            old.push(before);
        }
        old
    }

    fn has_room(&self, kind: Kind, weight: usize) -> bool {
        self.bytes[kind as usize] + weight <= [REMEMBERED_BYTES, NEGATIVE_BYTES, HEAD_BYTES][kind as usize]
    }

    /// Removes responses of a kind. Of heads alone, only those that nobody has asked for since the last time: who asks for
    /// all files of a large site one after the other would find none of them otherwise.
    fn make_room(&mut self, kind: Kind) -> Vec<Arc<CachedResponse>> {
        let is_alike = |other: &CachedResponse| other.source.file().is_none() && Kind::of(other) == kind;
        if kind != Kind::Head {
            return self.take(is_alike);
        }
        if self.searched.is_some_and(|searched| searched.elapsed() < SEARCHED_EVERY) {
            return Vec::new();
        }
        self.searched = Some(Instant::now());
        self.take(|other| is_alike(other) && !other.used.swap(false, Relaxed))
    }

    /// Whether a task has to be started that closes files, which the caller then does.
    pub(super) fn begin_closing(&mut self) -> bool {
        self.files > 0 && !std::mem::replace(&mut self.closing, true)
    }

    /// Marks the open files that were deleted, that nobody has asked for since the last call, and those that are old.
    pub(super) fn mark_expired(&self) {
        for response in self.by_surface.iter().flat_map(|(_, responses)| responses.values()) {
            if response.source.file().is_some() {
                response.expired.store(!response.stays_open(), Relaxed);
            }
        }
    }

    /// Removes the marked responses. False if no file is open any more, so that the task ends.
    pub(super) fn close_expired(&mut self) -> (Vec<Arc<CachedResponse>>, bool) {
        let closed = self.take(|response| response.expired.load(Relaxed));
        self.closing = self.files > 0;
        (closed, self.closing)
    }

    fn take(&mut self, which: impl Fn(&CachedResponse) -> bool) -> Vec<Arc<CachedResponse>> {
        let all = self.by_surface.iter_mut();
        let taken: Vec<_> = all
            .flat_map(|(_, responses)| responses.extract_if(|_, response| which(response)))
            .map(|(_, response)| response)
            .collect();
        for response in &taken {
            self.count(response, false);
        }
        taken
    }

    fn count(&mut self, response: &CachedResponse, added: bool) {
        let change = |total: &mut usize, by: usize| *total = if added { *total + by } else { *total - by };
        if response.source.file().is_some() {
            change(&mut self.files, 1);
            change(&mut self.file_bytes, response.bytes());
        } else {
            change(&mut self.bytes[Kind::of(response) as usize], response.weight);
        }
    }
}
