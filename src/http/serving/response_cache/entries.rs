//! What is cached at present, within two budgets: bytes of those responses that are in memory, and a number of open files.
//! Each evicts only what it counts, so that asking for ever more blobs displaces no manifests.

use std::collections::HashMap;
use std::sync::Arc;

use super::CachedResponse;
use super::key::CacheKey;

/// Total weight of the cached responses that are in memory, in bytes.
const REMEMBERED_BYTES: usize = 8 << 20;

pub(super) type ByAddress = HashMap<Box<str>, Arc<CachedResponse>>;

/// The cached responses.
pub(super) struct Entries {
    /// Weight of the responses without an open file.
    bytes: usize,
    /// Number of responses with an open file.
    files: usize,
    /// Most open files.
    max_files: usize,
    /// A list, because there are few enough surfaces for a linear search.
    by_surface: Vec<(&'static str, ByAddress)>,
    /// A task that closes the open files has been scheduled.
    closing: bool,
}

impl Entries {
    pub(super) fn new(max_files: usize) -> Self {
        Self { bytes: 0, files: 0, max_files, by_surface: Vec::new(), closing: false }
    }

    pub(super) fn get(&self, key: &CacheKey<'_>) -> Option<&Arc<CachedResponse>> {
        let (_, responses) = self.by_surface.iter().find(|(name, _)| *name == key.surface)?;
        responses.get(&*key.address)
    }

    /// Adds a response and returns the evicted ones. Evicts everything of its kind when there is no room: popular
    /// responses are soon cached again.
    pub(super) fn add(&mut self, key: &CacheKey<'_>, response: CachedResponse) -> Vec<Arc<CachedResponse>> {
        let is_file = response.source.file().is_some();
        let is_full =
            if is_file { self.files >= self.max_files } else { self.bytes + response.weight > REMEMBERED_BYTES };
        let mut old = if is_full { self.take(is_file) } else { Vec::new() };
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

    /// Whether the open files have to be scheduled to be closed, which the caller then does.
    pub(super) fn begin_closing(&mut self) -> bool {
        self.files > 0 && !std::mem::replace(&mut self.closing, true)
    }

    /// Removes all responses with an open file, as scheduled.
    pub(super) fn close(&mut self) -> Vec<Arc<CachedResponse>> {
        self.closing = false;
        self.take(true)
    }

    /// Removes all responses with an open file, or all others.
    fn take(&mut self, files: bool) -> Vec<Arc<CachedResponse>> {
        let kind = |response: &CachedResponse| response.source.file().is_some() == files;
        let all = self.by_surface.iter_mut();
        let taken: Vec<_> = all
            .flat_map(|(_, responses)| responses.extract_if(|_, response| kind(response)))
            .map(|(_, response)| response)
            .collect();
        for response in &taken {
            self.count(response, false);
        }
        taken
    }

    fn count(&mut self, response: &CachedResponse, added: bool) {
        let (total, weight) = match response.source.file() {
            Some(_) => (&mut self.files, 1),
            None => (&mut self.bytes, response.weight),
        };
        *total = if added { *total + weight } else { *total - weight };
    }
}
