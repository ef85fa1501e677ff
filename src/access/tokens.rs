//! The provider of static tokens: those of the configuration, and the admin token. Keeps only their hashes.

use std::sync::Arc;

use sha2::Digest as _;
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use super::caller::{Caller, Grant, Grants, Scope};
use super::{Credentials, Identity, Provider};
use crate::config;
use crate::domain::Subject;

#[derive(Debug)]
struct Credential {
    hash: [u8; 32],
    subject: Subject,
    grants: Arc<Grants>,
}

/// Static tokens, by their hashes.
#[derive(Debug, Default)]
pub struct Tokens(Vec<Credential>);

impl Tokens {
    /// Creates the provider from the configured tokens and `admin`, an optional token that may do everything.
    #[must_use]
    pub fn new(configured: &[config::Token], admin: Option<&str>) -> Self {
        let mut credentials: Vec<_> = configured.iter().filter_map(credential).collect();
        credentials.extend(admin.map(|token| Credential {
            hash: hash(token),
            subject: Subject::admin(),
            grants: Arc::new(vec![Grant::everything()]),
        }));
        Self(credentials)
    }

    /// Looks up a token in constant time, independent of whether and where it is found.
    fn find(&self, token: &str) -> Option<&Credential> {
        let sent = hash(token);
        let mut found = u32::MAX;
        for (at, credential) in (0..).zip(&self.0) {
            let same: Choice = credential.hash.ct_eq(&sent);
            found.conditional_assign(&at, same);
        }
        self.0.get(usize::try_from(found).ok()?)
    }
}

impl Provider for Tokens {
    /// Accepts bearer tokens only: a browser would resend a password on its own, even for forms on other sites.
    async fn identify(&self, credentials: &Credentials<'_>, scope: Scope) -> Identity {
        let Credentials::Bearer(token) = credentials else { return Identity::NotMine };
        let Some(Credential { subject, grants, .. }) = self.find(token) else { return Identity::NotMine };
        if grants.iter().all(|grant| grant.is_over(scope.at)) {
            return Identity::Refused(format!("The time of the token {} is over.", subject.id()));
        }
        Identity::Known(Caller::new(subject.clone(), Arc::clone(grants), scope))
    }
}

/// `None` for tokens that validation of the configuration refuses.
fn credential(token: &config::Token) -> Option<Credential> {
    let mut hash = [0; 32];
    hex::decode_to_slice(&token.sha256, &mut hash).ok()?;
    let surfaces = token.surfaces.as_ref().map(|list| list.iter().map(|surface| surface.as_str().into()).collect());
    let grant = Grant { actions: token.actions.clone(), names: token.names.clone(), surfaces, until: token.until };
    Some(Credential { hash, subject: Subject::token(&token.id).ok()?, grants: Arc::new(vec![grant]) })
}

/// Tokens are long random strings, so a plain hash suffices: they cannot be guessed.
fn hash(token: &str) -> [u8; 32] {
    sha2::Sha256::digest(token.as_bytes()).into()
}
