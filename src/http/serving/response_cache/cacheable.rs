//! What a handler says about a response that may be cached.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use tokio::time::Instant;

use super::body::CachedBody;
use super::key::CacheKey;
use crate::domain::{Digest, ManifestName};
use crate::http::serving::tally::Tally;
use crate::store::FileSlice;

/// Largest cached body, in bytes.
const LARGEST: usize = 256 << 10;
/// Largest cached body of an answer that says that something is not there, in bytes.
const LARGEST_NEGATIVE: usize = 16 << 10;

/// Response extension by which a handler allows caching: the response to a GET or HEAD is public and depends on nothing
/// but the URL and these sources.
#[derive(Debug, Clone)]
pub(in crate::http) struct Cacheable {
    pub(super) sources: Sources,
    pub(super) body: CachedBody,
    /// When a handler would add a date to the headers, or look again; `None` if never.
    pub(super) until: Option<Instant>,
}

/// What a response depends on, and counts as. All files of a site have the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sources {
    /// Names whose heads were read, each with the generation that was read.
    pub(super) heads: Vec<(ManifestName, u64)>,
    /// The generation of the attached hosts that it depends on; `None` if it does not.
    pub(super) hosts: Option<u64>,
    /// What it counts as.
    pub(super) tally: Option<Tally>,
    /// Whether it says that something is not there, so that it holds only if the heads are the newest at the moment of the
    /// request.
    pub(super) is_negative: bool,
}

impl Cacheable {
    /// Cacheable response that depends on the heads of these names at these generations.
    pub(in crate::http) fn of_heads(heads: Vec<(ManifestName, u64)>, body: Bytes) -> Self {
        Self::of_body(CachedBody::Bytes(body)).under(heads)
    }

    /// The same for a small file of a release, which was fetched from a store without files. Copied, because what a store's
    /// client returns may be part of a larger buffer.
    pub(in crate::http) fn of_fetched(heads: Vec<(ManifestName, u64)>, body: &[u8]) -> Self {
        Self::of_body(CachedBody::Fetched(Bytes::copy_from_slice(body))).under(heads)
    }

    /// Cacheable response whose body is a blob, the content of a file.
    pub(in crate::http) fn of_file(blob: Digest, slice: FileSlice) -> Self {
        Self::of_body(CachedBody::File(blob, slice))
    }

    /// Cacheable response to a HEAD, which answers no GET. `file` is the file whose content a GET would send, if there is
    /// one.
    pub(in crate::http) fn without_body(file: Option<Arc<File>>) -> Self {
        Self::of_body(CachedBody::None(file))
    }

    fn of_body(body: CachedBody) -> Self {
        Self { sources: Sources::default(), body, until: None }
    }

    /// The same as an answer that says that something is not there: it counts only as long as nothing newer is.
    pub(in crate::http) fn negative(mut self) -> Self {
        self.sources.is_negative = true;
        self
    }

    /// The same, for an address that means these bytes while the heads of these names are at these generations.
    pub(in crate::http) fn under(mut self, heads: Vec<(ManifestName, u64)>) -> Self {
        self.sources.heads.extend(heads);
        self
    }

    /// The same, counted as this whenever it is sent.
    pub(in crate::http) fn counted(mut self, tally: Tally) -> Self {
        self.sources.tally = Some(tally);
        self
    }

    /// The same, for this long at most. `None` for no further limit.
    pub(in crate::http) fn valid_for(self, time: Option<Duration>) -> Self {
        let until = time.map(|time| Instant::now() + time);
        Self { until: self.until.into_iter().chain(until).min(), ..self }
    }

    /// The same, while the attached hosts are as at this generation.
    pub(in crate::http) fn while_hosts(mut self, generation: u64) -> Self {
        self.sources.hosts = Some(generation);
        self
    }

    /// Whether the response may be cached under this key. A blob has other spellings of its address, which are not.
    pub(super) fn is_cacheable_under(&self, key: &CacheKey<'_>) -> bool {
        let largest = if self.sources.is_negative { LARGEST_NEGATIVE } else { LARGEST };
        let is_known = if self.sources.heads.is_empty() { key.label.is_some() } else { !key.whole.contains('?') };
        is_known && self.body.bytes().map_or(0, Bytes::len) <= largest
    }

    /// The same as it is kept: small files of releases are not kept open, see [`CachedBody::closed`]. A blob whose address
    /// says what it is exists as long as its file does, which is looked at for each request.
    pub(super) fn closed(self, has_room: bool) -> Self {
        let body = if self.sources.heads.is_empty() { self.body } else { self.body.closed(has_room) };
        Self { body, ..self }
    }
}
