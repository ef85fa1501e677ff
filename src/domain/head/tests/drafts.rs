//! Drafts: prepared versions that several requests fill.

use super::super::super::manifest::parts;
use super::*;

fn document(seed: u64) -> Summary {
    Summary { media_type: Some(parts::MEDIA_TYPE.into()), ..summary(seed) }
}

fn begin(seed: u64) -> Change {
    Change::BeginDraft { session: "job".into(), summary: document(seed) }
}

fn amend(number: u64, generation: u64, seed: Option<u64>) -> Change {
    Change::Amend { number, generation, summary: seed.map(document) }
}

#[test]
fn only_one_draft_with_a_key_is_begun() {
    let mut log = Log::of([begin(1)]);
    assert!(!log.make(&begin(2)).unwrap(), "whoever comes second gets the one that there is");
    let other = Change::BeginDraft { session: "other".into(), summary: document(2) };
    assert!(log.make(&other).unwrap());
    assert_eq!(log.row(1).unwrap().digest(), document(1).manifest.digest);
    assert_eq!(log.row(2).unwrap().session.as_deref(), Some("other"));
}

#[test]
fn a_draft_is_amended_by_those_who_saw_its_last_state() {
    let mut log = Log::of([begin(1)]);
    log.now = 60;
    assert!(log.make(&amend(1, 1, Some(2))).unwrap());
    let row = log.row(1).unwrap();
    assert_eq!((row.digest(), row.generation, row.state), (document(2).manifest.digest, 2, State::Prepared));
    assert_eq!((row.prepared_at, row.session.as_deref()), (at(60), Some("job")), "its time begins again");
    assert!(!log.make(&amend(1, 1, Some(3))).unwrap(), "another request was faster");
    assert!(!log.make(&amend(1, 1, None)).unwrap());
    assert_eq!(log.row(1).unwrap(), row);
    assert_eq!(log.head().operation.action, Action::Amend);
}

#[test]
fn a_draft_is_given_up_or_expires_and_is_never_committed() {
    let mut log = Log::of([begin(1)]);
    assert_eq!(log.make(&commit(1)), Err(Rejection::Draft(1)));
    assert!(log.make(&amend(1, 1, None)).unwrap());
    assert_eq!((log.row(1), log.head().operation.action), (None, Action::Abort));
    assert_eq!(log.make(&amend(1, 1, Some(2))), Err(Rejection::NoSuchVersion));
    log.make(&begin(2)).unwrap();
    assert_eq!(log.row(2).unwrap().state, State::Prepared, "numbers are not used twice");
    assert!(log.make(&expire(2, 3)).unwrap());
    log.make(&prepare(3)).unwrap();
    log.make(&commit(3)).unwrap();
    assert!(matches!(log.make(&amend(3, 6, Some(4))), Err(Rejection::WrongState { .. })));
}

#[test]
fn a_draft_that_gets_a_manifest_is_committed_and_keeps_its_key() {
    let mut log = Log::of([begin(1)]);
    let release = Change::Amend { number: 1, generation: 1, summary: Some(summary(2)) };
    assert!(log.make(&release).unwrap());
    assert!(!log.make(&release).unwrap(), "of two completions at once one takes effect");
    assert!(!log.make(&begin(3)).unwrap(), "it is found while it is being completed");
    log.make(&commit(1)).unwrap();
    assert!(!log.make(&commit(1)).unwrap());
    assert!(!log.make(&begin(3)).unwrap(), "and afterwards");
    assert_eq!((log.row(1).unwrap().state, log.row(2)), (State::Active, None));
}
