//! Labels that are used once.

use super::*;

fn labelled(number: u64, seed: u64, label: &str) -> VersionRow {
    let summary = Summary { label: Some(label.into()), ..summary(seed) };
    VersionRow::prepared(number, summary, Subject::admin(), at(0))
}

fn judge(
    current: Option<&Head>,
    change: &Change,
    row: Option<VersionRow>,
    holder: VersionRow,
) -> Result<Outcome, Rejection> {
    let operation = Operation::new("id".into(), change.action(), Subject::admin());
    let judgement = Judgement { row, label_holder: Some(holder), ..Judgement::new(operation, at(5)) };
    Head::next(current, &name(), change, judgement)
}

#[test]
fn a_label_that_is_taken_is_refused_unless_the_manifest_is_the_same() {
    let holder = VersionRow { state: State::Retired, ..labelled(1, 1, "v1.0.0") };
    let taken = Rejection::LabelTaken { label: "v1.0.0".into(), number: 1 };
    let prepare = |seed| {
        let summary = labelled(2, seed, "v1.0.0").summary;
        Change::Prepare { summary, from: None, annex: None, expect: Expect::Anything }
    };
    assert_eq!(judge(None, &prepare(2), None, holder.clone()), Err(taken.clone()));
    assert!(judge(None, &prepare(1), None, holder.clone()).is_ok());
    // Prepared while the label was free.
    let prepared = |seed| Some(labelled(2, seed, "v1.0.0"));
    assert_eq!(judge(None, &commit(2), prepared(2), holder.clone()), Err(taken));
    assert!(judge(None, &commit(2), prepared(1), holder).is_ok());
}

#[test]
fn a_commit_whose_reply_was_lost_is_repeated_with_success() {
    let own = VersionRow { state: State::Active, ..labelled(2, 2, "v1.0.0") };
    let log = Log::of([prepare(2)]);
    let newer = labelled(3, 3, "v1.0.0");
    let repeated = judge(log.head.as_ref(), &commit(2), Some(own.clone()), newer).unwrap();
    assert_eq!(repeated, Outcome::Unchanged(Some(own)));
}
