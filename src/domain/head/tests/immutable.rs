//! Names that lead nowhere else while they lead somewhere.

use super::*;

fn immutable(changes: impl IntoIterator<Item = Change>) -> Log {
    Log { tags: Tags::Immutable, ..Log::of(changes) }
}

fn withdraw() -> Change {
    Change::Withdraw { expect: Expect::Anything, version: None, reason: "moved".into() }
}

#[test]
fn nothing_else_becomes_active_while_a_version_is() {
    let mut log = immutable([prepare(1), commit(1), prepare(2), stage(2), promote(2), prepare(3)]);
    let refusal = Rejection::TagImmutable { active: 2, current: summary(2).manifest.digest };
    let rollback = Change::Rollback { expect: Expect::Anything };
    let back = Change::Yank { selector: Selector::Active, reason: "bad".into(), instead: None, rollback: true };
    for change in [commit(3), promote(1), rollback, back] {
        let row = change.selector().map_or_else(|| log.row(1), |selector| log.pick(&selector));
        let operation = Operation::new("id".into(), change.action(), Subject::admin());
        let base = Judgement::new(operation, at(9));
        let judgement = Judgement { row, instead: log.row(1), tags: Tags::Immutable, ..base };
        assert_eq!(Head::next(log.head.as_ref(), &name(), &change, judgement), Err(refusal.clone()), "{change:?}");
    }
    // What changes nothing for readers stays possible, and so does what leaves nothing to read.
    for change in [stage(3), pin(1, true), prepare(4), promote(2), withdraw()] {
        log.make(&change).unwrap();
    }
    log.make(&promote(3)).unwrap();
    assert_eq!(log.head().active().map(|row| row.number), Some(3));
}

#[test]
fn the_same_content_may_become_active_again() {
    let mut log = immutable([prepare(1), commit(1), prepare(1)]);
    assert_eq!(log.make(&commit(2)), Ok(true));
    assert_eq!(log.make(&promote(1)), Ok(true));
    log.make(&delete()).unwrap();
    log.make(&prepare(2)).unwrap();
    assert_eq!(log.make(&commit(3)), Ok(true), "a deleted name leads nowhere");
}
