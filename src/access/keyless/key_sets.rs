//! Public keys of issuers, fetched when they are needed and kept while the issuer is down.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::backend::KeylessBackend;
use super::error::TokenError;

/// Age at which keys are fetched again.
const FRESH: SignedDuration = SignedDuration::from_hours(1);
/// Shortest time between two fetches, so that tokens with invented key ids cost nothing.
const COOL_DOWN: SignedDuration = SignedDuration::from_secs(30);
/// The same after a fetch that failed.
const FAILED_FOR: SignedDuration = SignedDuration::from_secs(5);
/// Largest document with the address of the keys, in bytes.
const MAX_DISCOVERY: usize = 64 << 10;
/// Largest set of keys, in bytes.
const MAX_SET: usize = 256 << 10;
/// Most keys of a set.
const MAX_KEYS: usize = 100;

/// A public key of an issuer.
#[derive(Debug, Clone)]
pub(super) struct PublicKey {
    id: Option<String>,
    /// The only algorithm that it is for, if it says so.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

impl PublicKey {
    /// The key, if it may verify signatures of this algorithm.
    pub(super) fn verifies(&self, algorithm: Algorithm) -> Option<&DecodingKey> {
        let holds = self.algorithm.is_none_or(|own| own == algorithm) && self.key.family() == algorithm.family();
        holds.then_some(&self.key)
    }
}

/// The keys of an issuer when they were fetched last.
#[derive(Debug)]
struct KeySet {
    keys: Vec<PublicKey>,
    fetched: Timestamp,
}

impl KeySet {
    /// The key with this id; a token without one means the only key.
    fn find(&self, id: Option<&str>) -> Option<&PublicKey> {
        match (id, &*self.keys) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)),
        }
    }

    fn is_fresh(&self, at: Timestamp) -> bool {
        self.fetched.duration_since(at).abs() < FRESH
    }
}

/// The last fetch: when, and how it failed.
#[derive(Debug)]
struct Attempt {
    at: Timestamp,
    failure: Option<String>,
}

/// What is known of one issuer.
#[derive(Debug, Default)]
struct Slot {
    set: RwLock<Option<Arc<KeySet>>>,
    /// Held during a fetch, so that there is one at a time.
    attempt: tokio::sync::Mutex<Option<Attempt>>,
}

impl Slot {
    fn set(&self) -> Option<Arc<KeySet>> {
        self.set.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The keys of all issuers, by their URL.
#[derive(Debug, Default)]
pub(super) struct KeySets(Mutex<HashMap<Box<str>, Arc<Slot>>>);

impl KeySets {
    /// The key with which an issuer signed, fetched if it is not known. `issuer` must be one of the configured ones.
    pub(super) async fn key(
        &self,
        backend: &dyn KeylessBackend,
        issuer: &str,
        id: Option<&str>,
        at: Timestamp,
    ) -> Result<PublicKey, TokenError> {
        let slot = {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(issuer.into()).or_default())
        };
        let known = slot.set();
        let found = known.as_ref().and_then(|set| set.find(id));
        if let (Some(found), Some(set)) = (found, &known)
            && (set.is_fresh(at) || slot.attempt.try_lock().is_err())
        {
            return Ok(found.clone());
        }
        let mut attempt = slot.attempt.lock().await;
        // Whoever held the lock may have fetched them.
        let is_answered = slot.set().is_some_and(|set| set.is_fresh(at) && set.find(id).is_some());
        if !is_answered && attempt.as_ref().is_none_or(|last| last.is_over(at)) {
            *attempt = Some(refresh(&slot, backend, issuer, at).await);
        }
        let set = slot.set();
        match (set.as_ref().and_then(|set| set.find(id)), attempt.as_ref().and_then(|last| last.failure.as_ref())) {
            (Some(found), _) => Ok(found.clone()),
            (None, Some(failure)) => {
                Err(TokenError::Unavailable(format!("the keys of {issuer} are missing: {failure}")))
            }
            (None, None) => Err(TokenError::UnknownKey),
        }
    }
}

impl Attempt {
    fn is_over(&self, at: Timestamp) -> bool {
        let pause = if self.failure.is_some() { FAILED_FOR } else { COOL_DOWN };
        self.at.duration_since(at).abs() >= pause
    }
}

async fn refresh(slot: &Slot, backend: &dyn KeylessBackend, issuer: &str, at: Timestamp) -> Attempt {
    let failure = match fetch(backend, issuer).await {
        Ok(keys) => {
            tracing::info!(issuer, keys = keys.len(), "fetched the keys of an issuer");
            let set = KeySet { keys, fetched: at };
            *slot.set.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(set));
            None
        }
        Err(why) => {
            tracing::warn!(issuer, why, "could not fetch the keys of an issuer; those known so far stay in use");
            Some(why)
        }
    };
    Attempt { at, failure }
}

/// `OpenID` Connect Discovery 1.0, section 4, and RFC 7517.
async fn fetch(backend: &dyn KeylessBackend, issuer: &str) -> Result<Vec<PublicKey>, String> {
    #[derive(Deserialize)]
    struct Discovery {
        issuer: String,
        jwks_uri: String,
    }
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let document = backend.fetch(&address, MAX_DISCOVERY).await?;
    let malformed = |error: serde_json::Error| format!("a document is not what it should be: {error}");
    let discovery: Discovery = serde_json::from_slice(&document).map_err(malformed)?;
    if discovery.issuer != issuer {
        return Err(format!("{address} is about another issuer"));
    }
    let set = backend.fetch(&discovery.jwks_uri, MAX_SET).await?;
    let set: Set = serde_json::from_slice(&set).map_err(malformed)?;
    let keys: Vec<_> = set.keys.into_iter().take(MAX_KEYS).filter_map(public_key).collect();
    if keys.is_empty() { Err("there is no key for signatures among them".to_owned()) } else { Ok(keys) }
}

/// `None` for keys that are not for signatures, not public, or of kinds that nobody here knows.
fn public_key(key: Value) -> Option<PublicKey> {
    let algorithm = key.get("alg").and_then(Value::as_str).map(str::parse::<Algorithm>).transpose().ok()?;
    let key: Jwk = serde_json::from_value(key).ok()?;
    let for_signatures = key.common.public_key_use.as_ref().is_none_or(|r#use| *r#use == PublicKeyUse::Signature);
    let decoding = match &key.algorithm {
        AlgorithmParameters::RSA(_) | AlgorithmParameters::EllipticCurve(_) | AlgorithmParameters::OctetKeyPair(_) => {
            DecodingKey::from_jwk(&key).ok()?
        }
        // A shared secret in a public document is none.
        _ => return None,
    };
    for_signatures.then(|| PublicKey { id: key.common.key_id, algorithm, key: decoding })
}
