//! `[names.signatures]`: the signatures that a version needs to become active.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::attestation::{
    Identity, KeyId, MAX_TRUSTED_ROOT, PublicKey, Requirement, RequirementError, TrustedRoot,
};

/// `signatures = { threshold = 1, bind = true, minisign = ["RW…"], revoked = [], sigstore = [{ issuer = "https://…", identity =
/// "https://…" }], sigstore_root = "trusted_root.json" }`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signatures {
    /// How many distinct keys and identities must have signed; 0 for none.
    #[serde(default = "Signatures::threshold")]
    pub threshold: usize,
    /// Whether a signature by a key must state the names for which it holds, and its serial.
    #[serde(default = "Signatures::bind")]
    pub bind: bool,
    /// Public keys of minisign.
    #[serde(default)]
    pub minisign: Vec<PublicKey>,
    /// Ids of keys among them whose signatures do not count any more.
    #[serde(default)]
    pub revoked: Vec<KeyId>,
    /// Identities whose sigstore bundles count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sigstore: Vec<Identity>,
    /// The file with the authorities and logs that are trusted. Beside the identities, not one for the whole server: a company
    /// that runs its own instance beside the public one must not have the same identity of both accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigstore_root: Option<RootFile>,
}

/// A file with trusted roots of sigstore, which is read together with the configuration that names it: what was checked is
/// what counts, whatever becomes of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootFile(TrustedRoot);

impl RootFile {
    fn read(path: &Path) -> Result<Self, String> {
        let told = |why: &dyn ToString| format!("{}: {}", path.display(), why.to_string());
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|error| told(&error))?;
        file.take(MAX_TRUSTED_ROOT + 1).read_to_string(&mut text).map_err(|error| told(&error))?;
        TrustedRoot::parse(&text, path).map(Self).map_err(|error| told(&error))
    }
}

impl Serialize for RootFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.origin().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RootFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&PathBuf::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Signatures {
    /// No signature is needed.
    #[must_use]
    pub fn none() -> Self {
        let (minisign, revoked, sigstore, sigstore_root) = (Vec::new(), Vec::new(), Vec::new(), None);
        Self { threshold: 0, bind: true, minisign, revoked, sigstore, sigstore_root }
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
        let root = self.sigstore_root.as_ref().map(|file| file.0.clone());
        Requirement::with_identities(
            (self.threshold, self.bind),
            (self.minisign.clone(), self.revoked.clone()),
            (self.sigstore.clone(), root),
        )
    }
}

impl From<&Requirement> for Signatures {
    fn from(requirement: &Requirement) -> Self {
        Self {
            threshold: requirement.threshold(),
            bind: requirement.bind(),
            minisign: requirement.keys().to_vec(),
            revoked: requirement.revoked().to_vec(),
            sigstore: requirement.identities().to_vec(),
            sigstore_root: requirement.root().cloned().map(RootFile),
        }
    }
}
