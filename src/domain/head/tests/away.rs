//! Names that are withdrawn or deleted and restored, and the activation history.

use super::super::super::{Origin, Pin};
use super::*;

fn withdraw() -> Change {
    Change::Withdraw { expect: Expect::Anything, version: None, reason: "by mistake".into() }
}

fn previous() -> Change {
    Change::Promote { selector: Selector::Previous, expect: Expect::Anything }
}

#[test]
fn a_rollback_undoes_a_withdrawal() {
    let mut log = Log::of([prepare(1), commit(1), prepare(2), commit(2), withdraw()]);
    let head = log.head();
    assert_eq!((head.active(), head.previous, log.state(2)), (None, Some(2), Some(State::Archived)));
    let deleted = head.deleted.as_ref().unwrap();
    assert_eq!((deleted.reason.as_str(), &deleted.by, deleted.at), ("by mistake", &Subject::admin(), at(0)));
    let operation = &head.operation;
    assert_eq!((operation.action, operation.version), (Action::Withdraw, Some(2)));
    assert_eq!(operation.reason.as_deref(), Some("by mistake"));
    assert!(matches!(rejected(&mut log, &withdraw()), Rejection::Deleted(_)), "there is nothing to take away");

    log.make(&previous()).unwrap();
    let head = log.head();
    assert_eq!((head.active().map(|row| row.number), head.deleted.as_ref()), (Some(2), None));
    assert_eq!((head.operation.action, head.previous), (Action::Rollback, Some(1)), "as before the withdrawal");
}

#[test]
fn whatever_becomes_active_brings_a_withdrawn_name_back() {
    for change in [promote(1), promote(2), commit(3), stage(3)] {
        let mut log = Log::of([prepare(1), commit(1), prepare(2), commit(2), prepare(3), withdraw()]);
        log.make(&change).unwrap();
        assert_eq!(log.head().deleted, None, "{change:?}");
    }
    let mut log = Log::of([prepare(1), commit(1), withdraw(), previous()]);
    assert_eq!(log.head().previous, None, "nothing else was ever active");
    let expect = Expect::OneOf(vec![Digest::of(b"something else")]);
    let change = Change::Withdraw { expect, version: None, reason: String::new() };
    let current = Some(summary(1).manifest.digest);
    assert_eq!(rejected(&mut log, &change), Rejection::Precondition { current });
}

#[test]
fn a_withdrawn_name_with_versions_left_can_be_deleted() {
    let mut log = Log::of([prepare(1), commit(1), prepare(2), commit(2), withdraw()]);
    log.make(&delete()).unwrap();
    assert_eq!((log.state(1), log.state(2)), (Some(State::Retired), Some(State::Retired)));
    assert_eq!(log.head().deleted.as_ref().map(|deletion| deletion.reason.as_str()), Some("gone"));
    assert!(matches!(rejected(&mut log, &delete()), Rejection::Deleted(_)));
    log.make(&prepare(3)).unwrap();
    assert_eq!(log.make(&delete()), Ok(true), "a session that is left over, too");
    assert_eq!(log.row(3).map(|row| row.state), Some(State::Aborted));
}

#[test]
fn a_head_remembers_its_latest_activations() {
    let mut log = Log::default();
    for (now, change) in
        [prepare(1), commit(1), prepare(2), commit(2), previous(), withdraw(), previous()].into_iter().enumerate()
    {
        log.now = i64::try_from(now).unwrap();
        log.make(&change).unwrap();
    }
    let told: Vec<_> = log.head().activations.iter().map(|one| (one.version, one.at, one.until)).collect();
    assert_eq!(
        told,
        [(1, at(6), None), (1, at(4), Some(at(5))), (2, at(3), Some(at(4))), (1, at(1), Some(at(3)))],
        "newest first"
    );
    log.make(&delete()).unwrap();
    assert_eq!(log.head().activations[0].until, Some(at(6)));
    for seed in 10..40 {
        let number = log.head().next_version;
        log.make(&prepare(seed)).unwrap();
        log.make(&commit(number)).unwrap();
    }
    let activations = &log.head().activations;
    assert_eq!((activations.len(), activations[0].until), (MAX_ACTIVATIONS, None));
    assert!(activations.windows(2).all(|pair| pair[0].version == pair[1].version + 1));
}

#[test]
fn operations_say_what_exactly_was_done() {
    let mut log = Log::of([prepare(1), commit(1), prepare(2), commit(2)]);
    for (change, action) in [
        (previous(), Action::Rollback),
        (promote(2), Action::Rollback),
        (prepare(3), Action::Prepare),
        (stage(3), Action::Publish),
        (promote(3), Action::Promote),
        (promote(1), Action::Promote),
    ] {
        log.make(&change).unwrap();
        assert_eq!(log.head().operation.action, action, "{change:?}");
    }
    log.make(&retire(3)).unwrap();
    assert_eq!(log.head().operation.reason.as_deref(), Some("old"));
    let due =
        [2, 3].map(|number| Due { number, generation: log.row(number).unwrap().generation, reason: "late".into() });
    log.make(&Change::Expire { due: due.into() }).unwrap();
    assert_eq!((log.head().operation.action, log.head().operation.versions.as_slice()), (Action::Expire, &[2][..]));
}

#[test]
fn a_copy_says_where_it_came_from() {
    let from = Origin { name: Some("nightly".into()), version: Some(7), ..Origin::default() };
    let import = Origin { url: Some("https://elsewhere.example".into()), ..from.clone() };
    for (from, action) in [(from, Action::Copy), (import, Action::Publish)] {
        let from = Some(Box::new(from));
        let mut log = Log::of([Change::Prepare {
            summary: summary(1),
            from: from.clone(),
            annex: None,
            expect: Expect::Anything,
        }]);
        assert_eq!((log.head().operation.action, &log.head().operation.from), (Action::Prepare, &from));
        log.make(&commit(1)).unwrap();
        assert_eq!((log.head().operation.action, &log.head().operation.from), (action, &from));
        assert_eq!(log.row(1).unwrap().from, from);
    }
}

#[test]
fn a_pin_by_hand_leaves_those_of_others_alone() {
    let mut log = Log::of([prepare(1), commit(1), prepare(2), commit(2)]);
    let catalog =
        Pin { owner: "catalog:tools".into(), by: Subject::admin(), at: at(0), reason: None, other: Carried::default() };
    log.head.as_mut().unwrap().rows[0].pins.push(catalog.clone());
    assert_eq!(log.make(&pin(1, false)), Ok(false), "there is none to take away");
    let listed = Rejection::Listed { number: 1, catalog: "tools".into() };
    assert_eq!(rejected(&mut log, &retire(1)), listed);
    assert_eq!(log.make(&pin(1, true)), Ok(true));
    assert_eq!(log.row(1).unwrap().pins.len(), 2);
    assert_eq!(log.make(&pin(1, true)), Ok(false));
    assert_eq!(log.make(&pin(1, false)), Ok(true));
    assert_eq!(log.row(1).unwrap().pins, std::slice::from_ref(&catalog));
    let pins = &mut log.head.as_mut().unwrap().rows[0].pins;
    *pins = (0..8).map(|at| Pin { owner: format!("catalog:{at}").into(), ..catalog.clone() }).collect();
    assert_eq!(rejected(&mut log, &pin(1, true)), Rejection::PinsFull(1));
}
