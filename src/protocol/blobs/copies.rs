//! Everything that is stored about one digest, as shown by one listing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::layout::LayoutKey;
use crate::store::{ObjectMeta, StoreError, StoreErrorKind};

#[derive(Debug, Default)]
struct Generation {
    bytes: Option<ObjectMeta>,
    condemned: bool,
    /// Hours since 1970 for which a hint exists, in the order of the listing.
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
    /// The latest time at which the bytes may have been created or relied on.
    pub(crate) fn last_sign(&self) -> Timestamp {
        // A hint stands for some moment within its hour, so its end is the upper bound.
        let seen = self.last_seen.and_then(|hour| start_of(hour.saturating_add(1)));
        seen.map_or(self.meta.modified, |seen| seen.max(self.meta.modified))
    }
}

/// The generations of one digest.
#[derive(Debug, Default)]
pub(crate) struct BlobCopies {
    generations: BTreeMap<u64, Generation>,
    /// Numbers under which there is something that cannot be used: it is not an object, or cannot be read.
    blocked: BTreeSet<u64>,
}

impl BlobCopies {
    /// Everything about a digest, from the listing of its prefix. What is not an object, or cannot be read, is not there;
    /// but it occupies the number of its generation.
    pub(super) fn of_listing(listing: Vec<Result<ObjectMeta, StoreError>>) -> Result<Self, StoreError> {
        let mut copies = Self::default();
        for listed in listing {
            match listed {
                Ok(meta) => match LayoutKey::parse(&meta.key) {
                    Some(key) => copies.add(&key, meta),
                    None => copies.pass_by(meta.key.as_str()),
                },
                Err(error) if matches!(error.kind, StoreErrorKind::Stray | StoreErrorKind::Unreadable) => {
                    copies.pass_by(&error.key);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(copies)
    }

    fn pass_by(&mut self, key: &str) {
        if let Some(LayoutKey::Blob(_, generation)) = key.parse().ok().and_then(|key| LayoutKey::parse(&key)) {
            tracing::error!(key, "not a blob that can be read; it counts as missing, and `larder verify` reports it");
            self.blocked.insert(generation);
        } else {
            tracing::debug!(key, "not an object that is known here; `larder verify` reports it");
        }
    }

    /// Numbers that no bytes can be written under, and that no tombstone says so of yet.
    pub(super) fn blocked(&self) -> impl Iterator<Item = u64> {
        let condemned = |number: &u64| self.generations.get(number).is_some_and(|generation| generation.condemned);
        self.blocked.iter().copied().filter(move |number| !condemned(number))
    }

    /// Treats the bytes of this generation as ones that cannot be read: they are known to be damaged.
    pub(super) fn take_away(&mut self, generation: u64) {
        if self.generations.get_mut(&generation).is_some_and(|copy| copy.bytes.take().is_some()) {
            self.blocked.insert(generation);
        }
    }

    pub(crate) fn add(&mut self, key: &LayoutKey, meta: ObjectMeta) {
        match *key {
            LayoutKey::Blob(_, generation) => self.generations.entry(generation).or_default().bytes = Some(meta),
            LayoutKey::Condemned(_, generation) => self.generations.entry(generation).or_default().condemned = true,
            LayoutKey::Seen(_, generation, hour) => {
                self.generations.entry(generation).or_default().seen_hours.push(hour);
            }
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
        let mut sound = self.generations.iter().rev().filter(|(_, generation)| !generation.condemned);
        sound.find_map(|(number, generation)| Some((*number, generation.bytes.as_ref()?)))
    }

    /// Bytes that may be read or copied: preferably those that may be relied on, else any that are still present.
    pub(super) fn readable(&self) -> Option<&ObjectMeta> {
        let any = || self.generations.values().rev().find_map(|generation| generation.bytes.as_ref());
        self.usable().map(|(_, meta)| meta).or_else(any)
    }

    /// Whether there are tombstones but no bytes: all bytes were deleted, or the newest copy was created during the
    /// listing.
    pub(super) fn has_moved(&self) -> bool {
        !self.generations.is_empty() && self.generations.values().all(|generation| generation.bytes.is_none())
    }

    /// The generations that have bytes, by ascending number.
    pub(crate) fn with_bytes(&self) -> impl Iterator<Item = Present<'_>> {
        self.generations.iter().filter_map(|(number, generation)| {
            let meta = generation.bytes.as_ref()?;
            let (condemned, last_seen) = (generation.condemned, generation.last_seen());
            Some(Present { number: *number, size: meta.size, condemned, meta, last_seen })
        })
    }

    /// Stale hints, as generation and hour: their bytes are gone, or a newer hint exists.
    pub(crate) fn stale_hints(&self) -> impl Iterator<Item = (u64, u64)> {
        self.generations.iter().flat_map(|(number, generation)| {
            let last = generation.last_seen().filter(|_| generation.bytes.is_some());
            let hours = generation.seen_hours.iter().copied();
            hours.filter(move |hour| Some(*hour) != last).map(|hour| (*number, hour))
        })
    }

    /// The generation to write when none may be relied on: numbers of condemned generations are never reused, and those
    /// of unusable bytes are taken.
    pub(super) fn next_generation(&self) -> u64 {
        let condemned = self.generations.iter().rev().find(|(_, generation)| generation.condemned);
        let last = condemned.map(|(number, _)| number).max(self.blocked.last());
        last.map_or(0, |number| number + 1)
    }

    /// The generations whose bytes have another length, condemned ones included: readers may still be served those.
    pub(super) fn of_other_length(&self, length: u64) -> Vec<u64> {
        self.with_bytes().filter(|generation| generation.size != length).map(|generation| generation.number).collect()
    }

    /// The generation to write so that it takes precedence over these damaged ones.
    pub(super) fn generation_above(&self, damaged: &[u64]) -> u64 {
        self.next_generation().max(damaged.iter().max().map_or(0, |number| number + 1))
    }

    /// When a hint last recorded that the generation was relied on, rounded down to the hour.
    pub(super) fn last_seen(&self, generation: u64) -> Option<Timestamp> {
        start_of(self.generations.get(&generation)?.last_seen()?)
    }
}

/// The time at which an hour since 1970 began.
fn start_of(hour: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(hour.checked_mul(3600)?).ok()?).ok()
}
