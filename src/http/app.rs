//! The application as the server sees it: a function from requests to responses.
//!
//! Brings the address of each request into its normal form and chooses the surface. A cached response is returned
//! without routing. What is left of a request's body when there is a response is dealt with here, for all routes.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{ALLOW, CONNECTION, HeaderValue};
use axum::http::{Method, Request, Response, StatusCode, Uri};
use axum::response::IntoResponse as _;
use axum::routing::future::RouteFuture;
use tower::Service;

use super::direct::{DirectAnswer, PeekedHead, PlainRequest, ReadHead};
use super::error::ApiError;
use super::layers::{RequestContext, SurfaceContext, wrap};
use super::rfc::unread::{Discards, UnreadBody};
use super::rfc::{framing, path};
use super::surface::{Hosts, Surface, choose, choose_for, normal_host};

/// All surfaces, wrapped in their layers.
#[derive(Debug, Clone)]
pub struct App {
    surfaces: Arc<[MountedSurface]>,
    hosts: Arc<[(Hosts, &'static str)]>,
    context: Arc<RequestContext>,
    discards: Discards,
    /// The path below which clients see the server, such as `/larder`; empty if that is the root.
    prefix: Box<str>,
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
            let routes = surface.routes.fallback(unrouted);
            let routes = routes.method_not_allowed_fallback(async || ApiError::method_not_allowed());
            MountedSurface { place, routes: wrap(routes, place, &context).with_state(state.clone()) }
        });
        Self { surfaces: mounted.collect(), hosts, context, discards: Discards::new(), prefix: Box::default() }
    }

    /// The same application behind proxies that may or may not remove `prefix` from the paths of requests.
    #[must_use]
    pub(super) fn below(self, prefix: &str) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// The address with its path as routes spell it; `None` if it already is.
    fn routed(&self, uri: &Uri) -> Option<Uri> {
        let normal = path::normal(uri);
        if self.prefix.is_empty() {
            return normal;
        }
        let uri = normal.as_ref().unwrap_or(uri);
        let rest = uri.path().strip_prefix(&*self.prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        rest.and_then(|rest| path::replace_path(uri, if rest.is_empty() { "/" } else { rest })).or(normal)
    }

    /// Answers a request from the response cache or with a handler.
    pub fn answer<B>(&self, request: Request<B>) -> ResponseFuture
    where
        B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        if let Err(error) = framing::check(&request) {
            let surface = &self.surfaces[choose(&self.hosts, &request)];
            let response = self.context.refuse(surface.place, &request, error.into());
            return self.without_handler(request, response);
        }
        let mut request = request;
        let mut surface = &self.surfaces[choose(&self.hosts, &request)];
        // What a path means on a host of its own is up to the surface of that host.
        if !surface.place.by_host
            && let Some(routed) = self.routed(request.uri())
        {
            *request.uri_mut() = routed;
            surface = &self.surfaces[choose(&self.hosts, &request)];
        }
        if let Some(response) = self.context.cached(surface.place, &request) {
            return self.without_handler(request, response);
        }
        let (request, unread) = self.discards.watch(request);
        ResponseFuture { answering: Answering::Routed(surface.routes.clone().call(request)), unread }
    }

    /// Looks at bytes that were received on an HTTP/1.1 connection which waits for the head of a request. A direct answer
    /// is the one that [`App::answer`] would return.
    #[must_use]
    pub fn peek(&self, received: &[u8]) -> PeekedHead {
        match ReadHead::of(received) {
            ReadHead::Plain(asked) => self.direct(&asked).map_or(PeekedHead::Alone, PeekedHead::Answered),
            ReadHead::Alone => PeekedHead::Alone,
            ReadHead::Other => PeekedHead::Other,
        }
    }

    fn direct(&self, asked: &PlainRequest<'_>) -> Option<DirectAnswer> {
        let path = asked.target.split('?').next()?;
        let host = normal_host(asked.host);
        let surface = &self.surfaces[choose_for(&self.hosts, path, Some(&host))];
        // What has another address here is left to `answer`.
        let is_changed = || !path::is_normal(path) || !self.prefix.is_empty() && path.starts_with(&*self.prefix);
        if !surface.place.by_host && is_changed() {
            return None;
        }
        self.context.direct(surface.place, &host, asked)
    }

    /// Refuses a request because as many connections are served as may be, and closes its connection.
    pub fn refuse_busy<B>(&self, request: &Request<B>) -> ResponseFuture {
        let surface = &self.surfaces[choose(&self.hosts, request)];
        let response = self.context.refuse(surface.place, request, ApiError::busy().header(CONNECTION, "close"));
        ResponseFuture { answering: Answering::Ready(Some(response)), unread: None }
    }

    /// The response to a request of which nothing but the beginning of its head is known. `status` says how it could
    /// not be parsed: 414, 431, or 400 for all else.
    #[must_use]
    pub fn refuse_unread(&self, head: &[u8], status: StatusCode) -> Response<Body> {
        // Nobody knows which host it is for.
        let surface = &self.surfaces[self.surfaces.len() - 1];
        self.context.refuse(surface.place, &Request::new(()), framing::unreadable(head, status).into())
    }

    /// A response for which the request's body is not read.
    fn without_handler<B>(&self, request: Request<B>, mut response: Response<Body>) -> ResponseFuture
    where
        B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        if !request.body().is_end_stream() {
            let (request, unread) = self.discards.watch(request);
            // First, so that the body is seen to be unread.
            drop(request);
            if let Some(unread) = unread {
                unread.settle(&mut response);
            }
        }
        ResponseFuture { answering: Answering::Ready(Some(response)), unread: None }
    }
}

/// Adds OPTIONS to the methods that a response lists. Done last: the router adds the others after all layers.
fn allow_options(response: &mut Response<Body>) {
    let Some(methods) = response.headers().get(ALLOW).and_then(|methods| methods.to_str().ok()) else { return };
    if !methods.contains("OPTIONS")
        && let Ok(methods) = HeaderValue::try_from(format!("{methods},OPTIONS"))
    {
        response.headers_mut().insert(ALLOW, methods);
    }
}

/// The answer to an address that no route has. `OPTIONS *` is about the server as a whole (RFC 9110 section 9.3.7).
async fn unrouted(method: Method, uri: Uri) -> Response<Body> {
    if method == Method::OPTIONS && uri.path() == "*" {
        return (StatusCode::NO_CONTENT, [(ALLOW, "GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS")]).into_response();
    }
    ApiError::no_route().into_response()
}

/// The future of a response.
pub struct ResponseFuture {
    answering: Answering,
    /// What the handler may leave of the request's body.
    unread: Option<UnreadBody>,
}

enum Answering {
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
        let this = self.get_mut();
        match &mut this.answering {
            Answering::Ready(response) => {
                Poll::Ready(Ok(response.take().expect("nobody polls a future that is ready")))
            }
            Answering::Routed(future) => {
                let mut response = ready!(Pin::new(future).poll(context))?;
                if let Some(unread) = this.unread.take() {
                    unread.settle(&mut response);
                }
                if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::METHOD_NOT_ALLOWED) {
                    allow_options(&mut response);
                }
                Poll::Ready(Ok(response))
            }
        }
    }
}

#[cfg(test)]
mod tests;
