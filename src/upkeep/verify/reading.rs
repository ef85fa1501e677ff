//! Reading one object completely, to check whether it matches its key.

use futures_util::TryStreamExt as _;

use super::Finding;
use crate::domain::{Digest, Hasher};
use crate::layout::{self, LayoutKey};
use crate::store::{Key, ObjectStore, StoreError};

/// The result of checking one object.
pub(super) enum Checked {
    /// A blob with the right digest, and its size in bytes.
    Sound(u64),
    /// A tombstone or hint, or a blob that was deleted since it was listed.
    NoBlob,
    /// A damaged generation of a blob, and what is wrong with it.
    Damaged(Digest, u64, String),
    Bad(Finding),
}

/// Checks one object. `begins_log` is true for the first key of its log in the listing.
pub(super) async fn check_object(store: &dyn ObjectStore, key: &Key, begins_log: bool) -> Result<Checked, StoreError> {
    match LayoutKey::parse(key) {
        Some(LayoutKey::Blob(digest, generation)) => Ok(match read_blob(store, key, digest).await? {
            Reading::Sound(bytes) => Checked::Sound(bytes),
            Reading::Gone => Checked::NoBlob,
            Reading::Wrong(actual) => {
                Checked::Damaged(digest, generation, format!("its bytes have the digest {actual}"))
            }
            Reading::Unreadable(error) => Checked::Damaged(digest, generation, error.to_string()),
        }),
        // The log must have a mark, or its versions would not be listed for any user.
        Some(LayoutKey::Head(name, _)) if begins_log => {
            let mark = LayoutKey::Name(name.clone()).key();
            let listed = store.head(&mark).await?.is_some();
            Ok(if listed { Checked::NoBlob } else { Checked::Bad(Finding::UnlistedName { name }) })
        }
        _ if layout::is_stranger(key) => Ok(Checked::Bad(Finding::UnknownKey { key: key.to_string() })),
        _ => Ok(Checked::NoBlob),
    }
}

/// The result of reading all bytes under a key.
pub(crate) enum Reading {
    /// They have the expected digest; their size.
    Sound(u64),
    /// They have this digest instead.
    Wrong(Digest),
    /// They cannot be read, and a retry does not help.
    Unreadable(StoreError),
    /// There is no object.
    Gone,
}

pub(crate) async fn read_blob(store: &dyn ObjectStore, key: &Key, digest: Digest) -> Result<Reading, StoreError> {
    match hash(store, key).await {
        Ok(None) => Ok(Reading::Gone),
        Ok(Some((actual, size))) if actual == digest => Ok(Reading::Sound(size)),
        Ok(Some((actual, _))) => Ok(Reading::Wrong(actual)),
        Err(error) if error.is_retryable() => Err(error),
        // The object may have been deleted during the read.
        Err(error) => match store.head(key).await {
            Ok(None) => Ok(Reading::Gone),
            Err(again) if again.is_retryable() => Err(again),
            Ok(Some(_)) | Err(_) => Ok(Reading::Unreadable(error)),
        },
    }
}

/// The digest and the size of an object.
pub(crate) async fn hash(store: &dyn ObjectStore, key: &Key) -> Result<Option<(Digest, u64)>, StoreError> {
    let Some(mut object) = store.get(key, None).await? else { return Ok(None) };
    let mut hasher = Hasher::new();
    while let Some(chunk) = object.body.try_next().await? {
        hasher.update(&chunk);
    }
    Ok(Some((hasher.finish(), object.meta.size)))
}
