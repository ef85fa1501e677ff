//! The admin token of a server without configured tokens.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::ServerError;
use super::modes::{self, Modes, RealModes};
use crate::config::{Config, Store};

/// Name of the token file in the data directory.
const FILE: &str = "admin.token";

/// Path of the token file; `None` unless the store is a data directory and no tokens are configured.
pub(super) fn file(config: &Config) -> Option<PathBuf> {
    match &config.store {
        Store::Fs { path } => config.access.tokens.is_empty().then(|| path.join(FILE)),
        // A bucket is no place for a secret, nor is it local to one machine.
        Store::S3(_) => None,
    }
}

/// The admin token, created on first use and kept in the data directory. `None` if this configuration has none.
pub(super) fn find_or_make(config: &Config) -> Result<Option<String>, ServerError> {
    let Some(file) = file(config) else { return Ok(None) };
    let token = make(&file).and_then(|()| read(&file, &RealModes));
    token.map(Some).map_err(|source| ServerError::AdminToken { path: file, source })
}

/// Creates the file if there is none. It is complete before it becomes visible, so two servers that start at once
/// agree.
fn make(file: &Path) -> io::Result<()> {
    if file.exists() {
        return Ok(());
    }
    let mut random = [0; 40];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    // Named randomly, not by process id: in two containers both may be process 1.
    let staged = file.with_extension(format!("{}.new", hex::encode(&random[..8])));
    let mut writer = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
    writeln!(writer, "larder_{}", hex::encode(&random[8..]))?;
    writer.sync_all()?;
    let linked = fs::hard_link(&staged, file);
    fs::remove_file(&staged)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all(),
    }
}

fn read(file: &Path, modes: &dyn Modes) -> io::Result<String> {
    if modes::is_open(modes.get(file)?) {
        close(file, modes)?;
    }
    let token = fs::read_to_string(file)?.trim().to_owned();
    if token.len() < 16 {
        let problem = "it holds no token; delete the file to have one made";
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    Ok(token)
}

/// Restricts a token file to its owner. Container platforms open the files of a volume to a group; on a file that we
/// own this can be reverted.
fn close(file: &Path, modes: &dyn Modes) -> io::Result<()> {
    let closed = modes.close(file).and_then(|()| modes.get(file)).is_ok_and(|mode| !modes::is_open(mode));
    let mode = modes.get(file)?;
    if closed {
        tracing::warn!(file = %file.display(), "others could read the admin token; its mode is 600 again");
    } else if modes::keeps(file.parent().unwrap_or(Path::new(".")), modes) {
        let problem = format!("others can read it (mode {mode:o}); run chmod 600 on it");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    } else {
        tracing::warn!(
            file = %file.display(), mode = format!("{mode:o}"),
            "this file system keeps no modes, so whoever may read its files can read the admin token: restrict its mount, \
             or configure access.tokens"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const TOKEN: &str = "larder_0123456789abcdef";

    fn token_file(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        fs::write(&file, TOKEN).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        (directory, file)
    }

    /// A file system on which every file has one mode. Some refuse to change it, others only pretend to.
    struct OneMode(u32, Option<io::ErrorKind>);

    impl Modes for OneMode {
        fn get(&self, _: &Path) -> io::Result<u32> {
            Ok(self.0)
        }

        fn close(&self, _: &Path) -> io::Result<()> {
            self.1.map_or(Ok(()), |kind| Err(kind.into()))
        }
    }

    /// A file system that keeps modes, but whose files belong to another user.
    struct NotOurs;

    impl Modes for NotOurs {
        fn get(&self, file: &Path) -> io::Result<u32> {
            RealModes.get(file)
        }

        fn close(&self, _: &Path) -> io::Result<()> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }

    #[test]
    fn a_file_system_without_modes_is_no_reason_to_refuse_ones_own_token() {
        for mode in [0o777, 0o755] {
            for chmod in [None, Some(io::ErrorKind::PermissionDenied), Some(io::ErrorKind::Unsupported)] {
                let (directory, file) = token_file(0o600);
                assert_eq!(read(&file, &OneMode(mode, chmod)).unwrap(), TOKEN, "{mode:o} {chmod:?}");
                assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "what it was tried with is gone");
            }
        }
    }

    #[test]
    fn a_token_that_could_be_closed_is_closed_or_refused() {
        let (_directory, file) = token_file(0o644);
        let refused = read(&file, &NotOurs).unwrap_err();
        assert!(refused.to_string().contains("mode 644"), "{refused}");
        assert_eq!(read(&file, &RealModes).unwrap(), TOKEN);
        assert_eq!(RealModes.get(&file).unwrap(), 0o600);
    }
}
