//! What must be known of a version to select it by its label.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::precedence;
use crate::domain::{State, VersionRow};

/// A version that can be selected by its label: one that is or was complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Candidate {
    /// Number of the version.
    pub number: u64,
    /// Its label; `None` if it has none, or one that is too long to be kept whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Box<str>>,
    /// What can be done with the version.
    #[serde(skip_serializing_if = "Standing::is_readable")]
    pub standing: Standing,
    /// Whether it was yanked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub yanked: bool,
    /// The version number that the label states.
    #[serde(skip)]
    pub precedence: Option<Version>,
}

/// What can be done with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It can be read, and is or was active.
    #[default]
    Released,
    /// It can be read, and was never active.
    Staged,
    /// It was retired, or is in a state that only a newer Larder knows.
    #[serde(other)]
    Gone,
}

impl Standing {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it a reference")]
    fn is_readable(&self) -> bool {
        *self == Self::Released
    }
}

/// A candidate as it is stored; what follows from the label is computed again.
#[derive(Deserialize)]
struct Stored {
    number: u64,
    #[serde(default)]
    label: Option<Box<str>>,
    #[serde(default)]
    standing: Standing,
    #[serde(default)]
    yanked: bool,
}

impl From<Stored> for Candidate {
    fn from(Stored { number, label, standing, yanked }: Stored) -> Self {
        let precedence = label.as_deref().and_then(precedence);
        Self { number, label, standing, yanked, precedence }
    }
}

impl Candidate {
    /// The candidate that a row is; `None` for versions that were never complete.
    #[must_use]
    pub fn of(row: &VersionRow) -> Option<Self> {
        let standing = match row.state {
            State::Prepared | State::Aborted => return None,
            State::Active | State::Archived => Standing::Released,
            State::Ready => Standing::Staged,
            State::Retired | State::Unknown(_) => Standing::Gone,
        };
        let label = row.summary.label.as_deref().filter(|_| !row.summary.label_cut).map(Into::into);
        Some(Stored { number: row.number, label, standing, yanked: row.yanked.is_some() }.into())
    }

    /// Whether lines, ranges and lists of releases offer it: it is or was active, and was neither retired nor yanked.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.standing == Standing::Released && !self.yanked
    }

    /// Whether it has exactly this label.
    #[must_use]
    pub fn has_label(&self, label: &str) -> bool {
        self.label.as_deref() == Some(label)
    }
}
