//! Accounts for large responses on HTTP/1.1, where a connection holds at most one that is in memory.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;

use super::memory::{ConnectionMemory, ResponseMemory, Waiting};
use crate::store::FileSlice;

/// Largest body that is not accounted for, in bytes.
const SMALL: u64 = 64 << 10;

/// Bytes that are accounted for until the last of them is written.
struct Held {
    bytes: Bytes,
    /// Only held.
    _accounted: Waiting,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Accounts for the body if it is large and in memory. While there is no memory for it, the client is asked to come back.
pub(super) fn hold(memory: &Arc<ResponseMemory>, response: Response<Body>) -> Response<Body> {
    let length = response.body().size_hint().exact().unwrap_or(0);
    if length <= SMALL || response.extensions().get::<FileSlice>().is_some() {
        return response;
    }
    let (head, mut body) = response.into_parts();
    // A body that knows its length is in memory, and all of it comes at once. A failed one ends the connection.
    let Some(Some(Ok(frame))) = body.frame().now_or_never() else { return Response::from_parts(head, body) };
    let bytes = frame.into_data().unwrap_or_default();
    let connection = Arc::new(ConnectionMemory::new(Arc::clone(memory)));
    if let Some(accounted) = connection.wait(&bytes, 0) {
        return Response::from_parts(head, Body::from(Bytes::from_owner(Held { bytes, _accounted: accounted })));
    }
    let mut refused = Response::new(Body::empty());
    *refused.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    refused.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_count_until_they_are_written_and_are_refused_when_memory_is_used_up() {
        let memory = Arc::new(ResponseMemory::new(1 << 20));
        let large = || Response::new(Body::from(vec![0; 300 << 10]));
        let mut held = hold(&memory, large());
        let written = held.body_mut().frame().now_or_never().unwrap().unwrap().unwrap().into_data().unwrap();
        drop(held);
        assert_eq!(written.len(), 300 << 10);
        let others: Vec<_> = (0..5).map(|_| hold(&memory, large())).collect();
        assert_eq!(others[0].status(), StatusCode::OK);
        assert_eq!(others[4].status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(hold(&memory, Response::new(Body::from("small"))).status(), StatusCode::OK);
        drop(others);
        drop(written);
        assert_eq!(hold(&memory, large()).status(), StatusCode::OK);
    }
}
