//! The response cache: responses that many clients request, such as the manifest of a name that all of them poll, and
//! the files that they fetch next.
//!
//! A response is cached as its handler returned it, together with what it depends on, and only if it is public. It is
//! reused for requests without `Authorization`, `Cache-Control`, `If-Match` or `Range` as long as the handler would
//! return the same; a cached response never differs from what the handler would send. Files stay open for as long as they
//! are asked for again within a second, but deleted ones for one second only, because they occupy disk space until they are
//! closed.
//!
//! Nobody can displace other responses by asking for the same thing under ever new addresses: a blob has one entry
//! whatever its address says besides the digest, and of names only addresses without a query are cached. Answers that say
//! that something is not there have a budget of their own.
//!
//! Of small blobs for which there is no room, as of the files of a large site, the head is kept alone, and the bytes are
//! opened for each request. Only requests that are answered without the HTTP library use these.

mod cacheable;
mod entries;
mod heads;
mod key;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::MatchedPath;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, HeaderMap, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE, RANGE,
};
use axum::http::{Method, Request, Response, StatusCode};
use tokio::time::Instant;

use super::download::Download;
use super::tally::Tally;
use crate::domain::{Digest, ManifestName};
use crate::http::meters::{Meter, Meters};
use crate::store::{FileSlice, files_allowed, has_name};
pub(in crate::http) use cacheable::Cacheable;
use entries::Entries;
use heads::unchanged;
pub(in crate::http) use key::{CacheKey, EndOfDigest, end_of_digest};

/// Most files that are kept open. Each takes about as much memory as [`heads::OVERHEAD`] says, beside its bytes.
const OPEN_FILES: u64 = 4096;
/// Share of the files that this process may open which may be kept open.
const OPEN_SHARE: u64 = 4;
/// Longest time that a file is kept open which was deleted, or that nobody asks for.
const KEPT_OPEN: Duration = Duration::from_secs(1);
/// Longest time that a file is kept open at all: a handler compares its bytes with their digest now and then.
const KEPT_AT_ALL: Duration = Duration::from_mins(1);

/// Current state of the sources that cached responses depend on.
pub(in crate::http) trait CacheSources: Send + Sync {
    /// The generation of the head that handlers would use for a name; `None` if they would have to read the store.
    fn generation(&self, name: &ManifestName) -> Option<u64>;

    /// Whether the head of this generation is certainly the newest of the name now; false if the store would have to be
    /// asked.
    fn is_newest(&self, name: &ManifestName, generation: u64) -> bool;

    /// A counter that is incremented by every change of tokens and policies.
    fn epoch(&self) -> u64;

    /// The generation of the attached hosts.
    fn hosts(&self) -> u64;

    /// The bytes of a small blob, if they are in memory and nobody has to wait for them.
    fn open(&self, blob: Digest) -> Option<FileSlice>;
}

/// One entry of the cache.
struct CachedResponse {
    source: Cacheable,
    /// [`CacheSources::epoch`] before the permission to read was checked.
    epoch: u64,
    route: MatchedPath,
    status: StatusCode,
    /// Empty if only the head is kept.
    headers: HeaderMap,
    /// Status line and headers as they are written to a connection, without the end.
    head: Bytes,
    /// Entity tag, and the same for a 304 response to a client that already has the body.
    unchanged: Option<(HeaderValue, Bytes)>,
    /// For a blob, the end of the address that the headers are for.
    label: Box<str>,
    /// Whether the headers include `Last-Modified`.
    dated: bool,
    weight: usize,
    cached_at: Instant,
    /// Whether it was asked for lately.
    used: AtomicBool,
    /// Whether its file was in the page cache when that was last looked at, which is forgotten every second.
    in_memory: AtomicBool,
    /// Whether its file is about to be closed.
    expired: AtomicBool,
    /// What counts it, for GET and HEAD, each of the whole response and of 304s.
    meters: [OnceLock<Meter>; 4],
}

/// Cache of complete responses.
pub(in crate::http) struct ResponseCache {
    sources: Box<dyn CacheSources>,
    remembered: Arc<RwLock<Entries>>,
}

impl fmt::Debug for CachedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedResponse").field("route", &self.route).finish_non_exhaustive()
    }
}

impl fmt::Debug for ResponseCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCache").finish_non_exhaustive()
    }
}

impl ResponseCache {
    pub(in crate::http) fn new(sources: Box<dyn CacheSources>) -> Self {
        let max_files = usize::try_from((files_allowed() / OPEN_SHARE).min(OPEN_FILES)).unwrap_or_default();
        Self { sources, remembered: Arc::new(RwLock::new(Entries::new(max_files))) }
    }

    /// The epoch to cache a response with, to be read before the request is handled: a response that was public under
    /// earlier tokens and policies is not reused.
    pub(in crate::http) fn epoch(&self) -> u64 {
        self.sources.epoch()
    }

    /// The response to a request without credentials, with its route. A hit requires that a handler would return the same.
    pub(in crate::http) fn find<B>(
        &self,
        key: &CacheKey<'_>,
        request: &Request<B>,
    ) -> Option<(Response<Body>, MatchedPath)> {
        let whole = *request.method() == Method::GET;
        if !(whole || *request.method() == Method::HEAD) {
            return None;
        }
        let asked = request.headers();
        if [CACHE_CONTROL, IF_MATCH, RANGE].iter().any(|special| asked.contains_key(special)) {
            return None;
        }
        let mut held = asked.get_all(IF_NONE_MATCH).iter();
        let (held, None) = (held.next(), held.next()) else { return None };
        let hit = self.lookup(key, whole, held.map(HeaderValue::as_bytes))?;
        if hit.cached.depends_on(asked) || hit.cached.source.stored().is_some() {
            return None;
        }
        Some((hit.response(key)?, hit.cached.route.clone()))
    }

    /// Looks up the response to a request for everything (`whole`) or only the head, by a client that states to have
    /// `held` and nothing else of influence.
    pub(in crate::http) fn lookup(&self, key: &CacheKey<'_>, whole: bool, held: Option<&[u8]>) -> Option<Hit> {
        let cached = { Arc::clone(read(&self.remembered).get(key)?) };
        if cached.epoch != self.epoch() || !self.holds(&cached.source) {
            return None;
        }
        let unchanged = match held {
            None => false,
            Some(held) => cached.unchanged.as_ref().is_some_and(|(etag, _)| etag.as_bytes() == held).then_some(true)?,
        };
        if !cached.used.load(Relaxed) {
            cached.used.store(true, Relaxed);
        }
        let whole = whole && !unchanged;
        if whole && !cached.source.has_body() {
            return None;
        }
        if let (true, Some(tally)) = (cached.source.is_negative, &cached.source.tally) {
            tally.count_look();
        }
        Some(Hit { cached, unchanged, whole })
    }

    /// Whether all sources of an entry are unchanged.
    fn holds(&self, source: &Cacheable) -> bool {
        let current = |(name, generation): &(ManifestName, u64)| {
            if source.is_negative {
                return self.sources.is_newest(name, *generation);
            }
            self.sources.generation(name) == Some(*generation)
        };
        source.heads.iter().all(current)
            && source.hosts.is_none_or(|generation| self.sources.hosts() == generation)
            && source.file().is_none_or(has_name)
            && source.until.is_none_or(|until| Instant::now() < until)
    }

    /// Caches a finished response to a GET or HEAD that began in `epoch`, without headers that are specific to the
    /// request.
    pub(in crate::http) fn remember(
        &self,
        key: &CacheKey<'_>,
        (route, epoch): (MatchedPath, u64),
        source: Cacheable,
        status: StatusCode,
        mut headers: HeaderMap,
    ) {
        let body = source.bytes().map_or(0, Bytes::len);
        if body > source.largest() || !source.is_cacheable_under(key) {
            return;
        }
        if source.bytes().is_some() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body));
        }
        let has_room = source.file().is_none() || read(&self.remembered).has_room_for_file(body);
        let source = if has_room { Some(source) } else { source.into_stored() };
        let Some(source) = source else { return };
        let response = CachedResponse::new(key, (route, epoch), source, status, headers);
        let mut remembered = write(&self.remembered);
        if remembered.get(key).is_some_and(|known| known.source.makes_needless(&response.source)) {
            return;
        }
        drop_in_background(remembered.add(key, response));
        if remembered.begin_closing() {
            tokio::spawn(close_files(Arc::downgrade(&self.remembered)));
        }
    }
}

impl CachedResponse {
    /// Size of the body, if it is in memory.
    fn bytes(&self) -> usize {
        self.source.bytes().map_or(0, Bytes::len)
    }

    /// Whether its file is worth keeping open until the next look.
    fn stays_open(&self) -> bool {
        self.in_memory.store(false, Relaxed);
        self.used.swap(false, Relaxed)
            && self.cached_at.elapsed() < KEPT_AT_ALL
            && self.source.file().is_some_and(has_name)
    }

    /// Whether the response depends on the dates in a request. Without a date of its own it does not (RFC 9110 section
    /// 13.1.3).
    fn depends_on(&self, asked: &HeaderMap) -> bool {
        self.dated && [IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE].iter().any(|date| asked.contains_key(date))
    }
}

/// A cached response that answers a request.
#[derive(Debug)]
pub(in crate::http) struct Hit {
    cached: Arc<CachedResponse>,
    /// Whether the client already has the body.
    unchanged: bool,
    /// Whether the response has a body.
    whole: bool,
}

impl Hit {
    fn response(&self, key: &CacheKey<'_>) -> Option<Response<Body>> {
        let mut response = if self.whole { self.cached.source.response()? } else { Response::default() };
        *response.status_mut() = self.status();
        if let Some(tally) = self.tally() {
            response.extensions_mut().insert(tally.clone());
        }
        let headers = &self.cached.headers;
        *response.headers_mut() = if self.unchanged { unchanged(headers) } else { headers.clone() };
        if let Some(label) = key.label.filter(|label| **label != *self.cached.label) {
            Download::of_rest(label)?.relabel(response.headers_mut());
        }
        Some(response)
    }

    pub(in crate::http) fn status(&self) -> StatusCode {
        if self.unchanged { StatusCode::NOT_MODIFIED } else { self.cached.status }
    }

    /// What the response counts as, if its surface counts more than routes.
    pub(in crate::http) fn tally(&self) -> Option<&Tally> {
        self.cached.source.tally.as_ref()
    }

    pub(in crate::http) fn matched_route(&self) -> &str {
        self.cached.route.as_str()
    }

    /// What counts this response to a request with this method, GET or HEAD.
    pub(in crate::http) fn meter(&self, meters: &Meters, method: &Method) -> &Meter {
        let index = usize::from(*method == Method::HEAD) + 2 * usize::from(self.unchanged);
        self.cached.meters[index].get_or_init(|| meters.meter(self.matched_route(), method, self.status()))
    }

    /// The body, if there is one and it is in memory.
    pub(in crate::http) fn body(&self) -> Option<&Bytes> {
        self.cached.source.bytes().filter(|_| self.whole)
    }

    /// The file that the body is in, if there is a body and it is in a file.
    pub(in crate::http) fn file(&self) -> Option<&FileSlice> {
        self.cached.source.slice().filter(|_| self.whole)
    }

    /// Whether this file is in the page cache. What was there less than a second ago counts as being there: looking takes as
    /// long as a quarter of sending 64 KiB, and what was just used is the last that the kernel parts with.
    pub(in crate::http) fn is_in_memory(&self, file: &FileSlice) -> bool {
        let known = &self.cached.in_memory;
        if known.load(Relaxed) {
            return true;
        }
        let is = file.is_in_memory();
        known.store(is, Relaxed);
        is
    }

    /// Whether only the head is kept, so that the bytes have to be opened.
    pub(in crate::http) fn is_head(&self) -> bool {
        self.cached.source.stored().is_some()
    }

    /// Opens the bytes where only the head is kept. `None` if they would have to be waited for.
    pub(in crate::http) fn open(&self, responses: &ResponseCache) -> Option<FileSlice> {
        let (blob, size) = self.cached.source.stored()?;
        responses.sources.open(blob).filter(|opened| opened.length() == size)
    }

    /// Whether the response has a body.
    pub(in crate::http) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Status line and headers as they are written to a connection, without the end. `None` if the headers differ for this
    /// key.
    pub(in crate::http) fn head(&self, key: &CacheKey<'_>) -> Option<&Bytes> {
        let is_same = key.label.is_none_or(|label| *label == *self.cached.label);
        let head =
            if self.unchanged { self.cached.unchanged.as_ref().map(|(_, head)| head)? } else { &self.cached.head };
        is_same.then_some(head)
    }
}

/// Closes the files that are not worth keeping open, until there are none.
async fn close_files(remembered: Weak<RwLock<Entries>>) {
    loop {
        tokio::time::sleep(KEPT_OPEN).await;
        let Some(remembered) = remembered.upgrade() else { return };
        // Looking at the files holds up nobody who reads.
        read(&remembered).mark_expired();
        let (closed, more) = write(&remembered).close_expired();
        drop_in_background(closed);
        if !more {
            return;
        }
    }
}

/// Closes files off the async threads: closing a deleted file frees its disk space, which may block.
fn drop_in_background(responses: Vec<Arc<CachedResponse>>) {
    if !responses.is_empty() {
        tokio::task::spawn_blocking(move || drop(responses));
    }
}

fn read(remembered: &RwLock<Entries>) -> RwLockReadGuard<'_, Entries> {
    remembered.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(remembered: &RwLock<Entries>) -> RwLockWriteGuard<'_, Entries> {
    remembered.write().unwrap_or_else(PoisonError::into_inner)
}
