//! Answers that are given again and again, such as the manifest of a name that everybody polls, and the files that all of
//! them fetch then.
//!
//! An answer is remembered as its handler gave it, with what it depends on, and only where anybody may have it. It is given
//! again to those who ask for nothing special, as long as the handler would find the same; it never says anything that the
//! handler would not. Files are kept open for a second only, because one that is deleted takes up room until it is closed.

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
use axum::http::uri::PathAndQuery;
use axum::http::{Method, Request, Response, StatusCode, Uri, Version};
use futures_util::Stream;

use crate::access::Access;
use crate::domain::ManifestName;
use crate::http::rfc::digests::REPR_DIGEST;
use crate::service::Resolve;
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
/// this source.
#[derive(Debug, Clone)]
pub(in crate::http) struct Cacheable {
    /// What else it depends on.
    pub(in crate::http) source: Source,
    /// The body once more; `None` for the bytes of the file that is the source.
    pub(in crate::http) body: Option<Bytes>,
}

/// What an answer depends on.
#[derive(Debug, Clone)]
pub(in crate::http) enum Source {
    /// The head of a name, as of a generation.
    Head(ManifestName, u64),
    /// A file, as long as it is there.
    File(FileSlice),
}

/// An answer that is remembered.
struct CachedResponse {
    source: Cacheable,
    /// [`Access::epoch`] before anybody decided who may have the answer.
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
    by_address: ByAddress,
    /// Somebody will close the open files.
    closing: bool,
}

/// The answers that are remembered.
pub(in crate::http) struct ResponseCache {
    resolve: Arc<Resolve>,
    access: Arc<Access>,
    remembered: Arc<RwLock<Entries>>,
}

impl fmt::Debug for ResponseCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCache").finish_non_exhaustive()
    }
}

impl ResponseCache {
    pub(in crate::http) fn new(resolve: Arc<Resolve>, access: Arc<Access>) -> Self {
        Self { resolve, access, remembered: Arc::default() }
    }

    /// What to remember an answer with, taken before its request is looked at: answers that were anybody's under earlier
    /// tokens and policies are not given again.
    pub(in crate::http) fn epoch(&self) -> u64 {
        self.access.epoch()
    }

    /// The answer to a request, and its route, if it was given before and a handler would give it again.
    pub(in crate::http) fn find<B>(&self, request: &Request<B>) -> Option<(Response<Body>, MatchedPath)> {
        let whole = *request.method() == Method::GET;
        if !(whole || *request.method() == Method::HEAD) {
            return None;
        }
        let asked = request.headers();
        if [AUTHORIZATION, CACHE_CONTROL, IF_MATCH, RANGE].iter().any(|special| asked.contains_key(special)) {
            return None;
        }
        let repeat = {
            let remembered = self.remembered.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(remembered.by_address.get(address(request.uri())?)?)
        };
        if repeat.epoch != self.epoch() || !self.holds(&repeat.source.source, request.version()) {
            return None;
        }
        let mut held = asked.get_all(IF_NONE_MATCH).iter();
        let (status, headers, whole) = match (held.next(), held.next()) {
            (None, _) => (repeat.status, &repeat.headers, whole),
            (Some(held), None) => {
                let (_, headers) = repeat.unchanged.as_ref().filter(|(etag, _)| etag == held)?;
                (StatusCode::NOT_MODIFIED, headers, false)
            }
            _ => return None,
        };
        let mut response = if whole { repeat.source.response() } else { Response::default() };
        *response.status_mut() = status;
        *response.headers_mut() = headers.clone();
        Some((response, repeat.route.clone()))
    }

    /// Whether a handler would find the same.
    fn holds(&self, source: &Source, version: Version) -> bool {
        match source {
            Source::Head(name, generation) => self.resolve.recent_generation(name) == Some(*generation),
            // Over HTTP/2 no files are sent.
            Source::File(slice) => version <= Version::HTTP_11 && slice.has_name(),
        }
    }

    /// Remembers a finished answer to a GET of `uri` that began in `epoch`, without what is only for the one who asked.
    pub(in crate::http) fn remember(
        &self,
        uri: &Uri,
        (route, epoch): (MatchedPath, u64),
        source: Cacheable,
        status: StatusCode,
        mut headers: HeaderMap,
    ) {
        let Some(address) = address(uri) else { return };
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
        let is_file = matches!(source.source, Source::File(_));
        let weight = address.len() + OVERHEAD + if is_file { OPEN_FILE } else { body };
        let mut remembered = write(&self.remembered);
        // The one that is there is as good, or closed soon.
        if is_file && remembered.by_address.contains_key(address) {
            return;
        }
        let_go(remembered.add(address, CachedResponse { source, epoch, route, status, headers, unchanged, weight }));
        if is_file && !std::mem::replace(&mut remembered.closing, true) {
            tokio::spawn(close_files(Arc::downgrade(&self.remembered)));
        }
    }
}

type ByAddress = HashMap<Box<str>, Arc<CachedResponse>>;

impl Entries {
    /// Adds an answer, and gives back those that have to make room.
    fn add(&mut self, address: &str, repeat: CachedResponse) -> ByAddress {
        let mut old = HashMap::new();
        // What is asked for again and again is soon back.
        if self.bytes + repeat.weight > REMEMBERED_BYTES {
            old = std::mem::take(&mut self.by_address);
            self.bytes = 0;
        }
        self.bytes += repeat.weight;
        if let Some(before) = self.by_address.insert(address.into(), Arc::new(repeat)) {
            self.bytes -= before.weight;
        }
        old
    }

    fn take_files(&mut self) -> ByAddress {
        let files = self.by_address.extract_if(|_, repeat| matches!(repeat.source.source, Source::File(_)));
        let files: ByAddress = files.collect();
        self.bytes -= files.values().map(|repeat| repeat.weight).sum::<usize>();
        self.closing = false;
        files
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
fn let_go(responses: ByAddress) {
    if !responses.is_empty() {
        tokio::task::spawn_blocking(move || drop(responses));
    }
}

fn write(remembered: &RwLock<Entries>) -> RwLockWriteGuard<'_, Entries> {
    remembered.write().unwrap_or_else(PoisonError::into_inner)
}

fn address(uri: &Uri) -> Option<&str> {
    uri.path_and_query().map(PathAndQuery::as_str)
}

impl Cacheable {
    /// An answer that depends on the head of a name.
    pub(in crate::http) fn of_head(name: ManifestName, generation: u64, body: Bytes) -> Self {
        Self { source: Source::Head(name, generation), body: Some(body) }
    }

    /// An answer that is the bytes of a file.
    pub(in crate::http) fn of_file(slice: FileSlice) -> Self {
        Self { body: slice.bytes.clone(), source: Source::File(slice) }
    }

    fn response(&self) -> Response<Body> {
        match (&self.body, &self.source) {
            (Some(body), _) => Response::new(Body::from(body.clone())),
            (None, Source::Head(..)) => Response::default(),
            (None, Source::File(slice)) => {
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
