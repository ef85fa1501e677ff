//! Progress of a verification, so that an interrupted one can be resumed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::cli::{CliError, output};
use crate::store::Key;

/// Interval for saving progress.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// A file with the last key that was verified.
pub(super) struct Checkpoint {
    file: PathBuf,
    /// Keys up to and including this one were verified by an earlier run.
    pub(super) after: Option<Key>,
    saved: Instant,
}

impl Checkpoint {
    pub(super) fn open(file: PathBuf) -> Result<Self, CliError> {
        let after = match fs::read_to_string(&file) {
            Ok(text) => Some(parse(&file, &text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(CliError::io(format_args!("read {}", file.display()), &error)),
        };
        Ok(Self { file, after, saved: Instant::now() })
    }

    pub(super) fn save(&mut self, key: &Key) -> io::Result<()> {
        if self.saved.elapsed() < SAVE_EVERY {
            return Ok(());
        }
        self.saved = Instant::now();
        let staged = self.file.with_extension("new");
        fs::write(&staged, format!("{key}\n"))?;
        fs::rename(staged, &self.file)
    }

    pub(super) fn remove(self) {
        if let Err(error) = fs::remove_file(&self.file)
            && error.kind() != io::ErrorKind::NotFound
        {
            output::note(format_args!("could not remove {}: {error}", self.file.display()));
        }
    }
}

fn parse(file: &Path, text: &str) -> Result<Key, CliError> {
    let problem = || CliError::usage(format!("{} is not a checkpoint of larder verify; remove it.", file.display()));
    text.trim().parse().map_err(|_| problem())
}
