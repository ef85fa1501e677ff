//! Request ids, which the response and the log lines of a request carry.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::wire::headers;

/// The header that carries the id in both directions.
const X_REQUEST_ID: HeaderName = HeaderName::from_static(headers::REQUEST_ID);
/// Longest id accepted from a client, in bytes.
const LONGEST: usize = 128;

/// A new id as text.
pub(super) type RequestIdText = [u8; 24];

/// The id of a request.
#[derive(Debug, Clone)]
pub(super) struct RequestId(HeaderValue);

/// Randomness that distinguishes the ids of this process from those of others.
struct Seed {
    prefix: u32,
    key: u64,
}

/// Falls back to a plain counter if no randomness is available: an id is not a secret.
static SEED: LazyLock<Seed> = LazyLock::new(|| {
    let mut random = [0; 12];
    let _ = getrandom::fill(&mut random);
    let (prefix, key) = random.split_at(4);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    Seed { prefix: u32::try_from(number(prefix)).unwrap_or_default(), key: number(key) }
});
static COUNT: AtomicU64 = AtomicU64::new(0);

impl RequestId {
    /// The id in the request's header, or a new one. A client's id is written to logs, so it is accepted only in the
    /// form of an id.
    pub(super) fn of(request: &HeaderMap) -> Self {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"._:/+=-".contains(&b);
        let plain = |id: &&HeaderValue| (1..=LONGEST).contains(&id.len()) && id.as_bytes().iter().all(|b| legal(*b));
        Self(request.get(X_REQUEST_ID).filter(plain).cloned().unwrap_or_else(|| value(new())))
    }

    /// The id as text.
    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Sets the id in a response's headers.
    pub(super) fn stamp(&self, response: &mut HeaderMap) {
        response.insert(X_REQUEST_ID, self.0.clone());
    }
}

/// An id unique within this process: a counter, mixed to look random (with the finalizer of SplitMix64, which is a
/// bijection).
pub(super) fn new() -> RequestIdText {
    let mut mixed = COUNT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(SEED.key);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    let mut id = [0; 12];
    id[..4].copy_from_slice(&SEED.prefix.to_be_bytes());
    id[4..].copy_from_slice(&mixed.to_be_bytes());
    let mut text = [0; 24];
    hex::encode_to_slice(id, &mut text).expect("two digits for each byte");
    text
}

fn value(text: RequestIdText) -> HeaderValue {
    HeaderValue::from_bytes(&text).expect("hex digits are legal in a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_requests_share_an_id() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| new()).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.iter().all(u8::is_ascii_hexdigit)));
    }
}
