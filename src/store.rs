//! The write-once seam: what Larder needs of an object store, and the backends behind it.
//!
//! Knows keys and bytes. Must never know what a manifest, a version or HTTP is, and never hash for policy.
//! There is no overwrite and no compare-and-swap: create-if-absent is the one conditional operation.

mod error;
pub mod fs;
mod key;
pub mod s3;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;

pub use error::{StoreError, StoreErrorKind};
pub use fs::FsStore;
pub use key::{Key, KeyError, MAX_KEY, Prefix};
pub use s3::S3Store;

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
    /// The same bytes in a file of this machine, if they are in one, for whoever can do more with it than read.
    pub file: Option<FileSlice>,
}

/// Bytes of an open file. The file is never written to, and keeps its bytes if its name is removed.
#[derive(Debug, Clone)]
pub struct FileSlice {
    /// The file.
    pub file: Arc<std::fs::File>,
    /// Where the bytes begin.
    pub start: u64,
    /// Where they end: the first byte that is not part of them.
    pub end: u64,
    /// The bytes themselves, if they are few and were read already.
    pub bytes: Option<Bytes>,
}

impl FileSlice {
    /// Whether the file still has a name, so that it could be opened again.
    #[must_use]
    pub fn has_name(&self) -> bool {
        rustix::fs::fstat(&*self.file).is_ok_and(|stat| stat.st_nlink > 0)
    }
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
    /// Continue after something that is not an object (its name is no legal [`Key`], or it is no regular file): the
    /// stream then shows an error of the kind [`StoreErrorKind::Stray`] for it, which counts for no limit, and what
    /// comes after it. Otherwise it ends the listing, like every other error.
    pub past_strays: bool,
}

/// An object in the making that outlives the process that began it: whoever knows this may go on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The key that the object will have.
    pub key: Key,
    /// What the store calls it: at most 1 KiB of printable ASCII.
    pub id: String,
}

/// One part that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which one, from 1 without gaps; at most [`MAX_PARTS`].
    pub number: u32,
    /// Its length in bytes.
    pub size: u64,
    /// What the store calls these bytes: at most 256 bytes of printable ASCII.
    pub tag: String,
}

/// Most parts of an object.
pub const MAX_PARTS: u32 = 10_000;
/// Fewest bytes of a part that is not the last one.
pub const MIN_PART: u64 = 5 << 20;

/// An object in the making that a store found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// How to go on with it, or abort it.
    pub parts: Parts,
    /// When it was begun, by the store's own clock.
    pub begun: Timestamp,
}

/// How a client is to be handed an object that it fetches from the store itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresignOptions {
    /// How long the address works.
    pub valid_for: std::time::Duration,
    /// `Content-Type` of the answer.
    pub media_type: String,
    /// `Content-Disposition` of the answer.
    pub disposition: String,
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
    /// `from` is gone. Same guarantees as [`Upload::commit`].
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
    /// two objects, one of which is created before the other is deleted, it may show neither. An error ends the stream
    /// (but see [`List::past_strays`]): a listing that ends without one is complete.
    fn list(&self, prefix: &Prefix, options: List) -> BoxStream<'_, Result<ObjectMeta>>;

    /// Once this returns, the objects under `keys` survive a crash of the machine, whoever created them. Needed
    /// before relying on an object that was seen, not created: another process may still be in the middle of
    /// making it durable. Stores that show only what is durable have nothing to do.
    async fn persist(&self, keys: &[Key]) -> Result<()> {
        let _ = keys;
        Ok(())
    }

    /// An address from which whoever has it can fetch the object under `key` without asking us, for a while. `None` when
    /// the store has no such addresses. Whether the object exists is not looked at.
    async fn presign(&self, key: &Key, options: &PresignOptions) -> Result<Option<String>> {
        let _ = (key, options);
        Ok(None)
    }
}

/// A store that can also make objects of parts, which outlive the process that began them.
#[async_trait]
pub trait PartStore: ObjectStore {
    /// Begins an object that is written in parts, by any number of processes one after the other. Nothing is visible
    /// before [`PartStore::commit_parts`], and it stays until that or [`PartStore::abort_parts`].
    async fn begin_parts(&self, key: &Key) -> Result<Parts>;

    /// Writes part `number`, which begins at `offset` of the object. Every part but the last has the same size, at least
    /// [`MIN_PART`]. When this returns, the part survives a crash of the machine. Writing a part again replaces it, and
    /// the same bytes get the same tag. `None` when the object was committed or aborted meanwhile.
    async fn write_part(&self, parts: &Parts, number: u32, offset: u64, bytes: Bytes) -> Result<Option<Part>>;

    /// Makes the object of these parts, in their order, visible and durable. Same guarantees as [`Upload::commit`].
    /// `None` when it was aborted meanwhile, or when a part is not the one that was written; some engines also answer so
    /// when there are parts beside these. What was committed before is either `None` or [`Created::AlreadyExists`].
    async fn commit_parts(&self, parts: &Parts, written: &[Part]) -> Result<Option<Created>>;

    /// Gives an object in parts up; nothing of it remains. One that is gone already is no error.
    async fn abort_parts(&self, parts: &Parts) -> Result<()>;

    /// Lists the objects that were begun, in parts or as an [`Upload`], and neither committed nor aborted, as far as
    /// the store remembers them. A bucket also shows what other applications have begun below our prefix, and does not
    /// tell whose it is: the caller must go by the keys.
    fn unfinished(&self) -> BoxStream<'_, Result<Unfinished>>;
}

/// A streamed object in the making. Dropping it aborts it.
#[async_trait]
pub trait Upload: Send {
    /// Appends bytes. After an error or a cancelled call the upload can only be aborted.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes the object visible and durable if its key is still free. Same guarantees as [`ObjectStore::create`], but
    /// for one: of callers in several processes that race for a key, more than one may get [`Created::New`], and the
    /// object of any of them stays. Buckets cannot do better for large objects. So a key that is streamed or copied to
    /// must determine its bytes, or have one writer; and nobody may draw a conclusion from having been first.
    async fn commit(self: Box<Self>) -> Result<Created>;

    /// Gives the upload up; nothing of it remains.
    async fn abort(self: Box<Self>);
}
