//! Who may read a file, on file systems that keep no modes, too.

use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// What a file system says and does about modes. Tests stand in for one that keeps none.
pub(super) trait Modes {
    /// The mode of a file, without its type.
    fn get(&self, file: &Path) -> io::Result<u32>;

    /// Lets only its owner read and write a file.
    fn close(&self, file: &Path) -> io::Result<()>;
}

/// The file system's own.
pub(super) struct RealModes;

impl Modes for RealModes {
    fn get(&self, file: &Path) -> io::Result<u32> {
        Ok(fs::metadata(file)?.permissions().mode() & 0o777)
    }

    fn close(&self, file: &Path) -> io::Result<()> {
        fs::set_permissions(file, fs::Permissions::from_mode(0o600))
    }
}

/// Whether a mode lets others than the owner read or write.
pub(super) fn is_open(mode: u32) -> bool {
    mode & 0o077 != 0
}

/// Whether the file system of a directory keeps modes at all. Where a new file that was made for its owner alone is open to
/// others at once, the mount decides who may read, and no file can be closed. When no file can be made, it is taken to.
#[must_use]
pub fn keeps_modes(directory: &Path) -> bool {
    keeps(directory, &RealModes)
}

pub(super) fn keeps(directory: &Path, modes: &dyn Modes) -> bool {
    let tried = || -> io::Result<bool> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let file = directory.join(format!(".modes-{}.new", hex::encode(random)));
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
        let mode = modes.get(&file);
        fs::remove_file(&file)?;
        Ok(!is_open(mode?))
    };
    tried().unwrap_or(true)
}
