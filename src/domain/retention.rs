//! Retention: how long a name's versions are kept after readers stopped getting them.
//!
//! Pure rules over the rows of one name. Active and pinned versions stay whatever the rules say. Ages are the
//! caller's business: whoever retires by them must take them from one clock.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{State, VersionRow};

/// The rules for one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Keep at least this many of the newest versions that are or were active, regardless of age.
    pub keep_last: u64,
    /// A version that was active stays so long after it was archived.
    pub keep_for: SignedDuration,
    /// A staged version stays so long after it was published, unless it becomes active.
    pub staged_for: SignedDuration,
    /// A prepared version may take so long to be completed.
    pub prepared_for: SignedDuration,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        Self { keep_last: 2, keep_for: days(30), staged_for: days(30), prepared_for: days(1) }
    }
}

/// Why a version stays, or why its time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It stays: readers get it.
    Active,
    /// It stays: it is pinned.
    Pinned,
    /// It stays: it is one of the newest.
    KeepLast,
    /// It stays: it was archived not long ago.
    KeepFor,
    /// It stays: it was staged not long ago.
    Staged,
    /// It stays: it was prepared not long ago.
    Prepared,
    /// It stays: a newer larder put it into a state that this one does not know.
    UnknownState,
    /// It is over: archived too long ago.
    ArchiveExpired,
    /// It is over: staged too long ago.
    StagingExpired,
    /// It is over: never completed.
    PreparationExpired,
}

impl Verdict {
    /// Whether the version's time is up.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::ArchiveExpired | Self::StagingExpired | Self::PreparationExpired)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Pinned => "pinned",
            Self::KeepLast => "among the last versions that are kept",
            Self::KeepFor => "archived not long ago",
            Self::Staged => "staged not long ago",
            Self::Prepared => "being published",
            Self::UnknownState => "in a state that only a newer larder knows",
            Self::ArchiveExpired => "archived longer ago than it is kept",
            Self::StagingExpired => "staged longer ago than it is kept",
            Self::PreparationExpired => "not completed in time",
        })
    }
}

/// When a version came into its present state, as the hosts that wrote its row saw it.
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
    /// What becomes of each of these rows, which must be all of the name's that are roots. `age` says for how long a
    /// version has been in its present state. The answers come in the order of the rows.
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
