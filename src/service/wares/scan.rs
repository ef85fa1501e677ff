//! An archive from its first byte to its identifier.

use std::io::Read;

use super::archive::{Archive, Kind};
use super::source::Source;
use super::tree::Tree;
use super::{ScanError, ScanLimits};
use crate::domain::Ware;

/// What an archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Its identifier.
    pub ware: Ware,
    /// Number of its entries.
    pub entries: u64,
    /// How many of them are links, devices or FIFOs, which the identifier does not cover.
    pub uncovered: u64,
    /// Its size once it is decompressed, up to its end mark, in bytes.
    pub bytes: u64,
}

/// Computes the identifier of a tar, plain or compressed with gzip. Blocks. Reads no further than the end mark of the
/// archive.
///
/// # Errors
/// A [`ScanError`].
pub fn scan(reader: impl Read, limits: ScanLimits) -> Result<Scanned, ScanError> {
    let mut archive = Archive::new(Source::open(reader, limits)?);
    let mut tree = Tree::new(limits);
    let (mut entries, mut uncovered) = (0, 0);
    while let Some(entry) = archive.next_entry()? {
        entries += 1;
        let content = if entry.kind == Kind::File { Some(archive.hash_content()?) } else { None };
        uncovered += u64::from(entry.kind == Kind::Uncovered);
        tree.add(&entry, content.as_ref())?;
    }
    let ware = Ware::of_tar(&tree.hash()?);
    Ok(Scanned { ware, entries, uncovered, bytes: archive.bytes() })
}
