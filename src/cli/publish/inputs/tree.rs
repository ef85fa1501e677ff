//! A directory as an argument: its files, named relative to it.
//!
//! Nothing is published that the directory does not hold: links out of it are refused. Hidden files are left out,
//! because they are configuration and secrets far more often than releases (`.git`, `.env`, `.ssh`). A release holds files
//! and nothing else: in place of a link goes what it leads to, an empty directory is left out, and both are reported.

use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::rules::{IGNORE_FILE, Rules};
use super::{Input, Inputs, Problems, TreeOptions, check_readable, file_name, special, unreadable};
use crate::cli::CliError;
use crate::domain::FileName;

/// The hidden directory that belongs to a site (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// Adds the files below `directory`, recursively and sorted by name.
pub(super) fn walk(
    directory: &Path,
    prefix: Option<&FileName>,
    options: &TreeOptions,
    inputs: &mut Inputs,
    problems: &mut Problems,
) -> Result<(), CliError> {
    let root = fs::canonicalize(directory).map_err(|error| unreadable(directory, &error))?;
    let rules = Rules::of(directory, options)?;
    let (first, hidden, excluded) = (inputs.files.len(), inputs.left.hidden.len(), inputs.left.excluded.len());
    let before = problems.count();
    let mut walk = Walk { options, rules, top: directory, open: vec![root.clone()], root, inputs, problems };
    walk.directory(directory, prefix, false);
    if inputs.files.len() == first && problems.count() == before {
        let but = match (inputs.left.hidden.len() > hidden, inputs.left.excluded.len() > excluded) {
            (true, _) => " but hidden ones; --hidden takes them",
            (false, true) => " but excluded ones",
            (false, false) => "",
        };
        return Err(CliError::usage(format!("The directory {} holds no files{but}.", directory.display())));
    }
    inputs.files[first..].sort_by(|one, other| one.name.cmp(&other.name));
    Ok(())
}

struct Walk<'a> {
    options: &'a TreeOptions,
    rules: Rules,
    /// The published directory, as it was named.
    top: &'a Path,
    /// The published directory, without links on the way.
    root: PathBuf,
    /// The directories from the root down to the present one, without links, to notice cycles.
    open: Vec<PathBuf>,
    inputs: &'a mut Inputs,
    problems: &'a mut Problems,
}

impl Walk<'_> {
    /// Everything in a directory, or if that is `left_out` only what a pattern takes. Problems are collected, so that all
    /// bad files are named at once.
    fn directory(&mut self, directory: &Path, prefix: Option<&FileName>, left_out: bool) {
        let mut entries = match fs::read_dir(directory) {
            Ok(entries) => entries.peekable(),
            Err(error) => return self.problems.add(unreadable(directory, &error)),
        };
        if entries.peek().is_none() && directory != self.top && !left_out {
            self.inputs.left.empty.push(directory.to_owned());
        }
        for entry in entries {
            let result = match entry {
                Ok(entry) => self.entry(&entry.file_name(), &entry.path(), entry.file_type(), prefix, left_out),
                Err(error) => Err(unreadable(directory, &error)),
            };
            if let Err(error) = result {
                self.problems.add(error);
            }
        }
    }

    fn entry(
        &mut self,
        base: &OsStr,
        path: &Path,
        kind: io::Result<FileType>,
        prefix: Option<&FileName>,
        inside: bool,
    ) -> Result<(), CliError> {
        let kind = kind.map_err(|error| unreadable(path, &error))?;
        let relative = path.strip_prefix(self.top).unwrap_or(path);
        let verdict = self.rules.judge(relative, kind.is_dir());
        let hidden = self.options.leaves_out(base);
        let left_out = match verdict {
            _ if relative == Path::new(IGNORE_FILE) => return Ok(()),
            Some(take) => !take,
            None => inside || hidden,
        };
        if left_out {
            // What lies in something left out is not reported once more.
            match verdict {
                _ if inside => {}
                Some(_) => self.inputs.left.excluded.push(path.to_owned()),
                None => self.inputs.left.hidden.push(path.to_owned()),
            }
            return if kind.is_dir() { self.search(path, file_name(base, prefix, path, self.options)) } else { Ok(()) };
        }
        let target = if kind.is_symlink() { Some(self.target(path)?) } else { None };
        let kind = match &target {
            // Without following it once more: it may have been replaced by another link.
            Some(target) => fs::symlink_metadata(target).map_err(|error| unreadable(path, &error))?.file_type(),
            None => kind,
        };
        if !kind.is_dir() && !kind.is_file() {
            return Err(special(path));
        }
        let name = file_name(base, prefix, path, self.options)?;
        if kind.is_dir() {
            return self.enter(path, target, &name);
        }
        check_readable(path)?;
        if target.is_some() {
            self.inputs.left.links.push(path.to_owned());
        }
        self.inputs.files.push(Input { name, path: Some(path.to_owned()) });
        Ok(())
    }

    /// Unlike git, a pattern can take files out of a directory that is left out: then it has to be searched.
    fn search(&mut self, path: &Path, name: Result<FileName, CliError>) -> Result<(), CliError> {
        if self.rules.take_any() {
            self.open.push(self.open.last().unwrap_or(&self.root).join(path.file_name().unwrap_or_default()));
            self.directory(path, Some(&name?), true);
            self.open.pop();
        }
        Ok(())
    }

    fn enter(&mut self, path: &Path, target: Option<PathBuf>, name: &FileName) -> Result<(), CliError> {
        if let Some(target) = &target {
            let (link, shown) = (path.display(), target.display());
            if !self.options.follow_links {
                let detail = format!("{link} is a link to the directory {shown}; leave it out, or use --follow-links.");
                return Err(CliError::usage(detail));
            }
            if self.open.contains(target) {
                return Err(CliError::usage(format!(
                    "{link} is a link back to {shown}, which holds it; leave it out."
                )));
            }
        }
        let real = match target {
            Some(target) => target,
            None => self.open.last().unwrap_or(&self.root).join(path.file_name().unwrap_or_default()),
        };
        self.open.push(real);
        self.directory(path, Some(name), false);
        self.open.pop();
        Ok(())
    }

    /// Where a link leads to in the end, if it may be taken.
    fn target(&self, link: &Path) -> Result<PathBuf, CliError> {
        let shown = link.display();
        let next = fs::read_link(link).map_err(|error| unreadable(link, &error))?;
        let target = fs::canonicalize(link).map_err(|error| {
            CliError::usage(format!("{shown} is a link to {}, which cannot be read: {error}.", next.display()))
        })?;
        let (root, leads) = (self.root.display(), target.display());
        match target.strip_prefix(&self.root) {
            Err(_) if !self.options.follow_links => Err(CliError::usage(format!(
                "{shown} is a link to {leads}, outside of {root}; leave it out, or use --follow-links."
            ))),
            Ok(inside) if inside.components().any(|part| self.options.leaves_out(part.as_os_str())) => Err(
                CliError::usage(format!("{shown} is a link to {leads}, which is hidden; use --hidden to take both.")),
            ),
            _ => Ok(target),
        }
    }
}

/// Whether a name is hidden, which those of a site are not for that alone.
pub(super) fn is_hidden(base: &OsStr) -> bool {
    base.as_bytes().starts_with(b".") && base.as_bytes() != WELL_KNOWN
}
