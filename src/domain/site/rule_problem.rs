//! What is wrong with the rules of a site, by file and line.

use std::fmt;

use crate::domain::text::Escaped;
use crate::domain::utf8;

use super::files::{HEADERS, REDIRECTS};

/// Maximum size of `_redirects`, in bytes.
const MAX_REDIRECTS: usize = 256 << 10;
/// Maximum size of `_headers`, in bytes.
const MAX_HEADERS: usize = 64 << 10;
/// Maximum length of a line, in bytes.
const MAX_LINE: usize = 2000;
/// Maximum number of problems that are listed for a file; the rest are only counted.
const MAX_PROBLEMS: usize = 100;
/// Maximum number of characters of a problem.
const MAX_PROBLEM: usize = 400;

/// A file of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleFile {
    /// `_redirects`.
    Redirects,
    /// `_headers`.
    Headers,
}

impl RuleFile {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Redirects, Self::Headers];

    /// The name of the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Redirects => REDIRECTS,
            Self::Headers => HEADERS,
        }
    }

    /// Its maximum size in bytes. Larger files are not to be read at all.
    #[must_use]
    pub fn max_size(self) -> usize {
        match self {
            Self::Redirects => MAX_REDIRECTS,
            Self::Headers => MAX_HEADERS,
        }
    }
}

/// What is wrong with a line of a file of rules, and what to do. Shown as `_redirects:3: …`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleProblem {
    /// The file.
    pub file: RuleFile,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The problem. Free of characters that hide or reorder text, although it quotes the file.
    pub problem: String,
}

impl fmt::Display for RuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file.name())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// Collects the problems of a file, up to a limit.
#[derive(Debug)]
pub(super) struct Problems {
    file: RuleFile,
    listed: Vec<RuleProblem>,
    more: usize,
}

impl Problems {
    pub(super) fn new(file: RuleFile) -> Self {
        Self { file, listed: Vec::new(), more: 0 }
    }

    /// Adds a problem of a line, or of the file if the line is 0.
    pub(super) fn add(&mut self, line: usize, problem: &str) {
        if self.listed.len() == MAX_PROBLEMS {
            self.more += 1;
            return;
        }
        let shown: String = Escaped::new(problem).to_string();
        let cut = shown.char_indices().nth(MAX_PROBLEM).map(|(end, _)| format!("{}\u{2026}", &shown[..end]));
        self.listed.push(RuleProblem { file: self.file, line, problem: cut.unwrap_or(shown) });
    }

    /// The text of the file, if it is one.
    pub(super) fn text<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a str> {
        let limit = self.file.max_size();
        if bytes.len() > limit {
            self.add(0, &format!("it has {} bytes, the limit is {limit}", bytes.len()));
            return None;
        }
        utf8(bytes).map_err(|error| self.add(0, &error.to_string())).ok()
    }

    /// The lines of a text with their numbers, without those that are too long.
    pub(super) fn lines<'a>(&mut self, text: &'a str) -> Vec<(usize, &'a str)> {
        let mut lines = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            if text.len() > MAX_LINE {
                self.add(line, &format!("the line has {} bytes, the limit is {MAX_LINE}", text.len()));
            } else {
                lines.push((line, text));
            }
        }
        lines
    }

    /// The problems, in the order of lines.
    pub(super) fn into_list(mut self) -> Vec<RuleProblem> {
        self.listed.sort();
        if self.more > 0 {
            let problem = format!("and {} more problems", self.more);
            self.listed.push(RuleProblem { file: self.file, line: 0, problem });
        }
        self.listed
    }
}
