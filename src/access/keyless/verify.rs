//! Verification of identity tokens (RFC 7519, with the practices of RFC 8725).

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::backend::KeylessBackend;
use super::claims::Claims;
use super::error::TokenError;
use super::key_sets::KeySets;
use super::signatures;
use crate::config::{Issuer, IssuerKind};

/// Longest token, in bytes. Those of the public issuers have about 2,000.
pub(super) const MAX_TOKEN: usize = 16 << 10;
/// Longest id of a key, in bytes.
const MAX_KEY_ID: usize = 256;
/// By how much clocks may differ.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// An issuer, and how its tokens are verified.
#[derive(Debug, Clone)]
pub(super) struct TrustedIssuer {
    pub(super) id: Box<str>,
    pub(super) url: Box<str>,
    pub(super) kind: IssuerKind,
    algorithms: Vec<Algorithm>,
    max_age: SignedDuration,
}

impl TrustedIssuer {
    /// `None` for an issuer that validation of the configuration refuses.
    pub(super) fn new(configured: &Issuer) -> Option<Self> {
        Some(Self {
            id: configured.id.as_str().into(),
            url: configured.url()?.into(),
            kind: configured.kind,
            algorithms: configured.algorithms.iter().copied().map(signatures::algorithm).collect(),
            max_age: configured.max_age.signed(),
        })
    }

    /// Verifies a token that says to be of this issuer.
    pub(super) async fn verify(
        &self,
        keys: &KeySets,
        backend: &dyn KeylessBackend,
        token: &str,
        at: Timestamp,
    ) -> Result<Claims, TokenError> {
        let malformed = |_| TokenError::Malformed("its header is not one of a signed token");
        let header = decode_header(token).map_err(malformed)?;
        if !self.algorithms.contains(&header.alg) {
            return Err(TokenError::Algorithm(format!("{:?}", header.alg)));
        }
        if header.kid.as_ref().is_some_and(|id| id.len() > MAX_KEY_ID) {
            return Err(TokenError::UnknownKey);
        }
        let key = keys.key(backend, &self.url, header.kid.as_deref(), at).await?;
        let key = key.verifies(header.alg).ok_or_else(|| TokenError::Algorithm(format!("{:?}", header.alg)))?;
        let mut validation = Validation::new(header.alg);
        // Times and audiences are judged by this program's clock and rules, below.
        (validation.validate_exp, validation.validate_aud) = (false, false);
        validation.required_spec_claims.clear();
        let members = decode::<Map<String, Value>>(token, key, &validation).map_err(|_| TokenError::Signature)?.claims;
        let claims = Claims::parse(self.kind, &members)?;
        self.check_times(&claims, at)?;
        Ok(claims)
    }

    /// When a token does not count any more.
    pub(super) fn end(&self, claims: &Claims) -> Timestamp {
        let oldest = claims.issued.checked_add(self.max_age).unwrap_or(Timestamp::MAX);
        claims.expires.min(oldest).checked_add(LEEWAY).unwrap_or(Timestamp::MAX)
    }

    fn check_times(&self, claims: &Claims, at: Timestamp) -> Result<(), TokenError> {
        let off = |what: &str, by: SignedDuration| {
            let seconds = by.as_secs().abs();
            Err(TokenError::Time(format!("the identity token {what} (by {seconds} s, by this server's clock)")))
        };
        let (expired, too_old) = (at.duration_since(claims.expires), at.duration_since(claims.issued) - self.max_age);
        let early = claims.not_before.map_or(SignedDuration::MIN, |time| time.duration_since(at));
        let future = claims.issued.duration_since(at);
        if expired >= LEEWAY {
            return off("has expired; ask the issuer for a new one", expired);
        }
        if too_old >= LEEWAY {
            return off("is older than this server accepts; ask the issuer for a new one", too_old);
        }
        if early > LEEWAY {
            return off("is not valid yet", early);
        }
        if future > LEEWAY { off("was issued in the future", future) } else { Ok(()) }
    }
}

/// What every identity token begins with: `{"` in base64url.
pub(super) const BEGINNING: &str = "eyJ";

/// Whether a token looks like an identity token.
fn is_identity_token(token: &str) -> bool {
    token.starts_with(BEGINNING) && token.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// The value of `iss`, which nobody has verified yet: it only says whose key to try.
pub(super) fn stated_issuer(token: &str) -> Result<String, TokenError> {
    #[derive(Deserialize)]
    struct Stated {
        iss: String,
    }
    if token.len() > MAX_TOKEN {
        return Err(TokenError::Malformed("it is too long"));
    }
    if !is_identity_token(token) {
        return Err(TokenError::Malformed("it does not consist of a header, claims and a signature"));
    }
    let stated = insecure_decode_claims::<Stated>(token);
    stated.map(|stated| stated.iss).map_err(|_| TokenError::Malformed("its claims are no JSON object with an iss"))
}
