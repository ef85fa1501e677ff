//! Reading one object completely, to check whether it matches its key.

use futures_util::TryStreamExt as _;

use super::Finding;
use crate::domain::{Digest, Hasher, Sha512};
use crate::layout::{self, LayoutKey};
use crate::protocol::aliases;
use crate::store::{Key, List, ObjectMeta, ObjectStore, StoreError};

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
        _ => match layout::aliased(key) {
            Some(sha512) => check_alias(store, key, &sha512).await,
            None => Ok(Checked::NoBlob),
        },
    }
}

/// Checks an alias: it can be read, and the bytes that it leads to, if they are stored and sound, have the digest.
async fn check_alias(store: &dyn ObjectStore, key: &Key, sha512: &Sha512) -> Result<Checked, StoreError> {
    let bad = |why: String| Ok(Checked::Bad(Finding::DamagedAlias { key: key.to_string(), why }));
    let digest = match aliases::read(store, sha512).await {
        Ok(Some(digest)) => digest,
        Ok(None) => return Ok(Checked::NoBlob),
        Err(error) if error.is_retryable() => return Err(error),
        Err(error) => return bad(error.to_string()),
    };
    let copies: Vec<ObjectMeta> = store.list(&layout::blob(&digest), List::default()).try_collect().await?;
    for copy in copies {
        let Some(LayoutKey::Blob(..)) = LayoutKey::parse(&copy.key) else { continue };
        let mut hasher = Hasher::with_sha512();
        match hash_into(store, &copy.key, &mut hasher).await {
            Ok(Some(_)) => {}
            Err(error) if error.is_retryable() => return Err(error),
            // What is wrong with the copy is a finding about that.
            Ok(None) | Err(_) => continue,
        }
        if let Some(both) = hasher.finish_both().filter(|both| both.sha256() == digest) {
            let is_right = both.sha512() == *sha512;
            return if is_right {
                Ok(Checked::NoBlob)
            } else {
                bad(format!("the bytes of {digest} have another digest"))
            };
        }
    }
    Ok(Checked::NoBlob)
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
    let mut hasher = Hasher::new();
    let size = hash_into(store, key, &mut hasher).await?;
    Ok(size.map(|size| (hasher.finish(), size)))
}

/// Hashes an object, and returns its size.
async fn hash_into(store: &dyn ObjectStore, key: &Key, hasher: &mut Hasher) -> Result<Option<u64>, StoreError> {
    let Some(mut object) = store.get(key, None).await? else { return Ok(None) };
    while let Some(chunk) = object.body.try_next().await? {
        hasher.update(&chunk);
    }
    Ok(Some(object.meta.size))
}
