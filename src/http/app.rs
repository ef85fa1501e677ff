//! The application as the server sees it: requests in, answers out.
//!
//! What was answered before, and would be answered the same way again, needs no route.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response};
use axum::routing::future::RouteFuture;
use tower::Service;

use super::layers::RequestContext;

/// All routes with what surrounds them.
#[derive(Debug, Clone)]
pub struct App {
    routes: Router,
    context: Arc<RequestContext>,
}

impl App {
    pub(super) fn new(routes: Router, context: Arc<RequestContext>) -> Self {
        Self { routes, context }
    }

    /// Answers a request.
    pub fn answer<B>(&self, request: Request<B>) -> ResponseFuture
    where
        B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        match self.context.repeat(&request) {
            Some(response) => ResponseFuture::Ready(Some(response)),
            None => ResponseFuture::Routed(self.routes.clone().call(request.map(Body::new))),
        }
    }
}

/// An answer that is being made.
pub enum ResponseFuture {
    /// It was there at once; `None` once it was taken.
    Ready(Option<Response<Body>>),
    /// Its handler is at work.
    Routed(RouteFuture<Infallible>),
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Ready(response) => Poll::Ready(Ok(response.take().expect("nobody polls a future that is ready"))),
            Self::Routed(future) => Pin::new(future).poll(context),
        }
    }
}
