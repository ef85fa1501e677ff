//! Property tests: any sequence of changes keeps the invariants.

use proptest::prelude::*;

use super::*;

fn changes() -> impl Strategy<Value = Change> {
    let number = || prop_oneof![3 => 1..4_u64, 1 => 1..60_u64];
    let expect = || {
        prop_oneof![
            6 => Just(Expect::Anything),
            1 => Just(Expect::Nothing),
            1 => Just(Expect::Something),
            1 => (1..40_u64).prop_map(|seed| Expect::OneOf(vec![summary(seed).manifest.digest])),
            1 => (1..40_u64).prop_map(|seed| Expect::NoneOf(vec![summary(seed).manifest.digest])),
        ]
    };
    let selector = || {
        prop_oneof![
            6 => number().prop_map(Selector::Number),
            1 => Just(Selector::Active),
            1 => Just(Selector::Previous),
        ]
    };
    prop_oneof![
        40 => (1..40_u64, expect()).prop_map(|(seed, expect)| Change::Prepare { summary: summary(seed), from: None, annex: None, expect }),
        40 => (number(), any::<bool>(), expect())
            .prop_map(|(number, activate, expect)| Change::Commit { number, activate, expect }),
        10 => number().prop_map(|number| Change::Abort { number }),
        15 => (selector(), expect()).prop_map(|(selector, expect)| Change::Promote { selector, expect }),
        10 => (selector(), any::<bool>()).prop_map(|(selector, pinned)| Change::Pin { selector, pinned, owner: PinOwner::User, force: false }),
        15 => selector().prop_map(|selector| Change::Retire { selector, reason: "old".into() }),
        15 => proptest::collection::vec((number(), 0..5_u64), 0..4).prop_map(|due| Change::Expire {
            // Generation 0 stands for a row that changed in the meantime; `aimed` fills in the others.
            due: due.into_iter().map(|(number, fresh)| Due { number, generation: fresh, reason: "late".into() }).collect()
        }),
        10 => (selector(), any::<bool>(), proptest::option::of(1..4_u64)).prop_map(|(selector, rollback, instead)| {
            Change::Yank { selector, reason: "bad".into(), instead, rollback }
        }),
        5 => (number(), any::<u8>()).prop_map(|(number, seed)| {
            // `aimed` replaces the base by the annex that the version has.
            Change::Attach { number, base: None, annex: summary(seed.into()).manifest }
        }),
        5 => selector().prop_map(|selector| Change::Unyank { selector }),
        5 => selector().prop_map(|selector| Change::Floor { selector, reason: "safe".into() }),
        2 => proptest::option::of(number()).prop_map(|version| Change::Unfloor { version }),
        1 => expect().prop_map(|expect| Change::Delete { expect, reason: "gone".into() }),
        2 => expect().prop_map(|expect| Change::Withdraw { expect, version: None, reason: "away".into() }),
    ]
}

/// The same change, aimed at a version that probably exists: the newest for 1, the one before it for 2 and so on.
fn aimed(change: Change, log: &Log) -> Change {
    let newest = log.head.as_ref().map_or(1, |head| head.next_version - 1);
    let aim = |number: u64| newest + 1 - number.min(newest);
    let select =
        |selector| if let Selector::Number(number) = selector { Selector::Number(aim(number)) } else { selector };
    match change {
        Change::Commit { number, activate, expect } => Change::Commit { number: aim(number), activate, expect },
        Change::Abort { number } => Change::Abort { number: aim(number) },
        Change::Promote { selector, expect } => Change::Promote { selector: select(selector), expect },
        Change::Pin { selector, pinned, owner, force } => {
            Change::Pin { selector: select(selector), pinned, owner, force }
        }
        Change::Retire { selector, reason } => Change::Retire { selector: select(selector), reason },
        Change::Expire { due } => {
            let generation = |number| log.row(number).map_or(0, |row| row.generation);
            let aim = |due: Due| {
                let number = aim(due.number);
                Due { number, generation: if due.generation == 0 { 0 } else { generation(number) }, ..due }
            };
            Change::Expire { due: due.into_iter().map(aim).collect() }
        }
        Change::Yank { selector, reason, instead, rollback } => {
            Change::Yank { selector: select(selector), reason, instead, rollback }
        }
        Change::Unyank { selector } => Change::Unyank { selector: select(selector) },
        Change::Floor { selector, reason } => Change::Floor { selector: select(selector), reason },
        Change::Unfloor { version } => Change::Unfloor { version: version.map(aim) },
        Change::Attach { number, annex, .. } => {
            let number = aim(number);
            Change::Attach { number, base: log.row(number).and_then(|row| row.annex), annex }
        }
        Change::Prepare { .. }
        | Change::BeginDraft { .. }
        | Change::Amend { .. }
        | Change::Rollback { .. }
        | Change::Delete { .. }
        | Change::Withdraw { .. } => change,
    }
}

/// Invariants of a single head.
fn check_head(head: &Head) -> Result<(), TestCaseError> {
    prop_assert!(head.rows.len() <= INLINE_MAX);
    prop_assert!(head.rows.windows(2).all(|pair| pair[0].number < pair[1].number), "sorted, each once");
    prop_assert!(head.rows.iter().all(|row| row.number < head.next_version));
    prop_assert!(head.rows.iter().filter(|row| row.state == State::Active).count() <= 1);
    prop_assert!(head.active().is_none_or(|row| row.yanked.is_none()), "no reader gets a yanked version");
    Ok(())
}

/// Invariants that relate the name before and after a change.
fn check_step(before: &Log, after: &Log, change: &Change) -> Result<(), TestCaseError> {
    let (old, new) = (before.head.as_ref(), after.head());
    prop_assert_eq!(new.generation, old.map_or(0, |head| head.generation) + 1);
    prop_assert!(old.is_none_or(|head| head.time <= new.time));
    let next = old.map_or(1, |head| head.next_version);
    prop_assert_eq!(new.next_version, next + u64::from(matches!(change, Change::Prepare { .. })));
    prop_assert!(
        after.spilled.iter().all(|row| row.state != State::Active || new.inline(row.number).is_some()),
        "the active row is in the head"
    );
    for row in before.everything() {
        let now = after.row(row.number);
        let legal = match row.state {
            State::Prepared => now.is_none() || now.as_ref().is_some_and(|now| now.state != State::Archived),
            State::Ready => now.as_ref().is_some_and(|now| !matches!(now.state, State::Prepared | State::Aborted)),
            State::Active => {
                now.as_ref().is_some_and(|now| matches!(now.state, State::Active | State::Archived | State::Retired))
            }
            State::Archived => {
                now.as_ref().is_some_and(|now| matches!(now.state, State::Active | State::Archived | State::Retired))
            }
            State::Retired | State::Aborted | State::Unknown(_) => now.as_ref() == Some(&row),
        };
        prop_assert!(legal, "{:?} became {:?} by {:?}", row, now, change);
        let retired = now.as_ref().is_some_and(|now| now.state == State::Retired);
        prop_assert!(!(row.is_pinned() && retired), "a pinned version was retired");
        let same_bytes = now.is_none_or(|now| now.summary == row.summary && now.prepared_at == row.prepared_at);
        prop_assert!(same_bytes, "a version stands for the same bytes for ever");
    }
    Ok(())
}

/// Checks that an `Unchanged` outcome is justified.
fn check_unchanged(log: &Log, change: &Change, row: Option<&VersionRow>) -> Result<(), TestCaseError> {
    let Some(row) = row else {
        if let Change::Unfloor { .. } = change {
            prop_assert_eq!(log.head().floor.as_ref(), None);
            return Ok(());
        }
        let Change::Expire { due } = change else { panic!("{change:?} is about a version") };
        let is_due = |row: &VersionRow| {
            let due = due.iter().any(|due| due.number == row.number && due.generation == row.generation);
            due && row.state.is_root() && row.state != State::Active && !row.is_pinned()
        };
        prop_assert_eq!(log.everything().into_iter().find(is_due), None, "nothing was due");
        return Ok(());
    };
    let stored = log.row(row.number);
    prop_assert_eq!(stored.as_ref(), Some(row), "the answer shows the row as it is");
    let holds = match change {
        Change::Commit { number, activate, .. } => {
            row.number == *number && row.published_at.is_some() && (row.promoted_at.is_some() || !activate)
        }
        Change::Promote { .. } => row.state == State::Active,
        Change::Pin { pinned, .. } => row.is_pinned() == *pinned,
        Change::Retire { .. } => row.state == State::Retired,
        Change::BeginDraft { .. } | Change::Amend { .. } => row.state == State::Prepared,
        Change::Yank { .. } => row.yanked.is_some() && row.state != State::Active,
        Change::Unyank { .. } => row.yanked.is_none(),
        Change::Floor { .. } => log.head().floor.as_ref().is_some_and(|floor| floor.version == row.number),
        Change::Attach { base, .. } => row.annex != *base,
        Change::Prepare { .. }
        | Change::Abort { .. }
        | Change::Rollback { .. }
        | Change::Expire { .. }
        | Change::Unfloor { .. }
        | Change::Withdraw { .. }
        | Change::Delete { .. } => false,
    };
    prop_assert!(holds, "{:?} is not what {:?} asks for", row, change);
    Ok(())
}

/// Checks the effect of a change that was made.
fn check_done(before: &Log, log: &Log, change: &Change) -> Result<(), TestCaseError> {
    let version = log.head().operation.version;
    let state = version.and_then(|number| log.state(number));
    let expected = match change {
        Change::Prepare { .. } | Change::BeginDraft { .. } | Change::Amend { .. } => Some(State::Prepared),
        Change::Commit { activate: false, .. } => Some(State::Ready),
        Change::Commit { .. } | Change::Promote { .. } | Change::Rollback { .. } => Some(State::Active),
        Change::Retire { .. } => Some(State::Retired),
        Change::Withdraw { .. } => {
            prop_assert!(log.head().active().is_none() && log.head().deleted.is_some());
            prop_assert_eq!(log.head().previous, version, "a rollback brings it back");
            Some(State::Archived)
        }
        Change::Abort { .. } => {
            prop_assert!(matches!(state, None | Some(State::Aborted)));
            state
        }
        Change::Pin { pinned, .. } => {
            prop_assert_eq!(log.row(version.unwrap()).unwrap().is_pinned(), *pinned);
            state
        }
        Change::Attach { annex, .. } => state.filter(|_| log.row(version.unwrap()).unwrap().annex == Some(*annex)),
        Change::Yank { .. } | Change::Unyank { .. } => {
            let yanked = matches!(change, Change::Yank { .. });
            prop_assert_eq!(log.row(version.unwrap()).unwrap().yanked.is_some(), yanked);
            prop_assert_eq!(before.head().active().is_some(), log.head().active().is_some());
            state
        }
        Change::Floor { .. } | Change::Unfloor { .. } => {
            let set = matches!(change, Change::Floor { .. });
            prop_assert_eq!(log.head().floor.as_ref().map(|floor| floor.version), version.filter(|_| set));
            prop_assert_eq!(before.everything(), log.everything(), "a floor changes no row");
            state
        }
        Change::Expire { due } => {
            for row in before.everything() {
                let due = due.iter().any(|due| due.number == row.number && due.generation == row.generation);
                let over = due && row.state.is_root() && row.state != State::Active && !row.is_pinned();
                let left = log.state(row.number).is_some_and(State::is_root);
                prop_assert_eq!(left, row.state.is_root() && !over, "{:?}", row);
            }
            None
        }
        Change::Delete { .. } => {
            let left = log.everything().into_iter().find(|row| row.state.is_root());
            prop_assert_eq!(left, None, "a deletion leaves no root");
            None
        }
    };
    prop_assert_eq!(state, expected);
    Ok(())
}

/// Checks that readers of an immutable name never get other content without an answer in between that there is none, and
/// that nothing else is refused.
fn check_immutable(before: &Log, change: &Change) -> Result<(), TestCaseError> {
    let free = Log { head: before.head.clone(), spilled: before.spilled.clone(), now: before.now, tags: Tags::Mutable };
    let refused = before.outcome(change);
    let Ok(Outcome::Next { head, .. }) = free.outcome(change) else {
        prop_assert_eq!(refused, free.outcome(change));
        return Ok(());
    };
    let old = before.head.as_ref().and_then(Head::active).map(VersionRow::digest);
    let moves = old.is_some_and(|old| head.active().is_some_and(|new| new.digest() != old));
    prop_assert_eq!(matches!(refused, Err(Rejection::TagImmutable { .. })), moves);
    prop_assert_eq!(refused.is_ok(), !moves);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_changes_keeps_a_name_sound(
        changes in proptest::collection::vec((changes(), -3..5_i64), 1..160),
        tags in prop_oneof![3 => Just(Tags::Mutable), 1 => Just(Tags::Immutable)]
    ) {
        let mut log = Log { tags, ..Log::default() };
        for (change, passed) in changes {
            log.now += passed;
            let change = aimed(change, &log);
            let before = Log { head: log.head.clone(), spilled: log.spilled.clone(), now: log.now, tags };
            if tags == Tags::Immutable {
                check_immutable(&before, &change)?;
            }
            match log.outcome(&change) {
                Err(_) => {}
                Ok(Outcome::Unchanged(row)) => check_unchanged(&log, &change, row.as_ref())?,
                Ok(Outcome::Next { .. }) => {
                    log.make(&change).unwrap();
                    check_head(log.head())?;
                    check_step(&before, &log, &change)?;
                    check_done(&before, &log, &change)?;
                }
            }
        }
    }
}
