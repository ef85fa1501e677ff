//! What a publish tells its user beside the result: files that were left out, names that some disks cannot hold.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::output;
use crate::domain::Manifest;
use crate::domain::manifest::{Artifact, portability};

/// Maximum number of files or warnings that are listed; the rest are only counted.
const MAX_LISTED: usize = 20;

/// What is worth telling about the files of a publish.
#[derive(Debug, Default)]
pub(in crate::cli) struct Remarks {
    left_out: Vec<PathBuf>,
    warnings: Vec<String>,
    /// What was read from file names.
    guesses: Vec<String>,
}

impl Remarks {
    /// The hidden files that were left out, and what is wrong with the names of the others.
    pub(super) fn new(left_out: Vec<PathBuf>, manifest: &Manifest) -> Self {
        let names: Vec<&str> = manifest.files.iter().map(|artifact| artifact.name.as_str()).collect();
        let merging = portability::merging(&names).into_iter().map(|(one, other)| {
            format!("{one} and {other} are one file where upper and lower case or Unicode forms do not differ (macOS, Windows)")
        });
        let windows = names.iter().filter_map(|name| {
            portability::windows_problem(name).map(|why| format!("{name} cannot be written on Windows: {why}"))
        });
        Self { left_out, warnings: merging.chain(windows).collect(), guesses: Vec::new() }
    }

    /// The same with what was read from the names of files, if it was to be.
    pub(super) fn with_guesses(self, manifest: &Manifest, detect: bool) -> Self {
        let guess = |file: &Artifact| {
            let said = [&file.platform, &file.arch, &file.libc, &file.format];
            let said: Vec<_> = said.into_iter().flatten().map(String::as_str).collect();
            if said.is_empty() {
                format!("{}: nothing", file.name)
            } else {
                format!("{}: {}", file.name, said.join(" "))
            }
        };
        let guesses = if detect { manifest.files.iter().map(guess).collect() } else { Vec::new() };
        Self { guesses, ..self }
    }

    /// Prints the remarks to stderr.
    pub(super) fn print(&self) {
        if !self.left_out.is_empty() {
            let shown = self.left_out.iter().map(|path| path.display().to_string());
            let count = self.left_out.len();
            let what = if count == 1 { "hidden file or directory" } else { "hidden files and directories" };
            output::note(format_args!("left out {count} {what} (--hidden takes them): {}", listed(shown, count)));
        }
        for guess in self.guesses.iter().take(MAX_LISTED) {
            output::note(format_args!("detected {guess}"));
        }
        if let Some(more) = self.guesses.len().checked_sub(MAX_LISTED).filter(|more| *more > 0) {
            output::note(format_args!("and {more} more files; --dry-run shows the manifest"));
        }
        for warning in self.warnings.iter().take(MAX_LISTED) {
            output::note(format_args!("warning: {warning}"));
        }
        if let Some(more) = self.warnings.len().checked_sub(MAX_LISTED).filter(|more| *more > 0) {
            output::note(format_args!("warning: and {more} more names like these"));
        }
    }

    /// Adds the remarks to the JSON document of the command.
    pub(super) fn add_to(&self, document: &mut Value) {
        if !self.left_out.is_empty() {
            let paths: Vec<_> = self.left_out.iter().take(MAX_LISTED).map(|path| path.to_string_lossy()).collect();
            document["left_out"] = json!({ "count": self.left_out.len(), "paths": paths });
        }
        if !self.guesses.is_empty() {
            let texts = &self.guesses[..self.guesses.len().min(MAX_LISTED)];
            document["detected"] = json!({ "count": self.guesses.len(), "texts": texts });
        }
        if !self.warnings.is_empty() {
            let texts = &self.warnings[..self.warnings.len().min(MAX_LISTED)];
            document["warnings"] = json!({ "count": self.warnings.len(), "texts": texts });
        }
    }
}

fn listed(texts: impl Iterator<Item = String>, count: usize) -> String {
    let more = count.saturating_sub(MAX_LISTED);
    let list = texts.take(MAX_LISTED).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{list} and {more} more") } else { list }
}
