//! The changes that can be asked for.

use super::Action;
use crate::domain::version::Pin;
use crate::domain::{Expect, Origin, Selector, State, Summary, VersionRow};

/// A version whose time is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its number.
    pub number: u64,
    /// The generation of its row that this was said of.
    pub generation: u64,
    /// Why.
    pub reason: String,
}

/// A change that somebody wants to make to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Protect the blobs of a new version (`protocol` step P1).
    Prepare {
        /// The new version.
        summary: Summary,
        /// Where it comes from, if not from its publisher.
        from: Option<Box<Origin>>,
        /// What the client requires of the name.
        expect: Expect,
    },
    /// Complete a prepared version (P3) and, if asked to, make it active.
    Commit {
        /// Its number.
        number: u64,
        /// Whether readers get it from now on.
        activate: bool,
        /// What the client requires of the name.
        expect: Expect,
    },
    /// Give a prepared version up.
    Abort {
        /// Its number.
        number: u64,
    },
    /// Make an existing version active.
    Promote {
        /// Which one.
        selector: Selector,
        /// What the client requires of the name.
        expect: Expect,
    },
    /// Place the pin that people place by hand, or take it away. Pins of other owners stay as they are.
    Pin {
        /// Which version.
        selector: Selector,
        /// Whether it is to have that pin.
        pinned: bool,
    },
    /// Retire versions by hand.
    Retire {
        /// Which one.
        selector: Selector,
        /// Why.
        reason: String,
    },
    /// Retire or give up versions whose time is up. Those that changed since that was found out are left alone.
    Expire {
        /// Which ones.
        due: Vec<Due>,
    },
    /// Take the name away from its readers: the active version is archived, and a rollback brings it back.
    Withdraw {
        /// What the client requires of the name.
        expect: Expect,
        /// Why.
        reason: String,
    },
    /// Retire everything and stop listing the name.
    Delete {
        /// What the client requires of the name.
        expect: Expect,
        /// Why.
        reason: String,
    },
}

impl Change {
    /// What the head of this change is labelled with, unless the state of the name gives it a more exact word: a
    /// promotion of the version that was active before is a rollback, a publish of a copied manifest a copy.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Self::Prepare { .. } => Action::Prepare,
            Self::Commit { .. } => Action::Publish,
            Self::Abort { .. } => Action::Abort,
            Self::Promote { .. } => Action::Promote,
            Self::Pin { pinned: true, .. } => Action::Pin,
            Self::Pin { pinned: false, .. } => Action::Unpin,
            Self::Retire { .. } => Action::Retire,
            Self::Expire { .. } => Action::Expire,
            Self::Withdraw { .. } => Action::Withdraw,
            Self::Delete { .. } => Action::Delete,
        }
    }

    /// Which version must be at hand to decide; `None` when the head itself is enough.
    #[must_use]
    pub fn selector(&self) -> Option<Selector> {
        match self {
            Self::Commit { number, .. } | Self::Abort { number } => Some(Selector::Number(*number)),
            Self::Promote { selector, .. } | Self::Pin { selector, .. } | Self::Retire { selector, .. } => {
                Some(*selector)
            }
            Self::Withdraw { .. } => Some(Selector::Active),
            Self::Prepare { .. } | Self::Expire { .. } | Self::Delete { .. } => None,
        }
    }

    pub(super) fn expect(&self) -> Option<&Expect> {
        match self {
            Self::Prepare { expect, .. }
            | Self::Commit { expect, .. }
            | Self::Promote { expect, .. }
            | Self::Withdraw { expect, .. }
            | Self::Delete { expect, .. } => Some(expect),
            Self::Abort { .. } | Self::Pin { .. } | Self::Retire { .. } | Self::Expire { .. } => None,
        }
    }

    /// The version that already is what the change asks for. A retried request must succeed, whatever its
    /// precondition said the first time (RFC 9110 section 13.1.1 allows just this).
    pub(super) fn already(&self, row: Option<&VersionRow>) -> Option<VersionRow> {
        match self {
            Self::Prepare { .. }
            | Self::Delete { .. }
            | Self::Abort { .. }
            | Self::Expire { .. }
            | Self::Withdraw { .. } => None,
            Self::Commit { activate, .. } => row.filter(|row| match row.state {
                State::Active | State::Archived => true,
                State::Ready => !activate,
                State::Prepared | State::Retired | State::Aborted | State::Unknown(_) => false,
            }),
            Self::Promote { .. } => row.filter(|row| row.state == State::Active),
            Self::Pin { pinned, .. } => row.filter(|row| match row.state {
                State::Prepared | State::Ready | State::Active | State::Archived => {
                    row.is_pinned_by(Pin::USER) == *pinned
                }
                State::Retired | State::Aborted | State::Unknown(_) => false,
            }),
            Self::Retire { .. } => row.filter(|row| row.state == State::Retired),
        }
        .cloned()
    }
}
