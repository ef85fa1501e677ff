//! `?wait=30s&after=GENERATION`: an answer that waits until a name has changed.
//!
//! A request that waits holds its connection and a place among those that may wait; nothing else. It is answered early
//! when the server stops, when its connection has to make room for another one, and when others need its place more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::access::Caller;
use crate::config;
use crate::domain::ManifestName;
use crate::http::error::ApiError;
use crate::http::state::{AppState, WaitLimits};
use crate::protocol::AsOf;
use crate::protocol::heads::HeadWatch;
use crate::shares::{Grant, Owner};
use crate::wire::{Code, headers};

const GENERATION: HeaderName = HeaderName::from_static(headers::GENERATION);
/// Longest wait for the first look at a name, which other requests would wait for, too.
const LOOKED_WITHIN: Duration = Duration::from_secs(5);
/// Longest wait for a place to wait at.
const PLACE_WITHIN: Duration = Duration::from_secs(2);
/// How often a request that waits looks whether others need its place more.
const LOOK: Duration = Duration::from_secs(1);

/// What a request that may wait knows of its connection; an extension of the request.
#[derive(Debug, Clone)]
pub struct WaitingConnection {
    /// Whom the connection counts for.
    pub client: Owner,
    /// Number of requests on the connection that wait, during which it counts as idle.
    pub waiting: Arc<AtomicU32>,
    /// Cancelled when the connection is to end as soon as its requests are answered.
    pub ending: CancellationToken,
}

impl WaitingConnection {
    /// Whether a request with this query may wait, so that its handler needs this extension.
    #[must_use]
    pub fn is_needed(query: Option<&str>) -> bool {
        query.is_some_and(|query| query.contains("wait="))
    }
}

/// Marks a response that waited for so long, which does not count as work.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct WaitedFor(pub(in crate::http) Duration);

/// The wait that a request asks for, if it does.
#[derive(Debug)]
pub(in crate::http) struct Wait(Option<Asked>);

#[derive(Debug)]
struct Asked {
    wait: Duration,
    after: u64,
    connection: Option<WaitingConnection>,
    /// Whether the client states what it has, so that it is answered by that when the time is over.
    is_conditional: bool,
}

#[derive(Deserialize)]
struct WaitQuery {
    wait: Option<String>,
    after: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Wait {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if !WaitingConnection::is_needed(parts.uri.query()) {
            return Ok(Self(None));
        }
        let refuse = |detail: String| ApiError::bad_request(Code::QueryInvalid, detail);
        let query = Query::<WaitQuery>::from_request_parts(parts, state).await;
        let Query(WaitQuery { wait, after }) =
            query.map_err(|rejection| refuse(format!("A query parameter is wrong: {rejection}.")))?;
        let Some(wait) = wait else { return Ok(Self(None)) };
        let wait = wait.parse::<config::Duration>().map_err(|why| refuse(format!("The parameter `wait`: {why}.")))?;
        let after = after.and_then(|after| after.parse().ok()).ok_or_else(|| {
            let need = "`wait` needs `after`, the number in `Larder-Generation` of the answer that you have, or 0.";
            refuse(need.to_owned())
        })?;
        let connection = parts.extensions.get::<WaitingConnection>().cloned();
        let is_conditional = parts.headers.contains_key(IF_NONE_MATCH);
        Ok(Self(Some(Asked { wait: wait.std(), after, connection, is_conditional })))
    }
}

/// What came of a wait.
#[derive(Debug)]
pub(in crate::http) enum Waited {
    /// The request is to be answered as if it had come now.
    Over(Over),
    /// The answer that nothing has changed.
    Unchanged(Response),
}

/// The end of a wait, or that there was none.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Over {
    /// How stale the answer may be; `None` if nobody waited.
    fresh: Option<AsOf>,
    generation: Option<u64>,
    took: Duration,
}

impl Over {
    const NOT_WAITED: Self = Self { fresh: None, generation: None, took: Duration::ZERO };

    /// How stale the answer may be. All that waited for the same head share it.
    pub(in crate::http) fn fresh(self, otherwise: AsOf) -> AsOf {
        self.fresh.unwrap_or(otherwise)
    }

    /// Completes the answer: an error says from which generation to wait on, too.
    pub(in crate::http) fn finish(self, answer: Result<Response, ApiError>) -> Result<Response, ApiError> {
        if self.fresh.is_none() {
            return answer;
        }
        match answer {
            Ok(mut response) => {
                response.extensions_mut().insert(WaitedFor(self.took));
                Ok(response)
            }
            Err(error) => Err(match self.generation {
                Some(generation) => error.header(GENERATION, &generation.to_string()),
                None => error,
            }),
        }
    }
}

impl Wait {
    /// Whether the request asks to wait.
    pub(in crate::http) fn is_asked(&self) -> bool {
        self.0.is_some()
    }

    /// Waits until `name` has a head of a later generation than the client has, and for no longer than it wants. The
    /// caller must be allowed to read the name; that is checked again after the wait.
    ///
    /// # Errors
    /// If there is no place to wait at, or the caller may not read the name any more.
    pub(in crate::http) async fn pass(
        self,
        state: &AppState,
        caller: &Caller,
        name: &ManifestName,
    ) -> Result<Waited, ApiError> {
        let Some(asked) = self.0 else { return Ok(Waited::Over(Over::NOT_WAITED)) };
        caller.require_read(&state.access, name)?;
        let began = Instant::now();
        let mut watch = state.resolve.watch(name);
        let changed = asked.wait_for(&mut watch, &state.waiting, caller).await?;
        caller.require_read(&state.access, name)?;
        let (generation, took) = (watch.newest(), began.elapsed());
        match generation {
            // An answer by what the client has: 304, or the manifest that it does not have.
            Some(_) if !changed && asked.is_conditional => {}
            Some(generation) if !changed => return Ok(Waited::Unchanged(unchanged(generation, took))),
            _ => {}
        }
        Ok(Waited::Over(Over { fresh: Some(AsOf::Recent), generation, took }))
    }
}

/// 204: 304 would be an answer to a condition that the client has not stated.
fn unchanged(generation: u64, took: Duration) -> Response {
    let headers = [(GENERATION, HeaderValue::from(generation)), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    let mut response = (StatusCode::NO_CONTENT, headers).into_response();
    response.extensions_mut().insert(WaitedFor(took));
    response
}

impl Asked {
    /// Returns whether the name has changed.
    async fn wait_for(&self, watch: &mut HeadWatch, limits: &WaitLimits, caller: &Caller) -> Result<bool, ApiError> {
        let until = Instant::now() + self.wait.min(limits.longest);
        let _idle = self.connection.as_ref().map(|connection| Idle::begin(&connection.waiting));
        let owner = match &self.connection {
            Some(connection) if caller.is_anonymous() => connection.client.clone(),
            _ => Owner::new(caller.subject()),
        };
        let ending = self.connection.as_ref().map(|connection| connection.ending.clone()).unwrap_or_default();
        let waiting = async {
            // The first look takes no place: who asks may have missed something, or only want to know. It may fail.
            let looked = timeout_at(until.max(Instant::now() + LOOKED_WITHIN), watch.looked(self.after)).await;
            let changed = looked.unwrap_or(false);
            if changed || Instant::now() >= until {
                return Ok(changed);
            }
            let place = limits.places.take(&owner, 1, PLACE_WITHIN).await.ok_or_else(ApiError::busy)?;
            Ok(tokio::select! {
                biased;
                () = watch.passed(self.after) => true,
                () = sleep_until(until) => false,
                () = revoked(&place) => false,
            })
        };
        tokio::select! {
            biased;
            () = ending.cancelled() => Ok(false),
            waited = waiting => waited,
        }
    }
}

/// Completes when others need the place more.
async fn revoked(place: &Grant) {
    while !place.is_revoked() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Counts a request of a connection as waiting.
#[derive(Debug)]
struct Idle<'a>(&'a AtomicU32);

impl<'a> Idle<'a> {
    fn begin(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Relaxed);
        metrics::gauge!("larder_requests_waiting").increment(1.0);
        Self(waiting)
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
        metrics::gauge!("larder_requests_waiting").decrement(1.0);
    }
}
