//! Keyless publishing: a job proves who it is with the identity token (a JWT) that its platform signs for it.
//!
//! Such a token is exchanged for one of this server (`tickets`), which grants what the rules say to its claims, for some
//! minutes. A rule may also accept identity tokens as bearer tokens, unexchanged.
//!
//! # What it costs
//! Nothing that an anonymous client sends is kept, and nothing is fetched for a token whose issuer is not configured. A
//! token with an invented key id has keys fetched at most every 30 seconds. What was verified is remembered under the
//! SHA-256 of the token, in at most [`REMEMBERED`] bytes of tokens; so a request with a token that was seen before costs
//! one hash, as with a static one.

mod backend;
mod claims;
mod error;
mod judge;
mod key_sets;
mod signatures;
mod tickets;
mod verify;

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::caller::{Caller, Grant, Grants, Scope};
use super::{Credentials, Identity, Provider};
use crate::config::{self, Uses};
use crate::domain::Subject;
use judge::Judge;
use key_sets::KeySets;
use tickets::Ticket;
use verify::{TrustedIssuer, stated_issuer};

pub use backend::KeylessBackend;
pub use claims::Claims;
pub use error::TokenError;
pub use judge::{Granted, Mismatch, NearMiss, Verdict};
pub use tickets::TicketKey;

/// Most bytes of tokens whose verification is remembered.
const REMEMBERED: u64 = 8 << 20;
/// How long another server of the store may accept a token after it was revoked.
const REVOKED_WITHIN: SignedDuration = SignedDuration::from_secs(10);

/// What outlives a change of the configuration.
#[derive(Debug)]
pub(super) struct KeylessParts {
    pub(super) backend: Arc<dyn KeylessBackend>,
    key_sets: KeySets,
    /// The audience, unless the configuration has another.
    pub(super) audience: Option<String>,
}

impl KeylessParts {
    pub(super) fn new(backend: Arc<dyn KeylessBackend>, audience: Option<String>) -> Self {
        Self { backend, key_sets: KeySets::default(), audience }
    }
}

/// The result of an exchange.
#[derive(Debug, Clone)]
pub struct Exchanged {
    /// The token, which is a secret.
    pub token: String,
    /// How long it lives.
    pub lives: SignedDuration,
    /// Who it belongs to.
    pub subject: Subject,
    /// What was granted, by rule.
    pub granted: Vec<Granted>,
}

/// Why a token was not exchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// The token does not count.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token is genuine, but no rule grants it anything; holds what the nearest ones wanted.
    #[error("no rule of this server grants this identity token anything{}", explain(.0))]
    Refused(Vec<NearMiss>),
}

/// What is in the way, as the rest of a sentence.
fn explain(near: &[NearMiss]) -> String {
    if near.is_empty() {
        return ": none is about its owner; `larder auth explain` shows its claims".to_owned();
    }
    let miss = |miss: &NearMiss| {
        let one = |mismatch: &Mismatch| {
            let Mismatch { claim, expected, actual } = mismatch;
            let actual = actual.as_ref().map_or_else(|| "absent".to_owned(), |actual| format!("{actual:?}"));
            format!("{claim} is {actual}, expected {expected}")
        };
        format!("; rule {:?}: {}", miss.rule, miss.mismatches.iter().map(one).collect::<Vec<_>>().join(", "))
    };
    near.iter().map(miss).collect()
}

/// A verified token and what the rules say to it, for operators.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// Id of the issuer.
    pub issuer: String,
    /// Its claims.
    pub claims: Claims,
    /// What the rules say.
    pub verdict: Verdict,
}

/// What is remembered of a verified token.
#[derive(Debug)]
struct Remembered {
    subject: Subject,
    grants: Arc<Grants>,
    claims: Arc<[Box<str>]>,
    until: Timestamp,
    /// Id of an exchanged token, and when it was last seen not to be revoked.
    revocable: Option<(String, Mutex<Timestamp>)>,
}

/// The provider of identity tokens and of those that they were exchanged for.
#[derive(Debug)]
pub struct Keyless {
    parts: Arc<KeylessParts>,
    issuers: Vec<(TrustedIssuer, Judge)>,
    audience: Option<String>,
    remembered: Cache<[u8; 32], (usize, Arc<Remembered>)>,
}

impl Keyless {
    pub(super) fn new(parts: Arc<KeylessParts>, config: &config::Access) -> Self {
        signatures::install();
        let audience = config.audience.clone().or_else(|| parts.audience.clone());
        let judged = |issuer: TrustedIssuer| {
            let rules = config.rules.iter().filter(|rule| *rule.issuer == *issuer.id).cloned();
            let judge = Judge::new(issuer.kind, audience.as_deref(), rules);
            (issuer, judge)
        };
        let issuers = config.issuers.iter().filter_map(TrustedIssuer::new).map(judged).collect();
        let size = |_: &[u8; 32], (length, _): &(usize, Arc<Remembered>)| u32::try_from(*length).unwrap_or(u32::MAX);
        let remembered = Cache::builder().max_capacity(REMEMBERED).weigher(size).build();
        Self { parts, issuers, audience, remembered }
    }

    /// What the `aud` of an identity token for this server has to be.
    #[must_use]
    pub fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// Verifies an identity token and says what the rules make of it, without using it up.
    ///
    /// # Errors
    /// A [`TokenError`].
    pub async fn explain(&self, token: &str, at: Timestamp) -> Result<Explanation, TokenError> {
        let (issuer, claims, verdict) = self.verify(token, at).await?;
        Ok(Explanation { issuer: issuer.id.to_string(), claims, verdict })
    }

    /// Exchanges an identity token for one of this server.
    ///
    /// # Errors
    /// An [`ExchangeError`].
    pub async fn exchange(&self, token: &str, at: Timestamp) -> Result<Exchanged, ExchangeError> {
        let (issuer, claims, Verdict { granted, near }) = self.verify(token, at).await?;
        if granted.is_empty() {
            return Err(ExchangeError::Refused(near));
        }
        let unavailable = TokenError::Unavailable;
        let backend = &self.parts.backend;
        let subject = claims.subject(&issuer.id, issuer.kind)?;
        let key = backend.ticket_key(None).await.map_err(unavailable)?;
        let key = key.ok_or_else(|| TokenError::Unavailable("there is no key to seal it with".to_owned()))?;
        let ids: Vec<&str> = granted.iter().map(|rule| &*rule.rule).collect();
        let recorded = claims.recorded(issuer.kind, &ids);
        let rules = granted.iter().map(|rule| rule.rule.clone()).collect();
        let lives = judge::longest(&granted, at);
        let grants = granted.iter().flat_map(|rule| rule.grants.clone());
        let until = at.checked_add(lives).unwrap_or(Timestamp::MAX);
        let ticket = Ticket::new((random_id()?, subject.clone()), (rules, recorded), grants, until).seal(&key);
        if ticket.len() > tickets::MAX_TICKET {
            return Err(TokenError::Malformed("its rules grant more than fits into a token").into());
        }
        // Last, so that a token is not used up by what fails.
        let is_single = granted.iter().any(|rule| rule.uses == Uses::Once);
        if is_single && !backend.use_once(&single_use_id(issuer, &claims, token)).await.map_err(unavailable)? {
            return Err(TokenError::Used.into());
        }
        tracing::info!(%subject, rules = ids.join(","), "exchanged an identity token");
        Ok(Exchanged { token: ticket, lives, subject, granted })
    }

    /// Revokes an exchanged token. `false` if it is none, or one that does not count any more.
    ///
    /// # Errors
    /// A sentence without a full stop, if that is not possible at present.
    pub async fn revoke(&self, token: &str, at: Timestamp) -> Result<bool, String> {
        let Some(ticket) = self.open(token).await?.filter(|ticket| at < ticket.until) else { return Ok(false) };
        self.parts.backend.revoke(&ticket.id).await?;
        self.remembered.invalidate(&hash(token));
        Ok(true)
    }

    async fn verify(&self, token: &str, at: Timestamp) -> Result<(&TrustedIssuer, Claims, Verdict), TokenError> {
        let stated = stated_issuer(token)?;
        let found = self.issuers.iter().find(|(issuer, _)| *issuer.url == *stated);
        let (issuer, judge) = found.ok_or_else(|| TokenError::Issuer(stated.chars().take(200).collect()))?;
        let claims = issuer.verify(&self.parts.key_sets, &*self.parts.backend, token, at).await?;
        let verdict = judge.judge(&claims, at);
        Ok((issuer, claims, verdict))
    }

    /// The content of an exchanged token, if a key of this store sealed it.
    async fn open(&self, token: &str) -> Result<Option<Ticket>, String> {
        let Some(id) = Ticket::key_id(token) else { return Ok(None) };
        let key = self.parts.backend.ticket_key(Some(id)).await?;
        Ok(key.and_then(|key| Ticket::open(token, &key)))
    }

    /// Verifies a token that is not remembered.
    async fn examine(&self, token: &str, at: Timestamp) -> Result<Remembered, Identity> {
        if token.starts_with(tickets::PREFIX) {
            return self.examine_ticket(token).await;
        }
        let stated = stated_issuer(token).map_err(|_| Identity::NotMine)?;
        let Some((_, judge)) = self.issuers.iter().find(|(issuer, _)| *issuer.url == *stated) else {
            return Err(Identity::NotMine);
        };
        let exchange = || Identity::Refused("Exchange an identity token at POST /auth/oidc/token first.".to_owned());
        if !judge.accepts_raw() {
            return Err(exchange());
        }
        let (issuer, claims, verdict) = self.verify(token, at).await.map_err(refusal)?;
        let granted: Vec<Granted> = verdict.granted.into_iter().filter(|rule| rule.raw_bearer).collect();
        if granted.is_empty() {
            let refused = ExchangeError::Refused(verdict.near);
            return Err(Identity::Refused(format!("{}.", capital(&refused.to_string()))));
        }
        let until = issuer.end(&claims);
        let ids: Vec<&str> = granted.iter().map(|rule| &*rule.rule).collect();
        let recorded = claims.recorded(issuer.kind, &ids);
        let grants = granted.into_iter().flat_map(|rule| rule.grants);
        let grants: Vec<_> = grants.map(|grant| Grant { until: Some(until), ..grant }).collect();
        let subject = claims.subject(&issuer.id, issuer.kind).map_err(refusal)?;
        Ok(Remembered { subject, grants: Arc::new(grants), claims: recorded.into(), until, revocable: None })
    }

    async fn examine_ticket(&self, token: &str) -> Result<Remembered, Identity> {
        let opened = self.open(token).await.map_err(Identity::Unavailable)?;
        let ticket = opened.ok_or_else(|| Identity::Refused("The token is not one of this server.".to_owned()))?;
        let exists = |id: &str| self.issuers.iter().any(|(_, judge)| judge.ids().any(|rule| rule == id));
        if let Some(gone) = ticket.rules.iter().find(|rule| !exists(rule)) {
            return Err(Identity::Refused(format!("The rule {gone:?} that the token comes from was removed.")));
        }
        Ok(Remembered {
            subject: ticket.subject.clone(),
            grants: Arc::new(ticket.grants()),
            claims: ticket.claims.clone().into(),
            until: ticket.until,
            revocable: Some((ticket.id, Mutex::new(Timestamp::MIN))),
        })
    }

    /// Whether a token was revoked. The store is asked at most every ten seconds for each token.
    async fn is_revoked(&self, token: &Remembered, at: Timestamp) -> Result<bool, String> {
        let Some((id, checked)) = &token.revocable else { return Ok(false) };
        let last = *checked.lock().unwrap_or_else(PoisonError::into_inner);
        if at.duration_since(last).abs() < REVOKED_WITHIN {
            return Ok(false);
        }
        let revoked = self.parts.backend.is_revoked(id).await?;
        if !revoked {
            *checked.lock().unwrap_or_else(PoisonError::into_inner) = at;
        }
        Ok(revoked)
    }
}

impl Provider for Keyless {
    async fn identify(&self, credentials: &Credentials<'_>, scope: Scope) -> Identity {
        let Credentials::Bearer(token) = credentials else { return Identity::NotMine };
        if !token.starts_with(tickets::PREFIX) && !token.starts_with(verify::BEGINNING) {
            return Identity::NotMine;
        }
        let hash = hash(token);
        let known = match self.remembered.get(&hash) {
            Some((_, known)) => known,
            None => match self.examine(token, scope.at).await {
                Ok(known) => {
                    let known = Arc::new(known);
                    self.remembered.insert(hash, (token.len(), Arc::clone(&known)));
                    known
                }
                Err(identity) => return identity,
            },
        };
        if scope.at >= known.until {
            return Identity::Refused("The time of the token is over.".to_owned());
        }
        match self.is_revoked(&known, scope.at).await {
            Ok(false) => {
                let caller = Caller::new(known.subject.clone(), Arc::clone(&known.grants), scope);
                Identity::Known(caller.with_claims(Arc::clone(&known.claims)))
            }
            Ok(true) => Identity::Refused("The token was revoked.".to_owned()),
            Err(why) => Identity::Unavailable(why),
        }
    }
}

fn refusal(error: TokenError) -> Identity {
    match error {
        TokenError::Unavailable(_) => Identity::Unavailable(error.to_string()),
        error => Identity::Refused(format!("{}.", capital(&error.to_string()))),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| format!("{}{}", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}

/// What must not be used twice: the `jti` within its issuer, or else the token itself.
fn single_use_id(issuer: &TrustedIssuer, claims: &Claims, token: &str) -> String {
    let what = claims.get("jti").filter(|jti| !jti.is_empty()).unwrap_or(token);
    hex::encode(Sha256::digest(format!("{}\0{what}", issuer.url)))
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn random_id() -> Result<String, TokenError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| TokenError::Unavailable(error.to_string()))?;
    Ok(hex::encode(random))
}

#[cfg(test)]
mod tests;
