//! What surrounds every handler: request id, log line, metrics, panics, problem bodies, and the headers that
//! every answer carries.
//!
//! One layer does nearly all of it, because each costs every request an allocation or two.

mod ids;
mod meters;

use std::any::Any;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CACHE_CONTROL,
    CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use tokio::time::Instant;
use tower::Service;
use tower::layer::layer_fn;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Span;
use tracing::field::Empty;

use super::serving::response_cache::{Cacheable, ResponseCache};
use super::{ApiError, AppState};
use crate::access::Access;
use crate::service::Resolve;
use meters::Meters;

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// What scripts of other origins may see of an answer.
const EXPOSED: &str = "ETag, Repr-Digest, Content-Range, Content-Length, Accept-Ranges, Link, Location, Retry-After, \
                       Larder-Version, Larder-Generation, X-Request-Id";

/// What all requests share.
#[derive(Debug)]
pub(super) struct RequestContext {
    meters: Meters,
    responses: ResponseCache,
}

impl RequestContext {
    pub(super) fn new(resolve: Arc<Resolve>, access: Arc<Access>) -> Self {
        Self { meters: Meters::default(), responses: ResponseCache::new(resolve, access) }
    }

    /// The answer to a request for what was answered before, unless a handler has to look at it again.
    pub(super) fn repeat<B>(&self, request: &axum::http::Request<B>) -> Option<Response> {
        let (mut response, route) = self.responses.find(request)?;
        let exchange = RequestRecord::new(request, Some(route), self.responses.epoch());
        exchange.observe(self, &response);
        response.headers_mut().insert(ids::X_REQUEST_ID, exchange.id);
        Some(response)
    }
}

/// Puts the layers around the routes.
pub(super) fn wrap(routes: Router<AppState>, context: &Arc<RequestContext>) -> Router<AppState> {
    let context = Arc::clone(context);
    let routes = routes.layer(CatchPanicLayer::custom(panicked));
    routes.layer(layer_fn(move |inner| Instrumented { inner, context: Arc::clone(&context) }))
}

/// A route and what surrounds it.
#[derive(Debug, Clone)]
struct Instrumented<S> {
    inner: S,
    context: Arc<RequestContext>,
}

impl<S> Service<Request> for Instrumented<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Unpin>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = InstrumentedFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let route = request.extensions().get::<MatchedPath>().cloned();
        let exchange = RequestRecord::new(&request, route, self.context.responses.epoch());
        let context = Arc::clone(&self.context);
        InstrumentedFuture { handling: self.inner.call(request), exchange, context }
    }
}

/// A request that is being handled.
struct InstrumentedFuture<F> {
    handling: F,
    exchange: RequestRecord,
    context: Arc<RequestContext>,
}

impl<F: Future<Output = Result<Response, Infallible>> + Unpin> Future for InstrumentedFuture<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let polled = this.exchange.span.in_scope(|| Pin::new(&mut this.handling).poll(context));
        let response = ready!(polled).unwrap_or_else(|never| match never {});
        Poll::Ready(Ok(this.exchange.finish(&this.context, response)))
    }
}

/// What has to be known of a request when its answer is there.
#[derive(Debug)]
struct RequestRecord {
    id: HeaderValue,
    method: Method,
    uri: Uri,
    route: Option<MatchedPath>,
    /// The epoch of tokens and policies in which it began.
    epoch: u64,
    /// Whether a browser asks whether a script of another origin may ask.
    preflight: bool,
    began: Instant,
    span: Span,
}

impl RequestRecord {
    fn new<B>(request: &axum::http::Request<B>, route: Option<MatchedPath>, epoch: u64) -> Self {
        let (id, method, uri) = (ids::of(request.headers()), request.method(), request.uri());
        let span = tracing::info_span!("request", id = %ids::text(&id), %method, path = %uri.path(), subject = Empty);
        let preflight = *method == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        Self { id, method: method.clone(), uri: uri.clone(), route, epoch, preflight, began: Instant::now(), span }
    }

    /// Makes a handler's answer one that can be sent.
    fn finish(&self, context: &RequestContext, mut response: Response) -> Response {
        self.observe(context, &response);
        self.across_origins(&mut response);
        if let Some(error) = response.extensions_mut().remove::<ApiError>() {
            render(&error, ids::text(&self.id), &mut response);
        }
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CORP, HeaderValue::from_static("cross-origin"));
        if let Some(source) = response.extensions_mut().remove::<Cacheable>()
            && let Some(route) = self.route.clone()
            && self.method == Method::GET
        {
            context.responses.remember(
                &self.uri,
                (route, self.epoch),
                source,
                response.status(),
                response.headers().clone(),
            );
        }
        response.headers_mut().insert(ids::X_REQUEST_ID, self.id.clone());
        response
    }

    /// One log line and one set of metrics.
    fn observe(&self, context: &RequestContext, response: &Response) {
        let (status, took) = (response.status(), self.began.elapsed());
        let route = self.route.as_ref().map_or("none", MatchedPath::as_str);
        let quiet = matches!(route, "/livez" | "/readyz" | "/healthz" | "/metrics");
        if !quiet {
            let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let status = status.as_u16();
            self.span.in_scope(|| tracing::info!(%route, status, duration_ms, "answered"));
        }
        context.meters.count(route, &self.method, status, took);
    }

    /// Lets scripts of any origin read, and only read: no credentials, no other methods (Fetch standard, CORS protocol).
    fn across_origins(&self, response: &mut Response) {
        if self.method == Method::OPTIONS && response.status() == StatusCode::METHOD_NOT_ALLOWED {
            // The route exists: OPTIONS is answered with its methods (RFC 9110 section 9.3.7).
            let allow = response.headers_mut().remove(ALLOW);
            *response = StatusCode::NO_CONTENT.into_response();
            response.headers_mut().extend(allow.map(|allow| (ALLOW, allow)));
        }
        let headers = response.headers_mut();
        if matches!(self.method, Method::GET | Method::HEAD) || self.preflight {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
        if self.preflight {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
            let allowed = HeaderValue::from_static("Range, If-Range, If-Match, If-None-Match, X-Request-Id");
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
        }
    }
}

/// Writes the body of an error, with the id of its request.
fn render(error: &ApiError, id: &str, response: &mut Response) {
    let body = error.render(Some(id)).to_string();
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    debug_assert_eq!(error.status(), response.status());
    *response.body_mut() = Body::from(body);
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands over the box")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    ApiError::internal(format!("panic: {}", text.unwrap_or("of an unknown kind"))).into_response()
}
