//! The application as the server sees it: a function from requests to responses.
//!
//! Chooses the surface of each request. A cached response is returned without routing.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONNECTION;
use axum::http::{Request, Response, StatusCode};
use axum::routing::future::RouteFuture;
use tower::Service;

use super::error::ApiError;
use super::layers::{RequestContext, SurfaceContext, wrap};
use super::rfc::framing;
use super::surface::{Hosts, Surface, choose};

/// All surfaces, wrapped in their layers.
#[derive(Debug, Clone)]
pub struct App {
    surfaces: Arc<[MountedSurface]>,
    hosts: Arc<[(Hosts, &'static str)]>,
    context: Arc<RequestContext>,
}

/// A surface whose routes have been given their state and layers.
#[derive(Debug)]
struct MountedSurface {
    place: SurfaceContext,
    routes: Router,
}

impl App {
    /// Adds layers and state to the surfaces. There must be at least one; the last one is the fallback.
    pub(super) fn new<S: Clone + Send + Sync + 'static>(
        surfaces: Vec<Surface<S>>,
        state: &S,
        context: RequestContext,
    ) -> Self {
        let context = Arc::new(context);
        let hosts = surfaces.iter().map(|surface| (surface.hosts.clone(), surface.prefix)).collect();
        let mounted = surfaces.into_iter().map(|surface| {
            let place = SurfaceContext { surface: surface.properties, by_host: surface.is_bound_to_hosts() };
            let routes = surface.routes.fallback(async || ApiError::no_route());
            let routes = routes.method_not_allowed_fallback(async || ApiError::method_not_allowed());
            MountedSurface { place, routes: wrap(routes, place, &context).with_state(state.clone()) }
        });
        Self { surfaces: mounted.collect(), hosts, context }
    }

    /// Answers a request from the response cache or with a handler.
    pub fn answer<B>(&self, request: Request<B>) -> ResponseFuture
    where
        B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let surface = &self.surfaces[choose(&self.hosts, &request)];
        if let Err(error) = framing::check(&request) {
            return self.refuse(surface, &request, error.into());
        }
        match self.context.cached(surface.place, &request) {
            Some(response) => ResponseFuture::Ready(Some(response)),
            None => ResponseFuture::Routed(surface.routes.clone().call(request.map(Body::new))),
        }
    }

    /// Refuses a request because as many connections are served as may be, and closes its connection.
    pub fn refuse_busy<B>(&self, request: &Request<B>) -> ResponseFuture {
        let surface = &self.surfaces[choose(&self.hosts, request)];
        self.refuse(surface, request, ApiError::busy().header(CONNECTION, "close"))
    }

    /// The response to a request of which nothing but the beginning of its head is known. `status` says how it could
    /// not be parsed: 414, 431, or 400 for all else.
    #[must_use]
    pub fn refuse_unread(&self, head: &[u8], status: StatusCode) -> Response<Body> {
        let request = Request::new(());
        let surface = &self.surfaces[choose(&self.hosts, &request)];
        self.context.refuse(surface.place, &request, framing::unreadable(head, status).into())
    }

    /// Answers with an error before routing.
    fn refuse<B>(&self, surface: &MountedSurface, request: &Request<B>, error: ApiError) -> ResponseFuture {
        ResponseFuture::Ready(Some(self.context.refuse(surface.place, request, error)))
    }
}

/// The future of a response.
pub enum ResponseFuture {
    /// A cached response or a refusal; `None` after it has been returned.
    Ready(Option<Response<Body>>),
    /// The response of a handler.
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

#[cfg(test)]
mod tests;
