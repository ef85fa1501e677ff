//! Content-addressed warehouses: a ware is found at `HASH[0:3]/HASH[3:6]/HASH`.

use crate::domain::FileName;
use crate::domain::catalog::{Document, Item, Release};

/// The types of ware that are packed into one file, which a warehouse can hold.
const PACKED: [&str; 2] = ["tar", "zip"];
/// Length of each of the directories above a ware, in bytes.
const SHARD: usize = 3;
/// Maximum length of a hash, in bytes: of 48 bytes in base58, with room to spare.
const MAX_HASH: usize = 96;

/// The place of a ware in a warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarePath<'a> {
    /// The hash, without the type of ware.
    pub hash: &'a str,
}

impl<'a> WarePath<'a> {
    /// Reads `HASH[0:3]/HASH[3:6]/HASH`. `None` if it is not of this form, or the directories are not those of the hash.
    #[must_use]
    pub fn parse(path: &'a str) -> Option<Self> {
        let mut segments = path.split('/');
        let (first, second, hash) = (segments.next()?, segments.next()?, segments.next()?);
        let is_hash =
            hash.len() > 2 * SHARD && hash.len() <= MAX_HASH && hash.bytes().all(|b| b.is_ascii_alphanumeric());
        let is_place = is_hash && first == &hash[..SHARD] && second == &hash[SHARD..2 * SHARD];
        (is_place && segments.next().is_none()).then_some(Self { hash })
    }
}

/// The files that a catalog says are the ware with this hash, from the newest release on.
pub fn holders<'a>(document: &'a Document, hash: &str) -> impl Iterator<Item = (&'a Release, FileName)> {
    document.releases.iter().flat_map(move |release| {
        let file = |item: &Item| packed(item).filter(|(_, stated, _)| *stated == hash).map(|(_, _, file)| file.clone());
        release.items.values().filter_map(file).map(move |file| (release, file)).collect::<Vec<_>>()
    })
}

/// The types of ware of which a catalog has files, sorted.
#[must_use]
pub fn packed_kinds(document: &Document) -> Vec<&'static str> {
    let items = || document.releases.iter().flat_map(|release| release.items.values());
    PACKED.into_iter().filter(|kind| items().filter_map(packed).any(|(stated, _, _)| stated == *kind)).collect()
}

/// Type, hash and file of an item that is a ware in one file.
fn packed(item: &Item) -> Option<(&str, &str, &FileName)> {
    let (kind, hash) = item.ware.as_deref()?.split_once(':')?;
    let file = item.file.as_ref()?;
    PACKED.contains(&kind).then_some((kind, hash, file))
}
