//! What a handler says about a response that may be cached.

use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Response;
use futures_util::Stream;
use tokio::time::Instant;

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
    /// Names whose heads were read, each with the generation that was read.
    pub(super) heads: Vec<(ManifestName, u64)>,
    body: CachedBody,
    /// When a handler would add a date to the headers, or look again; `None` if never.
    pub(super) until: Option<Instant>,
    /// The generation of the attached hosts that it depends on; `None` if it does not.
    pub(super) hosts: Option<u64>,
    /// What it counts as.
    pub(super) tally: Option<Tally>,
    /// Whether it says that something is not there, so that it holds only if the heads are the newest at the moment of the
    /// request.
    pub(super) is_negative: bool,
}

/// What is cached of a body. A hit requires that the file, if there is one, still exists.
#[derive(Debug, Clone)]
enum CachedBody {
    Bytes(Bytes),
    /// The content of a file, with the digest of the blob.
    File(Digest, FileSlice),
    /// A blob of this size, which is opened for each request.
    Stored(Digest, u64),
    /// Nothing, because it was the response to a HEAD. The file that would have been read.
    None(Option<Arc<File>>),
}

impl Cacheable {
    /// Cacheable response that depends on the heads of these names at these generations.
    pub(in crate::http) fn of_heads(heads: Vec<(ManifestName, u64)>, body: Bytes) -> Self {
        Self { heads, ..Self::of_body(CachedBody::Bytes(body)) }
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
        Self { heads: Vec::new(), body, until: None, hosts: None, tally: None, is_negative: false }
    }

    /// The same as an answer that says that something is not there: it counts only as long as nothing newer is.
    pub(in crate::http) fn negative(self) -> Self {
        Self { is_negative: true, ..self }
    }

    /// The same, for an address that means these bytes while the heads of these names are at these generations.
    pub(in crate::http) fn under(mut self, heads: Vec<(ManifestName, u64)>) -> Self {
        self.heads.extend(heads);
        self
    }

    /// The same, counted as this whenever it is sent.
    pub(in crate::http) fn counted(self, tally: Tally) -> Self {
        Self { tally: Some(tally), ..self }
    }

    /// The same, for this long at most. `None` for no further limit.
    pub(in crate::http) fn valid_for(self, time: Option<Duration>) -> Self {
        let until = time.map(|time| Instant::now() + time);
        Self { until: self.until.into_iter().chain(until).min(), ..self }
    }

    /// The same, while the attached hosts are as at this generation.
    pub(in crate::http) fn while_hosts(self, generation: u64) -> Self {
        Self { hosts: Some(generation), ..self }
    }

    pub(super) fn file(&self) -> Option<&File> {
        match &self.body {
            CachedBody::File(_, slice) => Some(&slice.file),
            CachedBody::None(file) => file.as_deref(),
            CachedBody::Bytes(_) | CachedBody::Stored(..) => None,
        }
    }

    /// The part of a file that is the body.
    pub(super) fn slice(&self) -> Option<&FileSlice> {
        match &self.body {
            CachedBody::File(_, slice) => Some(slice),
            CachedBody::Bytes(_) | CachedBody::Stored(..) | CachedBody::None(_) => None,
        }
    }

    pub(super) fn bytes(&self) -> Option<&Bytes> {
        match &self.body {
            CachedBody::Bytes(bytes) => Some(bytes),
            CachedBody::File(_, slice) => slice.bytes.as_ref(),
            CachedBody::Stored(..) | CachedBody::None(_) => None,
        }
    }

    /// The blob that is opened for each request, and its size.
    pub(super) fn stored(&self) -> Option<(Digest, u64)> {
        if let CachedBody::Stored(blob, size) = &self.body { Some((*blob, *size)) } else { None }
    }

    /// The same without the file, which is opened again for each request. `None` if it is too large for that, or if its
    /// address says what it is: of blobs, each one exists as long as its file does, and there may be any number.
    pub(super) fn into_stored(self) -> Option<Self> {
        match &self.body {
            CachedBody::File(blob, slice) if slice.bytes.is_some() && !self.heads.is_empty() => {
                let body = CachedBody::Stored(*blob, slice.length());
                Some(Self { body, ..self })
            }
            _ => None,
        }
    }

    /// Largest body that is cached, in bytes.
    pub(super) fn largest(&self) -> usize {
        if self.is_negative { LARGEST_NEGATIVE } else { LARGEST }
    }

    pub(super) fn has_body(&self) -> bool {
        !matches!(self.body, CachedBody::None(_))
    }

    /// Whether the response may be cached under this key. A blob has other spellings of its address, which are not.
    pub(super) fn is_cacheable_under(&self, key: &CacheKey<'_>) -> bool {
        if self.heads.is_empty() { key.label.is_some() } else { !key.whole.contains('?') }
    }

    /// Whether an entry with another source need not replace this one: both depend on a file only, so this one is
    /// equivalent, or will be removed soon.
    pub(super) fn makes_needless(&self, other: &Self) -> bool {
        let is_file_only = |source: &Self| source.heads.is_empty() && source.file().is_some();
        is_file_only(self) && is_file_only(other) && (self.has_body() || !other.has_body())
    }

    /// The response to a GET; `None` if only the response to a HEAD is cached.
    pub(super) fn response(&self) -> Option<Response<Body>> {
        match &self.body {
            CachedBody::Bytes(body) | CachedBody::File(_, FileSlice { bytes: Some(body), .. }) => {
                Some(Response::new(Body::from(body.clone())))
            }
            CachedBody::File(_, slice) => {
                let mut response = Response::new(Body::from_stream(Unsent));
                response.extensions_mut().insert(slice.clone());
                Some(response)
            }
            CachedBody::Stored(..) | CachedBody::None(_) => None,
        }
    }
}

/// Placeholder body for a response whose file is sent by the connection. On a connection that does not, it fails, and
/// the client sees a broken transfer.
struct Unsent;

impl Stream for Unsent {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Err(io::Error::other("this connection sends no files"))))
    }
}
