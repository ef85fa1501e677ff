use proptest::prelude::*;

use super::super::manifest::{Descriptor, Kind};
use super::super::{Carried, Digest, Pin, Subject, Summary};
use super::*;

fn row(number: u64, state: State, pinned: bool) -> VersionRow {
    let manifest = Descriptor { digest: Digest::of(&number.to_le_bytes()), size: 1 };
    let summary = Summary {
        manifest,
        media_type: None,
        label: None,
        label_cut: false,
        kind: Kind::Files,
        files: 1,
        total_bytes: 1,
        entrypoint: None,
        source: None,
        subject: None,
        pushed_as: None,
    };
    let mut row = VersionRow::prepared(number, summary, Subject::admin(), Timestamp::UNIX_EPOCH);
    row.state = state;
    if pinned {
        let (by, at) = (Subject::admin(), Timestamp::UNIX_EPOCH);
        row.pins.push(Pin { owner: Pin::USER.into(), by, at, reason: None, other: Carried::default() });
    }
    row
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

const NOTHING: Retention = Retention {
    keep_last: 0,
    keep_for: SignedDuration::ZERO,
    staged_for: SignedDuration::ZERO,
    prepared_for: SignedDuration::ZERO,
};

#[test]
fn each_state_has_its_own_time() {
    let rules = Retention { keep_last: 0, keep_for: days(30), staged_for: days(10), prepared_for: days(1) };
    for (state, limit, stays, over) in [
        (State::Archived, 30, Verdict::KeepFor, Verdict::ArchiveExpired),
        (State::Ready, 10, Verdict::Staged, Verdict::StagingExpired),
        (State::Prepared, 1, Verdict::Prepared, Verdict::PreparationExpired),
    ] {
        let rows = [row(1, state, false)];
        assert_eq!(rules.judge(&rows, |_| days(limit) - SignedDuration::from_secs(1)), [stays]);
        assert_eq!(rules.judge(&rows, |_| days(limit)), [over]);
        assert!(over.is_over() && !stays.is_over());
    }
}

#[test]
fn a_version_in_an_unknown_state_never_expires() {
    let rows = [row(1, "quarantined".parse().unwrap(), false), row(2, State::Archived, false)];
    let verdicts = Retention { keep_last: 1, ..NOTHING }.judge(&rows, |_| days(1000));
    assert_eq!(verdicts, [Verdict::UnknownState, Verdict::KeepLast], "and takes no place among the last ones");
    assert!(!Verdict::UnknownState.is_over());
}

#[test]
fn the_last_ones_stay_whatever_their_age() {
    let rows: Vec<_> = [
        (1, State::Archived),
        (2, State::Archived),
        (3, State::Active),
        (4, State::Archived),
        (5, State::Ready),
        (6, State::Prepared),
    ]
    .map(|(number, state)| row(number, state, false))
    .into();
    let kept = |keep_last| {
        let verdicts = Retention { keep_last, ..NOTHING }.judge(&rows, |_| days(1000));
        rows.iter()
            .zip(verdicts)
            .filter(|(_, verdict)| !verdict.is_over())
            .map(|(row, _)| row.number)
            .collect::<Vec<_>>()
    };
    assert_eq!(kept(0), [3], "without any retention only the active one");
    assert_eq!(kept(1), [3, 4], "number 4 was rolled back from");
    assert_eq!(kept(2), [3, 4], "the active one counts");
    assert_eq!(kept(3), [2, 3, 4]);
    assert_eq!(kept(u64::MAX), [1, 2, 3, 4], "staged and prepared versions have times of their own");
}

fn rows_strategy() -> impl Strategy<Value = Vec<VersionRow>> {
    let state = prop_oneof![Just(State::Archived), Just(State::Ready), Just(State::Prepared)];
    let row_strategy = (state, any::<bool>());
    (proptest::collection::vec(row_strategy, 0..12), any::<prop::sample::Index>()).prop_map(|(states, active)| {
        let mut rows: Vec<_> = (1..)
            .zip(states)
            .map(|(number, (state, pinned))| row(number, state, pinned && state != State::Prepared))
            .collect();
        if !rows.is_empty() {
            let at = active.index(rows.len());
            rows[at].state = State::Active;
        }
        rows
    })
}

proptest! {
    #[test]
    fn active_and_pinned_versions_always_stay(rows in rows_strategy(), keep_last in 0..5_u64, age in 0..100_i64, limit in 0..100_i64) {
        let rules = Retention { keep_last, keep_for: days(limit), staged_for: days(limit), prepared_for: days(limit) };
        for (row, verdict) in rows.iter().zip(rules.judge(&rows, |_| days(age))) {
            let protected = row.state == State::Active || row.is_pinned();
            prop_assert!(!(protected && verdict.is_over()), "{row:?}: {verdict}");
            prop_assert!(protected || row.state == State::Archived || verdict.is_over() == (age >= limit));
        }
    }

    #[test]
    fn keeping_more_never_loses_a_version(rows in rows_strategy(), keep_last in 0..5_u64, age in 0..100_i64, limit in 0..100_i64) {
        let rules = |keep_last| Retention { keep_last, keep_for: days(limit), ..NOTHING };
        let (fewer, more) = (rules(keep_last).judge(&rows, |_| days(age)), rules(keep_last + 1).judge(&rows, |_| days(age)));
        for (few, many) in fewer.into_iter().zip(more) {
            prop_assert!(few.is_over() || !many.is_over());
        }
    }
}

fn archived(number: u64, at: i64) -> VersionRow {
    VersionRow { archived_at: Some(Timestamp::from_second(at).unwrap()), ..row(number, State::Archived, false) }
}

fn eligible(rules: EarlierFiles, rows: &[VersionRow], now: i64) -> Vec<u64> {
    let age = |row: &VersionRow| Timestamp::from_second(now).unwrap().duration_since(since(row));
    rules.eligible(rows, age).iter().map(|row| row.number).collect()
}

#[test]
fn files_stay_in_reach_until_exactly_so_long_after_their_version_was_archived() {
    let rules = EarlierFiles { window: SignedDuration::from_secs(100), versions: 20 };
    let rows = [archived(1, 10), archived(2, 11), row(3, State::Ready, false), row(4, State::Active, false)];
    assert_eq!(eligible(rules, &rows, 11), [2, 1]);
    assert_eq!(eligible(rules, &rows, 109), [2, 1]);
    assert_eq!(eligible(rules, &rows, 110), [2], "a hundred seconds are over");
    assert_eq!(eligible(rules, &rows, 111), [0; 0]);
    assert_eq!(eligible(rules, &rows, 5), [2, 1], "another host's clock is ahead");
    for off in [EarlierFiles::default(), EarlierFiles { versions: 0, ..rules }] {
        assert!(!off.is_on());
        assert_eq!(eligible(off, &rows, 5), [0; 0]);
    }
}

#[test]
fn the_last_versions_are_those_that_were_archived_last_whatever_their_numbers() {
    let rules = EarlierFiles { window: SignedDuration::from_secs(100), versions: 2 };
    // 5 was rolled back from to 2, and 1 was active for a moment after that.
    let rows = [archived(1, 60), row(2, State::Active, false), archived(3, 30), archived(4, 40), archived(5, 50)];
    assert_eq!(eligible(rules, &rows, 60), [1, 5], "newer versions than the active one, too");
    // Archived within the same second.
    assert_eq!(eligible(rules, &[archived(7, 60), archived(8, 60), archived(6, 60)], 60), [8, 7]);
    // A pin keeps a version, and does not bring its files back.
    let mut pinned = archived(3, 30);
    pinned.pins = row(3, State::Archived, true).pins;
    assert_eq!(eligible(EarlierFiles { versions: 9, ..rules }, &[pinned], 130), [0; 0]);
}
