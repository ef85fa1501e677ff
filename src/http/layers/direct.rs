//! Cached responses in the form in which they are written to a connection.

use axum::http::Method;
use tokio::time::Instant;

use super::span::span;
use super::{RequestContext, SurfaceContext};
use crate::http::direct::{DirectAnswer, LARGEST, PlainRequest};
use crate::http::request_id;
use crate::http::rfc::codings::AcceptedCodings;
use crate::http::surface;

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
        let head = hit.head(&key)?.clone();
        let body = hit.body().cloned().unwrap_or_default();
        if body.len() > LARGEST {
            return None;
        }
        let (id, method) = (request_id::new(), if asked.is_head { Method::HEAD } else { Method::GET });
        let path = asked.target.split('?').next().unwrap_or_default();
        let text = std::str::from_utf8(&id).unwrap_or_default();
        let span = span(text, &method, path);
        let route = hit.matched_route();
        self.observe((&span, hit.tally()), (route, place.surface.quiet.contains(&route)), &method, hit.status(), began);
        Some(DirectAnswer { head, end: self.dates.end_of_head(id), body })
    }
}
