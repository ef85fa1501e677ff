//! The labels of the versions in a segment: what selecting by a label needs, without the rows.
//!
//! A label index is a JSON document, `{"format": 1, "versions": [{"number": …, "label": …}, …]}`, stored as segments are.
//! It repeats what the rows of its segment say, so one that is missing or cannot be read is replaced by the rows.

use serde::{Deserialize, Serialize};

use crate::domain::label::Candidate;
use crate::domain::{Digest, VersionRow};
use crate::store::StoreError;

/// Format of label indexes.
const FORMAT: u32 = 1;
/// Largest label index that is read, in bytes.
pub(super) const MAX_INDEX: u64 = 32 << 20;

/// The versions of one segment that are or were complete, by ascending number.
#[derive(Debug)]
pub(super) struct LabelIndex(Box<[Candidate]>);

/// A label index as stored.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored<C> {
    format: u32,
    versions: C,
}

impl LabelIndex {
    pub(super) fn new(rows: &[VersionRow]) -> Self {
        Self(rows.iter().filter_map(Candidate::of).collect())
    }

    pub(super) fn bytes(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Stored { format: FORMAT, versions: &self.0 })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Candidate> {
        self.0.iter()
    }

    /// Whether the version with this number is in the segment.
    pub(super) fn holds(&self, number: u64) -> bool {
        self.0.binary_search_by_key(&number, |candidate| candidate.number).is_ok()
    }

    /// Memory that the index takes, in bytes.
    pub(super) fn weight(&self) -> u32 {
        let bytes = |one: &Candidate| size_of::<Candidate>() + one.label.as_deref().map_or(0, str::len);
        u32::try_from(size_of::<Digest>() + self.0.iter().map(bytes).sum::<usize>()).unwrap_or(u32::MAX)
    }
}

impl From<Stored<Vec<Candidate>>> for LabelIndex {
    fn from(mut stored: Stored<Vec<Candidate>>) -> Self {
        stored.versions.sort_unstable_by_key(|candidate| candidate.number);
        Self(stored.versions.into())
    }
}

/// Whether the rows tell what an index that failed with this error would have told.
pub(super) fn is_replaceable(error: &StoreError) -> bool {
    use crate::store::StoreErrorKind::{Corrupt, Newer, Unreadable};
    matches!(error.kind, Corrupt | Newer | Unreadable)
}
