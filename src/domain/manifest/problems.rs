//! The problems of a document that is checked before it is published: a bounded list.

use super::ManifestError;

/// Maximum number of problems that are listed; the rest are only counted.
const MAX_PROBLEMS: usize = 50;
/// Maximum number of characters that a problem quotes from the manifest.
const MAX_QUOTE: usize = 64;

/// What is wrong with a document.
#[derive(Default)]
pub(super) struct Problems {
    listed: Vec<String>,
    more: usize,
}

impl Problems {
    /// Adds a problem.
    pub(super) fn add(&mut self, problem: String) {
        if self.listed.len() < MAX_PROBLEMS {
            self.listed.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// The result of the check.
    pub(super) fn into_result(mut self) -> Result<(), ManifestError> {
        if self.listed.is_empty() {
            return Ok(());
        }
        if self.more > 0 {
            self.listed.push(format!("and {} more problems", self.more));
        }
        Err(ManifestError::Invalid(self.listed))
    }
}

/// Truncates a text, so that a list of problems stays small.
pub(super) fn quote(text: &str) -> &str {
    text.char_indices().nth(MAX_QUOTE).map_or(text, |(end, _)| &text[..end])
}
