//! The FILE arguments: maps local files to artifacts.

mod tree;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::problems::Problems;
use crate::cli::{CliError, Exit};
use crate::domain::{FileName, NameError};

/// Which files of a directory to take.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(super) struct TreeOptions {
    /// Take hidden files and directories, too (those named on the command line are always taken)
    #[arg(long, conflicts_with = "manifest")]
    pub(super) hidden: bool,

    /// Follow links that lead out of a directory, and links to directories
    #[arg(long, conflicts_with = "manifest")]
    pub(super) follow_links: bool,
}

/// A local file and its artifact name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) name: FileName,
    pub(super) path: PathBuf,
}

/// What the arguments stand for.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    /// The files of all arguments in order; those of a directory are sorted by name.
    pub(super) files: Vec<Input>,
    /// Hidden files and directories that were left out.
    pub(super) left_out: Vec<PathBuf>,
}

/// Collects the files of all arguments. Blocks.
///
/// # Errors
/// All problems at once, up to a limit.
pub(super) fn collect(arguments: &[PathBuf], options: TreeOptions) -> Result<Inputs, CliError> {
    let mut inputs = Inputs::default();
    let mut problems = Problems::default();
    for argument in arguments {
        if let Err(error) = expand(argument.as_os_str(), options, &mut inputs, &mut problems) {
            problems.add(error);
        }
    }
    problems.into_result()?;
    check_unique(&inputs.files)?;
    Ok(inputs)
}

fn expand(
    argument: &OsStr,
    options: TreeOptions,
    inputs: &mut Inputs,
    problems: &mut Problems,
) -> Result<(), CliError> {
    let (name, path) = interpret(argument)?;
    // What is named on the command line is taken, even if it is a link or hidden.
    let metadata = fs::metadata(path).map_err(|error| CliError::io(format_args!("read {}", path.display()), &error))?;
    if metadata.is_dir() {
        return tree::walk(path, name.as_ref(), options, inputs, problems);
    }
    if !metadata.is_file() {
        return Err(special(path));
    }
    let name = match name {
        Some(name) => name,
        None => file_name(path.file_name().unwrap_or_default(), None, path)?,
    };
    inputs.files.push(Input { name, path: path.to_owned() });
    Ok(())
}

/// Decides whether an argument is a path or `FILENAME=PATH`. It is whichever exists.
fn interpret(argument: &OsStr) -> Result<(Option<FileName>, &Path), CliError> {
    let (whole, exists) = (Path::new(argument), |path: &Path| fs::symlink_metadata(path).is_ok());
    let Some((name, path)) = split(argument) else { return Ok((None, whole)) };
    let (shown, plain) = (whole.display(), path.display());
    match (exists(whole), exists(path), name) {
        (true, true, Ok(name)) => {
            let dot = if path.is_absolute() { "/." } else { "./" };
            let detail = format!(
                "{shown} can be read in two ways: as the file {shown}, for which write ./{shown}, and as the file \
                 {plain} under the name {name}, for which write {name}={dot}{plain}."
            );
            Err(CliError::usage(detail))
        }
        (true, _, _) => Ok((None, whole)),
        (false, true, Ok(name)) => Ok((Some(name), path)),
        (false, true, Err(error)) => {
            Err(CliError::usage(format!("{shown} does not exist, and {plain} cannot get another name: {error}.")))
        }
        (false, false, _) => {
            let detail = format!(
                "Cannot read {shown}: there is no such file. Nor is there a file {plain} that could get a name by \
                 FILENAME=PATH."
            );
            Err(CliError::new(Exit::Failure, "IO", detail))
        }
    }
}

/// Splits `FILENAME=PATH` at the first `=`, and says what is wrong with the name. `None` if the argument cannot have
/// this form: a path that begins with `/`, `./` or `../` never has.
fn split(argument: &OsStr) -> Option<(Result<FileName, NameError>, &Path)> {
    let bytes = argument.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    let (name, path) = (std::str::from_utf8(&bytes[..at]).ok()?, &bytes[at + 1..]);
    if name.is_empty() || path.is_empty() || ["/", "./", "../"].iter().any(|start| name.starts_with(start)) {
        return None;
    }
    let name = name.parse().and_then(|name: FileName| name.check().map(|()| name));
    Some((name, Path::new(OsStr::from_bytes(path))))
}

fn file_name(segment: &OsStr, prefix: Option<&FileName>, path: &Path) -> Result<FileName, CliError> {
    let refuse = |why: &dyn std::fmt::Display| {
        CliError::usage(format!("{} cannot be an artifact: {why}. Use FILENAME=PATH to name it.", path.display()))
    };
    let segment = segment.to_str().ok_or_else(|| refuse(&"its name is not UTF-8"))?;
    let name = prefix.map_or_else(|| segment.to_owned(), |prefix| format!("{prefix}/{segment}"));
    let name: FileName = name.parse().map_err(|error| refuse(&error))?;
    name.check().map_err(|error| refuse(&error))?;
    Ok(name)
}

fn special(path: &Path) -> CliError {
    let path = path.display();
    CliError::usage(format!("{path} is neither a regular file nor a directory (nor a link to one); leave it out."))
}

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    CliError::io(format_args!("read {}", path.display()), error)
}

fn check_unique(inputs: &[Input]) -> Result<(), CliError> {
    let mut seen = HashMap::new();
    let mut problems = Problems::default();
    for Input { name, path } in inputs {
        if let Some(other) = seen.insert(name.as_str(), path) {
            let (one, two) = (other.display(), path.display());
            problems.add(CliError::usage(format!("{one} and {two} would both be named {name}; use FILENAME=PATH.")));
        }
    }
    problems.into_result()
}

#[cfg(test)]
mod tests;
