//! Aliases: what SHA-512 digests stand for. Registry clients may name blobs and manifests by them; stored and needed is what
//! has the SHA-256 digest.
//!
//! An alias is created by whoever has hashed the bytes both ways ([`BothDigests`] is the proof), and never changed or
//! deleted: it is a fact about bytes, whether these are stored or not, like a tombstone. So there is nothing to race with.
//! What an alias says today it says for ever, and a publisher and a collector that both read it read the same. An alias
//! proves nothing about the bytes being there: that is looked at under the SHA-256 digest, like everything else.
//!
//! A manifest may name what it needs by SHA-512. It is published only if all its aliases are there and durable, before
//! what they lead to is looked at (step P2). If one is missing later, the manifest counts as one that cannot be read: a
//! collector that needs it ends its run.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use tokio::time::Duration;

use super::absences::Absences;
use super::documents::{self, Creation};
use crate::domain::manifest::Aliases;
use crate::domain::{BothDigests, Digest, Sha512};
use crate::layout;
use crate::store::{Key, ObjectStore, StoreError, StoreErrorKind};

/// Format version of the documents that this binary writes and reads.
const FORMAT: u32 = 1;
/// Largest document that is read, in bytes.
const MAX_BYTES: u64 = 4 << 10;
/// Aliases remembered, at less than 300 bytes each.
const REMEMBERED: u64 = 16 << 10;
/// Aliases read concurrently.
const READ_AHEAD: usize = 16;
/// Missing aliases of a manifest after which no further ones are looked for.
const MOST_MISSING: usize = 100;

/// The stored document.
#[derive(Serialize, Deserialize)]
struct Alias {
    format: u32,
    /// The digest of the same bytes.
    digest: Digest,
}

/// The aliases in a store.
#[derive(Debug)]
pub struct AliasIndex {
    store: Arc<dyn ObjectStore>,
    /// Aliases never change, so none of these is ever wrong.
    known: Cache<Sha512, Digest>,
    absent: Absences<Sha512>,
}

impl AliasIndex {
    /// The aliases in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        let known = Cache::builder().max_capacity(REMEMBERED).build();
        Self { store, known, absent: Absences::default() }
    }

    /// What a digest stands for. `None` if there is no alias.
    ///
    /// # Errors
    /// When the store fails, or holds an alias that cannot be read.
    pub async fn resolve(&self, sha512: &Sha512) -> Result<Option<Digest>, StoreError> {
        if let Some(digest) = self.known.get(sha512) {
            return Ok(Some(digest));
        }
        let found = read(&*self.store, sha512).await?;
        if let Some(digest) = found {
            self.known.insert(*sha512, digest);
        }
        Ok(found)
    }

    /// As [`AliasIndex::resolve`], for callers who may be anybody: what was found absent at most `age` ago is not looked for
    /// again, and few look at once.
    ///
    /// # Errors
    /// As [`AliasIndex::resolve`].
    pub async fn resolve_for_anybody(&self, sha512: &Sha512, age: Duration) -> Result<Option<Digest>, StoreError> {
        if let Some(digest) = self.known.get(sha512) {
            return Ok(Some(digest));
        }
        if self.absent.holds(sha512, age) {
            return Ok(None);
        }
        let search = self.absent.search().await;
        let found = self.resolve(sha512).await?;
        if found.is_none() {
            self.absent.add(sha512, &search);
        }
        Ok(found)
    }

    /// What these digests stand for, as far as there are aliases. Gives up once too many are missing.
    ///
    /// # Errors
    /// As [`AliasIndex::resolve`].
    pub async fn resolve_all(&self, digests: &[Sha512]) -> Result<Aliases, StoreError> {
        let mut found = Vec::with_capacity(digests.len().min(1024));
        let mut missing = 0;
        let mut looked_up = stream::iter(digests)
            .map(|sha512| async move { Ok::<_, StoreError>((*sha512, self.resolve(sha512).await?)) })
            .buffered(READ_AHEAD)
            .boxed();
        while let Some((sha512, digest)) = looked_up.try_next().await? {
            match digest {
                Some(digest) => found.push((sha512, digest)),
                None => missing += 1,
            }
            if missing == MOST_MISSING {
                break;
            }
        }
        drop(looked_up);
        Ok(found.into_iter().collect())
    }

    /// Stores an alias, durably. It proves itself.
    ///
    /// # Errors
    /// When the store fails, or holds another alias for the digest: that one is damaged.
    pub async fn add(&self, both: &BothDigests) -> Result<(), StoreError> {
        let (sha512, digest) = (both.sha512(), both.sha256());
        let key = layout::alias(&sha512);
        let bytes = documents::encode(&key, &Alias { format: FORMAT, digest })?;
        let is_own = |stored: &bytes::Bytes| Ok::<_, StoreError>(decode(&key, stored)? == digest);
        match documents::create(&*self.store, &key, bytes, MAX_BYTES, is_own).await? {
            Creation::Own => {}
            Creation::Other => return Err(damaged(&key, "it stands for other bytes than have this digest")),
            Creation::Gone => {
                return Err(StoreError::new(StoreErrorKind::Unavailable, &key, "deleted while it was made"));
            }
        }
        self.absent.remove(&sha512);
        self.known.insert(sha512, digest);
        Ok(())
    }

    /// Makes the aliases durable that a version relies on: another process may have created them only just now.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn persist(&self, aliases: &Aliases) -> Result<(), StoreError> {
        let keys: Vec<Key> = aliases.names().map(layout::alias).collect();
        if keys.is_empty() { Ok(()) } else { self.store.persist(&keys).await }
    }
}

/// What a digest stands for, as the store has it.
///
/// # Errors
/// When the store fails, or the alias cannot be read.
pub(crate) async fn read(store: &dyn ObjectStore, sha512: &Sha512) -> Result<Option<Digest>, StoreError> {
    let key = layout::alias(sha512);
    let bytes = documents::read_bytes(store, &key, MAX_BYTES).await?;
    bytes.map(|bytes| decode(&key, &bytes)).transpose()
}

fn decode(key: &Key, bytes: &[u8]) -> Result<Digest, StoreError> {
    let Alias { format, digest } = documents::decode(key, bytes)?;
    if format == FORMAT {
        return Ok(digest);
    }
    let why = format!("it is of format {format}, written by a newer larder; this one reads format {FORMAT}");
    Err(StoreError::new(StoreErrorKind::Newer, key, why))
}

fn damaged(key: &Key, why: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, key, why)
}
