//! Sigstore bundles: what they prove, on servers whose policies ask for identities, and for clients that do.

mod attacks;
mod clients;
mod guide;
mod policy;
mod real;

use std::path::Path;

use larder::domain::Digest;
use larder::domain::attestation::{BundleError, Proven, Signable, TrustedRoot};
use serde_json::Value;

use crate::support::sigstore::Instance;

/// The second in which tests sign: some time ago, so that any clock that is only somewhat off agrees.
pub const SIGNED: i64 = 1_764_000_000;

pub const MANIFEST: &[u8] = br#"{"artifacts":[]}"#;

pub fn root_of(instance: &Instance) -> TrustedRoot {
    TrustedRoot::parse(&instance.trusted_root().to_string(), Path::new("trusted_root.json")).unwrap()
}

/// What a bundle proves about [`MANIFEST`], which has these files.
pub fn verify(root: &TrustedRoot, bundle: &Value, files: &[Digest]) -> Result<Proven, BundleError> {
    root.verify(bundle.to_string().as_bytes(), Signable { manifest: MANIFEST, files })
}

/// A file of those that others made.
pub fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/fixtures/sigstore");
    std::fs::read(folder.join(name)).unwrap()
}

/// The place of such a file.
pub fn fixture_path(name: &str) -> String {
    format!("{}/tests/suite/fixtures/sigstore/{name}", env!("CARGO_MANIFEST_DIR"))
}
