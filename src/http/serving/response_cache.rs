//! The response cache: responses that many clients request, such as the manifest of a name that all of them poll, and
//! the files that they fetch next.
//!
//! A response is cached as its handler returned it, together with what it depends on, and only if it is public. It is
//! reused for requests without `Authorization`, `Cache-Control`, `If-Match` or `Range` as long as the handler would
//! return the same; a cached response never differs from what the handler would send. Files are kept open for one
//! second only, because a deleted file occupies disk space until it is closed.
//!
//! Nobody can displace other responses by asking for the same thing under ever new addresses: a blob has one entry
//! whatever its address says besides the digest, and of names only addresses without a query are cached.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::MatchedPath;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use axum::http::{Method, Request, Response, StatusCode, Uri};
use futures_util::Stream;
use tokio::time::Instant;

use super::download::Download;
use crate::domain::ManifestName;
use crate::http::rfc::digests::withdraw_digest;
use crate::store::FileSlice;

/// Total weight of the cached responses, in bytes.
const REMEMBERED_BYTES: usize = 8 << 20;
/// Largest cached body, in bytes.
const LARGEST: usize = 256 << 10;
/// Overhead of a cached response besides its body and key, in bytes.
const OVERHEAD: usize = 4 << 10;
/// Weight of an open file, in bytes, chosen to allow at most 256 of them.
const OPEN_FILE: usize = 32 << 10;
/// Longest time that a file is kept open.
const KEPT_OPEN: Duration = Duration::from_secs(1);

/// Response extension by which a handler allows caching: the response to a GET is public and depends on nothing but the
/// URL and these sources.
#[derive(Debug, Clone)]
pub(in crate::http) struct Cacheable {
    /// Names whose heads were read, each with the generation that was read.
    heads: Vec<(ManifestName, u64)>,
    /// The file that the body was read from. A hit requires that it still exists.
    file: Option<FileSlice>,
    /// A copy of the body; `None` if the body is the content of the file.
    body: Option<Bytes>,
    /// When a handler would add a date to the headers; `None` if never.
    until: Option<Instant>,
}

/// The key of a cached response: the surface, the host if the surface is bound to hosts, and the part of path and query
/// that determines the bytes.
#[derive(Debug)]
pub(in crate::http) struct CacheKey<'a> {
    surface: &'static str,
    address: Cow<'a, str>,
    /// The whole address.
    uri: &'a Uri,
    /// For the address of a blob, what follows the digest. It determines only how the bytes are labelled.
    label: Option<&'a str>,
}

/// Current state of the sources that cached responses depend on.
pub(in crate::http) trait CacheSources: Send + Sync {
    /// The generation of the head that handlers would use for a name; `None` if they would have to read the store.
    fn generation(&self, name: &ManifestName) -> Option<u64>;

    /// A counter that is incremented by every change of tokens and policies.
    fn epoch(&self) -> u64;
}

/// One entry of the cache.
struct CachedResponse {
    source: Cacheable,
    /// [`CacheSources::epoch`] before the permission to read was checked.
    epoch: u64,
    route: MatchedPath,
    status: StatusCode,
    headers: HeaderMap,
    /// Entity tag and headers for a 304 response to a client that already has the body.
    unchanged: Option<(HeaderValue, HeaderMap)>,
    /// For a blob, the end of the address that the headers are for.
    label: Box<str>,
    /// Whether the headers include `Last-Modified`.
    dated: bool,
    weight: usize,
}

#[derive(Default)]
struct Entries {
    bytes: usize,
    /// A list, because there are few enough surfaces for a linear search.
    by_surface: Vec<(&'static str, ByAddress)>,
    /// A task that closes the open files has been scheduled.
    closing: bool,
}

/// Cache of complete responses.
pub(in crate::http) struct ResponseCache {
    sources: Box<dyn CacheSources>,
    remembered: Arc<RwLock<Entries>>,
}

impl fmt::Debug for ResponseCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCache").finish_non_exhaustive()
    }
}

impl ResponseCache {
    pub(in crate::http) fn new(sources: Box<dyn CacheSources>) -> Self {
        Self { sources, remembered: Arc::default() }
    }

    /// The epoch to cache a response with, to be read before the request is handled: a response that was public under
    /// earlier tokens and policies is not reused.
    pub(in crate::http) fn epoch(&self) -> u64 {
        self.sources.epoch()
    }

    /// Looks up the response to a request, with its route. A hit requires that a handler would return the same.
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
        if [AUTHORIZATION, CACHE_CONTROL, IF_MATCH, RANGE].iter().any(|special| asked.contains_key(special)) {
            return None;
        }
        let cached = {
            let remembered = self.remembered.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(remembered.of(key.surface)?.get(&*key.address)?)
        };
        if cached.epoch != self.epoch() || !self.holds(&cached.source) || cached.depends_on(asked) {
            return None;
        }
        let mut held = asked.get_all(IF_NONE_MATCH).iter();
        let (status, headers, whole) = match (held.next(), held.next()) {
            (None, _) => (cached.status, &cached.headers, whole),
            (Some(held), None) => {
                let (_, headers) = cached.unchanged.as_ref().filter(|(etag, _)| etag == held)?;
                (StatusCode::NOT_MODIFIED, headers, false)
            }
            _ => return None,
        };
        let mut response = if whole { cached.source.response() } else { Response::default() };
        *response.status_mut() = status;
        *response.headers_mut() = headers.clone();
        if let Some(label) = key.label.filter(|label| **label != *cached.label) {
            Download::of_rest(label, key.uri)?.relabel(response.headers_mut());
        }
        Some((response, cached.route.clone()))
    }

    /// Whether all sources of an entry are unchanged.
    fn holds(&self, source: &Cacheable) -> bool {
        let current = |(name, generation): &(ManifestName, u64)| self.sources.generation(name) == Some(*generation);
        source.heads.iter().all(current)
            && source.file.as_ref().is_none_or(FileSlice::has_name)
            && source.until.is_none_or(|until| Instant::now() < until)
    }

    /// Caches a finished response to a GET that began in `epoch`, without headers that are specific to the request.
    pub(in crate::http) fn remember(
        &self,
        key: &CacheKey<'_>,
        (route, epoch): (MatchedPath, u64),
        source: Cacheable,
        status: StatusCode,
        mut headers: HeaderMap,
    ) {
        let body = source.body.as_ref().map_or(0, Bytes::len);
        if body > LARGEST || !key.is_cacheable(&source) {
            return;
        }
        if source.body.is_some() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body));
        }
        let unchanged = headers.get(ETAG).cloned().map(|etag| {
            let mut headers = headers.clone();
            headers.remove(CONTENT_TYPE);
            withdraw_digest(&mut headers);
            (etag, headers)
        });
        let is_file = source.file.is_some();
        let heads: usize =
            source.heads.iter().map(|(name, _)| name.as_str().len() + size_of::<(ManifestName, u64)>()).sum();
        let label: Box<str> = key.label.unwrap_or_default().into();
        let address = key.address.len() + label.len();
        let weight = address + OVERHEAD + heads + if is_file { OPEN_FILE } else { body };
        let mut remembered = write(&self.remembered);
        // For an entry that is only a file, the existing one is equivalent, or will be closed soon.
        let same = |known: &ByAddress| known.contains_key(&*key.address);
        if is_file && source.heads.is_empty() && remembered.of(key.surface).is_some_and(same) {
            return;
        }
        let dated = headers.contains_key(LAST_MODIFIED);
        let response = CachedResponse { source, epoch, route, status, headers, unchanged, label, dated, weight };
        drop_in_background(remembered.add(key, response));
        if is_file && !std::mem::replace(&mut remembered.closing, true) {
            tokio::spawn(close_files(Arc::downgrade(&self.remembered)));
        }
    }
}

impl CachedResponse {
    /// Whether the response depends on the dates in a request. Without a date of its own it does not (RFC 9110 section
    /// 13.1.3).
    fn depends_on(&self, asked: &HeaderMap) -> bool {
        self.dated && [IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE].iter().any(|date| asked.contains_key(date))
    }
}

type ByAddress = HashMap<Box<str>, Arc<CachedResponse>>;

impl Entries {
    fn of(&self, surface: &str) -> Option<&ByAddress> {
        self.by_surface.iter().find(|(name, _)| *name == surface).map(|(_, responses)| responses)
    }

    /// Adds a response and returns the evicted ones.
    fn add(&mut self, key: &CacheKey<'_>, response: CachedResponse) -> Vec<Arc<CachedResponse>> {
        let mut old = Vec::new();
        // Evicts everything when full: popular responses are soon cached again.
        if self.bytes + response.weight > REMEMBERED_BYTES {
            old.extend(
                std::mem::take(&mut self.by_surface).into_iter().flat_map(|(_, responses)| responses.into_values()),
            );
            self.bytes = 0;
        }
        self.bytes += response.weight;
        let index = self.by_surface.iter().position(|(name, _)| *name == key.surface).unwrap_or_else(|| {
            self.by_surface.push((key.surface, ByAddress::new()));
            self.by_surface.len() - 1
        });
        if let Some(before) = self.by_surface[index].1.insert((*key.address).into(), Arc::new(response)) {
            self.bytes -= before.weight;
            old.push(before);
        }
        old
    }

    fn take_files(&mut self) -> Vec<Arc<CachedResponse>> {
        let surfaces = self.by_surface.iter_mut();
        let files =
            surfaces.flat_map(|(_, responses)| responses.extract_if(|_, response| response.source.file.is_some()));
        let files: Vec<_> = files.map(|(_, response)| response).collect();
        self.bytes -= files.iter().map(|response| response.weight).sum::<usize>();
        self.closing = false;
        files
    }
}

impl<'a> CacheKey<'a> {
    /// The key of a URL; `host` only if responses depend on it, `blobs` if the surface has addresses of blobs: what
    /// precedes the digest in them. `None` for a URL without a path.
    pub(in crate::http) fn new(
        surface: &'static str,
        host: Option<&str>,
        blobs: Option<&str>,
        uri: &'a Uri,
    ) -> Option<Self> {
        let whole = uri.path_and_query()?.as_str();
        let (path, label) = match blobs.and_then(|blobs| end_of_digest(whole, blobs)) {
            Some(end) => (&whole[..end], Some(&whole[end..])),
            None => (whole, None),
        };
        let address = host.map_or(Cow::Borrowed(path), |host| format!("{host}{path}").into());
        Some(Self { surface, address, uri, label })
    }

    /// Whether a response may be cached under this key. A blob has other spellings of its address, which are not.
    fn is_cacheable(&self, source: &Cacheable) -> bool {
        if source.heads.is_empty() && source.file.is_some() { self.label.is_some() } else { self.uri.query().is_none() }
    }
}

/// Where the digest ends in the address of a blob. Whether it is a digest does not matter here: there is an entry only for
/// what a handler has answered.
fn end_of_digest(address: &str, blobs: &str) -> Option<usize> {
    /// Length of `sha256:` and 64 hex digits.
    const DIGEST: usize = 71;
    let end = address.strip_prefix(blobs)?.starts_with("sha256:").then_some(blobs.len() + DIGEST)?;
    let ends = |rest: &str| rest.is_empty() || rest.starts_with(['/', '?']);
    address.get(end..).is_some_and(ends).then_some(end)
}

/// Closes all open files after [`KEPT_OPEN`], whether or not they are still requested.
async fn close_files(remembered: Weak<RwLock<Entries>>) {
    tokio::time::sleep(KEPT_OPEN).await;
    if let Some(remembered) = remembered.upgrade() {
        drop_in_background(write(&remembered).take_files());
    }
}

/// Closes files off the async threads: closing a deleted file frees its disk space, which may block.
fn drop_in_background(responses: Vec<Arc<CachedResponse>>) {
    if !responses.is_empty() {
        tokio::task::spawn_blocking(move || drop(responses));
    }
}

fn write(remembered: &RwLock<Entries>) -> RwLockWriteGuard<'_, Entries> {
    remembered.write().unwrap_or_else(PoisonError::into_inner)
}

impl Cacheable {
    /// Cacheable response that depends on the heads of these names at these generations.
    pub(in crate::http) fn of_heads(heads: Vec<(ManifestName, u64)>, body: Bytes) -> Self {
        Self { heads, file: None, body: Some(body), until: None }
    }

    /// Cacheable response whose body is the content of a file.
    pub(in crate::http) fn of_file(slice: FileSlice) -> Self {
        Self { heads: Vec::new(), body: slice.bytes.clone(), file: Some(slice), until: None }
    }

    /// The same, for an address that means these bytes while the heads of these names are at these generations.
    pub(in crate::http) fn under(mut self, heads: Vec<(ManifestName, u64)>) -> Self {
        self.heads.extend(heads);
        self
    }

    /// The same, for this long at most. `None` for no limit.
    pub(in crate::http) fn valid_for(self, time: Option<Duration>) -> Self {
        Self { until: time.map(|time| Instant::now() + time), ..self }
    }

    fn response(&self) -> Response<Body> {
        match (&self.body, &self.file) {
            (Some(body), _) => Response::new(Body::from(body.clone())),
            (None, None) => Response::default(),
            (None, Some(slice)) => {
                let mut response = Response::new(Body::from_stream(Unsent));
                response.extensions_mut().insert(slice.clone());
                response
            }
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
