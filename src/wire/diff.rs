//! What differs between two versions of a name.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{limits, schema};
use crate::domain::manifest::diff::{BlobState, Diff, FileChange, FileState, MemberChange};
use crate::domain::{Digest, ManifestName};

/// A file that only one of the versions has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffFile {
    /// File name.
    pub name: String,
    /// Digest of the content.
    #[schemars(with = "schema::Digest")]
    pub blob: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// The bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffBlob {
    /// Their digest.
    #[schemars(with = "schema::Digest")]
    pub blob: Digest,
    /// Their number.
    pub size: u64,
}

/// A file that both versions have, but not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffChange {
    /// File name.
    pub name: String,
    /// The file in the version that is compared.
    pub old: DiffBlob,
    /// The file in the version that it is compared with.
    pub new: DiffBlob,
    /// Whether anything but the bytes differs, such as the media type or the platform.
    pub metadata: bool,
}

/// A member of the manifest that is not the same in both versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffMember {
    /// Its text in the version that is compared; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// Its text in the version that it is compared with; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// What differs between two versions of a name. A page has at most 1,000 entries of each list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionDiff {
    /// The name.
    #[schemars(with = "schema::Name")]
    pub name: ManifestName,
    /// Number of the version that is compared.
    pub from: u64,
    /// Number of the version that it is compared with.
    pub to: u64,
    /// Files that only `to` has, by name.
    pub added: Vec<DiffFile>,
    /// Files that only `from` has, by name.
    pub removed: Vec<DiffFile>,
    /// Files that both have, with other bytes or other metadata, by name.
    pub changed: Vec<DiffChange>,
    /// Number of files that are the same in both.
    pub unchanged: u64,
    /// What differs beside the files, by member of the manifest.
    pub members: BTreeMap<String, DiffMember>,
    /// Total size of the files of `to` minus that of the files of `from`, in bytes.
    pub bytes: i64,
    /// The next `page`; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

impl VersionDiff {
    /// A page of the differences, counted from 1.
    #[must_use]
    pub fn new(name: &ManifestName, (from, to): (u64, u64), diff: Diff, page: usize) -> Self {
        let skip = page.saturating_sub(1).saturating_mul(limits::DIFFERENCES);
        let longest = diff.added.len().max(diff.removed.len()).max(diff.changed.len());
        let next = (longest > skip.saturating_add(limits::DIFFERENCES)).then_some(page as u64 + 1);
        let members = diff.members.into_iter().map(|(member, change)| (member.to_owned(), change.into())).collect();
        Self {
            name: name.clone(),
            from,
            to,
            added: part(diff.added, skip),
            removed: part(diff.removed, skip),
            changed: part(diff.changed, skip),
            unchanged: diff.unchanged as u64,
            members,
            bytes: diff.bytes,
            next,
        }
    }
}

fn part<T, U: From<T>>(all: Vec<T>, skip: usize) -> Vec<U> {
    all.into_iter().skip(skip).take(limits::DIFFERENCES).map(U::from).collect()
}

impl From<FileState> for DiffFile {
    fn from(file: FileState) -> Self {
        Self { name: file.name.as_str().to_owned(), blob: file.blob, size: file.size }
    }
}

impl From<BlobState> for DiffBlob {
    fn from(blob: BlobState) -> Self {
        Self { blob: blob.blob, size: blob.size }
    }
}

impl From<FileChange> for DiffChange {
    fn from(file: FileChange) -> Self {
        Self {
            name: file.name.as_str().to_owned(),
            old: file.old.into(),
            new: file.new.into(),
            metadata: file.metadata,
        }
    }
}

impl From<MemberChange> for DiffMember {
    fn from(change: MemberChange) -> Self {
        Self { old: change.old, new: change.new }
    }
}
