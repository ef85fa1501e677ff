//! The findings of a verification, their outcomes, and the observer that receives them.

use serde::Serialize;

use crate::domain::LogName;
use crate::domain::manifest::Descriptor;
use crate::store::Key;

/// A problem found by a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// A name's log or rows cannot be read.
    UnreadableName {
        /// The name whose log is unreadable.
        name: LogName,
        /// The error, as text.
        why: String,
    },
    /// A head of a name's log is missing or damaged: what was active at that time is unknown.
    DamagedHead {
        /// The name of the log.
        name: LogName,
        /// The generation of the head.
        generation: u64,
        /// What is wrong with the head.
        why: String,
    },
    /// A head that a run of the collector saw is missing: the name, and what it needs, has been reset to an earlier
    /// state.
    LostHead {
        /// The name of the log.
        name: LogName,
        /// The generation of the lost head.
        generation: u64,
        /// How the head was lost.
        why: String,
    },
    /// The list of heads that a run of the collector wrote cannot be read.
    DamagedList {
        /// The key of the list.
        key: String,
        /// What is wrong with the list.
        why: String,
    },
    /// A name is listed but has no log, for longer than its first publish can have taken to create it.
    NoHeads {
        /// The name without heads.
        name: LogName,
    },
    /// A name has a log but is not listed.
    UnlistedName {
        /// The name without a mark.
        name: LogName,
    },
    /// A version's manifest is missing or damaged.
    DamagedManifest {
        /// The name of the version.
        name: LogName,
        /// The number of the version.
        version: u64,
        /// What is wrong with the manifest.
        why: String,
    },
    /// A version's annex is missing or damaged, or only a newer binary can read it, so the version's further needs are
    /// unknown.
    DamagedAnnex {
        /// The name of the version.
        name: LogName,
        /// The number of the version.
        version: u64,
        /// What is wrong with the annex.
        why: String,
    },
    /// A version's manifest has a format that this binary does not know, so its references cannot be followed. This
    /// need not be an error.
    UnknownFormat {
        /// The name of the version.
        name: LogName,
        /// The number of the version.
        version: u64,
        /// The unknown format.
        why: String,
    },
    /// A version refers to a blob that is missing or has another size.
    BadReference {
        /// The name of the version.
        name: LogName,
        /// The number of the version.
        version: u64,
        /// The blob as the version refers to it.
        blob: Descriptor,
        /// The stored size; `None` when nothing is stored.
        stored: Option<u64>,
    },
    /// A blob's bytes do not have its digest, or cannot be read.
    DamagedBlob {
        /// The key of the generation.
        key: String,
        /// What is wrong with the bytes.
        why: String,
    },
    /// An alias, which says what a SHA-512 digest stands for, cannot be read or is wrong.
    DamagedAlias {
        /// The key of the alias.
        key: String,
        /// What is wrong with the alias.
        why: String,
    },
    /// An object whose key is not part of this layout.
    UnknownKey {
        /// The unknown key.
        key: String,
    },
}

/// The outcome of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The problem was healed.
    Healed(HealMethod),
    /// The problem remains; the reason, if healing was requested.
    Left(Option<String>),
}

/// How a blob was healed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealMethod {
    /// Its bytes were fetched from a source; damaged ones were deleted.
    Fetched,
    /// Another copy in the store was sound; damaged ones were deleted.
    OtherCopy,
    /// Its damaged bytes were deleted. If a version needs the blob, its absence is a finding of its own.
    Discarded,
    /// Another process deleted the damaged bytes meanwhile.
    Gone,
}

/// Counts of what was examined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Names examined.
    pub names: u64,
    /// Heads in the logs of those names.
    pub heads: u64,
    /// Readable versions.
    pub versions: u64,
    /// References from those versions to blobs.
    pub references: u64,
    /// Blobs re-hashed in this run.
    pub blobs: u64,
    /// Bytes of the re-hashed blobs.
    pub bytes: u64,
    /// Findings, including healed ones.
    pub findings: u64,
    /// Findings that were healed.
    pub healed: u64,
}

/// Receives the findings and the progress of a verification.
pub trait Observer: Send {
    /// Called for each finding with its outcome.
    fn finding(&mut self, finding: &Finding, outcome: &Outcome);

    /// All objects up to and including this key were verified.
    fn verified(&mut self, key: &Key, totals: &Totals);
}
