//! Sigstore bundles: signatures by identities instead of keys. A certificate authority has certified a key for an identity
//! of some issuer for minutes, and a public log has recorded its use in that time.
//!
//! Nothing is asked of the network. What is trusted is a file, the trusted root: the authorities and logs that count.

#[cfg(feature = "sigstore")]
mod crypto;
#[cfg(feature = "sigstore")]
mod verifier;
#[cfg(not(feature = "sigstore"))]
mod without;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg(feature = "sigstore")]
use self::verifier::Verifiers;
#[cfg(not(feature = "sigstore"))]
use self::without::Verifiers;
use super::attachment::MAX_ATTACHMENT;
use crate::domain::text::Escaped;
use crate::domain::{Digest, Glob};

/// Largest file with trusted roots, in bytes.
pub const MAX_TRUSTED_ROOT: u64 = 1 << 20;

/// An identity whose bundles count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Who vouches for the identity: the address of the OpenID Connect issuer, exactly as in the certificate.
    pub issuer: Box<str>,
    /// The address or the email address in the certificate. Matched as a whole: `*` is anything but `/`, `**` anything.
    pub identity: Glob,
    /// The id that the issuer has given the repository, which stays when it is renamed, and is not given twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_id: Option<Box<str>>,
}

impl Identity {
    /// Whether this is the identity that was proven.
    #[must_use]
    pub fn is(&self, proven: &Proven) -> bool {
        let repository = self.repository_id.is_none() || self.repository_id == proven.repository_id;
        self.issuer == proven.issuer && self.identity.matches(&proven.identity) && repository
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.identity, self.issuer)
    }
}

/// What a verified bundle proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Who vouches for the identity.
    pub issuer: Box<str>,
    /// The address or the email address of the signer.
    pub identity: Box<str>,
    /// The id of the repository, for issuers that state one.
    pub repository_id: Option<Box<str>>,
    /// When it was signed, as a log or a timestamp authority has recorded it: the earliest such time.
    pub at: Timestamp,
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", Escaped::new(&self.identity), Escaped::new(&self.issuer))
    }
}

/// What a bundle has to be about.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// The bytes of the manifest.
    pub manifest: &'a [u8],
    /// The digests of all files that it lists.
    pub files: &'a [Digest],
}

/// Why a bundle proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It is longer than any attachment.
    #[error("it is longer than {MAX_ATTACHMENT} bytes")]
    TooLarge,
    /// It has more of something than any bundle needs.
    #[error("it has more than {0} certificates, log entries or timestamps")]
    TooMuch(usize),
    /// It is no bundle.
    #[error("it is no sigstore bundle: {0}")]
    Malformed(Box<str>),
    /// Its statement is about something else, or about a part only.
    #[error("it is neither about this manifest nor about all of its files")]
    OtherSubject,
    /// Its statement does not say that the release was made or published.
    #[error("it states {0}, which does not say that somebody has built or published this")]
    OtherStatement(Box<str>),
    /// It names nobody.
    #[error("its certificate names no issuer or no identity")]
    Nobody,
    /// It does not hold.
    #[error("it does not hold: {0}")]
    Refused(Box<str>),
    /// Its bytes are gone.
    #[error("its bytes are gone")]
    Gone,
}

/// Why a file is no trusted root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustedRootError {
    /// This program was built without what verifies bundles.
    #[error(
        "this larder cannot verify sigstore bundles, as it was built without the feature sigstore; build it with \
         `cargo build --release --features sigstore`"
    )]
    Unsupported,
    /// It is larger than any trusted root.
    #[error("it is longer than {MAX_TRUSTED_ROOT} bytes")]
    TooLarge,
    /// It holds none, or more than can be tried.
    #[error("it has {0} trusted roots, not 1 to {1}")]
    Count(usize, usize),
    /// It cannot be understood.
    #[error("it is no trusted root of sigstore: {0}")]
    Malformed(Box<str>),
}

/// The authorities and logs that are trusted, from a file.
#[derive(Clone)]
pub struct TrustedRoot {
    origin: Arc<Path>,
    digest: Digest,
    verifiers: Arc<Verifiers>,
}

impl TrustedRoot {
    /// Parses the content of `origin`: one or several documents `trusted_root.json`, as `gh attestation trusted-root` and
    /// cosign write them.
    ///
    /// # Errors
    /// A [`TrustedRootError`].
    pub fn parse(text: &str, origin: &Path) -> Result<Self, TrustedRootError> {
        if text.len() as u64 > MAX_TRUSTED_ROOT {
            return Err(TrustedRootError::TooLarge);
        }
        let verifiers = Arc::new(Verifiers::new(text)?);
        Ok(Self { origin: origin.into(), digest: Digest::of(text.as_bytes()), verifiers })
    }

    /// The file that it was read from.
    #[must_use]
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// Digest of the file.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Verifies a bundle. Looks at no clock, but for refusing times in the future, so what is proven stays proven.
    ///
    /// # Errors
    /// A [`BundleError`].
    pub fn verify(&self, bundle: &[u8], subject: Signable<'_>) -> Result<Proven, BundleError> {
        if bundle.len() as u64 > MAX_ATTACHMENT {
            return Err(BundleError::TooLarge);
        }
        self.verifiers.verify(bundle, subject)
    }
}

impl PartialEq for TrustedRoot {
    fn eq(&self, other: &Self) -> bool {
        (self.digest, &self.origin) == (other.digest, &other.origin)
    }
}

impl Eq for TrustedRoot {}

impl fmt::Debug for TrustedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedRoot")
            .field("origin", &self.origin)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}
