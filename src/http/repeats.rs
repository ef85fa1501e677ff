//! Answers that are given again and again, such as the manifest of a name that everybody polls.
//!
//! An answer is remembered as its handler gave it, with the generation of the head that it came from, and only where anybody
//! may have it. It is given again to those who ask for nothing special, as long as the handler would find the same head; it
//! never says anything that the handler would not.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::{Body, Bytes};
use axum::extract::MatchedPath;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH,
};
use axum::http::{Method, Request, Response, StatusCode, Uri};

use super::blobs::REPR_DIGEST;
use crate::domain::ManifestName;
use crate::service::Resolve;

/// Bytes of answers that are remembered.
const REMEMBERED_BYTES: usize = 8 << 20;
/// Largest body that is remembered, in bytes.
const LARGEST: usize = 256 << 10;
/// What an answer weighs beside its body and its address, in bytes.
const OVERHEAD: usize = 4 << 10;

/// What a handler leaves with an answer to a GET that anybody may have, and that depends on nothing but the address and the
/// head.
#[derive(Debug, Clone)]
pub(super) struct Repeatable {
    /// Whose head.
    pub(super) name: ManifestName,
    /// The head's generation.
    pub(super) generation: u64,
    /// The body once more.
    pub(super) body: Bytes,
}

/// An answer that is remembered.
struct Repeat {
    source: Repeatable,
    route: MatchedPath,
    status: StatusCode,
    headers: HeaderMap,
    /// The fields of the answer to a client that has the body already, and the entity tag by which it says so.
    unchanged: Option<(HeaderValue, HeaderMap)>,
    weight: usize,
}

#[derive(Default)]
struct Remembered {
    bytes: usize,
    by_path: HashMap<Box<str>, Arc<Repeat>>,
}

/// The answers that are remembered.
pub(super) struct Repeats {
    resolve: Arc<Resolve>,
    remembered: RwLock<Remembered>,
}

impl fmt::Debug for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repeats").finish_non_exhaustive()
    }
}

impl Repeats {
    pub(super) fn new(resolve: Arc<Resolve>) -> Self {
        Self { resolve, remembered: RwLock::default() }
    }

    /// The answer to a request, and its route, if it was given before and a handler would give it again.
    pub(super) fn find<B>(&self, request: &Request<B>) -> Option<(Response<Body>, MatchedPath)> {
        let whole = *request.method() == Method::GET;
        if !(whole || *request.method() == Method::HEAD) || request.uri().query().is_some() {
            return None;
        }
        let asked = request.headers();
        if [AUTHORIZATION, CACHE_CONTROL, IF_MATCH].iter().any(|special| asked.contains_key(special)) {
            return None;
        }
        let repeat = {
            let remembered = self.remembered.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(remembered.by_path.get(request.uri().path())?)
        };
        if self.resolve.recent_generation(&repeat.source.name) != Some(repeat.source.generation) {
            return None;
        }
        let mut held = asked.get_all(IF_NONE_MATCH).iter();
        let (status, headers, body) = match (held.next(), held.next()) {
            (None, _) => (repeat.status, &repeat.headers, whole.then(|| repeat.source.body.clone())),
            (Some(held), None) => {
                let (_, headers) = repeat.unchanged.as_ref().filter(|(etag, _)| etag == held)?;
                (StatusCode::NOT_MODIFIED, headers, None)
            }
            _ => return None,
        };
        let mut response = Response::new(body.map_or_else(Body::empty, Body::from));
        *response.status_mut() = status;
        *response.headers_mut() = headers.clone();
        Some((response, repeat.route.clone()))
    }

    /// Remembers a finished answer to a GET of `uri`, without what is only for the one who asked.
    pub(super) fn remember(
        &self,
        uri: &Uri,
        route: MatchedPath,
        source: Repeatable,
        status: StatusCode,
        mut headers: HeaderMap,
    ) {
        let weight = uri.path().len() + source.body.len() + OVERHEAD;
        if uri.query().is_some() || source.body.len() > LARGEST {
            return;
        }
        headers.insert(CONTENT_LENGTH, HeaderValue::from(source.body.len()));
        let unchanged = headers.get(ETAG).cloned().map(|etag| {
            let mut headers = headers.clone();
            headers.remove(CONTENT_TYPE);
            headers.remove(REPR_DIGEST);
            (etag, headers)
        });
        let repeat = Arc::new(Repeat { source, route, status, headers, unchanged, weight });
        let mut remembered = self.remembered.write().unwrap_or_else(PoisonError::into_inner);
        // What is asked for again and again is soon back.
        if remembered.bytes + weight > REMEMBERED_BYTES {
            *remembered = Remembered::default();
        }
        remembered.bytes += weight;
        if let Some(before) = remembered.by_path.insert(uri.path().into(), repeat) {
            remembered.bytes -= before.weight;
        }
    }
}
