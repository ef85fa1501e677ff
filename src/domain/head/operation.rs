//! Operations: who made a head, what was done, and under which id.

use serde::{Deserialize, Serialize};

use crate::domain::word::{Word, open_words};
use crate::domain::{Carried, Origin, Subject};

/// Maximum number of versions that an operation lists. The rows themselves record all changes, without a limit.
pub const MAX_LISTED: usize = 100;

/// The kinds of operations that produce a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A version was prepared, which protects its blobs (P1).
    Prepare,
    /// A prepared version's manifest was replaced.
    Amend,
    /// A version became complete and, unless staged, active (P3).
    Publish,
    /// As `Publish`, for a manifest copied from another name.
    Copy,
    /// A prepared version was aborted.
    Abort,
    /// An existing version became active.
    Promote,
    /// The previously active version became active again.
    Rollback,
    /// A version was pinned.
    Pin,
    /// A pin was removed.
    Unpin,
    /// A signature or other statement was attached to a version.
    Attach,
    /// A version was yanked.
    Yank,
    /// A yank was taken back.
    Unyank,
    /// A version became the lowest that clients should run.
    Floor,
    /// There is no such version any more.
    Unfloor,
    /// Versions were retired.
    Retire,
    /// Expired versions were retired or aborted (C0).
    Expire,
    /// The name was withdrawn from its readers.
    Withdraw,
    /// The name was deleted.
    Delete,
    /// An operation of a newer Larder that this one does not know.
    Unknown(Word),
}

open_words!(Action {
    Prepare = "prepare",
    Amend = "amend",
    Publish = "publish",
    Copy = "copy",
    Abort = "abort",
    Promote = "promote",
    Rollback = "rollback",
    Pin = "pin",
    Unpin = "unpin",
    Attach = "attach",
    Yank = "yank",
    Unyank = "unyank",
    Floor = "floor",
    Unfloor = "unfloor",
    Retire = "retire",
    Expire = "expire",
    Withdraw = "withdraw",
    Delete = "delete",
});

impl Action {
    /// What was done, before the number of a version, such as `rolled back to`.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Prepare => "prepared",
            Self::Amend => "amended",
            Self::Publish => "published",
            Self::Copy => "copied",
            Self::Abort => "gave up",
            Self::Promote => "promoted",
            Self::Rollback => "rolled back to",
            Self::Pin => "pinned",
            Self::Unpin => "unpinned",
            Self::Attach => "attached to",
            Self::Yank => "yanked",
            Self::Unyank => "unyanked",
            Self::Floor => "set the floor to",
            Self::Unfloor => "took away the floor",
            Self::Retire => "retired",
            Self::Expire => "expired",
            Self::Withdraw => "withdrew the name",
            Self::Delete => "deleted the name",
            Self::Unknown(_) => "changed",
        }
    }
}

/// The operation that produced a head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Unique for every attempt to change a name. A writer whose reply was lost recognises its own head by it.
    pub id: String,
    /// The kind of operation.
    pub action: Action,
    /// The subject that requested it.
    pub by: Subject,
    /// The surface that the request came through; absent for the native one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Box<str>>,
    /// Additional claims about the subject, such as repository and run: at most 16 strings, together at most 1 KiB.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Box<str>>,
    /// The version concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The expired versions, at most the first [`MAX_LISTED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<u64>,
    /// Origin of the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Box<Origin>>,
    /// The reason given by the subject, verbatim; at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

impl Operation {
    /// Creates an operation without any optional details.
    #[must_use]
    pub fn new(id: String, action: Action, by: Subject) -> Self {
        Self {
            id,
            action,
            by,
            via: None,
            claims: Vec::new(),
            version: None,
            versions: Vec::new(),
            from: None,
            reason: None,
            other: Carried::default(),
        }
    }
}
