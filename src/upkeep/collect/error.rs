//! Why a run of the collector ends before its time.

use crate::domain::{Digest, LogName};
use crate::layout::marker::LayoutError;
use crate::protocol::ChangeError;
use crate::store::{Key, StoreError, StoreErrorKind};
use crate::upkeep::seen::HeadLoss;

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
    /// The mark of a name is there, which is created after its first head, but not a single head.
    #[error(
        "{name} has no heads, although there is {mark}: part of the store is not mounted, or was lost; restore it from a \
         backup (or remove that object, if you removed the name's heads on purpose)"
    )]
    NoHeads {
        /// The name.
        name: LogName,
        /// The mark that it exists.
        mark: Key,
    },
    /// Heads are never deleted, so what was seen once must be there.
    #[error(
        "an earlier run saw generation {generation} of {name}, but {loss}: part of the store is not mounted, or was lost; \
         restore it from a backup (or, if you took the store back to an earlier state on purpose, remove collector/seen/ \
         from it)"
    )]
    LostHead {
        /// The name.
        name: LogName,
        /// The head.
        generation: u64,
        /// What became of it.
        loss: HeadLoss,
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
