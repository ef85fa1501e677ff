//! The response cache: answers to what many clients ask, such as the manifest of a name that everybody polls, and the files
//! that all of them fetch then.
//!
//! An answer is kept as its handler gave it, with what it depends on, and only where anybody may have it. It is repeated for
//! requests without special wishes as long as the handler would find the same; it never says anything that the handler would
//! not. Files are kept open for a second only, because one that is deleted takes up room until it is closed.

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
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH,
    RANGE,
};
use axum::http::{Method, Request, Response, StatusCode, Uri, Version};
use futures_util::Stream;

use crate::domain::ManifestName;
use crate::http::rfc::digests::REPR_DIGEST;
use crate::store::FileSlice;

/// Bytes of answers that are remembered.
const REMEMBERED_BYTES: usize = 8 << 20;
/// Largest body that is remembered, in bytes.
const LARGEST: usize = 256 << 10;
/// What an answer weighs beside its body and its address, in bytes.
const OVERHEAD: usize = 4 << 10;
/// What an open file weighs, in bytes, so that there are at most 256 of them.
const OPEN_FILE: usize = 32 << 10;
/// How long a file is kept open at most.
const KEPT_OPEN: Duration = Duration::from_secs(1);

/// What a handler leaves with an answer to a GET that anybody may have, and that depends on nothing but the address and
/// these sources.
#[derive(Debug, Clone)]
pub(in crate::http) struct Cacheable {
    /// Names whose heads it was made of, each with the generation.
    heads: Vec<(ManifestName, u64)>,
    /// The file that it was made of, as long as that is there.
    file: Option<FileSlice>,
    /// The body once more; `None` for the bytes of the file.
    body: Option<Bytes>,
}

/// What a cached answer is found by: the surface, the host if the surface is bound to hosts, and path and query.
#[derive(Debug)]
pub(in crate::http) struct CacheKey<'a> {
    surface: &'static str,
    address: Cow<'a, str>,
}

/// What cached answers depend on, as it is now.
pub(in crate::http) trait CacheSources: Send + Sync {
    /// The generation of the head that answers about a name come from, if that takes no look at the store.
    fn generation(&self, name: &ManifestName) -> Option<u64>;

    /// A number that grows with every change of tokens and policies.
    fn epoch(&self) -> u64;
}

/// An answer that is remembered.
struct CachedResponse {
    source: Cacheable,
    /// [`CacheSources::epoch`] before anybody decided who may have the answer.
    epoch: u64,
    route: MatchedPath,
    status: StatusCode,
    headers: HeaderMap,
    /// The fields of the answer to a client that has the body already, and the entity tag by which it says so.
    unchanged: Option<(HeaderValue, HeaderMap)>,
    weight: usize,
}

#[derive(Default)]
struct Entries {
    bytes: usize,
    /// Few enough to be searched one by one.
    by_surface: Vec<(&'static str, ByAddress)>,
    /// Somebody will close the open files.
    closing: bool,
}

/// The answers that are remembered.
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

    /// What to remember an answer with, taken before its request is looked at: answers that were anybody's under earlier
    /// tokens and policies are not repeated.
    pub(in crate::http) fn epoch(&self) -> u64 {
        self.sources.epoch()
    }

    /// The answer to a request, and its route, if it was given before and a handler would give it again.
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
        if cached.epoch != self.epoch() || !self.holds(&cached.source, request.version()) {
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
        Some((response, cached.route.clone()))
    }

    /// Whether a handler would find the same.
    fn holds(&self, source: &Cacheable, version: Version) -> bool {
        let current = |(name, generation): &(ManifestName, u64)| self.sources.generation(name) == Some(*generation);
        // Over HTTP/2 no files are sent.
        let there = |slice: &FileSlice| version <= Version::HTTP_11 && slice.has_name();
        source.heads.iter().all(current) && source.file.as_ref().is_none_or(there)
    }

    /// Remembers a finished answer to a GET that began in `epoch`, without what is only for the one who asked.
    pub(in crate::http) fn remember(
        &self,
        key: &CacheKey<'_>,
        (route, epoch): (MatchedPath, u64),
        source: Cacheable,
        status: StatusCode,
        mut headers: HeaderMap,
    ) {
        let body = source.body.as_ref().map_or(0, Bytes::len);
        if body > LARGEST {
            return;
        }
        if source.body.is_some() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body));
        }
        let unchanged = headers.get(ETAG).cloned().map(|etag| {
            let mut headers = headers.clone();
            headers.remove(CONTENT_TYPE);
            headers.remove(REPR_DIGEST);
            (etag, headers)
        });
        let is_file = source.file.is_some();
        let heads: usize =
            source.heads.iter().map(|(name, _)| name.as_str().len() + size_of::<(ManifestName, u64)>()).sum();
        let weight = key.address.len() + OVERHEAD + heads + if is_file { OPEN_FILE } else { body };
        let mut remembered = write(&self.remembered);
        // Bytes of a file alone: those that are there are as good, or closed soon.
        let same = |known: &ByAddress| known.contains_key(&*key.address);
        if is_file && source.heads.is_empty() && remembered.of(key.surface).is_some_and(same) {
            return;
        }
        let_go(remembered.add(key, CachedResponse { source, epoch, route, status, headers, unchanged, weight }));
        if is_file && !std::mem::replace(&mut remembered.closing, true) {
            tokio::spawn(close_files(Arc::downgrade(&self.remembered)));
        }
    }
}

type ByAddress = HashMap<Box<str>, Arc<CachedResponse>>;

impl Entries {
    fn of(&self, surface: &str) -> Option<&ByAddress> {
        self.by_surface.iter().find(|(name, _)| *name == surface).map(|(_, responses)| responses)
    }

    /// Adds a response, and gives back those that have to make room.
    fn add(&mut self, key: &CacheKey<'_>, response: CachedResponse) -> Vec<Arc<CachedResponse>> {
        let mut old = Vec::new();
        // What is asked for again and again is soon back.
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
    /// The key of an address; `host` only where answers differ from host to host. `None` for a request without a path.
    pub(in crate::http) fn new(surface: &'static str, host: Option<&str>, uri: &'a Uri) -> Option<Self> {
        let path = uri.path_and_query()?.as_str();
        let address = host.map_or(Cow::Borrowed(path), |host| format!("{host}{path}").into());
        Some(Self { surface, address })
    }
}

/// Closes the files that are open in a while, whether or not anybody asks for them.
async fn close_files(remembered: Weak<RwLock<Entries>>) {
    tokio::time::sleep(KEPT_OPEN).await;
    if let Some(remembered) = remembered.upgrade() {
        let_go(write(&remembered).take_files());
    }
}

/// Closing a file that was deleted gives its room on the disk back, which may block.
fn let_go(responses: Vec<Arc<CachedResponse>>) {
    if !responses.is_empty() {
        tokio::task::spawn_blocking(move || drop(responses));
    }
}

fn write(remembered: &RwLock<Entries>) -> RwLockWriteGuard<'_, Entries> {
    remembered.write().unwrap_or_else(PoisonError::into_inner)
}

impl Cacheable {
    /// An answer that depends on the heads of these names, as of these generations.
    pub(in crate::http) fn of_heads(heads: Vec<(ManifestName, u64)>, body: Bytes) -> Self {
        Self { heads, file: None, body: Some(body) }
    }

    /// An answer that is the bytes of a file.
    pub(in crate::http) fn of_file(slice: FileSlice) -> Self {
        Self { heads: Vec::new(), body: slice.bytes.clone(), file: Some(slice) }
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

/// The body in whose place the file is sent that comes with its answer. If it were not, the client would see a broken transfer.
struct Unsent;

impl Stream for Unsent {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Err(io::Error::other("this connection sends no files"))))
    }
}
