//! Versions that catalogs list, and names that hold catalogs.

use super::*;

fn pin_for(pinned: bool, force: bool) -> Change {
    let owner = PinOwner::Catalog("tools".parse().unwrap());
    Change::Pin { selector: Selector::Number(1), pinned, owner, force }
}

#[test]
fn what_a_catalog_lists_is_kept_until_its_pin_is_taken_away_by_force_and_for_a_reason() {
    let mut log = Log::of([prepare(1), commit(1), prepare(2), commit(2), pin_for(true, false)]);
    assert_eq!(log.row(1).unwrap().catalog(), Some("tools"));
    assert_eq!(log.make(&pin_for(true, false)), Ok(false));
    let listed = Rejection::Listed { number: 1, catalog: "tools".into() };
    log.make(&promote(1)).unwrap();
    let withdraw = Change::Withdraw { expect: Expect::Anything, version: None, reason: String::new() };
    assert_eq!(rejected(&mut log, &withdraw), listed);
    log.make(&promote(2)).unwrap();
    for change in [retire(1), delete(), pin_for(false, false), pin_for(false, true)] {
        assert_eq!(rejected(&mut log, &change), listed, "{change:?}");
    }
    let mut operation = Operation::new("id".into(), Action::Unpin, Subject::admin());
    operation.reason = Some("taken down".into());
    let judgement = Judgement { row: log.row(1), ..Judgement::new(operation, at(9)) };
    let outcome = Head::next(log.head.as_ref(), &name(), &pin_for(false, true), judgement).unwrap();
    let Outcome::Next { row, .. } = outcome else { panic!("{outcome:?}") };
    assert!(!row.unwrap().is_pinned());
}

#[test]
fn a_catalog_only_rolls_forward() {
    let log = Log::of([prepare(1), commit(1), prepare(2), commit(2), prepare(3), stage(3)]);
    let refused = |log: &Log, change: &Change| {
        let row = match change {
            Change::Rollback { .. } => log.row(1),
            _ => change.selector().and_then(|selector| log.pick(&selector)),
        };
        let operation = Operation::new("id".into(), change.action(), Subject::admin());
        let judgement = Judgement { row, instead: log.row(1), rolls_forward: true, ..Judgement::new(operation, at(9)) };
        Head::next(log.head.as_ref(), &name(), change, judgement) == Err(Rejection::RollsForward)
    };
    let rollback = Change::Rollback { expect: Expect::Anything };
    let back = Change::Yank { selector: Selector::Active, reason: "bad".into(), instead: None, rollback: true };
    for change in [promote(1), promote(3), rollback, back] {
        assert!(refused(&log, &change), "{change:?}");
    }
    for change in [promote(2), pin(1, true), retire(1)] {
        assert!(!refused(&log, &change), "{change:?}");
    }
    let withdraw = Change::Withdraw { expect: Expect::Anything, version: None, reason: String::new() };
    for change in [withdraw, delete(), retire(2)] {
        assert!(refused(&log, &change), "{change:?}: only founders take a catalog away");
    }
    // What was withdrawn may come back, and nothing else.
    let mut log = log;
    log.make(&Change::Withdraw { expect: Expect::Anything, version: None, reason: String::new() }).unwrap();
    assert_eq!(
        (refused(&log, &promote(2)), refused(&log, &promote(1)), refused(&log, &promote(3))),
        (false, true, true)
    );
}
