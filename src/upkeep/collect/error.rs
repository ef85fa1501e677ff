//! Why a run of the collector ends early.

use crate::domain::{Digest, LogName};
use crate::layout::marker::LayoutError;
use crate::protocol::ChangeError;
use crate::store::{Key, StoreError, StoreErrorKind};
use crate::upkeep::seen::HeadLoss;

/// Why a run ended early. It deletes nothing after that. Doubt about what is needed is detected before the first
/// delete, except when the store is processed in several passes.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The store failed, or contains an unreadable object.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store's layout does not allow collecting.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Versions could not be retired.
    #[error("cannot retire versions: {0}")]
    Change(#[from] ChangeError),
    /// An object of unknown meaning exists, which may be a reference.
    #[error("{0} is not an object that this version of larder knows; move it out of the store")]
    UnknownKey(Key),
    /// A version's manifest is missing, so its needs are unknown.
    #[error("the manifest {digest} of {name}@{version} is gone; `larder verify` says what else is")]
    LostManifest {
        /// The name of the version.
        name: LogName,
        /// The number of the version.
        version: u64,
        /// The digest of its manifest.
        digest: Digest,
    },
    /// The mark of a name is there, which is created after its first head, but not a single head.
    #[error(
        "{name} has no heads, although there is {mark}: part of the store is not mounted, or was lost; restore it from a \
         backup (or remove that object, if you removed the name's heads on purpose)"
    )]
    NoHeads {
        /// The name without heads.
        name: LogName,
        /// The mark that shows that the name exists.
        mark: Key,
    },
    /// A head that an earlier run saw is missing, although heads are never deleted.
    #[error(
        "an earlier run saw generation {generation} of {name}, but {loss}: part of the store is not mounted, or was lost; \
         restore it from a backup (or, if you took the store back to an earlier state on purpose, remove collector/seen/ \
         from it)"
    )]
    LostHead {
        /// The name whose head was lost.
        name: LogName,
        /// The generation of the lost head.
        generation: u64,
        /// How the head was lost.
        loss: HeadLoss,
    },
    /// The digests of even a 256th of the store (one first byte) exceed the memory limit.
    #[error("the digests of the store do not fit into collector.memory; raise it")]
    Memory,
    /// The run was asked to stop.
    #[error("asked to stop")]
    Stopped,
}

impl CollectError {
    pub(super) fn task(error: tokio::task::JoinError) -> Self {
        StoreError::new(StoreErrorKind::Internal, "collector", error).into()
    }
}
