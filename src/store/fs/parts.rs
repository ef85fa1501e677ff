//! Objects in parts: two files in `parts/`, the bytes and the log of which part was written.
//!
//! `ID.log` begins with a line that has the key and the moment in which it was begun, and has one line for each part that
//! was written: number, size and tag. The last line of a number counts; one without a tag says that its bytes are being
//! overwritten, one that a crash tore counts for nothing. `ID` holds the bytes, each part at its offset.
//!
//! # Why what is committed is what was written
//!
//! Nothing holds an object in parts while nobody writes to it. Writing and committing lock the log meanwhile, so a writer
//! that was forgotten either comes before a commit, whose look at the log then shows a tag that its caller does not know, or
//! after it, and finds that the log, or the only name of the bytes, is gone. So bytes that were linked to a key are never
//! written to again. Aborting needs no lock: whoever is at work has the files open, and nobody will find them again.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use jiff::Timestamp;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};
use sha2::Digest as _;

use super::super::{Created, Key, Part, Parts, Unfinished};
use super::staging::{Staged, link};
use super::step::Step;
use super::{Inner, absent_is_none};

/// What ends the name of a log.
const LOG: &str = "log";
/// What stands in place of a tag while bytes are being overwritten.
const NO_TAG: &str = "-";

/// An object in the making whose log this process has locked.
struct Locked {
    log: fs::File,
    entries: BTreeMap<u32, (u64, String)>,
    /// The last line was torn: the next one has to begin after it.
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
        // A part behind the last one may have been written by somebody who did not go on.
        self.steps.before(Step::Write)?;
        file.set_len(written.iter().map(|part| part.size).sum())?;
        // The object is created now, however long ago its last byte was written.
        let (now, omit) = (Timespec { tv_sec: 0, tv_nsec: UTIME_NOW }, Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT });
        futimens(&file, &Timestamps { last_access: omit, last_modification: now })?;
        self.steps.before(Step::SyncFile)?;
        file.sync_all()?;
        let path = self.path(&parts.key);
        let directory = path.parent().unwrap_or(&self.objects);
        self.directories.ensure(directory)?;
        self.steps.before(Step::Link)?;
        let Some(created) = absent_is_none(&self.objects, link(&file, &self.files(&parts.id).0, &path))? else {
            return Ok(None);
        };
        self.directories.sync(directory)?;
        // It is committed, whether its staged names go now or when somebody gives up what is unfinished.
        let _ = self.abort_parts(parts);
        Ok(Some(created))
    }

    /// Removes both files. The bytes go first: without them the log is only something to remove.
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

    /// What was begun and is neither committed nor aborted.
    pub(super) fn unfinished(&self) -> io::Result<Vec<Unfinished>> {
        self.steps.before(Step::ReadDirectory)?;
        let Some(entries) = absent_is_none(&self.objects, fs::read_dir(&self.parts))? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let id = path.extension().filter(|ext| *ext == LOG).and(path.file_stem()).and_then(|stem| stem.to_str());
            let Some(id) = id else { continue };
            let Some(text) = absent_is_none(&self.objects, fs::read_to_string(&path))? else { continue };
            let Some((key, begun)) = head(&text) else { continue };
            found.push(Unfinished { parts: Parts { key, id: id.to_owned() }, begun });
        }
        Ok(found)
    }

    /// The file of the bytes and the log.
    fn files(&self, id: &str) -> (PathBuf, PathBuf) {
        let bytes = self.parts.join(id);
        let log = bytes.with_extension(LOG);
        (bytes, log)
    }

    /// Waits until nobody else writes or commits. `None` when it is gone.
    fn lock(&self, parts: &Parts) -> io::Result<Option<Locked>> {
        if !is_ours(&parts.id) {
            return Ok(None);
        }
        let path = self.files(&parts.id).1;
        self.steps.before(Step::Open)?;
        let open = fs::OpenOptions::new().read(true).append(true).open(&path);
        let Some(log) = absent_is_none(&self.objects, open)? else { return Ok(None) };
        log.lock()?;
        if !is_still(&log, &path)? {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        if head(&text).is_none_or(|(key, _)| key != parts.key) {
            return Ok(None);
        }
        let (entries, torn) = (text.lines().skip(1).filter_map(entry).collect(), !text.ends_with('\n'));
        Ok(Some(Locked { log, entries, torn }))
    }

    /// The file of the bytes, unless it is gone or was given a key already.
    fn open_unlinked(&self, parts: &Parts) -> io::Result<Option<fs::File>> {
        let open = fs::OpenOptions::new().write(true).open(self.files(&parts.id).0);
        let Some(file) = absent_is_none(&self.objects, open)? else { return Ok(None) };
        Ok((file.metadata()?.nlink() == 1).then_some(file))
    }
}

impl Locked {
    /// Adds a line, durably.
    fn note(&mut self, inner: &Inner, number: u32, size: u64, tag: impl fmt::Display) -> io::Result<()> {
        let begin = if std::mem::take(&mut self.torn) { "\n" } else { "" };
        inner.steps.before(Step::Write)?;
        self.log.write_all(format!("{begin}{number} {size} {tag}\n").as_bytes())?;
        inner.steps.before(Step::SyncFile)?;
        self.log.sync_data()
    }
}

/// Whether it can be one of our ids, and no path to somewhere else.
fn is_ours(id: &str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the file is still the one under this name.
fn is_still(file: &fs::File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok(ours.dev() == there.dev() && ours.ino() == there.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The first line of a log.
fn head(text: &str) -> Option<(Key, Timestamp)> {
    let (key, begun) = text.lines().next()?.split_once(' ')?;
    Some((key.parse().ok()?, begun.parse().ok()?))
}

/// Another line of a log. One that was torn has no tag, or one that no part has.
fn entry(line: &str) -> Option<(u32, (u64, String))> {
    let mut words = line.split(' ');
    let (number, size, tag) = (words.next()?, words.next()?, words.next()?);
    Some((number.parse().ok()?, (size.parse().ok()?, tag.to_owned())))
}
