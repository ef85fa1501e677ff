//! Names that one directory of files can hold.

use std::collections::HashSet;

use crate::domain::FileName;

/// The names added so far. None is used twice, and none is both a file and a directory.
#[derive(Debug, Default)]
pub(super) struct Tree {
    files: HashSet<FileName>,
    directories: HashSet<Box<str>>,
}

impl Tree {
    /// Adds a name, unless the directory cannot hold it beside the others. Returns whether it was added.
    pub(super) fn add(&mut self, name: &FileName) -> bool {
        let text = name.as_str();
        let mut parents = text.match_indices('/').map(|(at, _)| &text[..at]);
        let is_below = |parent: &str| parent.parse().is_ok_and(|parent: FileName| self.files.contains(&parent));
        if self.directories.contains(text) || parents.any(is_below) || !self.files.insert(name.clone()) {
            return false;
        }
        self.directories.extend(text.match_indices('/').map(|(at, _)| text[..at].into()));
        true
    }
}
