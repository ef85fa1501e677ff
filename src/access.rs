//! Authentication and authorisation: callers, the providers that identify them by their credentials, and the
//! permissions that policies require.
//!
//! A **provider** identifies callers by one kind of credentials. The chain asks one provider after another; the first
//! that recognises or refuses the credentials decides. Tokens and policies can be replaced while requests are handled:
//! each decision uses the rules in force at that moment.

mod caller;
mod credentials;
mod keyless;
mod tokens;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;

use crate::clock::Clock;
use crate::config;
use crate::domain::{Cas, LivePolicies, LogName, ManifestName, Permission, Policies, Reads, RepositoryName};

pub use caller::{Caller, Disregarded, Grant, Grants, Scope};
pub use credentials::{ANONYMOUS_TOKEN, Credentials};
use keyless::KeylessParts;
pub use keyless::{
    Claims, ExchangeError, Exchanged, Explanation, Granted, Keyless, KeylessBackend, Mismatch, NearMiss, TicketKey,
    TokenError, Verdict,
};
pub use tokens::Tokens;

/// A provider's verdict on credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The credentials are valid and belong to this caller.
    Known(Caller),
    /// The provider does not recognise the credentials; another one may.
    NotMine,
    /// The credentials are of this provider's kind but not valid; holds a sentence with the reason.
    Refused(String),
    /// The credentials cannot be judged at present; holds the reason, without a full stop.
    Unavailable(String),
}

/// Identifies callers by one kind of credentials.
pub trait Provider {
    /// Identifies the owner of `credentials`, for a request in `scope`.
    fn identify(&self, credentials: &Credentials<'_>, scope: Scope) -> impl Future<Output = Identity> + Send;
}

/// All kinds of providers. An enum, because [`Provider`] is not dyn-compatible.
#[derive(Debug)]
enum AnyProvider {
    Tokens(Tokens),
    Keyless(Arc<Keyless>),
    #[cfg(test)]
    Fixed(Identity),
}

impl Provider for AnyProvider {
    async fn identify(&self, credentials: &Credentials<'_>, scope: Scope) -> Identity {
        match self {
            Self::Tokens(tokens) => tokens.identify(credentials, scope).await,
            Self::Keyless(keyless) => keyless.identify(credentials, scope).await,
            #[cfg(test)]
            Self::Fixed(identity) => identity.clone(),
        }
    }
}

/// Everything that a reload replaces, apart from the policies.
#[derive(Debug)]
struct Rules {
    providers: Vec<AnyProvider>,
    blob_reads: Reads,
}

impl Rules {
    fn new(config: &config::Access, admin: Option<&str>, keyless: Option<&Arc<KeylessParts>>) -> Self {
        let mut providers = vec![AnyProvider::Tokens(Tokens::new(&config.tokens, admin))];
        if let Some(parts) = keyless.filter(|_| !config.issuers.is_empty()) {
            providers.push(AnyProvider::Keyless(Arc::new(Keyless::new(Arc::clone(parts), config))));
        }
        Self { providers, blob_reads: config.blob_reads }
    }
}

/// The providers and policies of a server.
#[derive(Debug)]
pub struct Access {
    rules: RwLock<Arc<Rules>>,
    policies: LivePolicies,
    keyless: Option<Arc<KeylessParts>>,
    epoch: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl Access {
    /// Creates access rules from the configuration and `policies`. `admin` is an optional token that may do everything.
    #[must_use]
    pub fn new(config: &config::Access, policies: LivePolicies, admin: Option<&str>, clock: Arc<dyn Clock>) -> Self {
        let rules = RwLock::new(Arc::new(Rules::new(config, admin, None)));
        Self { rules, policies, keyless: None, epoch: AtomicU64::new(0), clock }
    }

    /// The same, accepting identity tokens as the configuration says. `audience` is what they are for if the
    /// configuration has no other.
    #[must_use]
    pub fn with_keyless(
        self,
        backend: Arc<dyn KeylessBackend>,
        audience: Option<String>,
        config: &config::Access,
        admin: Option<&str>,
    ) -> Self {
        let keyless = Some(Arc::new(KeylessParts::new(backend, audience)));
        let rules = RwLock::new(Arc::new(Rules::new(config, admin, keyless.as_ref())));
        Self { rules, keyless, ..self }
    }

    /// The exchange of identity tokens; `None` if no issuer is configured.
    #[must_use]
    pub fn keyless(&self) -> Option<Arc<Keyless>> {
        self.rules().providers.iter().find_map(|provider| {
            if let AnyProvider::Keyless(keyless) = provider { Some(Arc::clone(keyless)) } else { None }
        })
    }

    /// The time, by the clock that decides about tokens.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The policies in force.
    #[must_use]
    pub fn policies(&self) -> &LivePolicies {
        &self.policies
    }

    /// Replaces tokens and policies. The policies change for all clones of the shared [`LivePolicies`].
    pub fn replace(&self, config: &config::Access, policies: Policies, admin: Option<&str>) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(Rules::new(config, admin, self.keyless.as_ref()));
        self.policies.replace(policies);
        // Must come last: a thread that sees the new epoch must also see the new rules.
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Number of times that the rules were replaced. A decision is stale once this differs from its value *before* the
    /// decision was made.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Identifies the caller of a request to `surface`. [`Identity::NotMine`] if no provider recognises the
    /// credentials.
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

    /// Whether `name` can be read without credentials, so that shared caches may store it.
    #[must_use]
    pub fn is_public(&self, name: &ManifestName) -> bool {
        self.policies.current().of(name).read == Reads::Public
    }

    /// Whether `caller` may read what a log holds. What is untagged in a repository may be read by everyone who may read
    /// any of its tags: pushers of one tag must find the parts that they pushed by digest before.
    #[must_use]
    pub fn may_read_log(&self, caller: &Caller, log: &LogName) -> bool {
        self.is_public_log(log)
            || match log.visible() {
                Some(name) => caller.may(Permission::Read, &name),
                None => RepositoryName::of(log).is_some_and(|of| caller.may_in_repository(Permission::Read, &of)),
            }
    }

    /// Whether what a log holds can be read without credentials, so that shared caches may store it.
    #[must_use]
    pub fn is_public_log(&self, log: &LogName) -> bool {
        self.policies.current().of_log(log).read == Reads::Public
    }

    /// Whether `caller` may read any tag that `repository` could have. What is published there needs more: this only says
    /// whether the repository exists for the caller.
    #[must_use]
    pub fn may_read_somewhere_in(&self, caller: &Caller, repository: &RepositoryName) -> bool {
        self.is_public_somewhere_in(repository) || caller.may_in_repository(Permission::Read, repository)
    }

    /// Whether any tag that `repository` could have can be read without credentials.
    #[must_use]
    pub fn is_public_somewhere_in(&self, repository: &RepositoryName) -> bool {
        self.policies.current().least_read(repository) == Reads::Public
    }

    /// Whether `caller` may read blobs by their digest.
    #[must_use]
    pub fn may_read_blobs(&self, caller: &Caller) -> bool {
        self.blobs_are_public() || caller.may_somewhere(Permission::Read)
    }

    /// Whether blobs can be read by their digest without credentials.
    #[must_use]
    pub fn blobs_are_public(&self) -> bool {
        self.rules().blob_reads == Reads::Public
    }

    /// Whether changes to `name` must state a precondition.
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
