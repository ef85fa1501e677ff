//! Why a run of the collector ends before its time.

use crate::domain::{Digest, LogName, RunId};
use crate::layout::marker::LayoutError;
use crate::protocol::ChangeError;
use crate::store::{Key, StoreError, StoreErrorKind};

/// Why a run ended early. It deletes nothing more; what makes it doubt what is needed is found before it deletes anything,
/// unless the store is gone through in several passes.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The store failed, or holds what cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store's layout is not one to collect in.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Versions could not be retired.
    #[error("cannot retire versions: {0}")]
    Change(#[from] ChangeError),
    /// There is an object whose meaning is unknown, so it may be a reference.
    #[error("{0} is not an object that this version of larder knows; move it out of the store")]
    UnknownKey(Key),
    /// A version's manifest is gone, so nobody knows what it needs.
    #[error("the manifest {digest} of {name}@{version} is gone; `larder verify` says what else is")]
    LostManifest {
        /// The name.
        name: LogName,
        /// The version.
        version: u64,
        /// Its manifest.
        digest: Digest,
    },
    /// Names were published to once, but not a single head is there.
    #[error(
        "there are names but no heads: part of the store is not mounted, or was lost; restore it from a backup (or, if \
         nothing was ever published, publish something)"
    )]
    NoHeads,
    /// Heads are never deleted, so the number of names cannot shrink.
    #[error(
        "{now} names have heads, but the run {run} found {before}: part of the store is not mounted, or was lost; restore \
         it from a backup, or remove collector/ from the store if you took it back to an earlier state on purpose"
    )]
    LostNames {
        /// How many there are.
        now: u64,
        /// How many there were.
        before: u64,
        /// When there were.
        run: RunId,
    },
    /// The digests of a 256th of the store do not fit.
    #[error("the digests of the store do not fit into collector.memory; raise it")]
    Memory,
    /// It was asked to stop.
    #[error("asked to stop")]
    Stopped,
}

impl CollectError {
    pub(super) fn task(error: tokio::task::JoinError) -> Self {
        StoreError::new(StoreErrorKind::Internal, "collector", error).into()
    }
}
