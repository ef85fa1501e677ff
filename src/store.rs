//! The storage seam: what Larder requires of an object store, and the backends that implement it.
//!
//! Deals in keys and bytes only. Must never know what a manifest, a version or HTTP is, and never hash for policy.
//! Objects are write-once: there is no overwrite and no compare-and-swap, and create-if-absent is the only conditional
//! operation.

mod error;
pub mod fs;
mod key;
pub mod s3;

use std::fmt;
use std::io::IoSliceMut;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use rustix::io::{ReadWriteFlags, preadv2};

use crate::shares::Owner;

pub use error::{StoreError, StoreErrorKind};
pub use fs::FsStore;
pub use key::{Key, KeyError, MAX_KEY, Prefix};
pub use s3::S3Store;

/// The result of every store operation.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Whether a create-if-absent call created the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// This call created it.
    New,
    /// The object existed already, or another writer won the race. It holds that writer's bytes.
    AlreadyExists,
}

/// Metadata of an object, available without reading its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The object's key, without any prefix that the backend adds.
    pub key: Key,
    /// Its length in bytes.
    pub size: u64,
    /// When it was created, by the store's own clock.
    pub modified: Timestamp,
}

/// An object that was looked up.
#[derive(Debug, Clone)]
pub struct FoundObject {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Its file, if the backend has one.
    pub file: Option<Arc<std::fs::File>>,
}

/// A half-open range of bytes. The caller guarantees `start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset one past the last byte; clamped to the object's length.
    pub end: u64,
}

/// An object opened for reading.
pub struct Object {
    /// Metadata of the whole object, even if only a range is read.
    pub meta: ObjectMeta,
    /// The bytes of the object or of the requested range. A stream that ends without an error is complete.
    pub body: BoxStream<'static, Result<Bytes>>,
    /// The same bytes as a slice of a local file, if the backend has one, for callers that can use a file descriptor
    /// directly.
    pub file: Option<FileSlice>,
}

/// A slice of an open file. The file is never written to, and its bytes stay readable after it is unlinked.
#[derive(Debug, Clone)]
pub struct FileSlice {
    /// The open file.
    pub file: Arc<std::fs::File>,
    /// Offset of the first byte.
    pub start: u64,
    /// Offset one past the last byte.
    pub end: u64,
    /// The bytes themselves, if the slice is small and was read on opening.
    pub bytes: Option<Bytes>,
}

/// Smallest read-ahead of the kernel, in bytes.
const READ_AHEAD: u64 = 128 * 1024;

impl FileSlice {
    /// Whether the bytes are in the page cache, judged by the last one and, if there are more than one read-ahead of them,
    /// the first. Bytes in between have been read ahead, or cost only a short wait.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        let mut byte = [0];
        let mut is = |at| preadv2(&*self.file, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT) == Ok(1);
        is(self.end.saturating_sub(1)) && (self.length() <= READ_AHEAD || is(self.start))
    }

    /// Number of bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// Number of files that this process may have open at once; a very large number if there is no limit.
#[must_use]
pub fn files_allowed() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Whether a file is still linked, so that it could be opened again by its name.
#[must_use]
pub fn has_name(file: &std::fs::File) -> bool {
    rustix::fs::fstat(file).is_ok_and(|stat| stat.st_nlink > 0)
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl Object {
    /// Collects the body into memory. The caller must know that it is small.
    ///
    /// # Errors
    /// [`StoreErrorKind::Corrupt`] if there are more than `limit` bytes, otherwise whatever reading fails with.
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

/// Options of a listing.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// List only keys that sort after this one.
    pub start_after: Option<Key>,
    /// Stop after this many objects.
    pub limit: Option<usize>,
    /// Return only the first key of each group. A key's group is its beginning up to and including the first occurrence
    /// of this delimiter; a key without it is a group of its own. The cost is proportional to the number of groups, not
    /// of keys.
    pub first_of: Option<&'static str>,
    /// Yield an error of kind [`StoreErrorKind::Unreadable`] for each object that this process may not read, and continue.
    /// Without this option they are listed like others. Only files have permissions of their own.
    pub check_readable: bool,
    /// Continue past entries that are not objects (the name is not a legal [`Key`], or it is not a regular file). For
    /// each one the stream yields an error of kind [`StoreErrorKind::Stray`], which does not count towards the limit.
    /// Without this option such an entry ends the listing, as any other error does.
    pub past_strays: bool,
}

/// An unfinished multipart object that outlives the process that began it: any process with this handle may continue
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The key under which the object will appear.
    pub key: Key,
    /// The store's id for it: at most 1 KiB of printable ASCII.
    pub id: String,
}

/// A part that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Part number, from 1 without gaps, at most [`MAX_PARTS`].
    pub number: u32,
    /// Length in bytes.
    pub size: u64,
    /// The store's tag for these bytes: at most 256 bytes of printable ASCII.
    pub tag: String,
}

/// Maximum number of parts of an object.
pub const MAX_PARTS: u32 = 10_000;
/// Minimum size of a part, except the last one, in bytes.
pub const MIN_PART: u64 = 5 << 20;

/// An unfinished object, as [`PartStore::unfinished`] lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The handle to continue or abort it with.
    pub parts: Parts,
    /// When it was begun, by the store's own clock.
    pub begun: Timestamp,
}

/// How to presign an object for a client that fetches it from the store directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresignOptions {
    /// How long the URL stays valid.
    pub valid_for: std::time::Duration,
    /// `Content-Type` of the response.
    pub media_type: String,
    /// `Content-Disposition` of the response.
    pub disposition: String,
}

/// Prefixes that [`ObjectStore::list_each`] lists concurrently, unless a store does better.
const LISTED_AT_ONCE: usize = 16;

/// A directory or bucket of immutable objects. See the crate documentation for what is built on it.
///
/// All methods may be called any number of times, concurrently, and from any number of processes. A cancelled call
/// leaves either nothing or the complete object behind, never part of one.
#[async_trait]
pub trait ObjectStore: Send + Sync + fmt::Debug {
    /// Metadata of the object under `key`, or `None`. Sees every object whose creation finished before the call.
    async fn head(&self, key: &Key) -> Result<Option<ObjectMeta>>;

    /// Like [`ObjectStore::head`], with the object's file, if it is a file of this machine. It may be open for nothing but
    /// looking at its metadata.
    async fn find(&self, key: &Key) -> Result<Option<FoundObject>> {
        Ok(self.head(key).await?.map(|meta| FoundObject { meta, file: None }))
    }

    /// Opens the object under `key`, or a range of it that must start within it. `None` if there is no such object. If
    /// the object is deleted while it is read, the body is either complete or ends with an error, never short.
    async fn get(&self, key: &Key, range: Option<ByteRange>) -> Result<Option<Object>>;

    /// Creates a small object if `key` is free: of all callers racing for a key, exactly one gets [`Created::New`].
    /// Once either result is returned, the object is durable. After an error the object may exist (the reply may have
    /// been lost): read the key back to find out.
    async fn create(&self, key: &Key, bytes: Bytes) -> Result<Created>;

    /// Begins a streamed object. It stays invisible until [`Upload::commit`].
    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>>;

    /// Creates `to` with the bytes of `from` if `to` is free, without transferring them through the caller. `None` if
    /// `from` does not exist. Same guarantees as [`Upload::commit`].
    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Created>>;

    /// Like [`ObjectStore::copy`], from an object that its only writer deletes afterwards: until then both may share their
    /// bytes, and `from` may be gone already. Costs no copy where the store can do without.
    async fn hand_over(&self, from: &Key, to: &Key) -> Result<Option<Created>> {
        self.copy(from, to).await
    }

    /// Deletes the object under `key`. Idempotent: a missing key is not an error.
    async fn delete(&self, key: &Key) -> Result<()>;

    /// Creates an empty object under each of `keys` that is free. On return each key has an object, but not necessarily
    /// a durable one: call [`ObjectStore::persist`] for that, best with many keys at once. After an error any of the
    /// objects may exist. The order is unspecified.
    async fn create_empty(&self, keys: &[Key]) -> Result<()> {
        for key in keys {
            self.create(key, Bytes::new()).await?;
        }
        Ok(())
    }

    /// Deletes the objects under `keys`, with the same semantics as [`ObjectStore::delete`] for each. After an error
    /// any of them may be deleted. The order is unspecified.
    async fn delete_all(&self, keys: &[Key]) -> Result<()> {
        for key in keys {
            self.delete(key).await?;
        }
        Ok(())
    }

    /// Lists the objects whose keys start with `prefix`, in the byte order of their keys. Shows every object whose
    /// creation finished before the call began and that is not deleted in the meantime. A listing is not a snapshot: of
    /// two objects, one created before the other is deleted, it may show neither. An error ends the stream (but see
    /// [`List::past_strays`]); a listing that ends without one is complete.
    fn list(&self, prefix: &Prefix, options: List) -> BoxStream<'_, Result<ObjectMeta>>;

    /// What [`ObjectStore::list`] yields for each of these prefixes, past strays and what cannot be read. For many prefixes with few objects each.
    async fn list_each(&self, prefixes: &[Prefix]) -> Result<Vec<Vec<Result<ObjectMeta>>>> {
        let list = |prefix| {
            let options = List { past_strays: true, check_readable: true, ..List::default() };
            async move { self.list(prefix, options).collect().await }
        };
        let listings: Vec<BoxFuture<'_, Vec<Result<ObjectMeta>>>> = prefixes.iter().map(|p| list(p).boxed()).collect();
        Ok(stream::iter(listings).buffered(LISTED_AT_ONCE).collect().await)
    }

    /// Makes the objects under `keys` durable, whichever process created them. Required before relying on an object
    /// that this process saw but did not create: its creator may not have synced it yet. A no-op for stores that only
    /// show durable objects.
    async fn persist(&self, keys: &[Key]) -> Result<()> {
        let _ = keys;
        Ok(())
    }

    /// Whether objects are files of this machine, so that looking at the bytes of one costs no request.
    fn has_files(&self) -> bool {
        false
    }

    /// Whether there is certainly no object under `key` now, as far as that can be told without waiting. `false` is
    /// inconclusive.
    fn is_certainly_absent(&self, key: &Key) -> bool {
        let _ = key;
        false
    }

    /// A presigned URL with which a client can fetch the object under `key` directly from the store for a limited time.
    /// `None` if the store does not support this. Does not check that the object exists.
    async fn presign(&self, key: &Key, options: &PresignOptions) -> Result<Option<String>> {
        let _ = (key, options);
        Ok(None)
    }
}

/// A store that also supports multipart objects, which outlive the process that began them.
#[async_trait]
pub trait PartStore: ObjectStore {
    /// Begins a multipart object, whose parts may be written by any number of processes, one after another. It stays
    /// invisible until [`PartStore::commit_parts`], and exists until that or [`PartStore::abort_parts`].
    async fn begin_parts(&self, key: &Key) -> Result<Parts>;

    /// Writes part `number`, which starts at `offset` in the object. All parts but the last have the same size, at
    /// least [`MIN_PART`]. On return the part is durable. Writing a part again replaces it; the same bytes get the same
    /// tag. `None` if the object has been committed or aborted in the meantime.
    async fn write_part(&self, parts: &Parts, number: u32, offset: u64, bytes: Bytes) -> Result<Option<Part>>;

    /// Assembles these parts, in order, into a visible and durable object. Same guarantees as [`Upload::commit`].
    /// `None` if it has been aborted in the meantime or a part is not the one that was written; some engines also
    /// return this if there are parts besides these. Committing again returns either `None` or
    /// [`Created::AlreadyExists`].
    async fn commit_parts(&self, parts: &Parts, written: &[Part]) -> Result<Option<Created>>;

    /// Aborts a multipart object and discards its parts. Idempotent: one that no longer exists is not an error.
    async fn abort_parts(&self, parts: &Parts) -> Result<()>;

    /// Lists the objects that were begun, in parts or as an [`Upload`], and neither committed nor aborted, as far as
    /// the store tracks them. A bucket also shows uploads that other applications began below our prefix without
    /// telling them apart: the caller must decide by the key.
    fn unfinished(&self) -> BoxStream<'_, Result<Unfinished>>;
}

/// An uncommitted streamed object. Dropping it aborts it.
#[async_trait]
pub trait Upload: Send {
    /// Appends bytes. After an error or a cancelled call the upload can only be aborted.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// On whose account it takes memory from now on, where that is scarce.
    fn set_owner(&mut self, _owner: Owner) {}

    /// To be called now and then while few bytes arrive: gives memory back if that is possible. After an error the
    /// upload can only be aborted; [`StoreErrorKind::Unavailable`] also says that others need its memory.
    async fn relax(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes the object visible and durable if its key is still free. Same guarantees as [`ObjectStore::create`] with
    /// one exception: of callers in several processes racing for a key, more than one may get [`Created::New`], and the
    /// object of any of them remains. Buckets cannot do better for large objects. So a key that is streamed or copied
    /// to must either determine its bytes or have a single writer, and no caller may conclude anything from having been
    /// first.
    async fn commit(self: Box<Self>) -> Result<Created>;

    /// Aborts the upload and discards its bytes.
    async fn abort(self: Box<Self>);
}
