use proptest::prelude::*;

use super::*;
use crate::store::ObjectMeta;

/// What is stored of one generation.
#[derive(Debug, Clone, Copy)]
struct Stored {
    bytes: Option<i64>,
    condemned: bool,
    seen: Option<u64>,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn copies(generations: &[Stored]) -> BlobCopies {
    let digest = Digest::of(b"blob");
    let mut copies = BlobCopies::default();
    let mut add = |key: LayoutKey, second: i64| {
        let meta = ObjectMeta { key: key.key(), size: 7, modified: at(second) };
        copies.add(&key, meta);
    };
    for (number, stored) in (0..).zip(generations) {
        if let Some(second) = stored.bytes {
            add(LayoutKey::Blob(digest, number), second);
        }
        if stored.condemned {
            add(LayoutKey::Condemned(digest, number), 0);
        }
        if let Some(hour) = stored.seen {
            add(LayoutKey::Seen(digest, number, hour), 0);
        }
    }
    copies
}

fn stored_strategy() -> impl Strategy<Value = Stored> {
    (proptest::option::of(0..200_000_i64), any::<bool>(), proptest::option::of(0..50_u64))
        .prop_map(|(bytes, condemned, seen)| Stored { bytes, condemned, seen })
}

proptest! {
    #[test]
    fn a_live_or_young_generation_never_goes(
        generations in proptest::collection::vec(stored_strategy(), 0..6),
        is_live in any::<bool>(),
        now in 0..250_000_i64,
        min_age in 0..100_000_i64,
    ) {
        let young = AgeLimit::new(at(now), SignedDuration::from_secs(min_age));
        let copies = copies(&generations);
        let fates: Vec<_> = judge(&copies, is_live, young).collect();
        let with_bytes: Vec<u64> =
            (0..).zip(&generations).filter(|(_, stored)| stored.bytes.is_some()).map(|(number, _)| number).collect();
        prop_assert_eq!(fates.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), with_bytes, "each once");
        for (number, size, fate) in fates {
            let stored = generations[usize::try_from(number).unwrap()];
            let seen = stored.seen.map_or(0, |hour| i64::try_from(hour + 1).unwrap() * 3600);
            let is_young = min_age > 0 && stored.bytes.unwrap().max(seen) > now - min_age;
            prop_assert_eq!(size, 7);
            prop_assert_eq!(!fate.stays(), stored.condemned || !(is_live || is_young), "{} {:?}", number, fate);
            prop_assert_eq!(fate == Fate::Condemned, stored.condemned);
        }
    }

    #[test]
    fn hints_are_stale_when_they_say_nothing(generations in proptest::collection::vec(stored_strategy(), 0..6)) {
        let copies = copies(&generations);
        let stale: Vec<(u64, u64)> = copies.stale_hints().collect();
        for (number, stored) in (0..).zip(&generations) {
            let hint = stored.seen.map(|hour| (number, hour));
            let expected = hint.filter(|_| stored.bytes.is_none());
            prop_assert_eq!(hint.filter(|hint| stale.contains(hint)), expected);
        }
    }
}

#[test]
fn without_a_minimum_age_nothing_is_young_whatever_the_clocks_say() {
    let copies = copies(&[Stored { bytes: Some(5000), condemned: false, seen: Some(1) }]);
    let fate =
        |min_age| judge(&copies, false, AgeLimit::new(at(1000), SignedDuration::from_secs(min_age))).next().unwrap().2;
    assert_eq!(fate(0), Fate::Unreferenced, "made in the future");
    assert_eq!(fate(1), Fate::Young);
}

#[test]
fn a_hint_counts_to_the_end_of_its_hour() {
    let stored = Stored { bytes: Some(0), condemned: false, seen: Some(10) };
    let copies = copies(&[stored]);
    let fate = |now| judge(&copies, false, AgeLimit::new(at(now), SignedDuration::from_secs(100))).next().unwrap().2;
    assert_eq!(fate(11 * 3600 + 99), Fate::Young);
    assert_eq!(fate(11 * 3600 + 100), Fate::Unreferenced);
}
