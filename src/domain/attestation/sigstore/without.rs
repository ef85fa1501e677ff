//! What stands in for the verification of bundles in programs without it.

use super::{BundleError, Proven, Signable, TrustedRootError};

/// Exists in no program without the feature, as there is no way to make one.
pub(super) enum Verifiers {}

impl Verifiers {
    pub(super) fn new(_: &str) -> Result<Self, TrustedRootError> {
        Err(TrustedRootError::Unsupported)
    }

    pub(super) fn verify(&self, _: &[u8], _: Signable<'_>) -> Result<Proven, BundleError> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::TrustedRoot;

    #[test]
    fn whoever_asks_for_identities_is_told_what_to_build() {
        let error = TrustedRoot::parse("{}", Path::new("x")).unwrap_err().to_string();
        assert!(error.contains("built without the feature sigstore"), "{error}");
    }
}
