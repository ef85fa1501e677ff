//! Yanks and floors.

use super::*;

fn yank(number: u64, rollback: bool) -> Change {
    Change::Yank { selector: Selector::Number(number), reason: "bad".into(), instead: Some(1), rollback }
}

fn floor(number: u64) -> Change {
    Change::Floor { selector: Selector::Number(number), reason: "CVE".into() }
}

#[test]
fn the_active_version_is_yanked_only_together_with_a_rollback_in_one_head() {
    let mut log = Log::of([prepare(1), commit(1), prepare(2), commit(2)]);
    assert_eq!(rejected(&mut log, &yank(2, false)), Rejection::Active(2));
    let generation = log.head().generation;
    log.make(&yank(2, true)).unwrap();
    let head = log.head();
    assert_eq!((head.generation, head.active().map(|row| row.number)), (generation + 1, Some(1)));
    assert_eq!((head.operation.action, head.operation.version), (Action::Yank, Some(2)));
    assert_eq!(head.operation.reason.as_deref(), Some("bad"));
    let row = log.row(2).unwrap();
    assert_eq!((row.state, row.yanked.as_ref().and_then(|yank| yank.instead)), (State::Archived, Some(1)));
    assert_eq!(log.make(&yank(2, true)), Ok(false), "a retry whose reply was lost goes back no further");
    assert!(matches!(rejected(&mut log, &promote(2)), Rejection::Yanked(_)));
    log.make(&Change::Unyank { selector: Selector::Number(2) }).unwrap();
    assert_eq!((log.head().operation.action, log.row(2).unwrap().yanked), (Action::Unyank, None));
    assert_eq!(log.make(&promote(2)), Ok(true));
    let mut only = Log::of([prepare(1), commit(1)]);
    assert_eq!(rejected(&mut only, &yank(1, true)), Rejection::NoOtherContent);
}

#[test]
fn a_yank_can_be_corrected_and_ends_with_the_version() {
    let mut log = Log::of([prepare(1), commit(1), prepare(2), stage(2), yank(2, false)]);
    assert_eq!(log.make(&yank(2, false)), Ok(false));
    let other =
        Change::Yank { selector: Selector::Number(2), reason: "worse".into(), instead: Some(2), rollback: false };
    log.make(&other).unwrap();
    let yank_now = log.row(2).unwrap().yanked.unwrap();
    assert_eq!((&*yank_now.reason, yank_now.instead), ("worse", None), "no version replaces itself");
    log.make(&retire(2)).unwrap();
    assert!(log.row(2).unwrap().yanked.is_some(), "the record stays");
    assert!(matches!(rejected(&mut log, &yank(2, false)), Rejection::Retired(_)));
    assert!(matches!(rejected(&mut log, &Change::Unyank { selector: Selector::Number(2) }), Rejection::Retired(_)));
}

#[test]
fn a_floor_names_its_version_and_survives_everything_but_its_end() {
    let labelled = Summary { label: Some("v1.4.1".into()), ..summary(1) };
    let mut log = Log::default();
    log.make(&Change::Prepare { summary: labelled, from: None, annex: None, expect: Expect::Anything }).unwrap();
    for change in [commit(1), floor(1)] {
        log.make(&change).unwrap();
    }
    assert_eq!(log.head().floor.as_ref().unwrap().word(), "v1.4.1");
    assert_eq!(log.make(&floor(1)), Ok(false));
    for change in [prepare(2), commit(2), delete(), prepare(3), commit(3)] {
        log.make(&change).unwrap();
    }
    assert_eq!(log.head().floor.as_ref().map(|floor| floor.version), Some(1));
    log.make(&floor(3)).unwrap();
    assert_eq!(log.head().floor.as_ref().unwrap().word(), "3", "a version without a label has its number");
    assert_eq!(rejected(&mut log, &Change::Unfloor { version: Some(1) }), Rejection::NoSuchVersion);
    log.make(&Change::Unfloor { version: Some(3) }).unwrap();
    assert_eq!((log.head().floor.as_ref(), log.head().operation.action), (None, Action::Unfloor));
    assert_eq!(log.make(&Change::Unfloor { version: None }), Ok(false));
    assert_eq!(rejected(&mut Log::default(), &Change::Unfloor { version: None }), Rejection::NoSuchVersion);
}

#[test]
fn who_and_why_are_recorded_apart() {
    let mut log = Log::of([prepare(1), commit(1), prepare(2), commit(2)]);
    log.make(&Change::Retire { selector: Selector::Number(1), reason: String::new() }).unwrap();
    let row = log.row(1).unwrap();
    assert_eq!((row.retired_by, row.retired_because), (Some(Subject::admin()), None));
    assert_eq!(log.head().operation.reason, None);
    log.make(&Change::Delete { expect: Expect::Anything, reason: String::new() }).unwrap();
    assert_eq!((log.head().operation.reason.as_ref(), log.row(2).unwrap().retired_because), (None, None));
}
