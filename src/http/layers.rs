//! What surrounds every handler: request id, log line, metrics, panics, problem bodies, and the headers that
//! every answer carries.

use std::any::Any;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CACHE_CONTROL,
    CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tracing::Instrument as _;
use tracing::field::Empty;

use super::{ApiError, AppState};

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// What scripts of other origins may see of an answer.
const EXPOSED: &str = "ETag, Repr-Digest, Content-Range, Content-Length, Accept-Ranges, Link, Location, Retry-After, \
                       Larder-Version, Larder-Generation, X-Request-Id";

/// Puts the layers around the routes; the last one here is the outermost.
pub(super) fn wrap(routes: Router<AppState>) -> Router<AppState> {
    let fixed = SetResponseHeaderLayer::overriding;
    routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(observe))
        .layer(from_fn(across_origins))
        .layer(from_fn(render_problems))
        .layer(fixed(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .layer(fixed(CORP, HeaderValue::from_static("cross-origin")))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(RandomId))
        .layer(from_fn(drop_odd_ids))
}

/// Ids for requests that bring none of their own.
#[derive(Debug, Clone, Copy)]
struct RandomId;

impl MakeRequestId for RandomId {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        let mut random = [0; 12];
        getrandom::fill(&mut random).ok()?;
        HeaderValue::try_from(hex::encode(random)).ok().map(RequestId::new)
    }
}

/// A request id that a client brings ends up in log lines, so it must look like one.
async fn drop_odd_ids(mut request: Request, next: Next) -> Response {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._:/+=-".contains(&b);
    let plain = |id: &HeaderValue| (1..=128).contains(&id.len()) && id.as_bytes().iter().all(|b| legal(*b));
    if !request.headers().get("x-request-id").is_none_or(plain) {
        request.headers_mut().remove("x-request-id");
    }
    next.run(request).await
}

fn request_id(request: &Request) -> String {
    let id = request.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    id.unwrap_or_default().chars().take(128).collect()
}

/// One log line and one set of metrics for each request. Names and digests never become labels: there is no end to
/// them.
async fn observe(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", id = %request_id(&request), %method, path = %request.uri().path(), subject = Empty);
    let response = next.run(request).instrument(span.clone()).await;
    let (status, elapsed) = (response.status().as_u16(), began.elapsed());
    let quiet = matches!(route.as_str(), "/livez" | "/readyz" | "/healthz" | "/metrics");
    if !quiet {
        let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        span.in_scope(|| tracing::info!(%route, status, duration_ms, "answered"));
    }
    let labels = [("route", route), ("method", known_method(&method).to_owned()), ("status", status.to_string())];
    metrics::counter!("larder_http_requests_total", &labels).increment(1);
    metrics::histogram!("larder_http_request_duration_seconds", &labels).record(elapsed.as_secs_f64());
    response
}

/// Clients can invent methods without end; labels cannot.
fn known_method(method: &Method) -> &str {
    let known = [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE, Method::PATCH, Method::OPTIONS];
    if known.contains(method) { method.as_str() } else { "other" }
}

/// Lets scripts of any origin read, and only read: no credentials, no other methods (Fetch standard, CORS protocol).
async fn across_origins(request: Request, next: Next) -> Response {
    let is_options = request.method() == Method::OPTIONS;
    let preflight = is_options && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD) || preflight;
    let mut response = next.run(request).await;
    if is_options && response.status() == StatusCode::METHOD_NOT_ALLOWED {
        // The route exists: OPTIONS is answered with its methods (RFC 9110 section 9.3.7).
        let allow = response.headers_mut().remove(ALLOW);
        response = StatusCode::NO_CONTENT.into_response();
        response.headers_mut().extend(allow.map(|allow| (ALLOW, allow)));
    }
    let headers = response.headers_mut();
    if reads {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
    if preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
        let allowed = HeaderValue::from_static("Range, If-Range, If-Match, If-None-Match, X-Request-Id");
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
    response
}

/// Writes the body of every error, with the id of its request.
async fn render_problems(request: Request, next: Next) -> Response {
    let id = request_id(&request);
    let mut response = next.run(request).await;
    let Some(error) = response.extensions_mut().remove::<ApiError>() else { return response };
    let body = error.render(Some(&id)).to_string();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(axum::http::header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    debug_assert_eq!(error.status(), response.status());
    *response.body_mut() = Body::from(body);
    response
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands over the box")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    ApiError::internal(format!("panic: {}", text.unwrap_or("of an unknown kind"))).into_response()
}
