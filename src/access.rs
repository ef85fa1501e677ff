//! Who may do what: callers, the providers that know their credentials, and what policies ask of them.
//!
//! A **provider** knows credentials of one kind and says whose they are. The chain of providers asks one after the other;
//! the first that knows the credentials, or refuses them, decides. Tokens and policies can be replaced while requests
//! are handled: each decision is taken by what is in force then.

mod caller;
mod credentials;
mod tokens;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::clock::Clock;
use crate::config;
use crate::domain::{Cas, LivePolicies, ManifestName, Permission, Policies, Reads};

pub use caller::{Caller, Grant, Grants, Scope};
pub use credentials::Credentials;
pub use tokens::Tokens;

/// What a provider says of credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Whose they are.
    Known(Caller),
    /// The provider does not know them; another one may.
    NotMine,
    /// They are the provider's, but no good; with a sentence that says why.
    Refused(String),
}

/// Somebody who knows whose credentials of one kind are.
pub trait Provider {
    /// Whose these are, for a request in `scope`.
    fn identify(&self, credentials: &Credentials<'_>, scope: Scope) -> impl Future<Output = Identity> + Send;
}

/// Every kind of provider there is.
#[derive(Debug)]
enum AnyProvider {
    Tokens(Tokens),
    #[cfg(test)]
    Fixed(Identity),
}

impl Provider for AnyProvider {
    async fn identify(&self, credentials: &Credentials<'_>, scope: Scope) -> Identity {
        match self {
            Self::Tokens(tokens) => tokens.identify(credentials, scope).await,
            #[cfg(test)]
            Self::Fixed(identity) => identity.clone(),
        }
    }
}

/// What the configuration says, apart from the policies.
#[derive(Debug)]
struct Rules {
    providers: Vec<AnyProvider>,
    blob_reads: Reads,
}

impl Rules {
    fn new(config: &config::Access, admin: Option<&str>) -> Self {
        let tokens = Tokens::new(&config.tokens, admin);
        Self { providers: vec![AnyProvider::Tokens(tokens)], blob_reads: config.blob_reads }
    }
}

/// The providers and policies of a server.
#[derive(Debug)]
pub struct Access {
    rules: RwLock<Arc<Rules>>,
    policies: LivePolicies,
    epoch: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl Access {
    /// Access as configured, under `policies`. `admin` is a token that may do everything, if there is one.
    #[must_use]
    pub fn new(config: &config::Access, policies: LivePolicies, admin: Option<&str>, clock: Arc<dyn Clock>) -> Self {
        let rules = RwLock::new(Arc::new(Rules::new(config, admin)));
        Self { rules, policies, epoch: AtomicU64::new(0), clock }
    }

    /// Puts other tokens and policies in force, for everybody who shares the policies, too.
    pub fn replace(&self, config: &config::Access, policies: Policies, admin: Option<&str>) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Rules::new(config, admin));
        self.policies.replace(policies);
        // Last: whoever sees the new epoch must see the new rules, too.
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Counts how often the rules were replaced. A decision is out of date once this differs from what it was *before* the
    /// decision was taken.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Whose credentials these are, for a request to `surface`. [`Identity::NotMine`] when no provider knows them.
    pub async fn identify(&self, credentials: &Credentials<'_>, surface: &'static str) -> Identity {
        let scope = Scope { surface, at: self.clock.now() };
        let rules = self.rules();
        for provider in &rules.providers {
            match provider.identify(credentials, scope).await {
                Identity::NotMine => {}
                decided => return decided,
            }
        }
        Identity::NotMine
    }

    /// Whether `caller` may read what is published under `name`.
    #[must_use]
    pub fn may_read(&self, caller: &Caller, name: &ManifestName) -> bool {
        self.is_public(name) || caller.may(Permission::Read, name)
    }

    /// Whether everybody may read what is published under `name`, so that shared caches may keep it.
    #[must_use]
    pub fn is_public(&self, name: &ManifestName) -> bool {
        self.policies.current().of(name).read == Reads::Public
    }

    /// Whether `caller` may read blobs by their digest.
    #[must_use]
    pub fn may_read_blobs(&self, caller: &Caller) -> bool {
        self.blobs_are_public() || caller.may_somewhere(Permission::Read)
    }

    /// Whether everybody may read blobs by their digest.
    #[must_use]
    pub fn blobs_are_public(&self) -> bool {
        self.rules().blob_reads == Reads::Public
    }

    /// Whether changes to `name` must state what they expect.
    #[must_use]
    pub fn needs_precondition(&self, name: &ManifestName) -> bool {
        self.policies.current().of(name).cas == Cas::Required
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
