//! What a verification finds, what becomes of it, and who is told.

use serde::Serialize;

use crate::domain::LogName;
use crate::domain::manifest::Descriptor;
use crate::store::Key;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// A name's log or rows cannot be read.
    UnreadableName {
        /// The name.
        name: LogName,
        /// Why.
        why: String,
    },
    /// A head of a name's log is gone or damaged: what was active then cannot be said any more.
    DamagedHead {
        /// The name.
        name: LogName,
        /// The head.
        generation: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A head that a run of the collector saw is not there any more: the name, and what it needs, is as it was earlier.
    LostHead {
        /// The name.
        name: LogName,
        /// The head.
        generation: u64,
        /// What became of it.
        why: String,
    },
    /// The list of heads that a run of the collector saw cannot be read.
    DamagedList {
        /// Its key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// A name is listed but has no log, and has been for longer than its first publish can have taken to create it.
    NoHeads {
        /// The name.
        name: LogName,
    },
    /// A name has a log but is not listed.
    UnlistedName {
        /// The name.
        name: LogName,
    },
    /// A version's manifest is gone or damaged.
    DamagedManifest {
        /// The name.
        name: LogName,
        /// The version.
        version: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A version's annex is gone or damaged, or only a newer larder can read it, so it is not known what else the version
    /// needs.
    DamagedAnnex {
        /// The name.
        name: LogName,
        /// The version.
        version: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A version's manifest has a format that this version of larder does not know, so that its references cannot be
    /// followed. Nothing need be wrong with it.
    UnknownFormat {
        /// The name.
        name: LogName,
        /// The version.
        version: u64,
        /// The format.
        why: String,
    },
    /// A version refers to a blob that is not there, or that has another size.
    BadReference {
        /// The name.
        name: LogName,
        /// The version.
        version: u64,
        /// The blob.
        blob: Descriptor,
        /// The size that is stored; `None` when nothing is.
        stored: Option<u64>,
    },
    /// A blob's bytes do not have its digest, or cannot be read.
    DamagedBlob {
        /// Its key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// An object that this layout does not know.
    UnknownKey {
        /// Its key.
        key: String,
    },
}

/// What became of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is no more.
    Healed(HealMethod),
    /// It is as it was found; why, if healing was asked for.
    Left(Option<String>),
}

/// How a blob was healed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealMethod {
    /// Its bytes were fetched from elsewhere; damaged ones are deleted.
    Fetched,
    /// Another copy in the store was sound; damaged ones are deleted.
    OtherCopy,
    /// Its damaged bytes were deleted. If a version needs the blob, that it is missing is a finding of its own.
    Discarded,
    /// Somebody else took the damaged bytes away meanwhile.
    Gone,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Names.
    pub names: u64,
    /// Heads of their logs.
    pub heads: u64,
    /// Versions that can be read.
    pub versions: u64,
    /// References from them to blobs.
    pub references: u64,
    /// Blobs that were re-hashed in this run.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Findings.
    pub findings: u64,
    /// Those of them that were healed.
    pub healed: u64,
}

/// Is told what the verification finds and how far it is.
pub trait Observer: Send {
    /// Something is, or was, wrong.
    fn finding(&mut self, finding: &Finding, outcome: &Outcome);

    /// All objects up to and including this key were verified.
    fn verified(&mut self, key: &Key, totals: &Totals);
}
