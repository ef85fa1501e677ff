//! What made a head: who did what, and under which id.

use serde::{Deserialize, Serialize};

use crate::domain::word::{Word, open_words};
use crate::domain::{Carried, Origin, Subject};

/// Most versions that an operation lists. The rows say of each when it changed, however many there were.
pub const MAX_LISTED: usize = 100;

/// Why a head was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A version's blobs became protected.
    Prepare,
    /// A prepared version's manifest was replaced.
    Amend,
    /// A version became complete and, unless staged, active.
    Publish,
    /// The same, of a manifest that was copied from another name.
    Copy,
    /// A prepared version was given up.
    Abort,
    /// An existing version became active.
    Promote,
    /// The version that was active before became active again.
    Rollback,
    /// A version was pinned.
    Pin,
    /// A pin was taken away.
    Unpin,
    /// Something was attached to a version.
    Attach,
    /// A warning was placed on a version.
    Yank,
    /// Versions were retired.
    Retire,
    /// Versions whose time was up were retired or given up.
    Expire,
    /// The name was taken away from its readers.
    Withdraw,
    /// The name was deleted.
    Delete,
    /// A newer larder did something that this one has no word for.
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
    Retire = "retire",
    Expire = "expire",
    Withdraw = "withdraw",
    Delete = "delete",
});

/// Who made a head and under which id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Unique for every attempt to change a name; tells a writer whose reply was lost whether the head is its own.
    pub id: String,
    /// What was done.
    pub action: Action,
    /// Who did it.
    pub by: Subject,
    /// The surface that the request came through; absent for the native one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Box<str>>,
    /// What is known of them besides, such as repository and run: at most 16 texts, together at most 1 KiB.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Box<str>>,
    /// The version it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The versions whose time was up, the first [`MAX_LISTED`] of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<u64>,
    /// Where the version came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Box<Origin>>,
    /// Why, in their words; at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Members that this binary does not know.
    #[serde(flatten)]
    pub other: Carried,
}

impl Operation {
    /// An operation of which nothing else is known yet.
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
