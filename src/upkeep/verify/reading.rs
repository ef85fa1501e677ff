//! Reading one object to its end, to see whether it is what its key says.

use futures_util::TryStreamExt as _;

use super::Finding;
use crate::domain::{Digest, Hasher};
use crate::layout::{self, LayoutKey};
use crate::store::{Key, ObjectStore, StoreError};

/// What a look at one object shows.
pub(super) enum Checked {
    /// A blob with the right bytes, so many.
    Sound(u64),
    /// A tombstone or hint, or a blob that was deleted since it was listed.
    NoBlob,
    /// A generation of a blob that is not what it should be, and why.
    Damaged(Digest, u64, String),
    Bad(Finding),
}

pub(super) async fn check_object(store: &dyn ObjectStore, key: &Key) -> Result<Checked, StoreError> {
    match LayoutKey::parse(key) {
        Some(LayoutKey::Blob(digest, generation)) => Ok(match read_blob(store, key, digest).await? {
            Reading::Sound(bytes) => Checked::Sound(bytes),
            Reading::Gone => Checked::NoBlob,
            Reading::Wrong(actual) => {
                Checked::Damaged(digest, generation, format!("its bytes have the digest {actual}"))
            }
            Reading::Unreadable(error) => Checked::Damaged(digest, generation, error.to_string()),
        }),
        // The oldest head of a name: the name must be listed, or nobody would find what it refers to.
        Some(LayoutKey::Head(name, 1)) => {
            let mark = LayoutKey::Name(name.clone()).key();
            let listed = store.head(&mark).await?.is_some();
            Ok(if listed { Checked::NoBlob } else { Checked::Bad(Finding::UnlistedName { name }) })
        }
        _ if layout::is_stranger(key) => Ok(Checked::Bad(Finding::UnknownKey { key: key.to_string() })),
        _ => Ok(Checked::NoBlob),
    }
}

/// What reading all bytes under a key comes to.
pub(crate) enum Reading {
    /// They have the digest; so many they are.
    Sound(u64),
    /// They have this one instead.
    Wrong(Digest),
    /// They cannot be read, and trying again does not help.
    Unreadable(StoreError),
    /// There are none.
    Gone,
}

pub(crate) async fn read_blob(store: &dyn ObjectStore, key: &Key, digest: Digest) -> Result<Reading, StoreError> {
    match hash(store, key).await {
        Ok(None) => Ok(Reading::Gone),
        Ok(Some((actual, size))) if actual == digest => Ok(Reading::Sound(size)),
        Ok(Some((actual, _))) => Ok(Reading::Wrong(actual)),
        Err(error) if error.is_retryable() => Err(error),
        // It may have been deleted while it was read.
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
