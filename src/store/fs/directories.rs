//! Directories that are created once, made durable once, and never removed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

use super::super::error::FileFault;
use super::step::{Step, Steps};

/// Maximum number of directories remembered as durable. Beyond it the set is cleared, which only costs redundant syncs.
const REMEMBERED: usize = 100_000;

#[derive(Debug)]
pub(super) struct Directories {
    root: PathBuf,
    durable: Mutex<HashSet<PathBuf>>,
    steps: Arc<dyn Steps>,
}

impl Directories {
    pub(super) fn new(root: PathBuf, steps: Arc<dyn Steps>) -> Self {
        Self { root, durable: Mutex::default(), steps }
    }

    /// Creates `directory` and its ancestors up to the root, durably. A directory that exists already is synced too,
    /// unless this process did so before: the process that created it may not have synced it yet.
    pub(super) fn ensure(&self, directory: &Path) -> io::Result<()> {
        let Some(parent) = directory.parent().filter(|_| directory != self.root) else { return Ok(()) };
        if self.remembered().contains(directory) {
            return Ok(());
        }
        self.ensure(parent)?;
        self.steps.before(Step::MakeDirectory)?;
        match fs::create_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            // Something else may be in its place, for instance a link out of the store.
            Err(_) if !fs::symlink_metadata(directory)?.is_dir() => {
                return Err(FileFault::Foreign(directory.to_path_buf()).into());
            }
            _ => self.sync(parent)?,
        }
        let mut durable = self.remembered();
        if durable.len() >= REMEMBERED {
            durable.clear();
        }
        durable.insert(directory.to_path_buf());
        Ok(())
    }

    /// Makes the entries of `directory` durable.
    pub(super) fn sync(&self, directory: &Path) -> io::Result<()> {
        self.steps.before(Step::SyncDirectory)?;
        fs::File::open(directory)?.sync_all()
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
