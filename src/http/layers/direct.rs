//! Cached responses in the form in which they are written to a connection.

use axum::body::Bytes;
use axum::http::Method;
use tokio::time::Instant;

use super::span::span;
use super::{RequestContext, SurfaceContext, log};
use crate::http::direct::{DirectAnswer, LARGEST, LARGEST_FILE, PlainRequest};
use crate::http::request_id;
use crate::http::rfc::codings::AcceptedCodings;
use crate::http::serving::response_cache::{Hit, ResponseCache};
use crate::store::FileSlice;

impl RequestContext {
    /// The cached response to a plain request to this host, or `None` if it takes more than that.
    pub(in crate::http) fn direct(
        &self,
        place: SurfaceContext,
        host: &str,
        asked: &PlainRequest<'_>,
    ) -> Option<DirectAnswer> {
        let began = Instant::now();
        if asked.is_nobodys && !place.surface.login {
            return None;
        }
        let host = Some(host).filter(|_| place.by_host);
        let codings = if place.by_host { asked.codings } else { AcceptedCodings::default() };
        let key = place.key(host, codings, asked.target)?;
        let hit = self.responses.lookup(&key, !asked.is_head, asked.held).filter(|hit| hit.has_head_for(&key))?;
        let (opened, file) = body_beside_memory(&hit, &self.responses)?;
        let id = request_id::new();
        let end = self.dates.end(id, began);
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
        Some(DirectAnswer { hit, opened, end, file })
    }
}

/// What has to be sent beside what is in memory: bytes that are read for this request, or the file that the body is in.
/// `None` if it is too large, or would have to be waited for.
fn body_beside_memory(hit: &Hit, responses: &ResponseCache) -> Option<(Option<Bytes>, Option<FileSlice>)> {
    if hit.has_to_open() {
        let slice = hit.open(responses)?;
        return Some(match slice.bytes {
            _ if !hit.is_whole() => (None, None),
            Some(bytes) if bytes.len() <= LARGEST => (Some(bytes), None),
            // It was just read.
            _ => (None, Some(FileSlice { bytes: None, ..slice })),
        });
    }
    match (hit.body(), hit.file()) {
        (Some(bytes), _) if bytes.len() <= LARGEST => Some((None, None)),
        (None, None) => Some((None, None)),
        (_, file) => {
            let file = file.filter(|file| file.length() <= LARGEST_FILE && hit.is_in_memory(file))?;
            Some((None, Some(FileSlice { bytes: None, ..file.clone() })))
        }
    }
}
