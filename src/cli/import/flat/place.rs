//! Where a flat layout lies: in a directory, which can be listed, or on a server, which cannot.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Url;

use crate::cli::import::release::Place;
use crate::cli::{CliError, Exit};
use crate::client::{RetryPolicy, Web};

/// How deep directories are searched for channels.
const MAX_DEPTH: usize = 16;

/// The place of a flat layout.
#[derive(Debug)]
pub(super) enum Layout {
    /// This directory, without links in its path.
    Directory(PathBuf),
    /// Everything below this address.
    Server(Web, Url),
}

/// A small document of a layout.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) bytes: Bytes,
    pub(super) modified: Option<Timestamp>,
}

impl Layout {
    /// The layout at an address or in a directory.
    pub(super) fn open(source: &str, retries: u32, max_wait: Duration) -> Result<Self, CliError> {
        if source.starts_with("http://") || source.starts_with("https://") {
            let url =
                Url::parse(source).map_err(|error| CliError::usage(format!("{source:?} is no address: {error}.")))?;
            let web = Web::new(&url, RetryPolicy::new(retries), max_wait)?;
            return Ok(Self::Server(web, url));
        }
        let root = fs::canonicalize(source).map_err(|error| reading(Path::new(source), &error))?;
        if !root.is_dir() {
            return Err(CliError::usage(format!("{source} is not a directory, and no address that starts with http.")));
        }
        Ok(Self::Directory(root))
    }

    /// Whether channels and files can be listed.
    pub(super) fn lists(&self) -> bool {
        matches!(self, Self::Directory(_))
    }

    /// The directories below `prefix` that hold files, as paths relative to it; `.` for itself.
    pub(super) fn channels(&self, prefix: &str) -> Result<Vec<String>, CliError> {
        let Self::Directory(root) = self else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let mut open = vec![(String::new(), 0)];
        while let Some((path, depth)) = open.pop() {
            let directory = root.join(prefix).join(&path);
            let mut has_files = false;
            for name in entries(&directory)? {
                let below = directory.join(&name);
                if self.inside(&below).is_ok_and(|below| below.is_dir()) && depth < MAX_DEPTH {
                    open.push((if path.is_empty() { name } else { format!("{path}/{name}") }, depth + 1));
                } else {
                    has_files = true;
                }
            }
            if has_files {
                found.push(if path.is_empty() { ".".to_owned() } else { path });
            }
        }
        found.sort();
        Ok(found)
    }

    /// The names of the files in a directory, or `None` if that cannot be known.
    pub(super) fn files(&self, path: &str) -> Result<Option<BTreeSet<String>>, CliError> {
        let Self::Directory(root) = self else { return Ok(None) };
        let directory = root.join(path);
        let mut files = BTreeSet::new();
        for name in entries(&directory)? {
            if !self.inside(&directory.join(&name)).is_ok_and(|below| below.is_dir()) {
                files.insert(name);
            }
        }
        Ok(Some(files))
    }

    /// Reads a document of at most `limit` bytes; `None` if there is none.
    pub(super) async fn read(&self, path: &str, name: &str, limit: usize) -> Result<Option<Document>, CliError> {
        match self {
            Self::Directory(root) => {
                let file = root.join(path).join(name);
                if !file.exists() {
                    return Ok(None);
                }
                let file = self.inside(&file)?;
                read_file(&file, limit).map(Some).map_err(|error| reading(&file, &error))
            }
            Self::Server(web, base) => {
                let found = web.fetch(&below(base, path, name), "*/*", limit).await?;
                Ok(found.map(|found| Document { bytes: found.body, modified: found.modified }))
            }
        }
    }

    /// Where the bytes of a file are.
    pub(super) fn place(&self, path: &str, name: &str) -> Result<Place, CliError> {
        Ok(match self {
            Self::Directory(root) => Place::Local(self.inside(&root.join(path).join(name))?),
            Self::Server(web, base) => {
                Place::Web { web: web.clone(), url: below(base, path, name), accept: "*/*", look: true }
            }
        })
    }

    /// The public address of a channel, if it has one.
    pub(super) fn address(&self, path: &str, origin: Option<&Url>) -> Option<Url> {
        let base = match self {
            Self::Directory(_) => origin?,
            Self::Server(_, base) => origin.unwrap_or(base),
        };
        let mut url = below(base, path, "");
        url.set_query(None);
        Some(url)
    }

    /// The path without links. Links out of the layout are refused: it may be written by others.
    fn inside(&self, path: &Path) -> Result<PathBuf, CliError> {
        let Self::Directory(root) = self else { return Ok(path.to_owned()) };
        let real = fs::canonicalize(path).map_err(|error| reading(path, &error))?;
        if real.starts_with(root) {
            return Ok(real);
        }
        let detail = format!("{} is a link that leads out of {}.", path.display(), root.display());
        Err(CliError::new(Exit::Failure, "LINK_OUTSIDE", detail))
    }
}

/// The names in a directory, without hidden ones.
fn entries(directory: &Path) -> Result<Vec<String>, CliError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| reading(directory, &error))? {
        let name = entry.map_err(|error| reading(directory, &error))?.file_name();
        let name = name.into_string().map_err(|name| {
            let detail = format!("{} is not named in UTF-8.", directory.join(name).display());
            CliError::new(Exit::Failure, "NAME_INVALID", detail)
        })?;
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    Ok(names)
}

fn read_file(path: &Path, limit: usize) -> io::Result<Document> {
    let file = fs::File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::other(format!("it is longer than {limit} bytes")));
    }
    let modified = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
    Ok(Document { bytes: bytes.into(), modified })
}

/// The address of a file below a base; each part of the path is escaped as it needs.
fn below(base: &Url, path: &str, name: &str) -> Url {
    let mut url = base.clone();
    let parts = path.split('/').chain([name]).filter(|part| !part.is_empty());
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(parts);
    }
    url
}

fn reading(path: &Path, error: &io::Error) -> CliError {
    let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failure };
    CliError::new(exit, "IO", format!("Cannot read {}: {error}.", path.display()))
}
