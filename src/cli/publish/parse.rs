//! Manifests as they are read and checked before they are sent.

use std::io::{self, Read as _};
use std::path::Path;

use bytes::Bytes;

use crate::cli::{CliError, Exit};
use crate::domain::manifest::{Limits, release};
use crate::domain::{Manifest, ManifestError};

/// Reads a ready manifest.
pub(super) fn read(path: &Path) -> Result<Bytes, CliError> {
    let bytes = if is_stdin(path) {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    let bytes = bytes.map_err(|error| CliError::io(format_args!("read the manifest {}", path.display()), &error))?;
    Ok(bytes.into())
}

/// Whether a path stands for standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Parses a manifest with the server's rules.
pub(in crate::cli) fn parse(bytes: &[u8]) -> Result<Manifest, CliError> {
    release::check(bytes, Limits::NONE).map_err(refused)?;
    release::read(bytes).map_err(|error| invalid(vec![error.to_string()]))
}

/// Parses a part of a manifest with the server's rules.
pub(super) fn parse_part(bytes: &[u8]) -> Result<Manifest, CliError> {
    release::check_part(bytes, Limits::NONE).map_err(refused)?;
    release::read(bytes).map_err(|error| invalid(vec![error.to_string()]))
}

fn refused(error: ManifestError) -> CliError {
    match error {
        ManifestError::Invalid(problems) => invalid(problems),
        ManifestError::Malformed(problem) => invalid(vec![problem]),
    }
}

fn invalid(problems: Vec<String>) -> CliError {
    let detail = format!("The manifest is not valid.\n  - {}", problems.join("\n  - "));
    CliError::new(Exit::Failure, "MANIFEST_INVALID", detail).with("problems", problems)
}
