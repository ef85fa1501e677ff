//! The changes that can be requested.

use super::{Action, Floor, Head, Rejection};
use crate::domain::version::{Yank, bounded};
use crate::domain::{Descriptor, Expect, Origin, PinOwner, Selector, State, Summary, VersionRow};

/// A version that has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Number of the version.
    pub number: u64,
    /// Generation of the row that was judged expired; if the row has changed since, it is left alone.
    pub generation: u64,
    /// The retention rule that applies, in words.
    pub reason: String,
}

/// A requested change to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Step P1: protect the blobs of a new version by making it a root.
    Prepare {
        /// Summary of the new version's manifest.
        summary: Summary,
        /// Origin of the version, unless its publisher uploaded it.
        from: Option<Box<Origin>>,
        /// The annex with what is attached to it from the start, stored already.
        annex: Option<Descriptor>,
        /// The client's precondition.
        expect: Expect,
    },
    /// Begin a draft: a prepared version that several requests fill, possibly through several servers. Only one draft with
    /// a key is begun; whoever comes second gets that one, or the version that it has become.
    BeginDraft {
        /// The key by which the requests of one publish find the draft, at most 200 bytes.
        session: Box<str>,
        /// Summary of the draft's parts document.
        summary: Summary,
    },
    /// Replace the parts document of a draft, or give the draft up. Its time limit begins again. Nothing happens if the row
    /// has changed since it was read: the caller must read it again and merge.
    Amend {
        /// Number of the version.
        number: u64,
        /// Generation of the row that the new document is based on.
        generation: u64,
        /// Summary of the new document; `None` gives the draft up.
        summary: Option<Summary>,
    },
    /// Step P3: complete a prepared version and, unless it is staged, make it active.
    Commit {
        /// Number of the version.
        number: u64,
        /// Whether it becomes active at once.
        activate: bool,
        /// The client's precondition.
        expect: Expect,
    },
    /// Abort a prepared version.
    Abort {
        /// Number of the version.
        number: u64,
    },
    /// Make an existing version active.
    Promote {
        /// The version to promote.
        selector: Selector,
        /// The client's precondition.
        expect: Expect,
    },
    /// Make the version active again whose content was active last before the present content.
    Rollback {
        /// The client's precondition.
        expect: Expect,
    },
    /// Add or remove the pin of one owner. Pins of other owners are unaffected.
    Pin {
        /// The version to pin or unpin.
        selector: Selector,
        /// Whether to add the pin or to remove it.
        pinned: bool,
        /// On whose behalf.
        owner: PinOwner,
        /// Whether to remove the pin of a catalog that still lists the version. It takes a reason.
        force: bool,
    },
    /// Replace the annex of a version by one that has one attachment more. Nothing happens if the version has another annex
    /// than the new one is based on: the caller must read it again and add to that.
    Attach {
        /// Number of the version.
        number: u64,
        /// The annex that the new one is based on.
        base: Option<Descriptor>,
        /// The new annex, stored already.
        annex: Descriptor,
    },
    /// Retire a version by hand.
    Retire {
        /// The version to retire.
        selector: Selector,
        /// The reason given by the user.
        reason: String,
    },
    /// Warn against a version. Its bytes stay, and its exact addresses still work.
    Yank {
        /// The version to warn against.
        selector: Selector,
        /// The reason given by the user.
        reason: String,
        /// Number of the version to use instead.
        instead: Option<u64>,
        /// Whether to go back to the content before, as a rollback does, if the version is active. Without it, the active
        /// version cannot be yanked.
        rollback: bool,
    },
    /// Take the warning against a version away.
    Unyank {
        /// The version.
        selector: Selector,
    },
    /// State that a version is the lowest that clients should run.
    Floor {
        /// The version.
        selector: Selector,
        /// The reason given by the user.
        reason: String,
    },
    /// Take the floor away.
    Unfloor {
        /// The version that must be the floor; `None`: whichever is.
        version: Option<u64>,
    },
    /// Step C0: retire or abort expired versions. Those that changed since they were judged are left alone.
    Expire {
        /// The expired versions.
        due: Vec<Due>,
    },
    /// Withdraw the name from its readers: the active version is archived, and a rollback restores it.
    Withdraw {
        /// The client's precondition.
        expect: Expect,
        /// Number of the version that must be active; `None`: whichever is.
        version: Option<u64>,
        /// The reason given by the user.
        reason: String,
    },
    /// Retire all versions and stop listing the name.
    Delete {
        /// The client's precondition.
        expect: Expect,
        /// The reason given by the user.
        reason: String,
    },
}

impl Change {
    /// The action recorded in the head, unless the state of the name calls for a more precise one: promoting the
    /// previously active version is a rollback, publishing a copied manifest is a copy.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Self::Prepare { .. } | Self::BeginDraft { .. } => Action::Prepare,
            Self::Amend { summary: Some(_), .. } => Action::Amend,
            Self::Commit { .. } => Action::Publish,
            Self::Abort { .. } | Self::Amend { summary: None, .. } => Action::Abort,
            Self::Promote { .. } => Action::Promote,
            Self::Rollback { .. } => Action::Rollback,
            Self::Pin { pinned: true, .. } => Action::Pin,
            Self::Pin { pinned: false, .. } => Action::Unpin,
            Self::Attach { .. } => Action::Attach,
            Self::Retire { .. } => Action::Retire,
            Self::Yank { .. } => Action::Yank,
            Self::Unyank { .. } => Action::Unyank,
            Self::Floor { .. } => Action::Floor,
            Self::Unfloor { .. } => Action::Unfloor,
            Self::Expire { .. } => Action::Expire,
            Self::Withdraw { .. } => Action::Withdraw,
            Self::Delete { .. } => Action::Delete,
        }
    }

    /// The version needed to judge the change; `None` if the head itself is enough.
    #[must_use]
    pub fn selector(&self) -> Option<Selector> {
        match self {
            Self::Commit { number, .. }
            | Self::Abort { number }
            | Self::Amend { number, .. }
            | Self::Attach { number, .. } => Some(Selector::Number(*number)),
            Self::Promote { selector, .. }
            | Self::Pin { selector, .. }
            | Self::Retire { selector, .. }
            | Self::Yank { selector, .. }
            | Self::Unyank { selector }
            | Self::Floor { selector, .. } => Some(selector.clone()),
            Self::Withdraw { .. } => Some(Selector::Active),
            Self::Prepare { .. }
            | Self::BeginDraft { .. }
            | Self::Rollback { .. }
            | Self::Unfloor { .. }
            | Self::Expire { .. }
            | Self::Delete { .. } => None,
        }
    }

    /// Fails if a catalog would go back, or be taken away by somebody who may not found one.
    pub(super) fn judge_catalog(
        &self,
        current: Option<&Head>,
        row: Option<&VersionRow>,
        is_founder: bool,
    ) -> Result<(), Rejection> {
        let takes_away = match self {
            Self::Withdraw { .. } | Self::Delete { .. } => true,
            Self::Retire { .. } => row.is_some_and(|row| row.state == State::Active),
            _ => false,
        };
        let goes_back = current.is_some_and(|head| self.goes_back(head, row));
        if goes_back || (takes_away && !is_founder) { Err(Rejection::RollsForward) } else { Ok(()) }
    }

    /// Whether something else becomes active that was published before. Not so for what was withdrawn and comes back.
    fn goes_back(&self, head: &Head, row: Option<&VersionRow>) -> bool {
        let is_back = row.is_some_and(|row| head.previous == Some(row.number));
        match self {
            Self::Promote { .. } | Self::Rollback { .. } => head.active().is_some() || !is_back,
            Self::Yank { rollback, .. } => *rollback && row.is_some_and(|row| row.state == State::Active),
            _ => false,
        }
    }

    /// Summary of the manifest that the change publishes, or prepares to publish; `row` is the version that it is about.
    #[must_use]
    pub fn published<'a>(&'a self, row: Option<&'a VersionRow>) -> Option<&'a Summary> {
        match self {
            Self::Prepare { summary, .. } => Some(summary),
            Self::Commit { .. } => row.map(|row| &row.summary),
            _ => None,
        }
    }

    /// Whether the change is about the name or what is active under it, rather than a version that it names.
    pub(super) fn is_about_what_is_active(&self) -> bool {
        matches!(self.selector(), None | Some(Selector::Active | Selector::Previous))
    }

    pub(super) fn expect(&self) -> Option<&Expect> {
        match self {
            Self::Prepare { expect, .. }
            | Self::Commit { expect, .. }
            | Self::Promote { expect, .. }
            | Self::Rollback { expect }
            | Self::Withdraw { expect, .. }
            | Self::Delete { expect, .. } => Some(expect),
            Self::BeginDraft { .. }
            | Self::Amend { .. }
            | Self::Abort { .. }
            | Self::Pin { .. }
            | Self::Attach { .. }
            | Self::Retire { .. }
            | Self::Yank { .. }
            | Self::Unyank { .. }
            | Self::Floor { .. }
            | Self::Unfloor { .. }
            | Self::Expire { .. } => None,
        }
    }

    /// The version, if it already is in the state that the change requests. Makes retries idempotent: they must succeed
    /// whatever their precondition said the first time (RFC 9110 section 13.1.1 allows exactly this).
    pub(super) fn already(&self, head: &Head, row: Option<&VersionRow>) -> Option<VersionRow> {
        match self {
            Self::BeginDraft { session, .. } => head.rows.iter().rfind(|row| row.is_from(session)),
            Self::Amend { generation, .. } => {
                row.filter(|row| row.state == State::Prepared && row.generation != *generation)
            }
            Self::Attach { base, .. } => row.filter(|row| row.state.is_root() && row.annex != *base),
            Self::Prepare { .. }
            | Self::Delete { .. }
            | Self::Rollback { .. }
            | Self::Abort { .. }
            | Self::Expire { .. }
            | Self::Unfloor { .. }
            | Self::Withdraw { .. } => None,
            Self::Yank { reason, instead, .. } => row.filter(|row| {
                let same = |yank: &Yank| *yank.reason == *bounded(reason) && yank.instead == *instead;
                row.state.is_complete() && row.state != State::Active && row.yanked.as_deref().is_some_and(same)
            }),
            Self::Unyank { .. } => row.filter(|row| row.state.is_complete() && row.yanked.is_none()),
            Self::Floor { reason, .. } => row.filter(|row| {
                let same = |floor: &Floor| floor.version == row.number && floor.reason == bounded(reason);
                head.floor.as_deref().is_some_and(same)
            }),
            Self::Commit { activate, .. } => row.filter(|row| match row.state {
                State::Active | State::Archived => true,
                State::Ready => !activate,
                State::Prepared | State::Retired | State::Aborted | State::Unknown(_) => false,
            }),
            Self::Promote { .. } => row.filter(|row| row.state == State::Active),
            Self::Pin { pinned, owner, .. } => row.filter(|row| match row.state {
                State::Prepared | State::Ready | State::Active | State::Archived => {
                    row.is_pinned_by(&owner.to_string()) == *pinned
                }
                State::Retired | State::Aborted | State::Unknown(_) => false,
            }),
            Self::Retire { .. } => row.filter(|row| row.state == State::Retired),
        }
        .cloned()
    }
}
