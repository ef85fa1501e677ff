//! Several ranges of a blob in one response, one after the other. At most one of them is open at a time.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};

use crate::domain::Digest;
use crate::http::error::ApiError;
use crate::http::rfc::multipart::Framing;
use crate::protocol::Blobs;
use crate::store::{ByteRange, Object, StoreError, StoreErrorKind};

/// Answers with these ranges of a blob of `size` bytes, at least one. `headers` are those of the whole.
pub(super) async fn send(
    blobs: &Arc<Blobs>,
    digest: Digest,
    size: u64,
    ranges: Vec<ByteRange>,
    mut headers: HeaderMap,
) -> Result<Response, ApiError> {
    let first =
        blobs.open(digest, ranges.first().copied()).await?.ok_or_else(|| ApiError::blob_absent(blobs, digest))?;
    let media_type = headers.get(CONTENT_TYPE).cloned();
    let media_type = media_type.unwrap_or_else(|| HeaderValue::from_static("application/octet-stream"));
    let framing = Framing::new(media_type, size).map_err(ApiError::internal)?;
    headers.insert(CONTENT_TYPE, framing.content_type());
    headers.insert(CONTENT_LENGTH, HeaderValue::from(framing.length(&ranges)));
    let body = body(Arc::clone(blobs), digest, first, ranges, framing);
    let logged = body.inspect_err(move |error| tracing::error!(%digest, %error, "a download broke off"));
    Ok((StatusCode::PARTIAL_CONTENT, headers, Body::from_stream(logged)).into_response())
}

/// The framed ranges. `first` is the first of them, opened.
fn body(
    blobs: Arc<Blobs>,
    digest: Digest,
    first: Object,
    ranges: Vec<ByteRange>,
    framing: Framing,
) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static {
    let end = framing.end();
    let mut opened = Some(first);
    let parts = stream::iter(ranges).then(move |range| {
        let (blobs, object) = (Arc::clone(&blobs), opened.take());
        let head = framing.head(range, object.is_some());
        async move {
            let object = match object {
                Some(object) => object,
                None => blobs.open(digest, Some(range)).await?.ok_or_else(|| gone(digest))?,
            };
            Ok::<_, StoreError>(stream::iter([Ok(head)]).chain(object.body))
        }
    });
    parts.try_flatten().chain(stream::iter([Ok(end)]))
}

fn gone(digest: Digest) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, digest, "deleted while it was read")
}
