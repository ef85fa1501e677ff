//! Staged files: invisible until they are linked to their key, removed when they are dropped.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::super::Created;
use super::super::error::FileFault;
use super::open;
use super::step::{Step, Steps};

/// Minimum age of a staged file that may be swept even if it is not locked (its writer may not have locked it yet).
pub const STALE_AFTER: Duration = Duration::from_mins(10);

/// A staged file and its lock, which shows other processes that the writer is alive.
#[derive(Debug)]
pub(super) struct Staged {
    path: PathBuf,
    file: fs::File,
    /// Bytes written so far.
    length: u64,
    direct: Direct,
    steps: Arc<dyn Steps>,
}

/// Whether writes bypass the page cache (`O_DIRECT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direct {
    No,
    Yes,
    /// The file system does not support it.
    Never,
}

/// Alignment in bytes of the memory, length and file offset of a direct write. Sufficient for all disks.
pub(super) const ALIGNMENT: usize = 4096;

/// Largest write that goes through the page cache though it could be direct, in bytes. Files that are no larger are soon
/// read, and from one write the kernel keeps them in large pieces, which take far less time to send than those that
/// reading brings in.
const LARGEST_CACHED: usize = 256 * 1024;

/// Size of the pieces in which larger ones go there, in bytes.
const PIECE: usize = 64 * 1024;

fn is_to_be_direct(bytes: &[u8], at: u64) -> bool {
    bytes.len() > LARGEST_CACHED
        && bytes.as_ptr().align_offset(ALIGNMENT) == 0
        && bytes.len().is_multiple_of(ALIGNMENT)
        && at.is_multiple_of(ALIGNMENT as u64)
}

impl Staged {
    pub(super) fn new(directory: &Path, steps: Arc<dyn Steps>) -> io::Result<Self> {
        steps.before(Step::Stage)?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let path = directory.join(hex::encode(random));
        let create = || fs::OpenOptions::new().write(true).create_new(true).open(&path);
        let file = match create() {
            // A store that was opened read-only may have no staging directory yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(directory)?;
                create()?
            }
            created => created?,
        };
        let staged = Self { path, file, length: 0, direct: Direct::No, steps };
        // On file systems without locks the age is the only sign of a live writer, and the sweep respects it.
        let _ = staged.file.try_lock();
        Ok(staged)
    }

    /// The file's unique name in the staging directory.
    pub(super) fn name(&self) -> String {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned()
    }

    /// Keeps other users of the machine from reading what is about to be written.
    pub(super) fn close_to_others(&self) -> io::Result<()> {
        self.file.set_permissions(fs::Permissions::from_mode(0o600))
    }

    /// When it was last written to, by the clock of the file system.
    pub(super) fn made(&self) -> io::Result<Timestamp> {
        Timestamp::try_from(self.file.metadata()?.modified()?).map_err(io::Error::other)
    }

    /// Appends bytes. Large aligned writes go to the disk directly: copying large data into the page cache takes longer than
    /// hashing it, defers all writing to the sync at the end, and evicts what is being read.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.steps.before(Step::Write)?;
        self.set_direct(is_to_be_direct(bytes, self.length));
        let mut written = self.write_pieces(bytes);
        if self.direct == Direct::Yes && written.as_ref().is_err_and(is_invalid) {
            self.set_direct(false);
            self.direct = Direct::Never;
            written = self.write_pieces(bytes);
        }
        self.length += bytes.len() as u64;
        written
    }

    /// What goes to the page cache is written in pieces: while it copies one, a system may let nobody else have the
    /// processor.
    fn write_pieces(&self, bytes: &[u8]) -> io::Result<()> {
        if self.direct == Direct::Yes || bytes.len() <= LARGEST_CACHED {
            return self.file.write_all_at(bytes, self.length);
        }
        for (at, piece) in (self.length..).step_by(PIECE).zip(bytes.chunks(PIECE)) {
            self.file.write_all_at(piece, at)?;
            thread::yield_now();
        }
        Ok(())
    }

    fn set_direct(&mut self, wanted: bool) {
        if self.direct == Direct::Never || wanted == (self.direct == Direct::Yes) {
            return;
        }
        let set = fcntl_getfl(&self.file).and_then(|mut flags| {
            flags.set(OFlags::DIRECT, wanted);
            fcntl_setfl(&self.file, flags)
        });
        self.direct = match set {
            Ok(()) if wanted => Direct::Yes,
            Ok(()) => Direct::No,
            Err(_) => Direct::Never,
        };
    }

    pub(super) fn copy_from(&mut self, source: &mut fs::File) -> io::Result<()> {
        self.steps.before(Step::Write)?;
        let expected = source.metadata()?.len();
        let copied = io::copy(source, &mut self.file)?;
        if copied == expected { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.steps.before(Step::SyncFile)?;
        self.file.sync_data()
    }

    /// Links the file to its final name if that is free.
    pub(super) fn link(&self, path: &Path) -> io::Result<Created> {
        self.steps.before(Step::Link)?;
        link(&self.file, &self.path, path)
    }

    /// Adds one more link to the file, which is empty, if that name is free.
    pub(super) fn link_empty(&self, path: &Path) -> io::Result<()> {
        self.steps.before(Step::Link)?;
        let linked = match fs::hard_link(&self.path, path) {
            Err(error) if lacks_hard_links(&error) => {
                fs::OpenOptions::new().write(true).create_new(true).open(path).map(|_| ())
            }
            linked => linked,
        };
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => existing(path).map(|_| ()),
            linked => linked,
        }
    }
}

/// Links the file `ours`, which is at `from`, to `to` if that is free.
pub(super) fn link(ours: &fs::File, from: &Path, to: &Path) -> io::Result<Created> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(Created::New),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => judge_existing(ours, to),
        Err(error) if lacks_hard_links(&error) => rename(from, to),
        Err(error) => Err(error),
    }
}

/// The object in whose place another one was to be linked.
fn existing(path: &Path) -> io::Result<fs::Metadata> {
    let theirs = fs::symlink_metadata(path)?;
    if theirs.is_file() { Ok(theirs) } else { Err(FileFault::Foreign(path.to_path_buf()).into()) }
}

/// Over NFS the reply to our own link can be lost, and the retry then fails with "file exists".
fn judge_existing(ours: &fs::File, path: &Path) -> io::Result<Created> {
    let (ours, theirs) = (ours.metadata()?, existing(path)?);
    let same = ours.dev() == theirs.dev() && ours.ino() == theirs.ino();
    Ok(if same { Created::New } else { Created::AlreadyExists })
}

/// The alternative atomic create-if-absent, for file systems without hard links.
fn rename(from: &Path, to: &Path) -> io::Result<Created> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(Created::New),
        Err(Errno::EXIST) => existing(to).map(|_| Created::AlreadyExists),
        Err(errno) => Err(errno.into()),
    }
}

fn is_invalid(error: &io::Error) -> bool {
    error.raw_os_error().map(Errno::from_raw_os_error) == Some(Errno::INVAL)
}

fn lacks_hard_links(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK))
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.steps.before(Step::Unstage).is_ok() {
            // A file that cannot be removed now is swept once its lock is released.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes staged files that are stale and not locked.
pub(super) fn sweep(directory: &Path) -> io::Result<usize> {
    let mut swept = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if is_stale(&path).unwrap_or(false) && fs::remove_file(&path).is_ok() {
            swept += 1;
        }
    }
    Ok(swept)
}

fn is_stale(path: &Path) -> io::Result<bool> {
    // Over NFS only a file that is open for writing can be locked exclusively.
    let Some(file) = open::regular(fs::OpenOptions::new().write(true), path)? else { return Ok(false) };
    let metadata = file.metadata()?;
    let age = metadata.modified()?.elapsed().unwrap_or_default();
    Ok(age >= STALE_AFTER && file.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::step::NoFaults;
    use super::*;

    #[test]
    fn aligned_bytes_go_past_the_page_cache_and_others_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let mut staged = Staged::new(directory.path(), Arc::new(NoFaults)).unwrap();
        let large = LARGEST_CACHED + ALIGNMENT;
        let memory: Vec<u8> = (0..251).cycle().take(large + 20 * ALIGNMENT).collect();
        let memory = &memory[memory.as_ptr().align_offset(ALIGNMENT)..];
        let mut expected = Vec::new();
        // Offset in memory and length: the fifth would be aligned but for its offset in the file.
        for (start, length, direct) in [
            (0, large, Direct::Yes),
            (ALIGNMENT, large, Direct::Yes),
            (0, LARGEST_CACHED, Direct::No),
            (3, 100, Direct::No),
            (0, large, Direct::No),
            (1, ALIGNMENT - 100, Direct::No),
            (4 * ALIGNMENT, large + 3 * ALIGNMENT, Direct::Yes),
            (0, 0, Direct::No),
            (0, large - 1, Direct::No),
        ] {
            let bytes = &memory[start..start + length];
            staged.write(bytes).unwrap();
            expected.extend_from_slice(bytes);
            assert!(staged.direct == direct || staged.direct == Direct::Never, "{start} {length}: {:?}", staged.direct);
            assert!(fs::read(&staged.path).unwrap() == expected, "{start} {length}");
        }
        // From here on, behave as on a file system that does not support direct writes.
        staged.set_direct(false);
        staged.direct = Direct::Never;
        staged.write(&memory[1..2]).unwrap();
        staged.write(&memory[..large]).unwrap();
        assert_eq!((staged.direct, staged.length), (Direct::Never, (expected.len() + 1 + large) as u64));
    }
}
