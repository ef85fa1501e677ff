//! The names that a run has marked, each with the head that it saw.

use std::collections::HashMap;

use crate::domain::LogName;
use crate::upkeep::seen::SeenHead;

/// What is known of a name after it was marked.
#[derive(Debug, Clone, Copy)]
pub(super) struct SeenName {
    pub(super) head: SeenHead,
    /// Whether every root's manifest was there. If not, its publisher has not checked its blobs yet, and the name must
    /// be looked at again even if its head is still the same.
    pub(super) settled: bool,
}

/// The names that were marked.
#[derive(Debug, Default)]
pub(super) struct Marked(HashMap<LogName, SeenName>);

impl Marked {
    pub(super) fn names(&self) -> u64 {
        self.0.len() as u64
    }

    /// The head of a name that was marked.
    pub(super) fn head(&self, name: &LogName) -> Option<SeenHead> {
        self.0.get(name).map(|seen| seen.head)
    }

    pub(super) fn heads(&self) -> impl Iterator<Item = (&LogName, SeenHead)> {
        self.0.iter().map(|(name, seen)| (name, seen.head))
    }

    pub(super) fn is_settled(&self, name: &LogName, generation: u64) -> bool {
        self.0.get(name).is_some_and(|seen| seen.settled && seen.head.generation == generation)
    }

    /// Adds names that were marked.
    pub(super) fn extend(&mut self, names: Vec<(LogName, SeenName)>) {
        self.0.extend(names);
    }
}
