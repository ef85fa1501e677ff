//! Which files of a directory are taken: `--include`, `--exclude` and an ignore file, all in the syntax of `.gitignore`.

use std::fs;
use std::io;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::{TreeOptions, unreadable};
use crate::cli::CliError;

/// The ignore file of a directory that is published. Never published itself, unless it is named on the command line.
pub(super) const IGNORE_FILE: &str = ".larderignore";
/// Maximum size of an ignore file, in bytes.
const MAX_IGNORE_FILE: u64 = 1 << 20;

/// Patterns in order; the last one that matches decides.
#[derive(Debug)]
pub(super) struct Rules {
    globs: GlobSet,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, Copy)]
struct Rule {
    take: bool,
    directories_only: bool,
}

impl Rules {
    /// The rules of the command line.
    ///
    /// # Errors
    /// When a pattern is not one.
    pub(super) fn new(options: &TreeOptions) -> Result<Self, CliError> {
        Self::build("", options)
    }

    /// The rules of a directory: its ignore file, then those of the command line. Blocks.
    ///
    /// # Errors
    /// When the ignore file cannot be read, or a pattern is not one.
    pub(super) fn of(directory: &Path, options: &TreeOptions) -> Result<Self, CliError> {
        let path = directory.join(IGNORE_FILE);
        let text = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(unreadable(&path, &error)),
            Ok(metadata) if !metadata.is_file() || metadata.len() > MAX_IGNORE_FILE => {
                let path = path.display();
                return Err(CliError::usage(format!("{path} must be a regular file of at most 1 MiB.")));
            }
            Ok(_) => fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?,
        };
        Self::build(&text, options)
    }

    fn build(ignore_file: &str, options: &TreeOptions) -> Result<Self, CliError> {
        let lines = ignore_file.lines().filter_map(ignore_line);
        let excluded = options.exclude.iter().map(|glob| (glob.as_str(), false));
        let included = options.include.iter().map(|glob| (glob.as_str(), true));
        let (mut globs, mut rules) = (GlobSetBuilder::new(), Vec::new());
        for (pattern, take) in lines.chain(excluded).chain(included) {
            let (pattern, directories_only) = match pattern.strip_suffix('/') {
                Some(directory) => (directory, true),
                None => (pattern, false),
            };
            let glob = GlobBuilder::new(&anchored(pattern)).literal_separator(true).backslash_escape(true).build();
            globs.add(glob.map_err(|error| invalid(pattern, &error))?);
            rules.push(Rule { take, directories_only });
        }
        let globs = globs.build().map_err(|error| CliError::usage(format!("Too many patterns: {error}.")))?;
        Ok(Self { globs, rules })
    }

    /// What the last pattern says that matches the path, relative to the directory; `None` if none does.
    pub(super) fn judge(&self, path: &Path, is_directory: bool) -> Option<bool> {
        let matching = self.globs.matches(path).into_iter().filter_map(|at| self.rules.get(at).map(|rule| (at, rule)));
        let counting = matching.filter(|(_, rule)| is_directory || !rule.directories_only);
        counting.max_by_key(|(at, _)| *at).map(|(_, rule)| rule.take)
    }

    /// Whether files may be taken out of directories that are left out.
    pub(super) fn take_any(&self) -> bool {
        self.rules.iter().any(|rule| rule.take)
    }
}

/// The pattern of a line, and whether it is one of files to take. `None` for comments and empty lines.
fn ignore_line(line: &str) -> Option<(&str, bool)> {
    let kept = line.trim_end();
    // A space behind a backslash belongs to the name.
    let line = if kept.ends_with('\\') && kept.len() < line.len() { &line[..=kept.len()] } else { kept };
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    Some(line.strip_prefix('!').map_or((line, false), |pattern| (pattern, true)))
}

/// A pattern without a slash matches at any depth, any other from the directory on.
fn anchored(pattern: &str) -> String {
    match pattern.strip_prefix('/') {
        Some(rest) => rest.to_owned(),
        None if pattern.contains('/') => pattern.to_owned(),
        None => format!("**/{pattern}"),
    }
}

fn invalid(pattern: &str, error: &globset::Error) -> CliError {
    CliError::usage(format!("{pattern:?} is not a pattern such as *.map or /docs/: {}.", error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(ignore_file: &str, exclude: &[&str], include: &[&str], path: &str) -> Option<bool> {
        let owned = |globs: &[&str]| globs.iter().map(ToString::to_string).collect();
        let options = TreeOptions { exclude: owned(exclude), include: owned(include), ..TreeOptions::default() };
        let (path, is_directory) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
        Rules::build(ignore_file, &options).unwrap().judge(Path::new(path), is_directory)
    }

    #[test]
    fn patterns_are_those_of_gitignore() {
        for (pattern, left_out, not) in [
            ("*.map", vec!["a.map", "b/c/a.map"], vec!["a.mapper"]),
            ("/a", vec!["a", "a/"], vec!["b/a"]),
            ("b/a", vec!["b/a"], vec!["c/b/a", "a"]),
            ("build/", vec!["build/", "x/build/"], vec!["build"]),
            ("a/**/b", vec!["a/b", "a/x/y/b"], vec!["b"]),
            ("**/logs", vec!["logs", "x/logs"], vec!["logs2"]),
            ("a?[0-9].txt", vec!["ab1.txt"], vec!["abc.txt", "a/1.txt"]),
            ("\\#a", vec!["#a"], vec!["a"]),
            ("\\!a", vec!["!a"], vec!["a"]),
            ("a  ", vec!["a"], vec!["a  "]),
            ("a\\ ", vec!["a "], vec!["a"]),
            ("# a", vec![], vec!["# a", "a"]),
        ] {
            for path in left_out {
                assert_eq!(judged(pattern, &[], &[], path), Some(false), "{pattern:?} {path:?}");
            }
            for path in not {
                assert_eq!(judged(pattern, &[], &[], path), None, "{pattern:?} {path:?}");
            }
        }
    }

    #[test]
    fn the_last_pattern_that_matches_decides_and_include_comes_last() {
        assert_eq!(judged("*.map\n!keep.map\n", &[], &[], "keep.map"), Some(true));
        assert_eq!(judged("!keep.map\n*.map\n", &[], &[], "keep.map"), Some(false));
        assert_eq!(judged("!a", &["a"], &[], "a"), Some(false));
        assert_eq!(judged("a", &["a"], &["a"], "a"), Some(true));
        let broken = TreeOptions { exclude: vec!["[a".into()], ..TreeOptions::default() };
        assert!(Rules::new(&broken).unwrap_err().to_string().contains("[a"));
    }
}
