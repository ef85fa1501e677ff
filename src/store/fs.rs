//! The filesystem backend: a directory of immutable files.
//!
//! `ROOT/objects/KEY` holds the objects, `ROOT/staging/` files that are being written, and `ROOT/parts/` multipart
//! objects, which processes may write one after another. An object is staged, synced, and linked into place: `link(2)`
//! is the create-if-absent, atomic among threads and processes. Then the directory is synced, after every new directory
//! above it. Directories are never removed, so one that was made durable once needs no second check.

mod copies;
mod directories;
mod list;
mod open;
mod part_store;
mod parts;
mod pieces;
mod read;
mod staging;
mod step;
mod upload;

use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, statat, unlinkat};
use rustix::io::Errno;
use tokio::sync::Semaphore;

use super::{
    ByteRange, Created, FoundObject, Key, List, Object, ObjectMeta, ObjectStore, Prefix, Result, StoreError, Upload,
};
use directories::Directories;
use pieces::Pieces;
use staging::Staged;
use upload::FsUpload;

pub(crate) use open::regular as open_regular;
pub use staging::STALE_AFTER;
pub use step::{NoFaults, Step, Steps};

/// Maximum number of directories that are synced individually. Beyond that the whole file system is synced once, which
/// also waits for unrelated writes, but avoids a disk flush for each directory.
const SYNCED_EACH: usize = 512;

/// What the keys of secrets begin with. Only the user that runs the server may read their files.
const SECRETS: &str = "aux/keys/";

/// Maximum number of prefixes that are listed without waiting for a turn.
const FEW: usize = 16;

/// A store in a directory of a filesystem. Cheap to clone. Any number of processes on one machine may share it. Over
/// NFS, processes on different machines see each other's objects in time only if clients cache neither names nor their
/// absence (`lookupcache=none,noac`); without that the guarantees of [`ObjectStore`] do not hold.
#[derive(Debug, Clone)]
pub struct FsStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    objects: PathBuf,
    staging: PathBuf,
    parts: PathBuf,
    directories: Directories,
    pieces: Arc<Pieces>,
    long_calls: Semaphore,
    steps: Arc<dyn Steps>,
}

impl FsStore {
    /// Opens the store in `root`, creating the directory if necessary.
    ///
    /// # Errors
    /// If the directories cannot be created or made durable.
    pub fn open(root: &Path) -> Result<Self> {
        Self::with_steps(root, Arc::new(NoFaults))
    }

    /// Opens an existing store in `root` without creating anything, so that read-only stores can be inspected.
    ///
    /// # Errors
    /// If there is no store in `root`.
    pub fn open_existing(root: &Path) -> Result<Self> {
        let objects = root.join("objects");
        fs::read_dir(&objects).map_err(|error| StoreError::io(objects.display(), error))?;
        Ok(Self::over(root, Arc::new(NoFaults)))
    }

    /// Like [`FsStore::open`], but calls `steps` before every system call. It may fail the call or end the process,
    /// which is how tests simulate full disks and power loss.
    ///
    /// # Errors
    /// As [`FsStore::open`].
    pub fn with_steps(root: &Path, steps: Arc<dyn Steps>) -> Result<Self> {
        let prepare = || {
            for directory in ["objects", "staging", "parts"] {
                fs::create_dir_all(root.join(directory))?;
            }
            fs::File::open(root)?.sync_all()?;
            // The directory itself may be new, so its parent is synced. We may lack permission to open the parent,
            // which is no reason to fail.
            let above = root.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let _ = fs::File::open(above).and_then(|directory| directory.sync_all());
            Ok(())
        };
        prepare().map_err(|error| StoreError::io(root.display(), error))?;
        Ok(Self::over(root, steps))
    }

    fn over(root: &Path, steps: Arc<dyn Steps>) -> Self {
        // The store itself may be behind symbolic links; below it none are followed. Resolved once, so that lookups need
        // not tell the two apart.
        let resolved = |path: PathBuf| fs::canonicalize(&path).unwrap_or(path);
        let root = resolved(root.to_path_buf());
        let (objects, staging) = (resolved(root.join("objects")), root.join("staging"));
        let directories = Directories::new(objects.clone(), Arc::clone(&steps));
        let (parts, pieces) = (root.join("parts"), Arc::default());
        let long_calls = Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get));
        Self { inner: Arc::new(Inner { objects, staging, parts, directories, pieces, long_calls, steps }) }
    }

    /// Removes stale staged files, whose writers have died, and returns how many. A live writer in any process holds a
    /// lock on its file; in addition, no file younger than [`STALE_AFTER`] is removed.
    ///
    /// # Errors
    /// If the staging directory cannot be read.
    pub async fn sweep_staging(&self) -> io::Result<usize> {
        let inner = Arc::clone(&self.inner);
        blocking(move || staging::sweep(&inner.staging)).await
    }
}

impl Inner {
    fn path(&self, key: &Key) -> PathBuf {
        self.objects.join(key.as_str())
    }

    /// An object, which need not be readable, opened only to look at its metadata. May block.
    fn look(&self, key: &Key) -> io::Result<Option<(fs::File, fs::Metadata)>> {
        self.steps.before(Step::Open)?;
        open::with_metadata(open::object(&self.objects, key, open::LOOK)?)
    }

    /// Like [`Inner::look`], if the kernel has the whole path cached. `None` is inconclusive. Never blocks.
    fn look_cached(&self, key: &Key) -> io::Result<Option<(fs::File, fs::Metadata)>> {
        let Some(file) = open::cached(&self.objects, key, open::LOOK) else { return Ok(None) };
        self.steps.before(Step::Open)?;
        open::with_metadata(Some(file))
    }

    /// What was found under a key, if this process may read it.
    fn readable(&self, key: &Key, found: Option<(fs::File, fs::Metadata)>) -> io::Result<Option<FoundObject>> {
        let Some((file, metadata)) = found else { return Ok(None) };
        let meta = self.readable_meta(key, &metadata)?;
        Ok(Some(FoundObject { meta, file: Some(Arc::new(file)) }))
    }

    fn readable_meta(&self, key: &Key, metadata: &fs::Metadata) -> io::Result<ObjectMeta> {
        read::check_readable(&self.path(key), metadata)?;
        Ok(object_meta(key.clone(), metadata))
    }

    /// Opens or at least finds an object using only what the kernel has cached. `None` is inconclusive: it may exist
    /// all the same. Never blocks.
    fn open_cached(
        &self,
        key: &Key,
        range: Option<ByteRange>,
    ) -> io::Result<Option<std::result::Result<Object, read::OpenedFile>>> {
        let found = read::find_cached(&self.objects, key, range, &*self.steps)?;
        found.map(|found| found.open_cached(&self.steps)).transpose()
    }

    /// Opens an object, reusing the result of an earlier lookup if there is one.
    fn open(&self, key: &Key, range: Option<ByteRange>, found: Option<read::OpenedFile>) -> io::Result<Option<Object>> {
        let found = match found {
            Some(found) => Some(found),
            None => read::find(&self.objects, key, range, &*self.steps)?,
        };
        found.map(|found| found.open(&self.steps)).transpose()
    }

    fn stage(&self) -> io::Result<Staged> {
        Staged::new(&self.staging, Arc::clone(&self.steps))
    }

    fn create(&self, key: &Key, bytes: &[u8]) -> io::Result<Created> {
        if self.look(key)?.is_some() {
            return self.found(key);
        }
        let mut staged = self.stage()?;
        if key.as_str().starts_with(SECRETS) {
            staged.close_to_others()?;
        }
        staged.write(bytes)?;
        self.publish(staged, key)
    }

    /// Links a staged file into place and makes the link durable.
    #[expect(clippy::needless_pass_by_value, reason = "whatever happens, the staged name is gone at the end")]
    fn publish(&self, staged: Staged, key: &Key) -> io::Result<Created> {
        staged.sync()?;
        self.link(key, |path| staged.link(path))
    }

    /// Makes the link of an object durable, and the directories above it.
    fn link(&self, key: &Key, link: impl FnOnce(&Path) -> io::Result<Created>) -> io::Result<Created> {
        let path = self.path(key);
        let directory = path.parent().unwrap_or(&self.objects);
        self.directories.ensure(directory)?;
        open::check_parent(&self.objects, key)?;
        let created = link(&path)?;
        self.directories.sync(directory)?;
        Ok(created)
    }

    /// Handles an object that another writer created: it counts only once it is durable.
    fn found(&self, key: &Key) -> io::Result<Created> {
        self.persist(std::slice::from_ref(key))?;
        Ok(Created::AlreadyExists)
    }

    /// Creates empty objects as links to one empty file, so that each costs a directory entry but no inode.
    fn create_empty(&self, keys: &[Key]) -> io::Result<()> {
        let (staged, mut directory) = (self.stage()?, None);
        staged.sync()?;
        for key in keys {
            let path = self.path(key);
            let above = path.parent().unwrap_or(&self.objects);
            // Keys come sorted, so this happens once for each directory.
            if directory.as_deref() != Some(above) {
                if open::parent(&self.objects, key)?.is_none() {
                    self.directories.ensure(above)?;
                    open::check_parent(&self.objects, key)?;
                }
                directory = Some(above.to_path_buf());
            }
            staged.link_empty(&path)?;
        }
        Ok(())
    }

    fn delete(&self, key: &Key) -> io::Result<()> {
        self.steps.before(Step::Delete)?;
        let Some((directory, name)) = open::parent(&self.objects, key)? else { return Ok(()) };
        match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_file() => {}
            // Not an object, for instance a directory that holds other objects.
            Ok(_) | Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        match unlinkat(&directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn persist(&self, keys: &[Key]) -> io::Result<()> {
        // Texts are compared ten times as fast as paths.
        let directory = |key| Key::as_str(key).rsplit_once('/').map_or("", |(directory, _)| directory);
        let directories: BTreeSet<&str> = keys.iter().map(directory).collect();
        if directories.len() > SYNCED_EACH {
            self.steps.before(Step::SyncDirectory)?;
            return Ok(rustix::fs::syncfs(fs::File::open(&self.objects)?)?);
        }
        for directory in directories.into_iter().map(|directory| self.objects.join(directory)) {
            self.directories.ensure(&directory)?;
            self.directories.sync(&directory)?;
        }
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for FsStore {
    fn has_files(&self) -> bool {
        true
    }

    fn is_certainly_absent(&self, key: &Key) -> bool {
        open::is_known_absent(&self.inner.objects, key, &*self.inner.steps)
    }

    async fn head(&self, key: &Key) -> Result<Option<ObjectMeta>> {
        Ok(self.find(key).await?.map(|found| found.meta))
    }

    async fn find(&self, key: &Key) -> Result<Option<FoundObject>> {
        let found = self.inner.look_cached(key).and_then(|found| self.inner.readable(key, found));
        match found.map_err(|error| StoreError::io(key, error))? {
            Some(found) => Ok(Some(found)),
            None => self.on(key, move |inner, key| inner.readable(&key, inner.look(&key)?)).await,
        }
    }

    async fn get(&self, key: &Key, range: Option<ByteRange>) -> Result<Option<Object>> {
        let found = match self.inner.open_cached(key, range).map_err(|error| StoreError::io(key, error))? {
            Some(Ok(object)) => return Ok(Some(object)),
            Some(Err(found)) => Some(found),
            None => None,
        };
        self.on(key, move |inner, key| inner.open(&key, range, found)).await
    }

    async fn create(&self, key: &Key, bytes: Bytes) -> Result<Created> {
        self.on(key, move |inner, key| inner.create(&key, &bytes)).await
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>> {
        Ok(Box::new(FsUpload::new(self.clone(), key.clone())))
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Created>> {
        let to = to.clone();
        self.on(from, move |inner, from| inner.copy(&from, &to)).await
    }

    async fn hand_over(&self, from: &Key, to: &Key) -> Result<Option<Created>> {
        let to = to.clone();
        self.on(from, move |inner, from| inner.hand_over(&from, &to)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.on(key, |inner, key| inner.delete(&key)).await
    }

    async fn create_empty(&self, keys: &[Key]) -> Result<()> {
        let Some(first) = keys.first() else { return Ok(()) };
        let keys = keys.to_vec();
        self.on(first, move |inner, _| inner.create_empty(&keys)).await
    }

    async fn delete_all(&self, keys: &[Key]) -> Result<()> {
        let Some(first) = keys.first() else { return Ok(()) };
        let keys = keys.to_vec();
        self.on(first, move |inner, _| keys.iter().try_for_each(|key| inner.delete(key))).await
    }

    fn list(&self, prefix: &Prefix, options: List) -> BoxStream<'_, Result<ObjectMeta>> {
        list::stream(&self.inner.objects, prefix, options, Arc::clone(&self.inner.steps))
    }

    async fn list_each(&self, prefixes: &[Prefix]) -> Result<Vec<Vec<Result<ObjectMeta>>>> {
        // Long calls take turns, so that requests for many objects leave the processors to others now and then.
        let few = prefixes.len() <= FEW;
        let _turn = if few { None } else { self.inner.long_calls.acquire().await.ok() };
        let (inner, owned) = (Arc::clone(&self.inner), prefixes.to_vec());
        let work = move || Ok(owned.iter().map(|prefix| list::all(&inner.objects, prefix, &inner.steps)).collect());
        blocking(work).await.map_err(|error| StoreError::io("a listing", error))
    }

    async fn persist(&self, keys: &[Key]) -> Result<()> {
        let Some(first) = keys.first() else { return Ok(()) };
        let keys = keys.to_vec();
        self.on(first, move |inner, _| inner.persist(&keys)).await
    }
}

impl FsStore {
    /// Runs blocking work about `key` off the async runtime.
    async fn on<T: Send + 'static>(
        &self,
        key: &Key,
        work: impl FnOnce(Arc<Inner>, Key) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        let owned = key.clone();
        blocking(move || work(inner, owned)).await.map_err(|error| StoreError::io(key, error))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failed) => Err(io::Error::other(failed)),
    }
}

/// Maps "no such file" to `None`, but only while the store itself is there: if its file system was unmounted, nothing
/// may be taken for absent.
fn absent_is_none<T>(objects: &Path, result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // A parent that is missing, or that is a file, also means that the key is absent.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            if objects.is_dir() { Ok(None) } else { Err(Errno::STALE.into()) }
        }
        Err(error) => Err(error),
    }
}

fn object_meta(key: Key, metadata: &fs::Metadata) -> ObjectMeta {
    let modified = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
    ObjectMeta { key, size: metadata.len(), modified: modified.unwrap_or(Timestamp::UNIX_EPOCH) }
}
