//! The directory of the cache: which blobs are cached, how much space they use, and the order of eviction.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::domain::Digest;
use crate::store::fs::open_regular;

/// Minimum interval between updates of a file's modification time, which records the last read.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// Blobs evicted before their files are removed, which bounds the time that the index is locked.
const BATCH: usize = 256;

/// A cached blob.
#[derive(Debug, Clone, Copy)]
struct Entry {
    size: u64,
    /// Its position in the order of use.
    turn: u64,
    used: Instant,
    touched: Option<Instant>,
}

#[derive(Debug, Default)]
struct Index {
    entries: HashMap<Digest, Entry>,
    /// Least recently used first.
    order: BTreeMap<u64, Digest>,
    next_turn: u64,
    /// Bytes of all entries, and of fetches in progress.
    bytes: u64,
    /// Those of fetches in progress alone, which cannot be evicted.
    reserved: u64,
    /// Evicted blobs whose files are about to be removed. Nothing may be kept under their names meanwhile.
    leaving: HashSet<Digest>,
}

impl Index {
    fn insert(&mut self, digest: Digest, size: u64, used: Instant) {
        let turn = self.turn();
        self.order.insert(turn, digest);
        let entry = Entry { size, turn, used, touched: None };
        if let Some(before) = self.entries.insert(digest, entry) {
            self.order.remove(&before.turn);
            self.bytes -= before.size;
        }
    }

    fn remove(&mut self, digest: Digest) {
        if let Some(entry) = self.entries.remove(&digest) {
            self.order.remove(&entry.turn);
            self.bytes -= entry.size;
        }
    }

    /// Evicts the least recently used blobs for which `must_go` holds; at most [`BATCH`]. Their files remain to be
    /// removed.
    fn evict(&mut self, must_go: impl Fn(&Self, &Entry) -> bool) -> Vec<Digest> {
        let mut victims = Vec::new();
        while victims.len() < BATCH
            && let Some(digest) = self.order.first_key_value().map(|(_, digest)| *digest)
            && self.entries.get(&digest).is_some_and(|entry| must_go(self, entry))
        {
            self.remove(digest);
            self.leaving.insert(digest);
            victims.push(digest);
        }
        victims
    }

    /// Gives back reserved space.
    fn release(&mut self, size: u64) {
        self.bytes -= size;
        self.reserved -= size;
    }

    fn turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }
}

/// The cache directory. Its lock is held for the lifetime of this value.
#[derive(Debug)]
pub(super) struct CacheIndex {
    directory: PathBuf,
    size: u64,
    unused_for: Duration,
    clock: Arc<dyn Clock>,
    index: Arc<Mutex<Index>>,
    /// Removes a file. A test makes it slow.
    pub(super) remove_file: fn(&Path) -> io::Result<()>,
    _lock: File,
}

/// Space reserved for a blob that is being fetched, and the file it is written to. Dropping it releases both.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) file: Arc<File>,
    path: PathBuf,
    size: u64,
    index: Arc<Mutex<Index>>,
    kept: bool,
}

impl CacheIndex {
    pub(super) fn open(directory: &Path, size: u64, unused_for: Duration, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let partial = directory.join("partial");
        fs::create_dir_all(&partial)?;
        let lock = open_regular(File::options().write(true).create(true).truncate(false), &directory.join("lock"))?;
        let lock = lock.ok_or_else(|| io::Error::other("its file `lock` is not a regular file; remove it"))?;
        if lock.try_lock().is_err() {
            return Err(io::Error::other("another server uses this directory; give each its own"));
        }
        for file in fs::read_dir(&partial)? {
            let file = file?;
            // Whatever else lies there takes no space that is accounted for here.
            if !file.file_type()?.is_dir() {
                fs::remove_file(file.path())?;
            }
        }
        let (directory, index) = (directory.to_path_buf(), Arc::default());
        let remove_file = |path: &Path| fs::remove_file(path);
        let shelf = Self { directory, size, unused_for, clock, index, remove_file, _lock: lock };
        shelf.take_stock()?;
        shelf.tidy();
        Ok(shelf)
    }

    /// Indexes the files of an earlier process, in the order in which they were last read.
    fn take_stock(&self) -> io::Result<()> {
        let mut found = Vec::new();
        for directory in fs::read_dir(&self.directory)? {
            let directory = directory?;
            if directory.file_name().len() != 2 || !directory.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(directory.path())? {
                let file = file?;
                let digest = file.file_name().to_str().and_then(|name| Digest::from_hex(name).ok());
                let Some(digest) = digest else { continue };
                let metadata = file.metadata()?;
                if !metadata.is_file() {
                    continue;
                }
                found.push((metadata.modified()?, digest, metadata.len()));
            }
        }
        found.sort_unstable_by_key(|(used, ..)| *used);
        let mut index = self.index();
        for (used, digest, size) in found {
            let ago = used.elapsed().unwrap_or_default();
            let now = Instant::now();
            index.insert(digest, size, now.checked_sub(ago).unwrap_or(now));
            index.bytes += size;
        }
        Ok(())
    }

    pub(super) fn size(&self, digest: Digest) -> Option<u64> {
        self.index().entries.get(&digest).map(|entry| entry.size)
    }

    /// Opens a cached blob.
    pub(super) fn take(&self, digest: Digest) -> io::Result<Option<(File, u64, Timestamp)>> {
        let Some(size) = self.size(digest) else { return Ok(None) };
        let Some(file) = open_regular(File::options().read(true), &self.path(digest))? else {
            return self.forget(digest);
        };
        let metadata = file.metadata()?;
        // The file was changed by another process. Bytes of another length are not those that were verified.
        if metadata.len() != size {
            return self.forget(digest);
        }
        if self.is_used(digest) {
            // Only affects the order of eviction after a restart.
            let _ = file.set_modified(self.clock.now().into());
        }
        let modified = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
        Ok(Some((file, size, modified.unwrap_or(Timestamp::UNIX_EPOCH))))
    }

    /// Removes a blob.
    pub(super) fn forget<T>(&self, digest: Digest) -> io::Result<Option<T>> {
        self.index().remove(digest);
        match fs::remove_file(self.path(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(None),
        }
    }

    /// Records a read of a blob. Returns whether the file's modification time should be updated.
    fn is_used(&self, digest: Digest) -> bool {
        let mut index = self.index();
        let turn = index.turn();
        let Some(entry) = index.entries.get_mut(&digest) else { return false };
        let before = std::mem::replace(&mut entry.turn, turn);
        entry.used = Instant::now();
        let tell = entry.touched.is_none_or(|touched| touched.elapsed() >= TOUCH_EVERY);
        if tell {
            entry.touched = Some(entry.used);
        }
        index.order.remove(&before);
        index.order.insert(turn, digest);
        tell
    }

    /// Reserves space for a blob, evicting others. `None` when it does not fit beside the fetches in progress. Blocks
    /// while files are removed.
    pub(super) fn reserve(&self, size: u64) -> io::Result<Option<Reservation>> {
        loop {
            let victims = {
                let mut index = self.index();
                if index.reserved.saturating_add(size) > self.size {
                    return Ok(None);
                }
                let victims = index.evict(|index, _| index.bytes.saturating_add(size) > self.size);
                if victims.is_empty() {
                    index.bytes += size;
                    index.reserved += size;
                    break;
                }
                victims
            };
            self.remove_files(victims);
        }
        let (path, index) = (self.directory.join("partial").join(random_name()?), Arc::clone(&self.index));
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let give_back = |error| {
            self.index().release(size);
            error
        };
        let file = Arc::new(file.map_err(give_back)?);
        Ok(Some(Reservation { file, path, size, index, kept: false }))
    }

    /// Adds a blob that was fetched and verified.
    pub(super) fn keep(&self, digest: Digest, mut place: Reservation) -> io::Result<()> {
        // Without the sync, a crash of the machine could leave a file of the right name and length with other bytes.
        place.file.sync_data()?;
        if self.index().leaving.contains(&digest) {
            // Evicted just before it was fetched again; its next reader keeps it.
            return Ok(());
        }
        let path = self.path(digest);
        fs::create_dir_all(path.parent().unwrap_or(&self.directory))?;
        fs::rename(&place.path, &path)?;
        place.kept = true;
        let mut index = self.index();
        index.reserved -= place.size;
        index.insert(digest, place.size, Instant::now());
        metrics::gauge!("larder_cache_bytes").set(as_float(index.bytes));
        Ok(())
    }

    /// Evicts blobs that were not read for the configured time.
    pub(super) fn tidy(&self) {
        loop {
            let due = |index: &Index, entry: &Entry| index.bytes > self.size || entry.used.elapsed() >= self.unused_for;
            let victims = self.index().evict(due);
            if victims.is_empty() {
                break;
            }
            self.remove_files(victims);
        }
        metrics::gauge!("larder_cache_bytes").set(as_float(self.index().bytes));
    }

    /// Removes the files of evicted blobs, without holding up those who look for others. Readers that have a file open
    /// are not affected. If the process dies first, the next one indexes what is left.
    fn remove_files(&self, victims: Vec<Digest>) {
        for digest in victims {
            metrics::counter!("larder_cache_evictions_total").increment(1);
            if let Err(error) = (self.remove_file)(&self.path(digest)) {
                tracing::warn!(blob.digest = %digest, %error, "a cached blob cannot be removed");
            }
            self.index().leaving.remove(&digest);
        }
    }

    fn path(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.directory.join(&hex[..2]).join(hex)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
            self.index.lock().unwrap_or_else(PoisonError::into_inner).release(self.size);
        }
    }
}

fn random_name() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(hex::encode(random))
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
fn as_float(number: u64) -> f64 {
    number as f64
}
