//! What is wrong with a catalog: a bounded list of problems, each with its rule and its place.

use std::fmt;

use serde::Serialize;

/// Maximum number of problems that are listed; the rest are only counted.
const MAX_PROBLEMS: usize = 50;
/// Maximum number of characters that a problem quotes from the document.
const MAX_QUOTE: usize = 64;

/// The rule that a catalog violates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// It is a JSON document of type `larder-catalog/1`, of at most 4 MiB, and its members are what they have to be.
    Document,
    /// Its name is that of the catalog it is published to, in both grammars.
    Name,
    /// The names of releases are texts of 1 to 128 bytes, and unique.
    ReleaseName,
    /// So are the names of items, within a release.
    ItemName,
    /// The release is stored with this manifest, complete and pinned, and has the files that the items name.
    ItemFile,
    /// Wares are identified by a type and a hash of that type.
    WareId,
    /// Metadata and hazards are short texts, and tracks are separated by commas.
    Metadata,
    /// Serials grow, each document names its predecessor, and its period of validity is sensible.
    Serial,
    /// What was listed never changes.
    ReleaseChanged,
    /// What was listed stays listed, in its order, below what is new.
    ReleaseRemoved,
    /// The keys of the newest root sign, and every root is signed by the one before.
    Signatures,
    /// The targets for clients of TUF, if there are any, state what the document states.
    Targets,
}

impl Rule {
    /// The code for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Document => "CATALOG_DOCUMENT",
            Self::Name => "CATALOG_NAME",
            Self::ReleaseName => "RELEASE_NAME",
            Self::ItemName => "ITEM_NAME",
            Self::ItemFile => "ITEM_FILE",
            Self::WareId => "WARE_ID",
            Self::Metadata => "METADATA",
            Self::Serial => "CATALOG_SERIAL",
            Self::ReleaseChanged => "RELEASE_CHANGED",
            Self::ReleaseRemoved => "RELEASE_REMOVED",
            Self::Signatures => "CATALOG_SIGNATURES",
            Self::Targets => "CATALOG_TARGETS",
        }
    }

    /// Whether the document contradicts what is published already, rather than being wrong by itself.
    #[must_use]
    pub fn is_conflict(self) -> bool {
        matches!(self, Self::Serial | Self::ReleaseChanged | Self::ReleaseRemoved | Self::Signatures)
    }
}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The rule that is violated.
    pub code: Rule,
    /// Where, such as `releases[3].items.linux`; empty for the document as a whole.
    pub place: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, place, detail } = self;
        let separator = if place.is_empty() { "" } else { ": " };
        write!(f, "{}: {place}{separator}{detail}", code.code())
    }
}

/// What is wrong with a catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    listed: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// A single problem.
    #[must_use]
    pub fn one(code: Rule, place: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut problems = Self::default();
        problems.add(code, place, detail);
        problems
    }

    /// Adds a problem.
    pub fn add(&mut self, code: Rule, place: impl Into<String>, detail: impl Into<String>) {
        if self.listed.len() < MAX_PROBLEMS {
            self.listed.push(Problem { code, place: place.into(), detail: detail.into() });
        } else {
            self.more += 1;
        }
    }

    /// Adds the problems of another list.
    pub fn extend(&mut self, other: Self) {
        let room = MAX_PROBLEMS - self.listed.len();
        self.more += other.more + other.listed.len().saturating_sub(room);
        self.listed.extend(other.listed.into_iter().take(room));
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// The problems that are listed, at most 50.
    #[must_use]
    pub fn listed(&self) -> &[Problem] {
        &self.listed
    }

    /// How many further problems there are.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }

    /// Whether the document only contradicts what is published already, so that another attempt on top of that may
    /// succeed.
    #[must_use]
    pub fn are_conflicts(&self) -> bool {
        self.listed.iter().all(|problem| problem.code.is_conflict())
    }

    /// The rule that stands for all: the first one that is violated by the document itself, if there is one.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        let own = self.listed.iter().find(|problem| !problem.code.is_conflict());
        own.or(self.listed.first()).map(|problem| problem.code)
    }

    /// `Ok` if nothing is wrong.
    ///
    /// # Errors
    /// The problems.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.listed.iter().enumerate() {
            write!(f, "{}{problem}", if at == 0 { "" } else { "\n" })?;
        }
        if self.more > 0 { write!(f, "\nand {} more", self.more) } else { Ok(()) }
    }
}

/// Truncates a text, so that a list of problems stays small.
#[must_use]
pub fn quote(text: &str) -> &str {
    text.char_indices().nth(MAX_QUOTE).map_or(text, |(end, _)| &text[..end])
}
