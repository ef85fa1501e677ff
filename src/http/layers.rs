//! Layers around every handler: request id, log line, metrics, panic handling, error bodies, and the headers of every
//! response.
//!
//! One layer does nearly all of it, because each layer costs every request an allocation or two.

mod direct;
mod span;

use std::any::Any;
use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, AUTHORIZATION, HOST,
    HeaderMap, HeaderValue, VARY, WWW_AUTHENTICATE,
};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use tokio::time::Instant;
use tower::Service;
use tower::layer::layer_fn;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Span;

use super::direct::Dates;
use super::error::{ApiError, Denial};
use super::meters::Meters;
use super::request_id::RequestId;
use super::rfc::accept::prefers_html;
use super::rfc::codings::AcceptedCodings;
use super::rfc::conditional::without_length;
use super::rfc::forwarded;
use super::serving::response_cache::{CacheKey, CacheSources, Cacheable, ResponseCache};
use super::serving::tally::Tally;
use super::serving::waiting::WaitedFor;
use super::state::BaseUrl;
use super::surface::{self, Challenge, FailedRequest, RoutedSurface, SurfaceProperties};
use crate::access::Credentials;
use span::span;

/// Response headers that scripts of other origins may read (CORS).
const EXPOSED: &str = "ETag, Digest, Repr-Digest, Content-Range, Content-Length, Accept-Ranges, Link, Location, Retry-After, \
                       Content-Location, Larder-Version, Larder-Generation, Larder-Label, Larder-Resolved, \
                       Larder-Yanked, Larder-Minimum-Version, Larder-Fallback, Larder-Earlier, \
                       X-Request-Id";

/// State shared by all requests: metrics and the response cache.
#[derive(Debug)]
pub(super) struct RequestContext {
    meters: Meters,
    responses: ResponseCache,
    dates: Dates,
    /// What links in pages about errors begin with.
    base: BaseUrl,
}

/// The surface that a request was routed to.
#[derive(Debug, Clone, Copy)]
pub(super) struct SurfaceContext {
    /// Properties of the surface.
    pub(super) surface: SurfaceProperties,
    /// Whether its responses depend on the host.
    pub(super) by_host: bool,
}

impl RequestContext {
    /// `sources` decide whether cached responses are still current. `small_files` is the most memory for small files of
    /// releases among them, in bytes.
    pub(super) fn new(sources: Box<dyn CacheSources>, small_files: usize) -> Self {
        let responses = ResponseCache::new(sources, small_files);
        Self { meters: Meters::default(), responses, dates: Dates::default(), base: BaseUrl::default() }
    }

    /// Sets what links in pages about errors begin with.
    pub(super) fn with_base(self, base: BaseUrl) -> Self {
        Self { base, ..self }
    }

    /// A cached response to this request, or `None` if a handler must run.
    pub(super) fn cached<B>(&self, surface: SurfaceContext, request: &axum::http::Request<B>) -> Option<Response> {
        let target = request.uri().path_and_query()?.as_str();
        let key = surface.key(surface.host(request).as_deref(), surface.codings(request.headers()), target)?;
        if surface.has_credentials(request.headers()) {
            return None;
        }
        let (mut response, route) = self.responses.find(&key, request)?;
        let record = RequestRecord::new(surface, request, Some(route), self.responses.epoch());
        record.observe(self, &response);
        record.id.stamp(response.headers_mut());
        Some(response)
    }

    /// The complete response to a request that is refused before routing.
    pub(super) fn refuse<B>(
        &self,
        surface: SurfaceContext,
        request: &axum::http::Request<B>,
        error: ApiError,
    ) -> Response {
        RequestRecord::new(surface, request, None, self.responses.epoch()).finish(self, error.into_response())
    }
}

impl SurfaceContext {
    /// Whether a request has credentials that may be somebody's.
    fn has_credentials(&self, headers: &HeaderMap) -> bool {
        let nobody = |value: &HeaderValue| self.surface.login && Credentials::are_of_nobody(value.as_bytes());
        headers.get(AUTHORIZATION).is_some_and(|value| !nobody(value))
    }

    /// The response-cache key of a request for this path and query; `None` if the request cannot be cached.
    fn key<'a>(&self, host: Option<&str>, codings: AcceptedCodings, target: &'a str) -> Option<CacheKey<'a>> {
        let bound_to = host.map(|host| (host, codings.class()));
        (self.by_host == host.is_some()).then(|| CacheKey::new(self.surface.name, bound_to, self.surface.blobs, target))
    }

    /// The content codings that a request accepts; identity unless responses depend on the host: only those are coded.
    fn codings(&self, headers: &HeaderMap) -> AcceptedCodings {
        if self.by_host { AcceptedCodings::of(headers) } else { AcceptedCodings::default() }
    }

    /// The host of a request; `None` unless responses depend on it.
    fn host<'a, B>(&self, request: &'a axum::http::Request<B>) -> Option<Cow<'a, str>> {
        if self.by_host { surface::host(request) } else { None }
    }
}

/// Writes the log line of a request.
fn log(span: &Span, route: &str, status: StatusCode, took: Duration) {
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let status = status.as_u16();
    span.in_scope(|| tracing::info!(%route, status, duration_ms, "answered"));
}

/// Wraps the routes of a surface in its layers.
pub(super) fn wrap<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    surface: SurfaceContext,
    context: &Arc<RequestContext>,
) -> Router<S> {
    let context = Arc::clone(context);
    let routes = routes.layer(CatchPanicLayer::custom(panicked));
    routes.layer(layer_fn(move |inner| Instrumented { inner, surface, context: Arc::clone(&context) }))
}

/// A route with its layers.
#[derive(Debug, Clone)]
struct Instrumented<S> {
    inner: S,
    surface: SurfaceContext,
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

    fn call(&mut self, mut request: Request) -> Self::Future {
        let route = request.extensions().get::<MatchedPath>().cloned();
        let record = RequestRecord::new(self.surface, &request, route, self.context.responses.epoch());
        let SurfaceProperties { name, login, .. } = self.surface.surface;
        request.extensions_mut().insert(RoutedSurface { name, login });
        let context = Arc::clone(&self.context);
        InstrumentedFuture { handling: self.inner.call(request), record, context }
    }
}

/// The response future of a request in a handler.
struct InstrumentedFuture<F> {
    handling: F,
    record: RequestRecord,
    context: Arc<RequestContext>,
}

impl<F: Future<Output = Result<Response, Infallible>> + Unpin> Future for InstrumentedFuture<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let polled = this.record.span.in_scope(|| Pin::new(&mut this.handling).poll(context));
        let response = ready!(polled).unwrap_or_else(|never| match never {});
        Poll::Ready(Ok(this.record.finish(&this.context, response)))
    }
}

/// How the client reached the server, as the request says.
#[derive(Debug)]
struct AskedOrigin {
    host: Option<HeaderValue>,
    /// Whether a proxy says that it was by HTTPS.
    is_https: bool,
}

impl AskedOrigin {
    fn of(headers: &HeaderMap) -> Self {
        Self { host: headers.get(HOST).cloned(), is_https: forwarded::is_https(headers) }
    }
}

/// What is kept of a request until its response is ready.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a request")]
struct RequestRecord {
    id: RequestId,
    surface: SurfaceContext,
    method: Method,
    uri: Uri,
    /// Set only where responses depend on the host.
    host: Option<Box<str>>,
    codings: AcceptedCodings,
    route: Option<MatchedPath>,
    /// The epoch of tokens and policies when the request arrived.
    epoch: u64,
    /// Whether this is a CORS preflight request.
    preflight: bool,
    /// Whether the request has credentials, of whatever kind.
    has_credentials: bool,
    /// Whether they may be somebody's.
    is_somebody: bool,
    /// Set only where clients log in.
    asked: Option<AskedOrigin>,
    /// Whether errors are rendered as pages.
    page: bool,
    began: Instant,
    span: Span,
}

impl RequestRecord {
    fn new<B>(
        surface: SurfaceContext,
        request: &axum::http::Request<B>,
        route: Option<MatchedPath>,
        epoch: u64,
    ) -> Self {
        let (id, method, uri) = (RequestId::of(request.headers()), request.method(), request.uri());
        let span = span(id.as_str(), method, uri.path());
        let preflight = *method == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let host = surface.host(request).map(Into::into);
        let codings = surface.codings(request.headers());
        let has_credentials = request.headers().contains_key(AUTHORIZATION);
        let is_somebody = has_credentials && surface.has_credentials(request.headers());
        let asked = surface.surface.login.then(|| AskedOrigin::of(request.headers()));
        let page = surface.surface.page.is_some() && method.is_safe() && prefers_html(request.headers());
        Self {
            id,
            surface,
            method: method.clone(),
            uri: uri.clone(),
            host,
            codings,
            route,
            epoch,
            preflight,
            has_credentials,
            is_somebody,
            asked,
            page,
            began: Instant::now(),
            span,
        }
    }

    /// Completes a handler's response: log line, metrics, CORS, rendered error, hardening, response cache, request id.
    fn finish(&self, context: &RequestContext, mut response: Response) -> Response {
        self.answer_options(&mut response);
        self.observe(context, &response);
        self.across_origins(&mut response);
        if let Some(error) = response.extensions_mut().remove::<ApiError>() {
            self.render(context, &error, &mut response);
        }
        self.surface.surface.hardening.on_every_answer(response.headers_mut());
        if let Some(source) = response.extensions_mut().remove::<Cacheable>()
            && let Some(route) = self.route.clone()
            && let Some(target) = self.uri.path_and_query()
            && let Some(key) = self.surface.key(self.host.as_deref(), self.codings, target.as_str())
            && matches!(self.method, Method::GET | Method::HEAD)
        {
            context.responses.remember(
                &key,
                (route, self.epoch),
                source,
                response.status(),
                response.headers().clone(),
            );
        }
        if self.is_somebody && self.method.is_safe() {
            vary_by_credentials(response.headers_mut());
        }
        without_length(&mut response);
        self.id.stamp(response.headers_mut());
        response
    }

    /// Renders an error in the format of the surface.
    fn render(&self, context: &RequestContext, error: &ApiError, response: &mut Response) {
        debug_assert_eq!(error.status(), response.status());
        let surface = &self.surface.surface;
        let failed = FailedRequest { id: &self.id, base: &context.base, path: self.uri.path() };
        let rendered = match surface.page.filter(|_| self.page) {
            Some(page) => page(error, &failed),
            None => (surface.render)(error, &self.id),
        };
        let (rendered, body) = rendered.into_parts();
        response.headers_mut().extend(rendered.headers);
        if let Some(denial) = error.denial()
            && let Some(challenge) = (surface.challenge)(&self.challenge(&context.base, denial))
        {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        *response.body_mut() = body;
    }

    fn challenge<'a>(&'a self, base: &'a BaseUrl, denial: Denial) -> Challenge<'a> {
        let host = self.asked.as_ref().and_then(|asked| asked.host.as_ref()?.to_str().ok());
        let authority = self.asked.as_ref().and_then(|_| self.uri.authority().map(Authority::as_str)).or(host);
        let is_https = self.asked.as_ref().is_some_and(|asked| asked.is_https);
        Challenge { denial, base, uri: &self.uri, authority, is_https, has_credentials: self.has_credentials }
    }

    /// Writes the log line and counts the request.
    fn observe(&self, context: &RequestContext, response: &Response) {
        let route = self.route.as_ref().map_or("none", MatchedPath::as_str);
        let waited = response.extensions().get::<WaitedFor>().map_or_else(Duration::default, |waited| waited.0);
        let took = self.began.elapsed().saturating_sub(waited);
        if let Some(tally) = response.extensions().get::<Tally>() {
            tally.count(&self.span, response.status());
        }
        if !self.surface.surface.quiet.contains(&route) {
            log(&self.span, route, response.status(), took);
        }
        context.meters.count(route, &self.method, response.status(), took);
    }

    /// Answers OPTIONS for every resource that exists, with its methods (RFC 9110 section 9.3.7).
    fn answer_options(&self, response: &mut Response) {
        if self.method == Method::OPTIONS && response.status() == StatusCode::METHOD_NOT_ALLOWED {
            let allow = response.headers_mut().remove(ALLOW);
            *response = StatusCode::NO_CONTENT.into_response();
            response.headers_mut().extend(allow.map(|allow| (ALLOW, allow)));
        }
    }

    /// Lets scripts of any origin read if the surface allows it, and only read: no credentials, no other methods (Fetch
    /// standard, CORS protocol).
    fn across_origins(&self, response: &mut Response) {
        if !self.surface.surface.cors {
            return;
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

/// Keeps caches from passing what one caller gets to others (RFC 9111 section 4.1). Answers to requests without
/// credentials can be shared by all of those.
fn vary_by_credentials(headers: &mut HeaderMap) {
    let said = |value: &HeaderValue| value.to_str().is_ok_and(|names| names.contains("Authorization"));
    if !headers.get_all(VARY).iter().any(said) {
        headers.append(VARY, HeaderValue::from_static("Authorization"));
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands over the box")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    ApiError::internal(format!("panic: {}", text.unwrap_or("of an unknown kind"))).into_response()
}
