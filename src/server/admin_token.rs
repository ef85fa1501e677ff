//! The admin token of a server that has no tokens configured.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::ServerError;
use crate::config::{Config, Store};

/// Name of the token's file in the data directory.
const FILE: &str = "admin.token";

/// Its file, if a server of this configuration has one: only with a data directory, and where no tokens are configured.
pub(super) fn file(config: &Config) -> Option<PathBuf> {
    match &config.store {
        Store::Fs { path } => config.access.tokens.is_empty().then(|| path.join(FILE)),
        // A bucket is no place for a secret, and no place of one machine's.
        Store::S3(_) => None,
    }
}

/// The admin token: made on first use, kept in the data directory. `None` when there is to be none.
pub(super) fn find_or_make(config: &Config) -> Result<Option<String>, ServerError> {
    let Some(file) = file(config) else { return Ok(None) };
    let token = make(&file).and_then(|()| read(&file));
    token.map(Some).map_err(|source| ServerError::AdminToken { path: file, source })
}

/// Makes the file if there is none; complete before it is visible, so that two servers starting at once agree.
fn make(file: &Path) -> io::Result<()> {
    if file.exists() {
        return Ok(());
    }
    let mut random = [0; 40];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    // Named by chance, not by process: in two containers both may be process 1.
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

fn read(file: &Path) -> io::Result<String> {
    let mode = fs::metadata(file)?.permissions().mode();
    // Container platforms open the files of a volume to a group. What is ours we can close again.
    let open = mode & 0o077 != 0;
    let closed = open && fs::set_permissions(file, fs::Permissions::from_mode(0o600)).is_ok();
    if closed {
        tracing::warn!(file = %file.display(), "others could read the admin token; its mode is 600 again");
    } else if open {
        let problem = format!("others can read it (mode {:o}); run chmod 600 on it", mode & 0o777);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    }
    let token = fs::read_to_string(file)?.trim().to_owned();
    if token.len() < 16 {
        let problem = "it holds no token; delete the file to have one made";
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    Ok(token)
}
