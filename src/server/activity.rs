//! Whether anything still happens on a connection.
//!
//! HTTP/2 needs this: a client can keep a connection busy with pings for ever without asking for anything, and it can
//! ask for bodies without ever making room for them. Neither shows at the socket.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response};
use futures_util::future::BoxFuture;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::Instant;
use tower::{Service, ServiceExt as _};

use super::sendfile::Outbox;

#[derive(Debug)]
struct State {
    /// Requests that are being answered. How long that may take is not the client's doing.
    handling: usize,
    /// When a request came, an answer was ready, or some of its body was taken.
    last: Instant,
}

/// What happened on one connection.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { handling: 0, last: Instant::now() })))
    }

    /// Ends when nothing has happened for `limit`.
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

    fn begin(&self) -> Handling {
        self.state().handling += 1;
        Handling(self.clone())
    }
}

/// A request that is being answered.
struct Handling(Activity);

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.state().handling -= 1;
        self.0.touch();
    }
}

/// The application, watched.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    app: Router,
    activity: Activity,
    /// If files can be sent.
    outbox: Option<Outbox>,
}

impl Watched {
    pub(super) fn new(app: Router, activity: Activity, outbox: Option<Outbox>) -> Self {
        Self { app, activity, outbox }
    }
}

impl Service<Request<Incoming>> for Watched {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let (app, activity, outbox) = (self.app.clone(), self.activity.clone(), self.outbox.clone());
        Box::pin(async move {
            let handling = activity.begin();
            let response = app.oneshot(request.map(Body::new)).await?;
            drop(handling);
            let response = outbox.iter().fold(response, |response, outbox| outbox.take(response));
            Ok(response.map(|body| Body::new(WatchedBody { body, activity })))
        })
    }
}

/// A response body that notes when the client takes some of it.
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
