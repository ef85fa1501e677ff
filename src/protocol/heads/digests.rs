//! Which rows of a segment are versions of a manifest: a few bytes a row, so that looking for a digest in a long history
//! reads no rows.

use crate::domain::{Digest, VersionRow};

/// An index over the immutable rows of one segment.
#[derive(Debug)]
pub(super) struct DigestIndex(Box<[Entry]>);

/// The beginning of the manifest's digest, the number of the version, and whether it is complete.
type Entry = (u64, u64, bool);

impl DigestIndex {
    pub(super) fn new(rows: &[VersionRow]) -> Self {
        let entry = |row: &VersionRow| (beginning(row.digest()), row.number, row.state.is_complete());
        let mut entries: Box<[Entry]> = rows.iter().map(entry).collect();
        entries.sort_unstable();
        Self(entries)
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The versions that may be of this manifest, with whether they are complete. Another digest may begin alike.
    pub(super) fn find(&self, manifest: Digest) -> impl Iterator<Item = (u64, bool)> {
        let wanted = beginning(manifest);
        let from = self.0.partition_point(|(beginning, ..)| *beginning < wanted);
        let alike = self.0[from..].iter().take_while(move |(beginning, ..)| *beginning == wanted);
        alike.map(|(_, number, complete)| (*number, *complete))
    }
}

fn beginning(digest: Digest) -> u64 {
    digest.bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
