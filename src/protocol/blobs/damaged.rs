//! Copies of blobs that this process found damaged, and the check of small blobs on their way to readers.
//!
//! Damage is remembered until the process ends, or until a later look finds the bytes sound: to everybody who reads or
//! publishes, damaged bytes are not there. So readers never get them, and whoever publishes the same file again uploads
//! it again, which replaces them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures_util::StreamExt as _;
use tokio::sync::Notify;

use crate::domain::{Digest, Hasher};
use crate::layout::LayoutKey;
use crate::store::{FileSlice, Key, Object, StoreError, StoreErrorKind};

/// Most digests that are remembered; a store with more damage needs its operator first of all.
const MOST: usize = 10_000;
/// Blobs in files of at most this many bytes are read and compared before they are sent. Larger ones are sent by the
/// kernel without being looked at, and are checked by the scrub.
pub(super) const SMALL: u64 = 256 << 10;
/// Bytes read from a file at a time.
const CHUNK: usize = 64 << 10;

/// The damaged copies that are known here.
#[derive(Debug, Default)]
pub struct Damaged {
    copies: RwLock<BTreeMap<Digest, BTreeSet<u64>>>,
    found: Notify,
}

impl Damaged {
    /// Remembers that the bytes of this generation do not have their digest.
    pub fn add(&self, digest: Digest, generation: u64) {
        let mut copies = self.write();
        if copies.len() >= MOST && !copies.contains_key(&digest) {
            tracing::error!(blob.digest = %digest, "more blobs are damaged than are kept track of");
        } else if copies.entry(digest).or_default().insert(generation) {
            tracing::error!(blob.digest = %digest, generation, "the bytes of a blob are damaged; it counts as missing");
            self.found.notify_one();
        }
    }

    /// Like [`Damaged::add`], by the key of the bytes.
    pub(super) fn report(&self, key: &Key) {
        if let Some(LayoutKey::Blob(digest, generation)) = LayoutKey::parse(key) {
            self.add(digest, generation);
        }
    }

    /// Forgets the damage of a generation: it is gone, or a look found nothing wrong.
    pub fn remove(&self, digest: &Digest, generation: u64) {
        let mut copies = self.write();
        if let Some(generations) = copies.get_mut(digest) {
            generations.remove(&generation);
            if generations.is_empty() {
                copies.remove(digest);
            }
        }
    }

    /// Whether any copy of this digest is damaged.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        self.read().contains_key(digest)
    }

    /// The damaged copies, as digest and generation.
    #[must_use]
    pub fn all(&self) -> Vec<(Digest, u64)> {
        let copies = self.read();
        let each = copies.iter().flat_map(|(digest, all)| all.iter().map(|generation| (*digest, *generation)));
        each.collect()
    }

    /// Waits until damage is found that was not known before.
    pub async fn found(&self) {
        self.found.notified().await;
    }

    pub(super) fn has(&self, digest: &Digest, generation: u64) -> bool {
        self.read().get(digest).is_some_and(|generations| generations.contains(&generation))
    }

    pub(super) fn generations(&self, digest: &Digest) -> Vec<u64> {
        self.read().get(digest).into_iter().flatten().copied().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Digest, BTreeSet<u64>>> {
        self.copies.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Digest, BTreeSet<u64>>> {
        self.copies.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the bytes behind an object have this digest, as far as that can be told before they are sent: if they are in
/// a small file. `None` if they have another one.
///
/// # Errors
/// When the file cannot be read.
pub(super) async fn checked(object: Object, digest: Digest) -> Result<Option<Object>, StoreError> {
    let Some(slice) = object.file.clone().filter(|_| object.meta.size <= SMALL) else { return Ok(Some(object)) };
    let whole = slice.bytes.as_ref().filter(|bytes| bytes.len() as u64 == object.meta.size);
    let actual = if let Some(bytes) = whole {
        Digest::of(bytes)
    } else {
        let size = object.meta.size;
        let read = tokio::task::spawn_blocking(move || digest_of(&slice, size)).await;
        read.map_err(io::Error::other).flatten().map_err(|error| StoreError::io(&object.meta.key, error))?
    };
    Ok((actual == digest).then_some(object))
}

/// The digest of a whole file. May block.
fn digest_of(slice: &FileSlice, size: u64) -> io::Result<Digest> {
    let (mut hasher, mut buffer, mut at) = (Hasher::new(), vec![0; CHUNK], 0);
    while at < size {
        let length = usize::try_from(size - at).unwrap_or(CHUNK).min(CHUNK);
        slice.file.read_exact_at(&mut buffer[..length], at)?;
        hasher.update(&buffer[..length]);
        at += length as u64;
    }
    Ok(hasher.finish())
}

/// Hashes the bytes of a whole blob as they are sent, unless the kernel sends them from a file. If they have another
/// digest, they are reported, and the stream ends with an error in place of its last chunk, so that no reader takes it
/// for complete.
pub(super) fn watched(object: Object, digest: Digest, damaged: &Arc<Damaged>) -> Object {
    if object.file.is_some() {
        return object;
    }
    let (meta, damaged) = (object.meta.clone(), Arc::clone(damaged));
    let (mut hasher, mut received) = (Some(Hasher::new()), 0);
    let body = object.body.map(move |chunk| {
        let chunk = chunk?;
        received += chunk.len() as u64;
        if let Some(hasher) = &mut hasher {
            hasher.update(&chunk);
        }
        if received >= meta.size && hasher.take().is_some_and(|hasher| hasher.finish() != digest) {
            damaged.report(&meta.key);
            return Err(StoreError::new(StoreErrorKind::Corrupt, &meta.key, "the stored bytes have another digest"));
        }
        Ok(chunk)
    });
    Object { meta: object.meta, body: body.boxed(), file: None }
}
