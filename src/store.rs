//! The write-once seam: what Larder needs of an object store, and the backends behind it.
//!
//! Knows keys and bytes. Must never know what a manifest, a version or HTTP is, and never hash for policy.
//! There is no overwrite and no compare-and-swap: create-if-absent is the one conditional operation.

mod error;
pub mod fs;
mod key;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;

pub use error::{StoreError, StoreErrorKind};
pub use fs::FsStore;
pub use key::{Key, KeyError, MAX_KEY, Prefix};

/// What every operation of a store returns.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Whether a create-if-absent made the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// This call made it.
    New,
    /// It was there before, or another writer was first. The object holds that writer's bytes.
    AlreadyExists,
}

/// What a store knows of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its key.
    pub key: Key,
    /// Its length in bytes.
    pub size: u64,
    /// When it was created, by the store's own clock.
    pub modified: Timestamp,
}

/// A half-open range of bytes. The caller makes sure that `start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte; cut off at the object's end.
    pub end: u64,
}

/// An object that is being read.
pub struct Object {
    /// What the store knows of the whole object.
    pub meta: ObjectMeta,
    /// Its bytes, or those of the range. A stream that ends without an error was complete.
    pub body: BoxStream<'static, Result<Bytes>>,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl Object {
    /// Collects the body, which the caller knows to be small.
    ///
    /// # Errors
    /// [`StoreErrorKind::Corrupt`] when there are more than `limit` bytes, else what reading fails with.
    pub async fn bytes(mut self, limit: u64) -> Result<Bytes> {
        use futures_util::TryStreamExt as _;
        if self.meta.size > limit {
            let text = format!("object of {} bytes where at most {limit} are expected", self.meta.size);
            return Err(StoreError::new(StoreErrorKind::Corrupt, &self.meta.key, text));
        }
        let mut all = Vec::with_capacity(usize::try_from(self.meta.size).unwrap_or(0));
        while let Some(chunk) = self.body.try_next().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }
}

/// How to list.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// Only keys that sort after this one.
    pub start_after: Option<Key>,
    /// Stop after this many.
    pub limit: Option<usize>,
    /// Show only the first key of each group. The group of a key is what it begins with, up to and including the first
    /// occurrence of this text; a key without it is a group of its own. Costs about as much as the groups, not as the
    /// keys in them.
    pub first_of: Option<&'static str>,
}

/// A directory or bucket of immutable objects. See the crate's documentation for what is built on it.
///
/// Common to all methods: they may be called any number of times and from any number of processes at once; a
/// cancelled call leaves either nothing or the complete object behind, never a part of it.
#[async_trait]
pub trait ObjectStore: Send + Sync + fmt::Debug {
    /// What is stored under `key`, or `None`. Sees every object whose creation finished before the call.
    async fn head(&self, key: &Key) -> Result<Option<ObjectMeta>>;

    /// Opens the object under `key`, or a range of it that must start within it. `None` when there is none. An
    /// object that is deleted while it is read either reads to its end or ends in an error, never short.
    async fn get(&self, key: &Key, range: Option<ByteRange>) -> Result<Option<Object>>;

    /// Creates a small object if `key` is free: of all the callers racing for a key exactly one gets
    /// [`Created::New`]. When either answer is given, the object survives a crash of the machine. After an error
    /// the object may exist (a lost reply): read the key back to find out.
    async fn create(&self, key: &Key, bytes: Bytes) -> Result<Created>;

    /// Begins a streamed object. Nothing is visible before [`Upload::commit`].
    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>>;

    /// Creates `to` with the bytes of `from` if `to` is free, without moving them through the caller. `None` when
    /// `from` is gone. Same guarantees as [`ObjectStore::create`].
    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Created>>;

    /// Deletes the object under `key`. A key that is not there is no error.
    async fn delete(&self, key: &Key) -> Result<()>;

    /// Creates an empty object under each of `keys` that is free. Once this returns, there is an object under each key;
    /// whether it survives a crash of the machine is for [`ObjectStore::persist`] to settle, best for many at once. After
    /// an error any of them may exist. The order is not defined.
    async fn create_empty(&self, keys: &[Key]) -> Result<()> {
        for key in keys {
            self.create(key, Bytes::new()).await?;
        }
        Ok(())
    }

    /// Deletes the objects under `keys`, as [`ObjectStore::delete`] would one by one. After an error any of them may be
    /// gone. The order is not defined.
    async fn delete_all(&self, keys: &[Key]) -> Result<()> {
        for key in keys {
            self.delete(key).await?;
        }
        Ok(())
    }

    /// Lists the objects whose keys start with `prefix`, in the byte order of their keys. Shows every object whose
    /// creation finished before the call began and that is not deleted meanwhile. So it is no picture of one moment: of
    /// two objects, one of which is created before the other is deleted, it may show neither. An error ends the stream: a
    /// listing that ends without one is complete.
    fn list(&self, prefix: &Prefix, options: List) -> BoxStream<'_, Result<ObjectMeta>>;

    /// Once this returns, the objects under `keys` survive a crash of the machine, whoever created them. Needed
    /// before relying on an object that was seen, not created: another process may still be in the middle of
    /// making it durable. Stores that show only what is durable have nothing to do.
    async fn persist(&self, keys: &[Key]) -> Result<()> {
        let _ = keys;
        Ok(())
    }
}

/// A streamed object in the making. Dropping it aborts it.
#[async_trait]
pub trait Upload: Send {
    /// Appends bytes. After an error or a cancelled call the upload can only be aborted.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes the object visible and durable if its key is still free. Same guarantees as
    /// [`ObjectStore::create`].
    async fn commit(self: Box<Self>) -> Result<Created>;

    /// Gives the upload up; nothing of it remains.
    async fn abort(self: Box<Self>);
}
