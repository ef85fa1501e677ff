//! The order in which manifests are followed to those that they name.

use std::collections::HashSet;

use crate::domain::manifest::Child;

/// The manifests still to be read, each once. Cycles are impossible because a manifest cannot contain its own digest,
/// but several manifests may name the same one.
#[derive(Debug, Default)]
pub struct ManifestWalk {
    waiting: Vec<Child>,
    seen: HashSet<Child>,
}

impl ManifestWalk {
    /// Adds manifests that were not added before.
    pub fn add(&mut self, manifests: impl IntoIterator<Item = Child>) {
        self.waiting.extend(manifests.into_iter().filter(|child| self.seen.insert(child.clone())));
    }

    /// Whether no manifest is left to read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next manifest to read.
    pub fn pop(&mut self) -> Option<Child> {
        self.waiting.pop()
    }
}
