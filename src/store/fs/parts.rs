//! Multipart objects: two files in `parts/`, one with the bytes and one that logs which parts were written.
//!
//! `ID.log` starts with a line holding the key and the time at which the object was begun, followed by a line per write
//! of a part: number, size and tag. The last line for a number wins. A line without a tag says that the part's bytes
//! are being overwritten; a line that a crash tore is ignored. `ID` holds the bytes, each part at its offset.
//!
//! # Why what is committed is what was written
//!
//! No process holds a multipart object between writes. Writes and commits lock the log while they run, so a stalled
//! writer either precedes a commit, which then finds a tag in the log that its caller does not know, or follows it and
//! finds that the log, or the only remaining name of the bytes, is gone. So bytes that were linked to a key are never
//! written to again. Aborting needs no lock: operations in progress have the files open, and no later one can find
//! them.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use jiff::Timestamp;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};
use sha2::Digest as _;

use super::super::{Created, Key, Part, Parts, Unfinished};
use super::staging::{Staged, link};
use super::step::Step;
use super::{Inner, absent_is_none, open};

/// File extension of a log.
const LOG: &str = "log";
/// Placeholder for the tag while the part's bytes are being overwritten.
const NO_TAG: &str = "-";

/// An unfinished multipart object whose log this process has locked.
struct Locked {
    log: fs::File,
    entries: BTreeMap<u32, (u64, String)>,
    /// The last line was torn by a crash: the next one must start on a new line.
    torn: bool,
}

impl Inner {
    pub(super) fn begin_parts(&self, key: &Key) -> io::Result<Parts> {
        let mut staged = Staged::new(&self.staging, std::sync::Arc::clone(&self.steps))?;
        let id = staged.name();
        staged.write(format!("{key} {}\n", staged.made()?).as_bytes())?;
        staged.sync()?;
        self.steps.before(Step::MakeDirectory)?;
        fs::create_dir_all(&self.parts)?;
        let (bytes, log) = self.files(&id);
        staged.link(&log)?;
        self.steps.before(Step::Stage)?;
        fs::OpenOptions::new().write(true).create_new(true).open(bytes)?;
        self.directories.sync(&self.parts)?;
        Ok(Parts { key: key.clone(), id })
    }

    pub(super) fn write_part(&self, parts: &Parts, number: u32, offset: u64, bytes: &[u8]) -> io::Result<Option<Part>> {
        let tag = hex::encode(sha2::Sha256::digest(bytes));
        let part = Part { number, size: bytes.len() as u64, tag };
        let Some(mut locked) = self.lock(parts)? else { return Ok(None) };
        let Some(file) = self.open_unlinked(parts)? else { return Ok(None) };
        let (entry, before) = ((part.size, part.tag.clone()), locked.entries.get(&number));
        if before == Some(&entry) {
            return Ok(Some(part));
        }
        if before.is_some() {
            locked.note(self, number, part.size, NO_TAG)?;
        }
        self.steps.before(Step::Write)?;
        file.write_all_at(bytes, offset)?;
        self.steps.before(Step::SyncFile)?;
        file.sync_data()?;
        locked.note(self, number, part.size, &part.tag)?;
        Ok(Some(part))
    }

    pub(super) fn commit_parts(&self, parts: &Parts, written: &[Part]) -> io::Result<Option<Created>> {
        let Some(locked) = self.lock(parts)? else { return Ok(None) };
        let Some(file) = self.open_unlinked(parts)? else {
            self.abort_parts(parts)?;
            return Ok(None);
        };
        let is_written = |part: &Part| locked.entries.get(&part.number) == Some(&(part.size, part.tag.clone()));
        if !(1..).zip(written).all(|(number, part)| part.number == number && is_written(part)) {
            return Ok(None);
        }
        // A writer that stopped may have left a part beyond the last one of this commit.
        self.steps.before(Step::Write)?;
        file.set_len(written.iter().map(|part| part.size).sum())?;
        // The object counts as created now, regardless of when its last byte was written.
        let (now, omit) = (Timespec { tv_sec: 0, tv_nsec: UTIME_NOW }, Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT });
        futimens(&file, &Timestamps { last_access: omit, last_modification: now })?;
        self.steps.before(Step::SyncFile)?;
        file.sync_all()?;
        let path = self.path(&parts.key);
        let directory = path.parent().unwrap_or(&self.objects);
        self.directories.ensure(directory)?;
        open::check_parent(&self.objects, &parts.key)?;
        self.steps.before(Step::Link)?;
        let Some(created) = absent_is_none(&self.objects, link(&file, &self.files(&parts.id).0, &path))? else {
            return Ok(None);
        };
        self.directories.sync(directory)?;
        // The commit is done whether its staging names are removed now or by a later cleanup of unfinished objects.
        let _ = self.abort_parts(parts);
        Ok(Some(created))
    }

    /// Removes both files. The bytes go first: a log without bytes is merely something to remove.
    pub(super) fn abort_parts(&self, parts: &Parts) -> io::Result<()> {
        if !is_ours(&parts.id) {
            return Ok(());
        }
        let (bytes, log) = self.files(&parts.id);
        for path in [bytes, log] {
            self.steps.before(Step::Unstage)?;
            absent_is_none(&self.objects, fs::remove_file(path))?;
        }
        Ok(())
    }

    /// Objects that were begun and neither committed nor aborted.
    pub(super) fn unfinished(&self) -> io::Result<Vec<Unfinished>> {
        self.steps.before(Step::ReadDirectory)?;
        let Some(entries) = absent_is_none(&self.objects, fs::read_dir(&self.parts))? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let id = path.extension().filter(|ext| *ext == LOG).and(path.file_stem()).and_then(|stem| stem.to_str());
            let Some(id) = id else { continue };
            let log = open::regular(fs::OpenOptions::new().read(true), &path)?;
            let Some(text) = log.map(io::read_to_string).transpose()? else { continue };
            let Some((key, begun)) = head(&text) else { continue };
            found.push(Unfinished { parts: Parts { key, id: id.to_owned() }, begun });
        }
        Ok(found)
    }

    /// Paths of the file with the bytes and of the log.
    fn files(&self, id: &str) -> (PathBuf, PathBuf) {
        let bytes = self.parts.join(id);
        let log = bytes.with_extension(LOG);
        (bytes, log)
    }

    /// Nothing is there, unless the whole store is gone.
    fn absent<T>(&self) -> io::Result<Option<T>> {
        absent_is_none(&self.objects, Err(io::ErrorKind::NotFound.into()))
    }

    /// Locks the log, waiting for other writes and commits to finish. `None` if the object no longer exists.
    fn lock(&self, parts: &Parts) -> io::Result<Option<Locked>> {
        if !is_ours(&parts.id) {
            return Ok(None);
        }
        let path = self.files(&parts.id).1;
        self.steps.before(Step::Open)?;
        let log = open::regular(fs::OpenOptions::new().read(true).append(true), &path)?;
        let Some(mut log) = log else { return self.absent() };
        log.lock()?;
        if !is_still(&log, &path)? {
            return Ok(None);
        }
        let mut text = Vec::new();
        log.read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        if head(&text).is_none_or(|(key, _)| key != parts.key) {
            return Ok(None);
        }
        let (entries, torn) = (text.lines().skip(1).filter_map(entry).collect(), !text.ends_with('\n'));
        Ok(Some(Locked { log, entries, torn }))
    }

    /// Opens the file with the bytes, unless it is gone or has been linked to a key already.
    fn open_unlinked(&self, parts: &Parts) -> io::Result<Option<fs::File>> {
        let file = open::regular(fs::OpenOptions::new().write(true), &self.files(&parts.id).0)?;
        let Some(file) = file else { return self.absent() };
        Ok((file.metadata()?.nlink() == 1).then_some(file))
    }
}

impl Locked {
    /// Appends a line durably.
    fn note(&mut self, inner: &Inner, number: u32, size: u64, tag: impl fmt::Display) -> io::Result<()> {
        let begin = if std::mem::take(&mut self.torn) { "\n" } else { "" };
        inner.steps.before(Step::Write)?;
        self.log.write_all(format!("{begin}{number} {size} {tag}\n").as_bytes())?;
        inner.steps.before(Step::SyncFile)?;
        self.log.sync_data()
    }
}

/// Whether `id` has the form of our ids, so that it cannot be a path to another place.
fn is_ours(id: &str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether `path` still names this file.
fn is_still(file: &fs::File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok(ours.dev() == there.dev() && ours.ino() == there.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Parses the first line of a log.
fn head(text: &str) -> Option<(Key, Timestamp)> {
    let (key, begun) = text.lines().next()?.split_once(' ')?;
    Some((key.parse().ok()?, begun.parse().ok()?))
}

/// Parses a later line of a log. A torn line has no tag, or one that no part has.
fn entry(line: &str) -> Option<(u32, (u64, String))> {
    let mut words = line.split(' ');
    let (number, size, tag) = (words.next()?, words.next()?, words.next()?);
    Some((number.parse().ok()?, (size.parse().ok()?, tag.to_owned())))
}
