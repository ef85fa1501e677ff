//! The FILE arguments: maps local files to artifacts.

mod rules;
mod tree;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use self::rules::Rules;
use super::problems::Problems;
use crate::cli::{CliError, Exit};
use crate::domain::site::is_ignored;
use crate::domain::{FileName, NameError, text};

/// Which files of a directory to take.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct TreeOptions {
    /// Leave these out, in the syntax of .gitignore: *.map, /docs/
    ///
    /// As often as needed. The file .larderignore of a directory may hold such patterns, too, one a line.
    #[arg(long, value_name = "GLOB", conflicts_with = "manifest")]
    pub(super) exclude: Vec<String>,

    /// Take these although they are excluded, ignored or hidden
    #[arg(long, value_name = "GLOB", conflicts_with = "manifest")]
    pub(super) include: Vec<String>,

    /// Take hidden files and directories, too (those named on the command line are always taken)
    #[arg(long, conflicts_with = "manifest")]
    pub(super) hidden: bool,

    /// Follow links that lead out of a directory, and links to directories
    #[arg(long, conflicts_with = "manifest")]
    pub(super) follow_links: bool,

    /// Whether the files are a static site.
    #[arg(skip)]
    site: bool,
}

impl TreeOptions {
    /// The same for a static site, or not.
    pub(super) fn for_site(&self, site: bool) -> Self {
        Self { site, ..self.clone() }
    }

    /// Whether a file or directory of this name is left out unless something else is said.
    fn leaves_out(&self, base: &OsStr) -> bool {
        if self.hidden {
            false
        } else if self.site {
            base.to_str().is_some_and(is_ignored)
        } else {
            tree::is_hidden(base)
        }
    }

    /// A name as it is published. Addresses of sites are in composed Unicode form, which disks of macOS do not keep.
    fn published(&self, name: FileName) -> Result<FileName, NameError> {
        if self.site {
            name.check_of_site()?;
            text::composed(name.as_str()).parse()
        } else {
            name.check().map(|()| name)
        }
    }
}

/// A local file and its artifact name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) name: FileName,
    /// `None` is standard input.
    pub(super) path: Option<PathBuf>,
}

/// What the arguments stand for.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    /// The files of all arguments in order; those of a directory are sorted by name.
    pub(super) files: Vec<Input>,
    /// What is not taken, or not as it is.
    pub(super) left: Left,
}

/// What of the arguments is not published, or not as it is.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Hidden files and directories.
    pub(super) hidden: Vec<PathBuf>,
    /// Files and directories that a pattern excludes.
    pub(super) excluded: Vec<PathBuf>,
    /// Directories with nothing in them.
    pub(super) empty: Vec<PathBuf>,
    /// Symbolic links, in whose place the files are published that they lead to.
    pub(super) links: Vec<PathBuf>,
}

impl Left {
    /// Puts the paths in an order that does not depend on that of the disk.
    fn sort(&mut self) {
        for paths in [&mut self.hidden, &mut self.excluded, &mut self.empty, &mut self.links] {
            paths.sort();
        }
    }
}

/// Collects the files of all arguments. Blocks.
///
/// # Errors
/// All problems at once, up to a limit.
pub(super) fn collect(arguments: &[PathBuf], options: &TreeOptions) -> Result<Inputs, CliError> {
    let mut inputs = Inputs::default();
    let mut problems = Problems::default();
    let rules = Rules::new(options)?;
    for argument in arguments {
        if let Err(error) = expand(argument.as_os_str(), options, &rules, &mut inputs, &mut problems) {
            problems.add(error);
        }
    }
    inputs.left.sort();
    check_unique(&inputs.files, &mut problems);
    problems.into_result()?;
    if inputs.files.is_empty() {
        return Err(CliError::usage("All files are excluded; nothing is left to publish."));
    }
    Ok(inputs)
}

fn expand(
    argument: &OsStr,
    options: &TreeOptions,
    rules: &Rules,
    inputs: &mut Inputs,
    problems: &mut Problems,
) -> Result<(), CliError> {
    if let Some(name) = piped(argument, options)? {
        inputs.files.push(Input { name, path: None });
        return Ok(());
    }
    let (name, path) = interpret(argument, options)?;
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
        None => file_name(path.file_name().unwrap_or_default(), None, path, options)?,
    };
    if rules.judge(Path::new(name.as_str()), false) == Some(false) {
        inputs.left.excluded.push(path.to_owned());
        return Ok(());
    }
    check_readable(path)?;
    inputs.files.push(Input { name, path: Some(path.to_owned()) });
    Ok(())
}

/// The name of an argument `FILENAME=-`, which is standard input.
fn piped(argument: &OsStr, options: &TreeOptions) -> Result<Option<FileName>, CliError> {
    if argument == "-" {
        let detail = "Say what standard input is to be called: FILENAME=-. For a file with the name - write ./-.";
        return Err(CliError::usage(detail));
    }
    match split(argument, options) {
        Some((name, path)) if path == Path::new("-") && fs::symlink_metadata(argument).is_err() => {
            let refuse = |error| CliError::usage(format!("Standard input cannot get this name: {error}."));
            name.map(Some).map_err(refuse)
        }
        _ => Ok(None),
    }
}

/// Looks whether a file may be read, so that all that may not are named before the first is hashed.
fn check_readable(path: &Path) -> Result<(), CliError> {
    rustix::fs::access(path, Access::READ_OK).map_err(|error| unreadable(path, &error.into()))
}

/// Decides whether an argument is a path or `FILENAME=PATH`. It is whichever exists.
fn interpret<'a>(argument: &'a OsStr, options: &TreeOptions) -> Result<(Option<FileName>, &'a Path), CliError> {
    let (whole, exists) = (Path::new(argument), |path: &Path| fs::symlink_metadata(path).is_ok());
    let Some((name, path)) = split(argument, options) else { return Ok((None, whole)) };
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
fn split<'a>(argument: &'a OsStr, options: &TreeOptions) -> Option<(Result<FileName, NameError>, &'a Path)> {
    let bytes = argument.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    let (name, path) = (std::str::from_utf8(&bytes[..at]).ok()?, &bytes[at + 1..]);
    if name.is_empty() || path.is_empty() || ["/", "./", "../"].iter().any(|start| name.starts_with(start)) {
        return None;
    }
    let name = name.parse().and_then(|name| options.published(name));
    Some((name, Path::new(OsStr::from_bytes(path))))
}

fn file_name(
    segment: &OsStr,
    prefix: Option<&FileName>,
    path: &Path,
    options: &TreeOptions,
) -> Result<FileName, CliError> {
    let refuse = |why: &dyn std::fmt::Display| {
        CliError::usage(format!("{} cannot be an artifact: {why}. Use FILENAME=PATH to name it.", path.display()))
    };
    let segment = segment.to_str().ok_or_else(|| refuse(&"its name is not UTF-8"))?;
    let name = prefix.map_or_else(|| segment.to_owned(), |prefix| format!("{prefix}/{segment}"));
    name.parse().and_then(|name| options.published(name)).map_err(|error| refuse(&error))
}

fn special(path: &Path) -> CliError {
    let path = path.display();
    CliError::usage(format!("{path} is neither a regular file nor a directory (nor a link to one); leave it out."))
}

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    CliError::io(format_args!("read {}", path.display()), error)
}

fn check_unique(inputs: &[Input], problems: &mut Problems) {
    let mut seen = HashMap::new();
    for Input { name, path } in inputs {
        let path = path.as_deref().unwrap_or(Path::new("-"));
        if let Some(other) = seen.insert(name.as_str(), path) {
            let (one, two) = (other.display(), path.display());
            let detail = if other == path {
                format!("{one} is named twice, each time as {name}; leave one out.")
            } else {
                format!("{one} and {two} would both be named {name}; give one another name with FILENAME=PATH.")
            };
            problems.add(CliError::usage(detail));
        }
    }
    if inputs.iter().filter(|input| input.path.is_none()).count() > 1 {
        problems.add(CliError::usage("Standard input can be one file only."));
    }
}

#[cfg(test)]
mod tests;
