//! Errors of publishing, and what is wrong with the blobs of a manifest.

use crate::domain::catalog::Problems;
use crate::domain::manifest::Descriptor;
use crate::domain::manifest::parts::ComposeError;
use crate::domain::{Digest, FileName, Manifest, ManifestError, ManifestName, ReadError, Rejection, Sha512};
use crate::protocol::ChangeError;
use crate::protocol::blobs::Check;
use crate::protocol::manifests::{Secured, unreadable};
use crate::service::wares::WareCheckError;
use crate::store::StoreError;

/// Why a publish failed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The bytes are not a valid manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The manifest is larger than allowed.
    #[error("the manifest has more than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// Blobs that the manifest refers to are not stored, or have another size than stated.
    #[error(
        "{} blobs are missing and {} have another size than the manifest says",
        .missing.len() + .unresolved.len(),
        .wrong_size.len()
    )]
    Blobs {
        /// Blobs that must be uploaded, in the order of the checks.
        missing: Vec<Descriptor>,
        /// Blobs whose stored size differs from the stated one, with the stored size.
        wrong_size: Vec<(Descriptor, u64)>,
        /// Digests by which nothing was uploaded, or some of them if there are many.
        unresolved: Vec<Sha512>,
    },
    /// A part was refused, or the parts make no release.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// Files that clients keep for a year have other bytes than before.
    #[error(transparent)]
    Immutable(#[from] ImmutableChanged),
    /// The document of a catalog is wrong, or contradicts the active one.
    #[error("the catalog is not valid: {0}")]
    Catalog(Problems),
    /// The wares of a catalog are still being computed.
    #[error("the wares of the catalog are still being computed")]
    Busy,
    /// Nobody has founded this catalog, and this caller must not.
    #[error("{0} is not founded, and this caller must not found it")]
    NotFounder(ManifestName),
    /// The name could not be changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// Files that must not have other bytes than before, and do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{count} immutable files have other bytes than in versions before")]
pub struct ImmutableChanged {
    /// The files by name, each with the newest version that has other bytes. At most 1,000.
    pub files: Vec<(FileName, u64)>,
    /// How many there are in all.
    pub count: usize,
}

/// Why a part was refused, or a release of parts not completed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartsError {
    /// The release was begun with other parts.
    #[error("the release was begun with other parts")]
    Differ {
        /// The parts that it was begun with.
        begun: Vec<String>,
        /// Those that were stated now.
        stated: Vec<String>,
    },
    /// The release has no part of this name.
    #[error("the release has no part {part}")]
    Unknown {
        /// The part.
        part: String,
        /// The parts that the release has.
        parts: Vec<String>,
    },
    /// The version is not made of parts.
    #[error("version {0} is not made of parts")]
    NotParts(u64),
    /// The release is complete, or about to be, with other files than this part has.
    #[error("version {0} is complete")]
    Complete(u64),
    /// The parts make no release.
    #[error(transparent)]
    Compose(#[from] ComposeError),
}

impl From<Problems> for PublishError {
    fn from(problems: Problems) -> Self {
        Self::Catalog(problems)
    }
}

impl From<Rejection> for PublishError {
    fn from(rejection: Rejection) -> Self {
        Self::Change(rejection.into())
    }
}

impl From<WareCheckError> for PublishError {
    fn from(error: WareCheckError) -> Self {
        match error {
            WareCheckError::Store(error) => error.into(),
            WareCheckError::Busy => Self::Busy,
        }
    }
}

impl From<StoreError> for PublishError {
    fn from(error: StoreError) -> Self {
        Self::Change(ChangeError::Store(error))
    }
}

/// The manifest, if it could be read: everything that it names must be known here before its version becomes a root.
pub(super) fn readable(bytes: &[u8], read: Result<Manifest, ReadError>) -> Result<Manifest, PublishError> {
    match read {
        Ok(manifest) => Ok(manifest),
        Err(ReadError::Unresolved(unresolved)) => {
            Err(PublishError::Blobs { missing: Vec::new(), wrong_size: Vec::new(), unresolved })
        }
        Err(error) => Err(unreadable(Digest::of(bytes), error).into()),
    }
}

/// The digests that a session's client must upload. A blob stored with another size than stated is included: if the
/// store is damaged the upload repairs it, and if the manifest is wrong the commit reports it.
pub(super) fn to_upload(checks: Vec<Check>) -> Vec<Digest> {
    let (missing, wrong_size) = sort(checks);
    missing.into_iter().chain(wrong_size.into_iter().map(|(blob, _)| blob)).map(|blob| blob.digest).collect()
}

fn sort(checks: Vec<Check>) -> (Vec<Descriptor>, Vec<(Descriptor, u64)>) {
    let (mut missing, mut wrong_size) = (Vec::new(), Vec::new());
    for check in checks {
        match check {
            Check::Present(_) => {}
            Check::Missing(blob) => missing.push(blob),
            Check::WrongSize { stated, actual } => wrong_size.push((stated, actual)),
        }
    }
    (missing, wrong_size)
}

/// Fails unless everything that a manifest needs is there, and is what it is stated to be.
pub(super) fn complete(secured: Secured) -> Result<(), PublishError> {
    if !secured.malformed.is_empty() {
        let problem = |(digest, why): (Digest, String)| {
            format!("it lists {digest} as a manifest, but that is not the one described: {why}")
        };
        return Err(ManifestError::Invalid(secured.malformed.into_iter().map(problem).collect()).into());
    }
    if secured.is_whole() {
        return Ok(());
    }
    let (missing, wrong_size) = sort(secured.bad);
    Err(PublishError::Blobs { missing, wrong_size, unresolved: secured.unresolved })
}
