//! Changes that state what they expect.

use super::*;

#[test]
fn a_retried_change_succeeds_whatever_its_condition_said() {
    let mut log = Log::of([prepare(1), commit(1), prepare(2)]);
    let over_one = |change: Expect| Change::Commit { number: 2, activate: true, expect: change };
    let expect = Expect::OneOf(vec![summary(1).manifest.digest]);
    assert_eq!(log.make(&over_one(expect.clone())), Ok(true));
    assert_eq!(log.make(&over_one(expect.clone())), Ok(false));
    let promoted = Change::Promote { selector: Selector::Number(2), expect };
    assert_eq!(log.make(&promoted), Ok(false));
}

#[test]
fn a_condition_that_does_not_hold_refuses_every_kind_of_change_that_has_one() {
    let mut log = Log::of([prepare(1), commit(1), prepare(2), stage(2), prepare(3)]);
    let expect = Expect::OneOf(vec![Digest::of(b"something else")]);
    let refused = [
        Change::Prepare { summary: summary(4), from: None, annex: None, expect: expect.clone() },
        Change::Commit { number: 3, activate: true, expect: expect.clone() },
        Change::Promote { selector: Selector::Number(2), expect: expect.clone() },
        Change::Delete { expect, reason: "gone".into() },
    ];
    for change in refused {
        let current = Some(summary(1).manifest.digest);
        assert_eq!(rejected(&mut log, &change), Rejection::Precondition { current }, "{change:?}");
    }
}
