//! A cached response as it answers a request.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::body::{Body, Bytes};
use axum::http::{Method, Response, StatusCode};

use super::{CacheKey, CachedResponse, ResponseCache};
use crate::http::meters::{Meter, Meters};
use crate::http::serving::download::Download;
use crate::http::serving::tally::Tally;
use crate::store::FileSlice;

/// A cached response that answers a request.
#[derive(Debug)]
pub(in crate::http) struct Hit {
    pub(super) cached: Arc<CachedResponse>,
    /// Whether the client already has the body.
    pub(super) unchanged: bool,
    /// Whether the response has a body.
    pub(super) whole: bool,
    /// Whether the file has to be opened first.
    pub(super) has_to_open: bool,
}

impl Hit {
    pub(super) fn response(&self, key: &CacheKey<'_>) -> Option<Response<Body>> {
        let mut response = if self.whole { self.cached.body.response()? } else { Response::default() };
        *response.status_mut() = self.status();
        if let Some(tally) = self.tally() {
            response.extensions_mut().insert(tally.clone());
        }
        *response.headers_mut() = self.cached.head.headers(self.unchanged);
        if let Some(label) = key.label.filter(|label| **label != *self.cached.label) {
            Download::of_rest(label)?.relabel(response.headers_mut());
        }
        Some(response)
    }

    pub(in crate::http) fn status(&self) -> StatusCode {
        if self.unchanged { StatusCode::NOT_MODIFIED } else { self.cached.common.status }
    }

    /// What the response counts as, if its surface counts more than routes.
    pub(in crate::http) fn tally(&self) -> Option<&Tally> {
        self.cached.common.sources.tally.as_ref()
    }

    pub(in crate::http) fn matched_route(&self) -> &str {
        self.cached.common.route.as_str()
    }

    /// What counts this response to a request with this method, GET or HEAD.
    pub(in crate::http) fn meter(&self, meters: &Meters, method: &Method) -> &Meter {
        self.cached.common.meter(meters, method, self.unchanged)
    }

    /// The body, if there is one and it is in memory.
    pub(in crate::http) fn body(&self) -> Option<&Bytes> {
        self.cached.body.bytes().filter(|_| self.whole)
    }

    /// The file that the body is in, if there is a body and it is in a file.
    pub(in crate::http) fn file(&self) -> Option<&FileSlice> {
        self.cached.body.slice().filter(|_| self.whole)
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

    /// Whether the file has to be opened first: its bytes are not kept, or it was not looked at for long.
    pub(in crate::http) fn has_to_open(&self) -> bool {
        self.has_to_open
    }

    /// Opens the file. `None` if it would have to be waited for.
    pub(in crate::http) fn open(&self, responses: &ResponseCache) -> Option<FileSlice> {
        let stored = self.cached.body.stored()?;
        let opened = responses.sources.open(stored.digest).filter(|opened| opened.length() == stored.size)?;
        self.cached.opened.store(responses.now(), Relaxed);
        Some(opened)
    }

    /// Whether the response has a body.
    pub(in crate::http) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether the headers are the same for this key.
    pub(in crate::http) fn has_head_for(&self, key: &CacheKey<'_>) -> bool {
        key.label.is_none_or(|label| *label == *self.cached.label)
    }

    /// Status line and headers as they are written to a connection, in two parts and without the end.
    pub(in crate::http) fn head(&self) -> [&[u8]; 2] {
        self.cached.head.parts(self.unchanged)
    }
}
