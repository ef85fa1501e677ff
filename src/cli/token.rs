//! Sources of the token: a file, stdin or the environment, but never an argument, which `ps` would show.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{CliError, Exit};
use crate::client::Token;
use crate::domain::utf8;
use crate::server::keeps_modes;

/// Largest token file, in bytes; far larger than any token.
const MAX_TOKEN: u64 = 64 << 10;

/// The token to use, if any. Precedence: `--token-file`, then `LARDER_TOKEN`, then `LARDER_TOKEN_FILE`.
pub(super) fn find(file: Option<&Path>) -> Result<Option<Token>, CliError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = file {
        return read(path).map(Some);
    }
    if let Some(text) = set("LARDER_TOKEN") {
        return parse(text.to_str().unwrap_or_default(), "LARDER_TOKEN").map(Some);
    }
    set("LARDER_TOKEN_FILE").map(|path| from_file(Path::new(&path))).transpose()
}

/// Where [`find`] takes the token from, in words; `None` if there is none.
pub(super) fn describe_source(file: Option<&Path>) -> Option<String> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match file {
        Some(path) => Some(format!("--token-file {}", path.display())),
        None if set("LARDER_TOKEN") => Some("the variable LARDER_TOKEN".to_owned()),
        None if set("LARDER_TOKEN_FILE") => Some("the file that LARDER_TOKEN_FILE names".to_owned()),
        None => None,
    }
}

/// Reads the token from a file, or from stdin for `-`.
pub(super) fn read(path: &Path) -> Result<Token, CliError> {
    if path.as_os_str() == "-" { from_reader(io::stdin(), "stdin") } else { from_file(path) }
}

fn from_file(path: &Path) -> Result<Token, CliError> {
    let failed = |error| CliError::io(format_args!("read the token file {}", path.display()), &error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o777;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if metadata.is_file() && mode & 0o077 != 0 && keeps_modes(directory) {
        let path = path.display();
        let detail = format!("The token file {path} can be read by others (mode {mode:04o}); run: chmod 600 {path}");
        return Err(CliError::new(Exit::Auth, "TOKEN_FILE_EXPOSED", detail));
    }
    from_reader(file, &format!("the file {}", path.display()))
}

fn from_reader(reader: impl Read, place: &str) -> Result<Token, CliError> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_TOKEN)
        .read_to_end(&mut bytes)
        .map_err(|error| CliError::io(format_args!("read the token from {place}"), &error))?;
    let refused = |error| CliError::new(Exit::Auth, "TOKEN_INVALID", format!("There is no token in {place}: {error}."));
    parse(utf8(&bytes).map_err(refused)?, place)
}

fn parse(text: &str, place: &str) -> Result<Token, CliError> {
    text.parse()
        .map_err(|error| CliError::new(Exit::Auth, "TOKEN_INVALID", format!("There is no token in {place}. {error}")))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_token_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "secret\n").unwrap();
        for (mode, allowed) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o644, false)] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let result = find(Some(&path));
            assert_eq!(result.is_ok(), allowed, "{mode:o}");
            if let Err(error) = result {
                assert!(error.to_string().contains("chmod 600"), "{error}");
                assert_eq!(error.exit(), Exit::Auth);
            }
        }
    }

    #[test]
    fn an_empty_token_file_is_refused() {
        assert!(from_reader(&b"\n"[..], "x").is_err());
        assert!(from_reader(&b"abc\n"[..], "x").is_ok());
    }
}
