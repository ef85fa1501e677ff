//! The response cache: responses that many clients request, such as the manifest of a name that all of them poll, and
//! the files that they fetch next.
//!
//! A response is cached as its handler returned it, together with what it depends on, and only if it is public. It is
//! reused for requests without `Authorization`, `Cache-Control`, `If-Match` or `Range` as long as the handler would
//! return the same; a cached response never differs from what the handler would send, but for small files that somebody has
//! deleted from the store while a head needs them. Files stay open for as long as they are asked for again within a second,
//! but deleted ones for one second only, because they occupy disk space until they are closed.
//!
//! Nobody can displace other responses by asking for the same thing under ever new addresses: a blob has one entry
//! whatever its address says besides the digest, and of names only addresses without a query are cached. Answers that say
//! that something is not there have a budget of their own.
//!
//! Small files of releases, of which there may be many, are kept in memory without an open file. Those in a directory are
//! opened again once a minute to see that they are still there and sound. Of those for which there is no room the head is
//! kept alone, and the bytes are opened for each request, until there is room. Only requests that are answered without the
//! HTTP library do that.

mod body;
mod cacheable;
mod common;
mod entries;
mod heads;
mod hit;
mod key;

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::MatchedPath;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, HeaderMap, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE, RANGE,
};
use axum::http::{Method, Request, Response, StatusCode};
use tokio::time::Instant;

use crate::domain::{Digest, ManifestName};
use crate::store::{FileSlice, files_allowed, has_name};
use body::CachedBody;
pub(in crate::http) use cacheable::Cacheable;
use common::Common;
use entries::Entries;
use heads::CachedHead;
pub(in crate::http) use hit::Hit;
pub(in crate::http) use key::{CacheKey, EndOfDigest, end_of_digest};

/// Most files that are kept open.
const OPEN_FILES: u64 = 4096;
/// Share of the files that this process may open which may be kept open.
const OPEN_SHARE: u64 = 4;
/// Longest time that a file is kept open which was deleted, or that nobody asks for.
const KEPT_OPEN: Duration = Duration::from_secs(1);
/// Longest time that a file is kept open at all, or answered from memory without a look at it: its bytes are compared with
/// their digest now and then.
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
    surface: &'static str,
    common: Arc<Common>,
    head: CachedHead,
    body: CachedBody,
    /// When a handler would say something else; `None` if never.
    until: Option<Instant>,
    /// For a blob, the end of the address that the headers are for.
    label: Box<str>,
    /// Whether the headers include `Last-Modified`.
    dated: bool,
    weight: usize,
    /// When its file was opened last, in milliseconds of [`ResponseCache::began`].
    opened: AtomicU64,
    /// Whether it was asked for lately.
    used: AtomicBool,
    /// Whether its file was in the page cache when that was last looked at, which is forgotten every second.
    in_memory: AtomicBool,
    /// Whether its file is about to be closed.
    expired: AtomicBool,
    /// Where [`Entries`] has it.
    place: AtomicUsize,
}

/// Cache of complete responses.
pub(in crate::http) struct ResponseCache {
    sources: Box<dyn CacheSources>,
    began: Instant,
    remembered: Arc<RwLock<Entries>>,
}

impl fmt::Debug for CachedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedResponse").field("route", &self.common.route).finish_non_exhaustive()
    }
}

impl fmt::Debug for ResponseCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCache").finish_non_exhaustive()
    }
}

impl ResponseCache {
    /// `small_files` is the most memory for small files of releases, in bytes.
    pub(in crate::http) fn new(sources: Box<dyn CacheSources>, small_files: usize) -> Self {
        let max_files = usize::try_from((files_allowed() / OPEN_SHARE).min(OPEN_FILES)).unwrap_or_default();
        let remembered = Arc::new(RwLock::new(Entries::new(max_files, small_files)));
        Self { sources, began: Instant::now(), remembered }
    }

    fn now(&self) -> u64 {
        millis(self.began.elapsed())
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
        if hit.cached.depends_on(asked) || hit.has_to_open {
            return None;
        }
        Some((hit.response(key)?, hit.cached.common.route.clone()))
    }

    /// Looks up the response to a request for everything (`whole`) or only the head, by a client that states to have
    /// `held` and nothing else of influence.
    pub(in crate::http) fn lookup(&self, key: &CacheKey<'_>, whole: bool, held: Option<&[u8]>) -> Option<Hit> {
        let cached = {
            let remembered = read(&self.remembered);
            let cached = remembered.get(key)?;
            // The handler reads the bytes, and they are kept.
            if whole && held.is_none() && remembered.has_room_for_bytes_of(cached) {
                return None;
            }
            Arc::clone(cached)
        };
        if cached.common.epoch != self.epoch() || !self.holds(&cached) {
            return None;
        }
        let unchanged = match held {
            None => false,
            Some(held) => (cached.head.etag() == Some(held)).then_some(true)?,
        };
        if !cached.used.load(Relaxed) {
            cached.used.store(true, Relaxed);
        }
        let whole = whole && !unchanged;
        if whole && cached.body.is_none() {
            return None;
        }
        if let (true, Some(tally)) = (cached.common.sources.is_negative, &cached.common.sources.tally) {
            tally.count_look();
        }
        let has_to_open = cached.body.stored().is_some_and(|stored| stored.bytes.is_none() || self.is_old(&cached));
        Some(Hit { cached, unchanged, whole, has_to_open })
    }

    /// Whether it is long ago that the file of an entry was opened.
    fn is_old(&self, cached: &CachedResponse) -> bool {
        self.now().saturating_sub(cached.opened.load(Relaxed)) >= millis(KEPT_AT_ALL)
    }

    /// Whether all sources of an entry are unchanged.
    fn holds(&self, cached: &CachedResponse) -> bool {
        let sources = &cached.common.sources;
        let current = |(name, generation): &(ManifestName, u64)| {
            if sources.is_negative {
                return self.sources.is_newest(name, *generation);
            }
            self.sources.generation(name) == Some(*generation)
        };
        sources.heads.iter().all(current)
            && sources.hosts.is_none_or(|generation| self.sources.hosts() == generation)
            && cached.body.file().is_none_or(has_name)
            && cached.until.is_none_or(|until| Instant::now() < until)
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
        if !source.is_cacheable_under(key) {
            return;
        }
        let bytes = source.body.bytes().map(Bytes::len);
        if let Some(bytes) = bytes {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
        }
        let has_room = read(&self.remembered).has_room_for_file(bytes.unwrap_or(0));
        let Cacheable { sources, body, until } = source.closed(has_room);
        let common = write(&self.remembered).common(Common::new(sources, route, epoch, status));
        let response = CachedResponse::new(key, common, &headers, (body, until), self.now());
        let mut remembered = write(&self.remembered);
        if remembered.get(key).is_some_and(|known| known.makes_needless(&response)) {
            return;
        }
        drop_in_background(remembered.add(response));
        if remembered.begin_closing() {
            tokio::spawn(close_files(Arc::downgrade(&self.remembered), self.began));
        }
    }
}

impl CachedResponse {
    /// Size of the body, if it is in memory.
    fn bytes(&self) -> usize {
        self.body.bytes().map_or(0, Bytes::len)
    }

    /// Whether another response need not replace this one: both depend on a file only, so this one is equivalent, or will
    /// be removed soon.
    fn makes_needless(&self, other: &Self) -> bool {
        let is_file_only = |one: &Self| one.common.sources.heads.is_empty() && one.body.file().is_some();
        is_file_only(self) && is_file_only(other) && (!self.body.is_none() || other.body.is_none())
    }

    /// Whether its file is worth keeping open until the next look, at this time.
    fn stays_open(&self, now: u64) -> bool {
        self.in_memory.store(false, Relaxed);
        self.used.swap(false, Relaxed)
            && now.saturating_sub(self.opened.load(Relaxed)) < millis(KEPT_AT_ALL)
            && self.body.file().is_some_and(has_name)
    }

    /// Whether the response depends on the dates in a request. Without a date of its own it does not (RFC 9110 section
    /// 13.1.3).
    fn depends_on(&self, asked: &HeaderMap) -> bool {
        self.dated && [IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE].iter().any(|date| asked.contains_key(date))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Closes the files that are not worth keeping open, until there are none. Their times count from `began`.
async fn close_files(remembered: Weak<RwLock<Entries>>, began: Instant) {
    loop {
        tokio::time::sleep(KEPT_OPEN).await;
        let Some(remembered) = remembered.upgrade() else { return };
        // Looking at the files holds up nobody who reads.
        read(&remembered).mark_expired(millis(began.elapsed()));
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
