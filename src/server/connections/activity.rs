//! Detects connections on which nothing happens any more.
//!
//! HTTP/2 needs this: a client can keep a connection alive with pings for ever without sending a request, and it can
//! request bodies without ever opening its flow-control window for them. Neither is visible at the socket.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Response;
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::http::ResponseFuture;

#[derive(Debug)]
struct State {
    /// Number of requests in a handler. How long a handler takes is not the client's fault, so the connection is not
    /// idle.
    handling: usize,
    /// When a request last arrived, a response became ready, or part of its body was consumed.
    last: Instant,
}

/// Activity on one connection.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { handling: 0, last: Instant::now() })))
    }

    /// Completes when nothing has happened for `limit`.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            let until = {
                let state = self.state();
                let from = if state.handling > 0 { Instant::now() } else { state.last };
                from + limit
            };
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        self.state().last = Instant::now();
    }

    /// Records the arrival of a request, the completion of its handler and the consumption of its response body.
    pub(super) fn watch(
        &self,
        answering: ResponseFuture,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
        let (handling, activity) = (self.begin(), self.clone());
        async move {
            let response = answering.await?;
            drop(handling);
            Ok(response.map(|body| Body::new(WatchedBody { body, activity })))
        }
    }

    fn begin(&self) -> Handling {
        self.state().handling += 1;
        Handling(self.clone())
    }
}

/// Guard for a request in a handler.
struct Handling(Activity);

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.state().handling -= 1;
        self.0.touch();
    }
}

/// A response body that records when the client consumes part of it.
struct WatchedBody {
    body: Body,
    activity: Activity,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.activity.touch();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
