//! Opening what is stored: regular files only, and never through a symbolic link below the store's own directory.
//!
//! Whatever else is found under a key (a pipe, a socket, a device, a directory, a link) is not an object. It is never
//! waited for, followed, written to or removed.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::super::Key;
use super::super::error::FileFault;
use super::step::{Step, Steps};

/// Opens for reading. A pipe or a device must not block the caller.
pub(super) const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
/// Opens only to look at the metadata.
pub(super) const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const DIRECTORY: OFlags = LOOK.union(OFlags::DIRECTORY);

/// Opens what is under a key if the kernel has the whole path cached. `None` is inconclusive. Never blocks. Kernels
/// before Linux 5.12, and sandboxes that forbid the call, fail as if nothing were cached.
pub(super) fn cached(objects: &Path, key: &Key, how: OFlags) -> Option<fs::File> {
    let resolve = ResolveFlags::CACHED.union(ResolveFlags::NO_SYMLINKS);
    openat2(CWD, objects.join(key.as_str()), how, Mode::empty(), resolve).ok().map(fs::File::from)
}

/// Whether the kernel knows without a look at the disk that there is nothing under a key. `false` is inconclusive. Never
/// blocks.
pub(super) fn is_known_absent(objects: &Path, key: &Key, steps: &dyn Steps) -> bool {
    let resolve = ResolveFlags::CACHED.union(ResolveFlags::NO_SYMLINKS);
    let opened = || openat2(CWD, objects.join(key.as_str()), LOOK, Mode::empty(), resolve);
    // While the store itself is gone, nothing may be taken for absent.
    steps.before(Step::Open).is_ok() && opened().is_err_and(|errno| errno == Errno::NOENT) && objects.is_dir()
}

/// Opens what is under a key, which need not be a regular file. `None` if there is nothing that can be opened.
pub(super) fn object(objects: &Path, key: &Key, how: OFlags) -> io::Result<Option<fs::File>> {
    match openat2(CWD, objects.join(key.as_str()), how, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::NOENT | Errno::NOTDIR) => super::absent_is_none(objects, Err(Errno::NOENT.into())),
        // Among others: a symbolic link on the way, which may be above the store; or the call is not available.
        Err(_) => Ok(walk(objects, key, how)?.map(fs::File::from)),
    }
}

/// Opens what is under a key, one directory at a time.
fn walk(objects: &Path, key: &Key, how: OFlags) -> io::Result<Option<OwnedFd>> {
    let Some((directory, name)) = parent(objects, key)? else { return Ok(None) };
    match openat(&directory, name, how, Mode::empty()) {
        // Denied by the directory, or by the file itself?
        Err(errno @ (Errno::ACCESS | Errno::PERM)) if openat(&directory, name, LOOK, Mode::empty()).is_ok() => {
            Err(FileFault::Unreadable(errno.into()).into())
        }
        opened => absent(opened.map_err(io::Error::from)),
    }
}

/// The directory that holds a key, and the key's name in it. `None` if there is no such directory.
pub(super) fn parent<'a>(objects: &Path, key: &'a Key) -> io::Result<Option<(OwnedFd, &'a str)>> {
    let (directory, name) = key.as_str().rsplit_once('/').unwrap_or(("", key.as_str()));
    Ok(self::directory(objects, directory)?.map(|directory| (directory, name)))
}

/// Refuses to write through a symbolic link that has taken the place of a directory.
pub(super) fn check_parent(objects: &Path, key: &Key) -> io::Result<()> {
    match parent(objects, key)? {
        Some(_) => Ok(()),
        None => Err(FileFault::Foreign(objects.join(key.as_str()).parent().unwrap_or(objects).to_path_buf()).into()),
    }
}

/// A directory in the store, given by its path below `objects`. `None` if there is none, or a symbolic link on the way.
pub(super) fn directory(objects: &Path, below: &str) -> io::Result<Option<OwnedFd>> {
    if let Ok(directory) = openat2(CWD, objects.join(below), DIRECTORY, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        return Ok(Some(directory));
    }
    let top = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directory = match openat(CWD, objects, top, Mode::empty()) {
        Ok(directory) => directory,
        // Nothing may be taken for absent while the store itself is gone.
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(Errno::STALE.into()),
        Err(errno) => return Err(errno.into()),
    };
    for name in below.split('/').filter(|name| !name.is_empty()) {
        match absent(openat(&directory, name, DIRECTORY, Mode::empty()).map_err(io::Error::from))? {
            Some(next) => directory = next,
            None => return Ok(None),
        }
    }
    Ok(Some(directory))
}

/// Opens a regular file of the caller's own with these options, whatever the path names. `None` if it names none.
///
/// # Errors
/// When the file cannot be opened.
pub(crate) fn regular(options: &mut OpenOptions, path: &Path) -> io::Result<Option<fs::File>> {
    let how = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = absent(options.custom_flags(how.bits().cast_signed()).open(path))?;
    let is_file = opened.as_ref().map(fs::File::metadata).transpose()?.is_some_and(|metadata| metadata.is_file());
    Ok(opened.filter(|_| is_file))
}

/// Maps the errors for which there is no regular file to `None`: nothing there, a link, a socket, a pipe without a
/// reader, a directory opened for writing, a device without a driver.
fn absent<T>(opened: io::Result<T>) -> io::Result<Option<T>> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(
                Errno::NOENT
                | Errno::NOTDIR
                | Errno::LOOP
                | Errno::NXIO
                | Errno::NODEV
                | Errno::ISDIR
                | Errno::OPNOTSUPP,
            ) => Ok(None),
            _ => Err(error),
        },
    }
}

/// An open file with its metadata, if it is a regular one.
pub(super) fn with_metadata(file: Option<fs::File>) -> io::Result<Option<(fs::File, fs::Metadata)>> {
    let Some(file) = file else { return Ok(None) };
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then_some((file, metadata)))
}
