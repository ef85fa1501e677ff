//! Which signatures a name, or a client, requires.

use super::minisign::{KeyId, PublicKey};
use super::sigstore::{Identity, Proven, TrustedRoot};

/// Maximum number of keys and of identities of a requirement.
const MAX_KEYS: usize = 64;

/// Which signatures are required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The number of distinct keys and identities that must have signed; with 0, nothing is required.
    threshold: usize,
    /// Whether the signature of a key must state the names for which it holds, and its serial.
    bind: bool,
    /// The keys that count.
    keys: Vec<PublicKey>,
    /// Keys among them whose signatures do not count any more.
    revoked: Vec<KeyId>,
    /// The identities that count.
    identities: Vec<Identity>,
    /// What their bundles are verified with.
    root: Option<TrustedRoot>,
}

/// Why no signature could ever meet a requirement, or it is ambiguous.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequirementError {
    /// There are fewer keys that are not revoked, and identities, than must have signed.
    #[error("the threshold is above {0}, the number of keys and identities that are not revoked")]
    Threshold(usize),
    /// There are more keys than each signature can be compared with.
    #[error("there are more than {MAX_KEYS} keys, or more than {MAX_KEYS} identities")]
    TooMany,
    /// The same identity is there twice.
    #[error("the identity {0} is there twice")]
    TwiceIdentity(Identity),
    /// Bundles of identities cannot be verified without knowing which authorities and logs count.
    #[error("identities need a trusted root, the file that sigstore_root names")]
    NoRoot,
    /// The same key, or the same key id, is there twice.
    #[error("the key {0} is there twice")]
    Twice(KeyId),
    /// A key is revoked that is not among the keys, so its signatures could not be told from forged ones.
    #[error("the key {0} is revoked, but not among the keys; leave it there, so that its signatures are recognised")]
    RevokedUnknown(KeyId),
}

impl Requirement {
    /// Creates a requirement.
    ///
    /// # Errors
    /// A [`RequirementError`].
    pub fn new(
        threshold: usize,
        bind: bool,
        keys: Vec<PublicKey>,
        revoked: Vec<KeyId>,
    ) -> Result<Self, RequirementError> {
        if keys.len() > MAX_KEYS {
            return Err(RequirementError::TooMany);
        }
        for (at, key) in keys.iter().enumerate() {
            if keys[..at].iter().any(|other| other == key || other.id() == key.id()) {
                return Err(RequirementError::Twice(key.id()));
            }
        }
        if let Some(unknown) = revoked.iter().find(|id| keys.iter().all(|key| key.id() != **id)) {
            return Err(RequirementError::RevokedUnknown(*unknown));
        }
        let usable = keys.iter().filter(|key| !revoked.contains(&key.id())).count();
        if threshold > usable {
            return Err(RequirementError::Threshold(usable));
        }
        Ok(Self { threshold, bind, keys, revoked, identities: Vec::new(), root: None })
    }

    /// Creates a requirement that identities can meet as well as keys.
    ///
    /// # Errors
    /// A [`RequirementError`].
    pub fn with_identities(
        (threshold, bind): (usize, bool),
        (keys, revoked): (Vec<PublicKey>, Vec<KeyId>),
        (identities, root): (Vec<Identity>, Option<TrustedRoot>),
    ) -> Result<Self, RequirementError> {
        if identities.len() > MAX_KEYS {
            return Err(RequirementError::TooMany);
        }
        if let Some(at) = (1..identities.len()).find(|at| identities[..*at].contains(&identities[*at])) {
            return Err(RequirementError::TwiceIdentity(identities[at].clone()));
        }
        if !identities.is_empty() && root.is_none() {
            return Err(RequirementError::NoRoot);
        }
        let of_keys = threshold.saturating_sub(identities.len());
        let requirement = Self::new(of_keys, bind, keys, revoked).map_err(|error| match error {
            RequirementError::Threshold(keys) => RequirementError::Threshold(keys + identities.len()),
            other => other,
        })?;
        Ok(Self { threshold, identities, root, ..requirement })
    }

    /// The identities that count.
    #[must_use]
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// What bundles are verified with; `None` if none counts.
    #[must_use]
    pub fn root(&self) -> Option<&TrustedRoot> {
        self.root.as_ref().filter(|_| !self.identities.is_empty())
    }

    /// The first identity that is the one that was proven. A signer is no other one for matching two of them.
    #[must_use]
    pub fn identity(&self, proven: &Proven) -> Option<&Identity> {
        self.identities.iter().find(|identity| identity.is(proven))
    }

    /// The number of distinct keys and identities that must have signed.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// Whether a signature must be bound to names and a serial.
    #[must_use]
    pub fn bind(&self) -> bool {
        self.bind
    }

    /// The keys, revoked ones included.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The ids of the revoked keys.
    #[must_use]
    pub fn revoked(&self) -> &[KeyId] {
        &self.revoked
    }

    /// Whether the signatures of this key count no longer.
    #[must_use]
    pub fn is_revoked(&self, key: &PublicKey) -> bool {
        self.revoked.contains(&key.id())
    }
}
