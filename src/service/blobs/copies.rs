//! Everything that is stored about one digest, as one listing shows it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::layout::LayoutKey;
use crate::store::ObjectMeta;

#[derive(Debug, Default)]
struct Generation {
    bytes: Option<ObjectMeta>,
    condemned: bool,
    seen_hour: Option<u64>,
}

/// The generations of one digest.
#[derive(Debug, Default)]
pub(super) struct Copies(BTreeMap<u64, Generation>);

impl Copies {
    pub(super) fn add(&mut self, key: &LayoutKey, meta: ObjectMeta) {
        match *key {
            LayoutKey::Blob(_, generation) => self.0.entry(generation).or_default().bytes = Some(meta),
            LayoutKey::Condemned(_, generation) => self.0.entry(generation).or_default().condemned = true,
            LayoutKey::Seen(_, generation, hour) => {
                let known = &mut self.0.entry(generation).or_default().seen_hour;
                *known = (*known).max(Some(hour));
            }
            LayoutKey::Marker(_)
            | LayoutKey::Name(_)
            | LayoutKey::Head(..)
            | LayoutKey::Segment(..)
            | LayoutKey::Run(..) => {}
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

    /// The generation to write when there is none that may be relied on: numbers of doomed bytes are never reused.
    pub(super) fn next_generation(&self) -> u64 {
        self.0.iter().rev().find(|(_, generation)| generation.condemned).map_or(0, |(number, _)| number + 1)
    }

    /// The generations with bytes of another length, doomed ones too: readers may still be given those.
    pub(super) fn of_other_length(&self, length: u64) -> Vec<u64> {
        let differs = |generation: &Generation| generation.bytes.as_ref().is_some_and(|meta| meta.size != length);
        self.0.iter().filter(|(_, generation)| differs(generation)).map(|(number, _)| *number).collect()
    }

    /// The generation to write so that it outranks these damaged ones.
    pub(super) fn generation_above(&self, damaged: &[u64]) -> u64 {
        self.next_generation().max(damaged.iter().max().map_or(0, |number| number + 1))
    }

    /// When a hint last said that the generation was relied on, rounded down to the hour.
    pub(super) fn last_seen(&self, generation: u64) -> Option<Timestamp> {
        let hour = self.0.get(&generation)?.seen_hour?;
        Timestamp::from_second(i64::try_from(hour.checked_mul(3600)?).ok()?).ok()
    }
}
