//! What a publish tells its user beside the result: what of the files is not published, or not as it is, and names that
//! some disks cannot hold.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::inputs::Left;
use crate::cli::output;
use crate::domain::Manifest;
use crate::domain::manifest::{Artifact, portability};

/// Maximum number of files or warnings that are listed; the rest are only counted.
const MAX_LISTED: usize = 20;

/// What is worth telling about the files of a publish.
#[derive(Debug, Default)]
pub(in crate::cli) struct Remarks {
    left: Left,
    warnings: Vec<String>,
    /// What was read from file names.
    guesses: Vec<String>,
}

impl Remarks {
    /// What is not published as it is, and what is wrong with the names of the files.
    pub(super) fn new(left: Left, manifest: &Manifest) -> Self {
        let names: Vec<&str> = manifest.files.iter().map(|artifact| artifact.name.as_str()).collect();
        let merging = portability::merging(&names).into_iter().map(|(one, other)| {
            format!("{one} and {other} are one file where upper and lower case or Unicode forms do not differ (macOS, Windows)")
        });
        let windows = names.iter().filter_map(|name| {
            portability::windows_problem(name).map(|why| format!("{name} cannot be written on Windows: {why}"))
        });
        Self { left, warnings: merging.chain(windows).collect(), guesses: Vec::new() }
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

    /// The same with more warnings.
    pub(super) fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// Prints the remarks to stderr.
    pub(super) fn print(&self) {
        let Left { hidden, excluded, empty, links } = &self.left;
        note(
            hidden,
            "left out",
            ["hidden file or directory", "hidden files and directories"],
            " (--hidden takes them)",
        );
        note(excluded, "left out", ["excluded file or directory", "excluded files and directories"], "");
        note(empty, "left out", ["empty directory", "empty directories"], "");
        note(links, "followed", ["symbolic link", "symbolic links"], "");
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
            output::note(format_args!("warning: and {more} more like these"));
        }
    }

    /// Adds the remarks to the JSON document of the command.
    pub(super) fn add_to(&self, document: &mut Value) {
        let Left { hidden, excluded, empty, links } = &self.left;
        let members = [("left_out", hidden), ("excluded", excluded), ("empty_directories", empty), ("links", links)];
        for (member, paths) in members.into_iter().filter(|(_, paths)| !paths.is_empty()) {
            let listed: Vec<_> = paths.iter().take(MAX_LISTED).map(|path| path.to_string_lossy()).collect();
            document[member] = json!({ "count": paths.len(), "paths": listed });
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

/// Prints a remark about these paths, if there are any.
fn note(paths: &[PathBuf], done: &str, [one, many]: [&str; 2], how: &str) {
    let count = paths.len();
    if count > 0 {
        let what = if count == 1 { one } else { many };
        let shown = paths.iter().map(|path| path.display().to_string());
        output::note(format_args!("{done} {count} {what}{how}: {}", listed(shown, count)));
    }
}

fn listed(texts: impl Iterator<Item = String>, count: usize) -> String {
    let more = count.saturating_sub(MAX_LISTED);
    let list = texts.take(MAX_LISTED).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{list} and {more} more") } else { list }
}
