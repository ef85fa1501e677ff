//! The destination of a file: an open directory and a name in it.
//!
//! No step below the output directory follows symbolic links, so that a link planted there (by an earlier archive or by
//! another user) cannot redirect a download out of it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::domain::{Digest, FileName};

/// Longest prefix of a name that is used for its part file, in bytes, so that the part's own name stays legal.
const MAX_STEM: usize = 200;

/// The destination of one file.
#[derive(Debug)]
pub(super) struct Destination {
    directory: OwnedFd,
    name: String,
    path: PathBuf,
}

/// What has the name already.
#[derive(Debug)]
pub(super) enum Existing {
    /// Nothing.
    Nothing,
    /// A regular file, open for reading.
    File(File),
    /// A symbolic link, a directory, a FIFO or the like.
    Special,
}

impl Destination {
    /// Opens the directories down to `file`, creating missing ones. Blocks.
    pub(super) fn open(root: &Path, file: &FileName) -> io::Result<Self> {
        Self::walk(root, file, step)
    }

    /// Opens the directories down to `file`; `None` if one of them is missing. Blocks.
    pub(super) fn find(root: &Path, file: &FileName) -> io::Result<Option<Self>> {
        let only_open =
            |directory: &OwnedFd, segment: &str, flags| rustix::fs::openat(directory, segment, flags, Mode::empty());
        match Self::walk(root, file, only_open) {
            Ok(place) => Ok(Some(place)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn walk(
        root: &Path,
        file: &FileName,
        step: impl Fn(&OwnedFd, &str, OFlags) -> Result<OwnedFd, Errno>,
    ) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut directory = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
        let mut path = root.to_owned();
        if let Some((parents, _)) = file.as_str().rsplit_once('/') {
            for segment in parents.split('/') {
                path.push(segment);
                directory =
                    step(&directory, segment, flags | OFlags::NOFOLLOW).map_err(|error| refusal(error, &path))?;
            }
        }
        path.push(file.base());
        Ok(Self { directory, name: file.base().to_owned(), path })
    }

    /// Path of the file, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the regular file that already has this name, if there is one. Blocks.
    pub(super) fn existing(&self) -> io::Result<Option<File>> {
        match self.look()? {
            Existing::File(file) => Ok(Some(file)),
            Existing::Nothing | Existing::Special => Ok(None),
        }
    }

    /// Opens what already has this name. Blocks.
    pub(super) fn look(&self) -> io::Result<Existing> {
        // Non-blocking, because another process may have put a FIFO there.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.directory, &self.name, flags, Mode::empty()) {
            Ok(descriptor) => {
                let file = File::from(descriptor);
                Ok(if is_regular(&file) { Existing::File(file) } else { Existing::Special })
            }
            Err(Errno::NOENT) => Ok(Existing::Nothing),
            Err(Errno::LOOP | Errno::NXIO) => Ok(Existing::Special),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens or creates the hidden part file beside it, which receives the bytes of this blob. Blocks.
    pub(super) fn open_part(&self, digest: Digest) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let part = part_name(&self.name, digest);
        let file = File::from(rustix::fs::openat(&self.directory, &part, flags, Mode::from_raw_mode(0o666))?);
        if is_regular(&file) { Ok(file) } else { Err(io::Error::other(format!("{part} is not a regular file"))) }
    }

    /// Whether `file` is still the part file of this blob, and has not been renamed or removed.
    pub(super) fn is_part(&self, file: &File, digest: Digest) -> io::Result<bool> {
        let held = rustix::fs::fstat(file)?;
        match rustix::fs::statat(&self.directory, part_name(&self.name, digest), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) => Ok((held.st_dev, held.st_ino) == (named.st_dev, named.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Renames the part file to its final name, atomically. Its bytes must have been synced. Blocks.
    pub(super) fn rename_part(&self, digest: Digest) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.directory, part_name(&self.name, digest), &self.directory, &self.name)?)
    }

    /// Makes the name durable. Blocks.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.directory)?)
    }

    /// Removes the part file. Blocks.
    pub(super) fn remove_part(&self, digest: Digest) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.directory, part_name(&self.name, digest), AtFlags::empty())?)
    }
}

fn step(directory: &OwnedFd, segment: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    match rustix::fs::openat(directory, segment, flags, Mode::empty()) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    match rustix::fs::mkdirat(directory, segment, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => rustix::fs::openat(directory, segment, flags, Mode::empty()),
        Err(error) => Err(error),
    }
}

fn refusal(error: Errno, path: &Path) -> io::Error {
    match error {
        Errno::LOOP | Errno::NOTDIR => io::Error::other(format!(
            "{} is a symbolic link or no directory; remove it or choose another --output",
            path.display()
        )),
        other => other.into(),
    }
}

/// Makes a file executable, unless it is for somebody: for all who may read it. It was created under the umask, so nobody
/// gets more than that allows. Blocks.
pub(super) fn make_executable(file: &File) -> io::Result<()> {
    let mut permissions = file.metadata()?.permissions();
    let mode = permissions.mode();
    if mode & 0o111 != 0 {
        return Ok(());
    }
    permissions.set_mode(mode | ((mode & 0o444) >> 2));
    file.set_permissions(permissions)
}

fn is_regular(file: &File) -> bool {
    rustix::fs::fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

/// `.NAME.DIGEST12.part`
fn part_name(name: &str, digest: Digest) -> String {
    let stem = &name[..name.floor_char_boundary(MAX_STEM)];
    format!(".{stem}.{}.part", &digest.hex()[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> FileName {
        text.parse().unwrap()
    }

    #[test]
    fn part_names_are_hidden_and_stay_legal() {
        let digest = Digest::of(b"abc");
        assert_eq!(part_name("a.zip", digest), ".a.zip.ba7816bf8f01.part");
        assert!(part_name(&"é".repeat(127), digest).len() <= 255);
    }

    #[test]
    fn directories_are_made_on_the_way() {
        let root = tempfile::tempdir().unwrap();
        let place = Destination::open(root.path(), &name("a/b/c")).unwrap();
        assert!(root.path().join("a/b").is_dir());
        assert!(place.existing().unwrap().is_none());
        let digest = Digest::of(b"");
        let part = place.open_part(digest).unwrap();
        assert!(place.is_part(&part, digest).unwrap());
        place.rename_part(digest).unwrap();
        assert!(!place.is_part(&part, digest).unwrap());
        assert!(root.path().join("a/b/c").is_file() && place.existing().unwrap().is_some());
    }

    #[test]
    fn a_symbolic_link_on_the_way_is_refused() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(outside.path(), root.path().join("a")).unwrap();
        let error = Destination::open(root.path(), &name("a/b")).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        std::fs::write(root.path().join("file"), b"").unwrap();
        assert!(Destination::open(root.path(), &name("file/b")).is_err());
    }

    #[test]
    fn a_symbolic_link_at_the_end_is_replaced_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let (link, target) = (root.path().join("link"), root.path().join("target"));
        std::fs::write(&target, b"keep").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let place = Destination::open(root.path(), &name("link")).unwrap();
        assert!(place.existing().unwrap().is_none());
        let digest = Digest::of(b"");
        place.open_part(digest).unwrap();
        place.rename_part(digest).unwrap();
        assert!(!link.is_symlink());
        assert_eq!(std::fs::read(&target).unwrap(), b"keep");
    }
}
