//! The FILE arguments: maps local files to artifacts.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::cli::CliError;
use crate::domain::FileName;

/// A local file and its artifact name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) name: FileName,
    pub(super) path: PathBuf,
}

/// Collects the files of all arguments in order; the files of a directory are sorted by name. Blocks.
pub(super) fn collect(arguments: &[PathBuf]) -> Result<Vec<Input>, CliError> {
    let mut inputs = Vec::new();
    for argument in arguments {
        expand(argument.as_os_str(), &mut inputs)?;
    }
    check_unique(&inputs)?;
    Ok(inputs)
}

fn expand(argument: &OsStr, inputs: &mut Vec<Input>) -> Result<(), CliError> {
    let (name, path) = split(argument);
    let metadata = fs::metadata(path).map_err(|error| CliError::io(format_args!("read {}", path.display()), &error))?;
    if metadata.is_dir() {
        let first = inputs.len();
        walk(path, name.as_ref(), inputs)?;
        inputs[first..].sort_by(|one, other| one.name.cmp(&other.name));
        if inputs.len() == first {
            return Err(CliError::usage(format!("The directory {} holds no files.", path.display())));
        }
        return Ok(());
    }
    if !metadata.is_file() {
        return Err(special(path));
    }
    let name = match name {
        Some(name) => name,
        None => file_name(path.file_name().unwrap_or_default(), None, path)?,
    };
    inputs.push(Input { name, path: path.to_owned() });
    Ok(())
}

/// Splits `FILENAME=PATH`. It has this form if the text before the first `=` is a valid artifact name; a path that
/// contains `=` is therefore written `./a=b`. Otherwise the whole argument is a path.
fn split(argument: &OsStr) -> (Option<FileName>, &Path) {
    let bytes = argument.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=');
    let named = at.and_then(|at| {
        let name: FileName = std::str::from_utf8(&bytes[..at]).ok()?.parse().ok()?;
        name.check().ok()?;
        let path = &bytes[at + 1..];
        (!path.is_empty()).then(|| (name, Path::new(OsStr::from_bytes(path))))
    });
    named.map_or((None, Path::new(argument)), |(name, path)| (Some(name), path))
}

/// Adds the files below `directory`, named relative to it, recursively.
fn walk(directory: &Path, prefix: Option<&FileName>, inputs: &mut Vec<Input>) -> Result<(), CliError> {
    let failed = |error| CliError::io(format_args!("read the directory {}", directory.display()), &error);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let name = file_name(&entry.file_name(), prefix, &path)?;
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            walk(&path, Some(&name), inputs)?;
        } else if kind.is_file() || (kind.is_symlink() && path.is_file()) {
            inputs.push(Input { name, path });
        } else {
            // A link to a directory could form a cycle or lead outside the tree.
            return Err(special(&path));
        }
    }
    Ok(())
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
    CliError::usage(format!("{path} is neither a regular file nor a directory (nor a link to a file); leave it out."))
}

fn check_unique(inputs: &[Input]) -> Result<(), CliError> {
    let mut seen = HashMap::new();
    for Input { name, path } in inputs {
        if let Some(other) = seen.insert(name.as_str(), path) {
            let (one, two) = (other.display(), path.display());
            return Err(CliError::usage(format!("{one} and {two} would both be named {name}; use FILENAME=PATH.")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_name_stands_before_the_first_equals_sign() {
        let read = |text: &'static str| {
            let (name, path) = split(OsStr::new(text));
            (name.map(|name| name.to_string()), path.to_str().unwrap())
        };
        assert_eq!(read("a.zip"), (None, "a.zip"));
        assert_eq!(read("b.zip=dist/a.zip"), (Some("b.zip".into()), "dist/a.zip"));
        assert_eq!(read("x/b=a=c"), (Some("x/b".into()), "a=c"));
        assert_eq!(read("./a=b"), (None, "./a=b"));
        assert_eq!(read("/a=b"), (None, "/a=b"));
        assert_eq!(read("=b"), (None, "=b"));
        assert_eq!(read("a="), (None, "a="));
    }

    fn names(arguments: &[PathBuf]) -> Vec<String> {
        collect(arguments).unwrap().into_iter().map(|input| input.name.to_string()).collect()
    }

    #[test]
    fn a_directory_is_taken_whole_and_sorted() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("b/c")).unwrap();
        for file in ["b/c/z", "b/a", "c", "a"] {
            fs::write(at(file), file).unwrap();
        }
        symlink(at("a"), at("b/link")).unwrap();
        assert_eq!(names(&[root.path().to_owned()]), ["a", "b/a", "b/c/z", "b/link", "c"]);
        let mut prefixed = std::ffi::OsString::from("site=");
        prefixed.push(at("b/c"));
        assert_eq!(names(&[at("c"), prefixed.into()]), ["c", "site/z"]);
    }

    #[test]
    fn what_cannot_be_published_is_named() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        let error = |arguments: &[PathBuf]| collect(arguments).unwrap_err().to_string();
        assert!(error(&[root.path().to_owned()]).contains("holds no files"));
        assert!(error(&[at("absent")]).contains("absent"));
        fs::create_dir(at("d")).unwrap();
        fs::write(at("d/x"), "").unwrap();
        fs::write(at("x"), "").unwrap();
        assert!(error(&[at("x"), at("d")]).contains("both be named x"));
        symlink(at("d"), at("d/loop")).unwrap();
        assert!(error(&[at("d")]).contains("d/loop"));
        assert!(error(&["/dev/null".into()]).contains("/dev/null"));
    }
}
