//! Cached responses in the form in which they are written to a connection.

use axum::body::Bytes;
use axum::http::Method;
use tokio::time::Instant;

use super::span::span;
use super::{RequestContext, SurfaceContext, log};
use crate::http::direct::{DirectAnswer, LARGEST, LARGEST_FILE, PlainRequest};
use crate::http::request_id;
use crate::http::rfc::codings::AcceptedCodings;
use crate::http::serving::response_cache::Hit;
use crate::http::surface;
use crate::store::FileSlice;

impl RequestContext {
    /// The cached response to a plain request, or `None` if it takes more than that.
    pub(in crate::http) fn direct(&self, place: SurfaceContext, asked: &PlainRequest<'_>) -> Option<DirectAnswer> {
        let began = Instant::now();
        if asked.is_nobodys && !place.surface.login {
            return None;
        }
        let host = if place.by_host { Some(surface::normal_host(asked.host)) } else { None };
        let codings = if place.by_host { asked.codings } else { AcceptedCodings::default() };
        let key = place.key(host.as_deref(), codings, asked.target)?;
        let hit = self.responses.lookup(&key, !asked.is_head, asked.held)?;
        let opened = if hit.is_head() { Some(hit.open(&self.responses)?) } else { None };
        let (body, file) = match &opened {
            Some(slice) => opened_body(&hit, slice),
            None => body_of(&hit)?,
        };
        let id = request_id::new();
        let bytes = self.dates.complete(hit.head(&key)?, id, began, body.map_or(&[], |body| body));
        let method = if asked.is_head { Method::HEAD } else { Method::GET };
        let path = asked.target.split('?').next().unwrap_or_default();
        let text = std::str::from_utf8(&id).unwrap_or_default();
        let span = span(text, &method, path);
        let (route, took) = (hit.matched_route(), began.elapsed());
        if let Some(tally) = hit.tally() {
            tally.count(&span, hit.status());
        }
        if !place.surface.quiet.contains(&route) {
            log(&span, route, hit.status(), took);
        }
        hit.meter(&self.meters, &method).count(took);
        Some(DirectAnswer { bytes, file })
    }
}

/// The body of a response of which only the head was cached.
fn opened_body<'a>(hit: &Hit, slice: &'a FileSlice) -> (Option<&'a Bytes>, Option<FileSlice>) {
    match &slice.bytes {
        _ if !hit.is_whole() => (None, None),
        Some(bytes) if bytes.len() <= LARGEST => (Some(bytes), None),
        // It was just read.
        _ => (None, Some(FileSlice { bytes: None, ..slice.clone() })),
    }
}

/// The body as bytes or in a file; `None` if it is too large, or would have to be waited for.
fn body_of(hit: &Hit) -> Option<(Option<&Bytes>, Option<FileSlice>)> {
    match (hit.body(), hit.file()) {
        (Some(bytes), _) if bytes.len() <= LARGEST => Some((Some(bytes), None)),
        (None, None) => Some((None, None)),
        (_, file) => {
            let file = file.filter(|file| file.length() <= LARGEST_FILE && hit.is_in_memory(file))?;
            Some((None, Some(FileSlice { bytes: None, ..file.clone() })))
        }
    }
}
