//! File permissions, including on file systems that do not support them.

use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Access to file modes. Tests substitute a file system that does not keep them.
pub(super) trait Modes {
    /// Permission bits of a file, without its type.
    fn get(&self, file: &Path) -> io::Result<u32>;

    /// Restricts a file to its owner (mode 600).
    fn close(&self, file: &Path) -> io::Result<()>;
}

/// The real file system.
pub(super) struct RealModes;

impl Modes for RealModes {
    fn get(&self, file: &Path) -> io::Result<u32> {
        Ok(fs::metadata(file)?.permissions().mode() & 0o777)
    }

    fn close(&self, file: &Path) -> io::Result<()> {
        fs::set_permissions(file, fs::Permissions::from_mode(0o600))
    }
}

/// Whether the group or others have any permission.
pub(super) fn is_open(mode: u32) -> bool {
    mode & 0o077 != 0
}

/// Whether the file system of a directory keeps modes at all. If a file newly created with mode 600 is accessible to
/// others, the mount decides who may read, and no file can be restricted. If no file can be created, modes are assumed
/// to be kept.
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
