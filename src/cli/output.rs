//! Output: data on stdout, notes on stderr. Text that people read never hides or reorders parts of itself.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::progress;
use super::{CliError, Exit};
use crate::domain::text::{Escaped, escape_json};

/// Writes raw bytes to stdout.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| broken(&error))
}

/// Writes one line, or several, to stdout.
pub(super) fn line(text: impl Display) -> Result<(), CliError> {
    let text = format!("{text}\n");
    progress::suspended(|| bytes(Escaped::lines(&text).to_string().as_bytes()))
}

/// Writes the JSON document of a command to stdout.
pub(super) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
    progress::suspended(|| bytes(format!("{}\n", escape_json(&text)).as_bytes()))
}

/// Whether notes are left out.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Leaves out all notes from now on: of what goes to stderr, only errors stay.
pub(super) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Writes a note to stderr, unless only errors are wanted. A closed stderr is no reason to fail.
pub(super) fn note(text: impl Display) {
    if QUIET.load(Ordering::Relaxed) {
        return;
    }
    let text = text.to_string();
    progress::suspended(|| {
        let _ = writeln!(io::stderr(), "larder: {}", Escaped::lines(&text));
    });
}

fn broken(error: &io::Error) -> CliError {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return CliError::new(Exit::PipeClosed, "PIPE_CLOSED", "");
    }
    CliError::io("write to stdout", error)
}
