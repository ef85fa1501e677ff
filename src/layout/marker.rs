//! The layout marker: the layout of a store, and which binaries may still read and write it.
//!
//! Like everything else the marker is a log: `layout/<n>` is created only if absent and never changed, and the highest
//! `n` counts. A store that is still being filled from another one also holds `layout/copying`, and cannot be opened
//! while it does.

mod gate;
mod watch;
mod writes;

use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::LayoutKey;
use crate::store::{Key, List, ObjectStore, StoreError, StoreErrorKind};

pub use gate::GatedStore;
pub use watch::Watch;

/// The layout that this binary reads and writes.
pub const CURRENT: u32 = 1;
/// Maximum size of a marker, in bytes.
const MAX_MARKER: u64 = 4096;

/// Content of a layout marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The layout of the store.
    pub layout: u32,
    /// The oldest layout whose binaries can still read this store.
    pub min_reader: u32,
    /// The oldest layout whose binaries can still write to this store.
    pub min_writer: u32,
}

impl Marker {
    /// The marker that an empty store gets.
    pub const NEWEST: Self = Self { layout: CURRENT, min_reader: 1, min_writer: 1 };

    /// Returns the marker if this binary may read the store.
    ///
    /// # Errors
    /// [`LayoutError::TooNew`] or [`LayoutError::TooOld`].
    pub fn readable(self) -> Result<Self, LayoutError> {
        if self.min_reader > CURRENT {
            let needed = self.min_reader.max(self.min_writer);
            Err(LayoutError::TooNew { layout: self.layout, needed })
        } else if self.layout < CURRENT {
            Err(LayoutError::TooOld(self.layout))
        } else {
            Ok(self)
        }
    }

    /// Returns the marker if this binary may also write to the store.
    ///
    /// # Errors
    /// Those of [`Marker::readable`], and [`LayoutError::ReadOnly`].
    pub fn writable(self) -> Result<Self, LayoutError> {
        let Self { layout, min_writer: needed, .. } = self.readable()?;
        if needed > CURRENT { Err(LayoutError::ReadOnly { layout, needed }) } else { Ok(self) }
    }
}

/// The layout state of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreState {
    /// The store holds no objects, apart from those of probes.
    Empty,
    /// The store holds objects, but no marker.
    Unmarked,
    /// The store is an unfinished copy of another one: `copy-store` is running or was interrupted.
    Unfinished,
    /// The store has a layout; this is its newest marker.
    Marked(Marker),
}

impl StoreState {
    fn readable(self) -> Result<Marker, LayoutError> {
        match self {
            Self::Empty | Self::Unmarked => Err(LayoutError::Unmarked),
            Self::Unfinished => Err(LayoutError::Unfinished),
            Self::Marked(marker) => marker.readable(),
        }
    }
}

/// The reason why a store cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The store should have a marker but has none.
    #[error(
        "the store has no layout marker: it is not a Larder store, or something is not mounted, or the marker was \
         lost; look at what is in it, and restore its layout/ directory from a backup if it is yours"
    )]
    Unmarked,
    /// The store is an unfinished copy.
    #[error(
        "the store is being filled by `larder copy-store`, which is at work or broke off: run it again, with the same \
         FROM and TO, until it says that the copy is finished"
    )]
    Unfinished,
    /// The store was migrated by a newer binary.
    #[error(
        "the store has layout {layout}, which needs a binary that knows layout {needed}; this one knows up to {CURRENT}: \
         install a newer larder"
    )]
    TooNew {
        /// The layout of the store.
        layout: u32,
        /// The oldest layout whose binaries may use it.
        needed: u32,
    },
    /// The store was migrated by a newer binary; this one may read it, but not write to it.
    #[error(
        "the store has layout {layout}, which only a binary that knows layout {needed} may write to; this one knows up \
         to {CURRENT} and may only read it: install a newer larder"
    )]
    ReadOnly {
        /// The layout of the store.
        layout: u32,
        /// The oldest layout whose binaries may write to it.
        needed: u32,
    },
    /// The store has an older layout.
    #[error("the store has layout {0}, this binary writes layout {CURRENT}: run `larder migrate` first")]
    TooOld(u32),
    /// A store operation failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads the newest marker.
///
/// # Errors
/// If the store fails or a marker cannot be read.
pub async fn find(store: &dyn ObjectStore) -> Result<StoreState, StoreError> {
    let found = look(store).await?;
    if found != StoreState::Unmarked {
        return Ok(found);
    }
    if is_empty(store).await? {
        return Ok(StoreState::Empty);
    }
    // Another process may have created the marker of an empty store between the first look and the check for emptiness.
    look(store).await
}

/// Reads the state from `layout/` alone, so an empty store appears as unmarked.
async fn look(store: &dyn ObjectStore) -> Result<StoreState, StoreError> {
    let (mut newest, mut copying) = (None, false);
    let mut listing = store.list(&super::markers(), List { past_strays: true, ..List::default() });
    while let Some(listed) = listing.next().await {
        let meta = match listed {
            // Files left behind by an editor or a file manager must not stop every server.
            Err(error) if error.kind == StoreErrorKind::Stray => continue,
            listed => listed?,
        };
        match LayoutKey::parse(&meta.key) {
            Some(LayoutKey::Marker(number)) => newest = newest.max(Some(number)),
            Some(LayoutKey::Copying) => copying = true,
            None if meta.key.is_hidden() => {}
            // A newer Larder may have put something there that changes the rules for the whole store.
            _ => return Err(StoreError::new(StoreErrorKind::Corrupt, meta.key, "not a layout marker")),
        }
    }
    drop(listing);
    match newest {
        _ if copying => Ok(StoreState::Unfinished),
        Some(number) => Ok(StoreState::Marked(read(store, &LayoutKey::Marker(number).key()).await?)),
        None => Ok(StoreState::Unmarked),
    }
}

/// Marks a store as an unfinished copy: until [`end_copy`] it cannot be opened. Idempotent.
///
/// # Errors
/// If the store fails.
pub async fn begin_copy(store: &dyn ObjectStore) -> Result<(), StoreError> {
    let says = "`larder copy-store` fills this store, or broke off. Run it again to finish it.\n";
    store.create(&LayoutKey::Copying.key(), says.into()).await.map(|_| ())
}

/// Removes the mark of [`begin_copy`]. The copy must be complete, including its layout marker.
///
/// # Errors
/// If the store fails.
pub async fn end_copy(store: &dyn ObjectStore) -> Result<(), StoreError> {
    store.delete(&LayoutKey::Copying.key()).await
}

/// Checks that this binary may read the store, and gives an empty store the current marker. Call [`Marker::writable`]
/// on the result to find out whether it may also write.
///
/// # Errors
/// A [`LayoutError`] that names the remedy.
pub async fn open(store: &dyn ObjectStore) -> Result<Marker, LayoutError> {
    match find(store).await? {
        StoreState::Empty => {
            write(store, Marker::NEWEST).await?;
            Ok(Marker::NEWEST)
        }
        state => state.readable(),
    }
}

/// Checks that this binary may read and write the store. Never writes: an empty store is an error here, because it
/// should have been opened before.
///
/// # Errors
/// A [`LayoutError`] that names the remedy.
pub async fn check(store: &dyn ObjectStore) -> Result<Marker, LayoutError> {
    check_readable(store).await?.writable()
}

/// Like [`check`], for processes that only read.
///
/// # Errors
/// A [`LayoutError`] that names the remedy.
pub async fn check_readable(store: &dyn ObjectStore) -> Result<Marker, LayoutError> {
    find(store).await?.readable()
}

/// Creates a marker if it is absent. An existing one must have the same content.
///
/// # Errors
/// If the store fails, or holds a different marker with this number.
pub async fn write(store: &dyn ObjectStore, marker: Marker) -> Result<(), StoreError> {
    let key = LayoutKey::Marker(marker.layout).key();
    let bytes = serde_json::to_vec(&marker).map_err(|error| StoreError::new(StoreErrorKind::Internal, &key, error))?;
    store.create(&key, bytes.into()).await?;
    let stored = read(store, &key).await?;
    if stored == marker {
        return Ok(());
    }
    Err(StoreError::new(StoreErrorKind::Corrupt, key, format!("another marker is stored: {stored:?}")))
}

async fn read(store: &dyn ObjectStore, key: &Key) -> Result<Marker, StoreError> {
    let gone = || StoreError::new(StoreErrorKind::Corrupt, key, "listed, but not there");
    let bytes = store.get(key, None).await?.ok_or_else(gone)?.bytes(MAX_MARKER).await?;
    serde_json::from_slice(&bytes).map_err(|error| StoreError::new(StoreErrorKind::Corrupt, key, error))
}

/// Whether the store holds nothing but the objects of other processes' probes.
async fn is_empty(store: &dyn ObjectStore) -> Result<bool, StoreError> {
    let everything = super::everything();
    let mut areas = store.list(&everything, List { first_of: Some(super::AREA), ..List::default() });
    while let Some(meta) = areas.try_next().await? {
        if !matches!(LayoutKey::parse(&meta.key), Some(LayoutKey::Probe(..))) {
            return Ok(false);
        }
    }
    Ok(true)
}
