//! What is cached at present, within budgets: bytes of those responses that are in memory, bytes of those among them that
//! say that something is not there, and a number of open files with their bytes. Asking for ever more blobs, or for ever
//! more that is not there, displaces no manifests.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::CachedResponse;
use super::key::CacheKey;

/// Total weight of the cached responses that are in memory, in bytes.
const REMEMBERED_BYTES: usize = 8 << 20;
/// Total weight of those of them that say that something is not there, in bytes.
const NEGATIVE_BYTES: usize = 2 << 20;
/// Total size of the bytes of open files that are in memory as well, because the files are small.
const FILE_BYTES: usize = 8 << 20;

pub(super) type ByAddress = HashMap<Box<str>, Arc<CachedResponse>>;

/// The cached responses.
pub(super) struct Entries {
    /// Weight of the responses without an open file, and of those that say that something is not there.
    bytes: [usize; 2],
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
        Self { bytes: [0; 2], files: 0, file_bytes: 0, max_files, by_surface: Vec::new(), closing: false }
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
            let kind = usize::from(response.source.is_negative);
            if self.bytes[kind] + response.weight > [REMEMBERED_BYTES, NEGATIVE_BYTES][kind] {
                let is_alike = |other: &CachedResponse| other.source.is_negative == response.source.is_negative;
                old = self.take(|other| other.source.file().is_none() && is_alike(other));
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
            change(&mut self.bytes[usize::from(response.source.is_negative)], response.weight);
        }
    }
}
