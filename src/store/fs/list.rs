//! Listing: a depth-first walk in the byte order of full keys, one directory at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use super::super::{Key, List, ObjectMeta, Prefix, Result, StoreError, StoreErrorKind};
use super::read::check_readable;
use super::step::{Step, Steps};
use super::{absent_is_none, blocking, object_meta, open};

/// Maximum number of objects that one trip to the blocking pool returns.
const BATCH: usize = 256;

pub(super) fn stream(
    root: &Path,
    prefix: &Prefix,
    options: List,
    steps: Arc<dyn Steps>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let walk = Walk::new(root, prefix, options, steps);
    stream::unfold(Some(walk), next_batch).map(stream::iter).flatten().boxed()
}

/// All objects below `prefix`, which are expected to be few, and strays and what cannot be read among them.
pub(super) fn all(root: &Path, prefix: &Prefix, steps: &Arc<dyn Steps>) -> Vec<Result<ObjectMeta>> {
    let options = List { past_strays: true, check_readable: true, ..List::default() };
    let mut walk = Walk::new(root, prefix, options, Arc::clone(steps));
    let mut all = Vec::new();
    while !walk.is_over() {
        all.append(&mut walk.batch());
    }
    all
}

async fn next_batch(walk: Option<Walk>) -> Option<(Vec<Result<ObjectMeta>>, Option<Walk>)> {
    let mut walk = walk?;
    let prefix = walk.shown.clone();
    let batch = blocking(move || Ok((walk.batch(), walk))).await;
    match batch {
        Ok((batch, _)) if batch.is_empty() => None,
        // Most listings are short and should not cost a second trip to the blocking pool.
        Ok((batch, walk)) => {
            let ended = walk.is_over();
            Some((batch, (!ended).then_some(walk)))
        }
        Err(error) => Some((vec![Err(StoreError::new(StoreErrorKind::Internal, prefix, error))], None)),
    }
}

/// A directory entry yet to be visited. `key` ends in `/` for a directory, so that sorting entries sorts the full keys
/// below them.
#[derive(Debug)]
struct Entry {
    key: String,
    /// Neither a directory nor a regular file, or its name is not UTF-8.
    stray: bool,
}

impl Entry {
    fn is_directory(&self) -> bool {
        self.key.ends_with('/')
    }
}

struct Walk {
    root: PathBuf,
    shown: String,
    /// Entries to visit; the next one is last.
    stack: Vec<Entry>,
    /// The part of the prefix after its last `/`, which only applies to the first directory.
    begins_with: Option<(String, String)>,
    start_after: String,
    left: usize,
    first_of: Option<&'static str>,
    past_strays: bool,
    check_readable: bool,
    failed: bool,
    steps: Arc<dyn Steps>,
}

impl Walk {
    fn new(root: &Path, prefix: &Prefix, options: List, steps: Arc<dyn Steps>) -> Self {
        let (directory, rest) = match prefix.as_str().rsplit_once('/') {
            Some((directory, rest)) => (format!("{directory}/"), rest),
            None => (String::new(), prefix.as_str()),
        };
        Self {
            root: root.to_path_buf(),
            shown: prefix.to_string(),
            stack: Vec::new(),
            begins_with: Some((directory, rest.to_owned())),
            start_after: options.start_after.map(|key| key.to_string()).unwrap_or_default(),
            left: options.limit.unwrap_or(usize::MAX),
            first_of: options.first_of,
            past_strays: options.past_strays,
            check_readable: options.check_readable,
            failed: false,
            steps,
        }
    }

    /// The next batch of objects. If its last item is an error, the walk is over.
    fn batch(&mut self) -> Vec<Result<ObjectMeta>> {
        let mut batch = Vec::new();
        while batch.len() < BATCH && !self.is_over() {
            match self.next() {
                Ok(Some(meta)) => {
                    self.left -= 1;
                    batch.push(Ok(meta));
                }
                Ok(None) => break,
                Err(error) => {
                    self.failed = match error.kind {
                        StoreErrorKind::Stray => !self.past_strays,
                        kind => kind != StoreErrorKind::Unreadable,
                    };
                    batch.push(Err(error));
                }
            }
        }
        batch
    }

    /// Whether there is nothing left to visit.
    fn is_over(&self) -> bool {
        self.failed || self.left == 0 || (self.stack.is_empty() && self.begins_with.is_none())
    }

    fn next(&mut self) -> Result<Option<ObjectMeta>> {
        if let Some((directory, rest)) = self.begins_with.take() {
            // Directories below it are entered only if they are no links.
            let beginning = open::directory(&self.root, &directory);
            let beginning = beginning.map_err(|error| StoreError::io(format!("listing of {directory:?}"), error))?;
            if beginning.is_some() {
                self.enter(&directory, &rest)?;
            }
        }
        while let Some(entry) = self.stack.pop() {
            if entry.is_directory() {
                self.enter(&entry.key, "")?;
            } else if entry.stray {
                return Err(StoreError::stray(entry.key));
            } else if let Some(meta) = self.look(&entry.key)? {
                self.leave_group(&entry.key);
                return Ok(Some(meta));
            }
        }
        Ok(None)
    }

    /// Skips the rest of the group whose first key was just returned.
    fn leave_group(&mut self, key: &str) {
        let Some((before, infix)) = self.first_of.and_then(|infix| Some((key.split_once(infix)?.0, infix))) else {
            return;
        };
        let group = &key[..before.len() + infix.len()];
        // Keys of a group sort next to each other, so its remaining entries are on top of the stack.
        while self.stack.last().is_some_and(|entry| entry.key.starts_with(group)) {
            self.stack.pop();
        }
    }

    fn look(&self, key: &str) -> Result<Option<ObjectMeta>> {
        let parsed: Key = key.parse().map_err(|_| StoreError::stray(key))?;
        let path = self.root.join(key);
        let found = absent_is_none(&self.root, fs::symlink_metadata(&path)).and_then(|found| {
            let found = found.filter(fs::Metadata::is_file);
            let checked = found.as_ref().filter(|_| self.check_readable).map(|found| check_readable(&path, found));
            checked.transpose().map(|_| found)
        });
        let found = found.map_err(|error| StoreError::io(&parsed, error))?;
        Ok(found.map(|metadata| object_meta(parsed, &metadata)))
    }

    /// Pushes the entries of a directory in sorted order, except those outside the requested range.
    fn enter(&mut self, directory: &str, begins_with: &str) -> Result<()> {
        let mut entries = self
            .read(directory, begins_with)
            .map_err(|error| StoreError::io(format!("listing of {directory:?}"), error))?;
        entries.sort_unstable_by(|a, b| b.key.cmp(&a.key));
        self.stack.extend(entries);
        Ok(())
    }

    fn read(&self, directory: &str, begins_with: &str) -> io::Result<Vec<Entry>> {
        self.steps.before(Step::ReadDirectory)?;
        let Some(reader) = absent_is_none(&self.root, fs::read_dir(self.root.join(directory)))? else {
            return Ok(Vec::new());
        };
        let mut entries = Vec::new();
        for entry in reader {
            let entry = entry?;
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            let (text, is_text) = (name.to_string_lossy(), name.to_str().is_some());
            if !text.starts_with(begins_with) {
                continue;
            }
            let is_directory = kind.is_dir() && is_text;
            let key = format!("{directory}{text}{}", if is_directory { "/" } else { "" });
            if self.is_wanted(&key) {
                entries.push(Entry { key, stray: !(is_directory || (kind.is_file() && is_text)) });
            }
        }
        Ok(entries)
    }

    /// Whether `key`, or anything below it, sorts after `start_after`.
    fn is_wanted(&self, key: &str) -> bool {
        key > self.start_after.as_str() || (key.ends_with('/') && self.start_after.starts_with(key))
    }
}
