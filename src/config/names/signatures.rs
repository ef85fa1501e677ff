//! `[names.signatures]`: the signatures that a version needs to become active.

use serde::{Deserialize, Serialize};

use crate::domain::attestation::{KeyId, PublicKey, Requirement, RequirementError};

/// `signatures = { threshold = 1, bind = true, minisign = ["RW…"], revoked = [] }`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signatures {
    /// How many distinct keys must have signed; 0 for none.
    #[serde(default = "Signatures::threshold")]
    pub threshold: usize,
    /// Whether a signature must state the names for which it holds, and its serial.
    #[serde(default = "Signatures::bind")]
    pub bind: bool,
    /// Public keys of minisign.
    #[serde(default)]
    pub minisign: Vec<PublicKey>,
    /// Ids of keys among them whose signatures do not count any more.
    #[serde(default)]
    pub revoked: Vec<KeyId>,
}

impl Signatures {
    /// No signature is needed.
    #[must_use]
    pub fn none() -> Self {
        Self { threshold: 0, bind: true, minisign: Vec::new(), revoked: Vec::new() }
    }

    fn threshold() -> usize {
        1
    }

    fn bind() -> bool {
        true
    }

    /// Converts to the domain's requirement.
    ///
    /// # Errors
    /// A [`RequirementError`] if no version could meet it.
    pub fn requirement(&self) -> Result<Requirement, RequirementError> {
        Requirement::new(self.threshold, self.bind, self.minisign.clone(), self.revoked.clone())
    }
}

impl From<&Requirement> for Signatures {
    fn from(requirement: &Requirement) -> Self {
        Self {
            threshold: requirement.threshold(),
            bind: requirement.bind(),
            minisign: requirement.keys().to_vec(),
            revoked: requirement.revoked().to_vec(),
        }
    }
}
