//! What a path leads to among the files: the exact file, a page at its clean address, or a redirect to that.

use crate::domain::manifest::TrailingSlash;

use super::files::{FileId, Files, composed};

/// Ending of the names of pages.
const HTML: &str = ".html";
/// Name of the page of a directory.
const INDEX: &str = "index.html";

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resolved {
    /// This file.
    File(FileId),
    /// The file with the same bytes as the one that was meant, which this other address leads to.
    Moved(Address),
}

/// An address of a site: a decoded path without slashes at its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// The path. Empty for the start page.
    pub(super) name: String,
    /// Whether the path ends with a slash.
    pub(super) is_directory: bool,
}

impl Address {
    fn new(name: &str, is_directory: bool) -> Self {
        Self { name: name.to_owned(), is_directory }
    }
}

/// What a path leads to. The target of a redirect is always a file at its own address, so that redirects do not follow
/// each other.
pub(super) fn resolve(files: &Files, name: &str, is_directory: bool) -> Option<Resolved> {
    if let Some(id) = served(files, name, is_directory) {
        return Some(Resolved::File(id));
    }
    if !files.settings().clean_urls {
        let has_index = !is_directory && files.find(&format!("{name}/{INDEX}")).is_some();
        return has_index.then(|| Resolved::Moved(Address::new(name, true)));
    }
    if let Some(id) = files.find(name).filter(|_| !is_directory) {
        return Some(moved(files, id).map_or(Resolved::File(id), Resolved::Moved));
    }
    others(files, name, is_directory).into_iter().flatten().find_map(|id| moved(files, id)).map(Resolved::Moved)
}

/// The address of a file, if that leads to a file with the same bytes.
fn moved(files: &Files, id: FileId) -> Option<Address> {
    let address = address(files, id);
    let target = served(files, &address.name, address.is_directory)?;
    (files.file(target).blob.digest == files.file(id).blob.digest).then_some(address)
}

/// The address at which a file is meant to be seen.
pub(super) fn address(files: &Files, id: FileId) -> Address {
    let (name, settings) = (composed(&files.file(id).name), &files.settings());
    let Some(stem) = stem(&name).filter(|_| settings.clean_urls) else { return Address::new(&name, false) };
    match directory_of_index(&name) {
        Some(directory) => {
            let is_directory = directory.is_empty() || settings.trailing_slash != TrailingSlash::Never;
            Address::new(directory, is_directory)
        }
        None => Address::new(stem, settings.trailing_slash == TrailingSlash::Always),
    }
}

/// The file that is served at an address because it is the right one for it.
fn served(files: &Files, name: &str, is_directory: bool) -> Option<FileId> {
    if name.is_empty() {
        return files.start();
    }
    let settings = files.settings();
    let index = || files.find(&format!("{name}/{INDEX}"));
    if !settings.clean_urls {
        return if is_directory { index() } else { files.find(name) };
    }
    match (is_directory, settings.trailing_slash) {
        (true, TrailingSlash::Auto) => index(),
        (true, TrailingSlash::Always) => index().or_else(|| page(files, name)),
        (true, TrailingSlash::Never) => None,
        (false, slash) => match files.find(name) {
            Some(exact) => Some(exact).filter(|_| stem(name).is_none()),
            None if slash == TrailingSlash::Always => None,
            None if slash == TrailingSlash::Never => page(files, name).or_else(index),
            None => page(files, name),
        },
    }
}

/// The page of this name without `.html`, unless it is that of a directory.
fn page(files: &Files, name: &str) -> Option<FileId> {
    let file = format!("{name}{HTML}");
    directory_of_index(&file).map_or_else(|| files.find(&file), |_| None)
}

/// The files that may be meant by a path that leads to none directly, best first.
fn others(files: &Files, name: &str, is_directory: bool) -> [Option<FileId>; 3] {
    let find = |name: &str, ending: &str| files.find(&format!("{name}{ending}"));
    let (page, index) = (find(name, HTML), find(name, "/index.html"));
    if is_directory {
        return [page, index, None];
    }
    let directory = directory_of_index(name).or_else(|| name.strip_suffix("/index"));
    if let Some(directory) = directory.filter(|directory| !directory.is_empty()) {
        return [page, find(directory, HTML), None];
    }
    [index, page, name.strip_suffix(HTML).and_then(|stem| find(stem, "/index.html"))]
}

/// The name of a page without `.html`. `None` if the file is no page.
fn stem(name: &str) -> Option<&str> {
    name.strip_suffix(HTML).filter(|stem| !stem.is_empty() && !stem.ends_with('/'))
}

/// The directory of a page of a directory: `a` of `a/index.html`, nothing of `index.html`.
fn directory_of_index(name: &str) -> Option<&str> {
    let directory = name.strip_suffix(INDEX)?;
    if directory.is_empty() { Some(directory) } else { directory.strip_suffix('/') }
}

#[cfg(test)]
mod tests;
