//! Request bodies: counted, and aborted when they are too large or too slow.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

/// How often the pace of a body is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// A body of which fewer bytes arrive between two looks is slow.
const SLOW: u64 = 32 << 10;

/// Limits on the size and slowness of one body.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct BodyLimits {
    /// Largest body, in bytes.
    pub(in crate::http) size: u64,
    /// Longest pause between two frames.
    pub(in crate::http) idle: Duration,
    /// Lowest acceptable average rate in bytes per second, enforced once `idle` has passed.
    pub(in crate::http) min_rate: u64,
}

/// Why a body is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::http) enum BodyError {
    /// The body exceeds its size limit.
    #[error("the body is larger than {limit} bytes, which is the limit of this server")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// Nothing was received for longer than the idle limit.
    #[error("the body paused for too long; nothing was stored")]
    Paused,
    /// The average rate was below the minimum.
    #[error("the body arrives too slowly; nothing was stored")]
    Trickled,
    /// A body that is held in memory was not complete within its time limit.
    #[error("the body took too long; nothing was stored")]
    Late,
    /// The connection ended before the body did.
    #[error("the body ended before it was complete; nothing was stored")]
    Broken,
    /// The body has a content coding, which would change its digest.
    #[error("send the bytes as they are, without a Content-Encoding: the digest is taken of what is stored")]
    Coded,
    /// The request has a `Content-Range`.
    #[error("a PUT stores the whole; Content-Range is not supported here")]
    Partial,
}

/// What comes of a request body.
pub(in crate::http) enum Arrival {
    /// The next bytes.
    Bytes(Bytes),
    /// Few bytes or none came lately. Whoever holds memory for them may give it back.
    Slow,
}

/// A request body that is read frame by frame.
pub(in crate::http) struct RequestBody {
    body: Body,
    limits: BodyLimits,
    received: u64,
    began: Instant,
    /// Since when the next frame is waited for, not counting the time in which nobody asks for it.
    waits_since: Option<Instant>,
    /// When the pace was looked at last, and how many bytes had come by then.
    looked: (Instant, u64),
}

impl RequestBody {
    /// Does not read from the body yet: a client that expects `100 Continue` is only told to send it on the first read.
    pub(in crate::http) fn new(body: Body, limits: BodyLimits) -> Self {
        let now = Instant::now();
        Self { body, limits, received: 0, began: now, waits_since: None, looked: (now, 0) }
    }

    /// The next bytes, or that they come slowly; `None` at the end of a complete body.
    pub(in crate::http) async fn next(&mut self) -> Result<Option<Arrival>, BodyError> {
        loop {
            let look_at = self.looked.0 + LOOK;
            let silent_at = *self.waits_since.get_or_insert_with(Instant::now) + self.limits.idle;
            let Ok(frame) = timeout_at(look_at.min(silent_at), self.body.frame()).await else {
                if silent_at <= look_at {
                    return Err(BodyError::Paused);
                }
                if self.is_slow() {
                    return Ok(Some(Arrival::Slow));
                }
                continue;
            };
            self.waits_since = None;
            let Some(frame) = frame else { return Ok(None) };
            let Ok(bytes) = frame.map_err(|error| broken(&error))?.into_data() else { continue };
            self.received += bytes.len() as u64;
            if self.received > self.limits.size {
                return Err(BodyError::TooLarge { limit: self.limits.size });
            }
            self.check_rate()?;
            return Ok(Some(Arrival::Bytes(bytes)));
        }
    }

    /// Whether few bytes came since the last look.
    fn is_slow(&mut self) -> bool {
        let (_, before) = std::mem::replace(&mut self.looked, (Instant::now(), self.received));
        self.received - before < SLOW
    }

    /// Without this, a client that trickles bytes could hold its connection for ever without ever pausing.
    fn check_rate(&self) -> Result<(), BodyError> {
        let elapsed = self.began.elapsed();
        let expected = elapsed.as_millis().saturating_mul(self.limits.min_rate.into()) / 1000;
        if elapsed > self.limits.idle && u128::from(self.received) < expected {
            return Err(BodyError::Trickled);
        }
        Ok(())
    }
}

fn broken(error: &axum::Error) -> BodyError {
    tracing::debug!(%error, "a request body ended early");
    BodyError::Broken
}

/// Rejects what can be rejected by the headers alone, before the body is read: content codings (they would change the
/// digest), partial PUTs (RFC 9110 section 14.5) and a `Content-Length` above `limit`. Returns the announced length, in
/// bytes.
pub(in crate::http) fn check_headers(headers: &HeaderMap, limit: u64) -> Result<Option<u64>, BodyError> {
    let identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(identity) {
        return Err(BodyError::Coded);
    }
    if headers.contains_key(CONTENT_RANGE) {
        return Err(BodyError::Partial);
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > limit) {
        return Err(BodyError::TooLarge { limit });
    }
    Ok(length)
}
