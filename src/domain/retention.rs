//! Retention: how long a name's versions are kept after readers no longer get them.
//!
//! Pure rules over the rows of one name. Active and pinned versions are kept whatever the rules say. Callers supply the
//! ages; to retire versions by them, they must take all ages from the same clock.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{State, VersionRow};

/// The retention rules for one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Keep at least this many of the newest versions that are or were active, regardless of age.
    pub keep_last: u64,
    /// How long a version that was active is kept after it was archived.
    pub keep_for: SignedDuration,
    /// How long a staged version is kept after it was published, unless it becomes active.
    pub staged_for: SignedDuration,
    /// How long a prepared version may take to be completed.
    pub prepared_for: SignedDuration,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        Self { keep_last: 2, keep_for: days(30), staged_for: days(30), prepared_for: days(1) }
    }
}

/// For how long the files of versions that were active stay in reach of readers who ask for the name, by paths that the
/// active version lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EarlierFiles {
    /// How long after a version was archived. Zero, the default: never.
    pub window: SignedDuration,
    /// Of how many versions, counted from the one that was archived last.
    pub versions: u64,
}

impl EarlierFiles {
    /// [`EarlierFiles::versions`] where nothing else is configured.
    pub const VERSIONS: u64 = 20;
    /// Maximum of [`EarlierFiles::versions`]: whoever asks for a file that is not there may cause all of them to be read.
    pub const MAX_VERSIONS: u64 = 100;

    /// Whether any version can be eligible.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.window.is_positive() && self.versions > 0
    }

    /// Whether a version that was archived so long ago is within the window.
    #[must_use]
    pub fn holds(&self, age: SignedDuration) -> bool {
        age < self.window
    }

    /// The versions whose files stay in reach, the one that was archived last first. `rows` are all roots of a name, or
    /// those that were archived within the window; `age` returns how long ago.
    ///
    /// The order is that of archiving, not of numbers: what a rollback replaced is in it like every other version, and
    /// what a promotion of an old version made active for a while is among the last, however low its number.
    #[must_use]
    pub fn eligible<'a>(
        &self,
        rows: &'a [VersionRow],
        age: impl Fn(&VersionRow) -> SignedDuration,
    ) -> Vec<&'a VersionRow> {
        if !self.is_on() {
            return Vec::new();
        }
        let mut last: Vec<&VersionRow> = rows.iter().filter(|row| row.state == State::Archived).collect();
        // Times of heads never decrease, so the rows of one name can be compared by what hosts wrote.
        last.sort_unstable_by_key(|row| std::cmp::Reverse((since(row), row.number)));
        last.truncate(usize::try_from(self.versions).unwrap_or(usize::MAX));
        last.retain(|row| self.holds(age(row)));
        last
    }
}

impl Default for EarlierFiles {
    fn default() -> Self {
        Self { window: SignedDuration::ZERO, versions: Self::VERSIONS }
    }
}

/// The reason why a version is kept, or why it has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Kept: it is active.
    Active,
    /// Kept: it is pinned.
    Pinned,
    /// Kept: it is among the newest [`Retention::keep_last`].
    KeepLast,
    /// Kept: it was archived less than [`Retention::keep_for`] ago.
    KeepFor,
    /// Kept: its label is one that the policy of the name keeps.
    KeepLabels,
    /// Kept: readers of the name may still ask for its files; see [`EarlierFiles`].
    EarlierFiles,
    /// Kept: it was staged less than [`Retention::staged_for`] ago.
    Staged,
    /// Kept: it has no tag, and was pushed by its digest less than
    /// [`NamePolicy::untagged_for`](super::NamePolicy::untagged_for) ago.
    Untagged,
    /// Kept: it describes a manifest that is there.
    Attached,
    /// Kept: a host was pointed at this very version.
    Served,
    /// Kept: it was prepared less than [`Retention::prepared_for`] ago.
    Prepared,
    /// Kept: a newer Larder gave it a state that this one does not know.
    UnknownState,
    /// Expired: archived too long ago.
    ArchiveExpired,
    /// Expired: staged too long ago.
    StagingExpired,
    /// Expired: without a tag for too long.
    UntaggedExpired,
    /// Expired: not completed in time.
    PreparationExpired,
}

impl Verdict {
    /// Whether the version has expired.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::ArchiveExpired | Self::StagingExpired | Self::UntaggedExpired | Self::PreparationExpired)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Pinned => "pinned",
            Self::KeepLast => "among the last versions that are kept",
            Self::KeepFor => "archived not long ago",
            Self::KeepLabels => "of a label that is kept",
            Self::EarlierFiles => "of files that readers may still ask for",
            Self::Staged => "staged not long ago",
            Self::Untagged => "pushed not long ago, without a tag",
            Self::Attached => "about a manifest that is there",
            Self::Served => "served by a host that was pointed at it",
            Self::Prepared => "being published",
            Self::UnknownState => "in a state that only a newer larder knows",
            Self::ArchiveExpired => "archived longer ago than it is kept",
            Self::StagingExpired => "staged longer ago than it is kept",
            Self::UntaggedExpired => "without a tag for longer than it is kept",
            Self::PreparationExpired => "not completed in time",
        })
    }
}

/// When a version entered its present state, by the clocks of the hosts that wrote its row.
#[must_use]
pub fn since(row: &VersionRow) -> Timestamp {
    let changed = match row.state {
        State::Archived => row.archived_at,
        State::Ready => row.published_at,
        State::Active => row.promoted_at,
        State::Retired => row.retired_at,
        State::Prepared | State::Aborted | State::Unknown(_) => None,
    };
    changed.unwrap_or(row.prepared_at)
}

impl Retention {
    /// Judges each of these rows, which must be all roots of the name. `age` returns how long a version has been in its
    /// present state. The verdicts are in the order of the rows.
    #[must_use]
    pub fn judge(&self, rows: &[VersionRow], age: impl Fn(&VersionRow) -> SignedDuration) -> Vec<Verdict> {
        let mut newest: Vec<u64> = rows.iter().filter(|row| was_active(row)).map(|row| row.number).collect();
        newest.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
        newest.truncate(usize::try_from(self.keep_last).unwrap_or(usize::MAX));
        let last = newest.last().copied().filter(|_| self.keep_last > 0).unwrap_or(u64::MAX);
        rows.iter().map(|row| self.judge_one(row, row.number >= last, || age(row))).collect()
    }

    fn judge_one(&self, row: &VersionRow, is_last: bool, age: impl Fn() -> SignedDuration) -> Verdict {
        let (limit, stays, over) = match row.state {
            State::Active => return Verdict::Active,
            _ if row.is_pinned() => return Verdict::Pinned,
            State::Unknown(_) => return Verdict::UnknownState,
            State::Archived if is_last => return Verdict::KeepLast,
            State::Archived => (self.keep_for, Verdict::KeepFor, Verdict::ArchiveExpired),
            State::Ready => (self.staged_for, Verdict::Staged, Verdict::StagingExpired),
            State::Prepared | State::Retired | State::Aborted => {
                (self.prepared_for, Verdict::Prepared, Verdict::PreparationExpired)
            }
        };
        if age() >= limit { over } else { stays }
    }
}

fn was_active(row: &VersionRow) -> bool {
    matches!(row.state, State::Active | State::Archived)
}

#[cfg(test)]
mod tests;
