//! Everything that is stored about one digest, as one listing shows it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::layout::LayoutKey;
use crate::store::ObjectMeta;

#[derive(Debug, Default)]
struct Generation {
    bytes: Option<ObjectMeta>,
    condemned: bool,
    /// Hours since 1970 in which somebody left a hint, in the order of the listing.
    seen_hours: Vec<u64>,
}

impl Generation {
    fn last_seen(&self) -> Option<u64> {
        self.seen_hours.iter().max().copied()
    }
}

/// A generation that has bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Present<'a> {
    pub(crate) number: u64,
    pub(crate) size: u64,
    pub(crate) condemned: bool,
    meta: &'a ObjectMeta,
    last_seen: Option<u64>,
}

impl Present<'_> {
    /// When the bytes were made or last relied on, at the latest.
    pub(crate) fn last_sign(&self) -> Timestamp {
        // A hint is about some moment of its hour.
        let seen = self.last_seen.and_then(|hour| start_of(hour.saturating_add(1)));
        seen.map_or(self.meta.modified, |seen| seen.max(self.meta.modified))
    }
}

/// The generations of one digest.
#[derive(Debug, Default)]
pub(crate) struct BlobCopies(BTreeMap<u64, Generation>);

impl BlobCopies {
    pub(crate) fn add(&mut self, key: &LayoutKey, meta: ObjectMeta) {
        match *key {
            LayoutKey::Blob(_, generation) => self.0.entry(generation).or_default().bytes = Some(meta),
            LayoutKey::Condemned(_, generation) => self.0.entry(generation).or_default().condemned = true,
            LayoutKey::Seen(_, generation, hour) => self.0.entry(generation).or_default().seen_hours.push(hour),
            LayoutKey::Marker(_)
            | LayoutKey::Copying
            | LayoutKey::Name(_)
            | LayoutKey::Head(..)
            | LayoutKey::Segment(..)
            | LayoutKey::Run(..)
            | LayoutKey::SeenHeads(..)
            | LayoutKey::Upload(..)
            | LayoutKey::Probe(..)
            | LayoutKey::Aux(_)
            | LayoutKey::Tmp(_) => {}
        }
    }

    /// The newest generation whose bytes may be relied on.
    pub(super) fn usable(&self) -> Option<(u64, &ObjectMeta)> {
        let mut sound = self.0.iter().rev().filter(|(_, generation)| !generation.condemned);
        sound.find_map(|(number, generation)| Some((*number, generation.bytes.as_ref()?)))
    }

    /// Bytes that may be read or copied: those that may be relied on, else any that are still there.
    pub(super) fn readable(&self) -> Option<&ObjectMeta> {
        let any = || self.0.values().rev().find_map(|generation| generation.bytes.as_ref());
        self.usable().map(|(_, meta)| meta).or_else(any)
    }

    /// Whether there are tombstones, but no bytes: all were deleted, or the last copy was made while they were listed.
    pub(super) fn has_moved(&self) -> bool {
        !self.0.is_empty() && self.0.values().all(|generation| generation.bytes.is_none())
    }

    /// The generations that have bytes, by ascending number.
    pub(crate) fn with_bytes(&self) -> impl Iterator<Item = Present<'_>> {
        self.0.iter().filter_map(|(number, generation)| {
            let meta = generation.bytes.as_ref()?;
            let (condemned, last_seen) = (generation.condemned, generation.last_seen());
            Some(Present { number: *number, size: meta.size, condemned, meta, last_seen })
        })
    }

    /// The hints, as generation and hour, that say nothing: about bytes that are gone, or older than another one.
    pub(crate) fn stale_hints(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().flat_map(|(number, generation)| {
            let last = generation.last_seen().filter(|_| generation.bytes.is_some());
            let hours = generation.seen_hours.iter().copied();
            hours.filter(move |hour| Some(*hour) != last).map(|hour| (*number, hour))
        })
    }

    /// The generation to write when there is none that may be relied on: numbers of doomed bytes are never reused.
    pub(super) fn next_generation(&self) -> u64 {
        self.0.iter().rev().find(|(_, generation)| generation.condemned).map_or(0, |(number, _)| number + 1)
    }

    /// The generations with bytes of another length, doomed ones too: readers may still be given those.
    pub(super) fn of_other_length(&self, length: u64) -> Vec<u64> {
        self.with_bytes().filter(|generation| generation.size != length).map(|generation| generation.number).collect()
    }

    /// The generation to write so that it outranks these damaged ones.
    pub(super) fn generation_above(&self, damaged: &[u64]) -> u64 {
        self.next_generation().max(damaged.iter().max().map_or(0, |number| number + 1))
    }

    /// When a hint last said that the generation was relied on, rounded down to the hour.
    pub(super) fn last_seen(&self, generation: u64) -> Option<Timestamp> {
        start_of(self.0.get(&generation)?.last_seen()?)
    }
}

/// When an hour since 1970 began.
fn start_of(hour: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(hour.checked_mul(3600)?).ok()?).ok()
}
