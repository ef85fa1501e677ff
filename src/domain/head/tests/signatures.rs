//! Which versions may become active where signatures are required.

use std::sync::Arc;

use super::super::super::attestation::{Proof, PublicKey, Refusal, Requirement, Signed, Signer, Statement};
use super::*;

const KEYS: [&str; 2] = [
    "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3",
    "RWQAAAAAAAAAAHmlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO4",
];

fn key(at: usize) -> PublicKey {
    KEYS[at].parse().unwrap()
}

fn requirement(revoked: &[usize]) -> Arc<Requirement> {
    let revoked = revoked.iter().map(|at| key(*at).id()).collect();
    Arc::new(Requirement::new(1, true, vec![key(0), key(1)], revoked).unwrap())
}

/// What a verified signature of a version states.
fn signed(seed: u64, at: usize, serial: u64) -> Vec<Signed> {
    let manifest = summary(seed).manifest.digest;
    let statement = Statement { scope: "main".parse().unwrap(), label: None, serial, manifest, expires: None };
    vec![Signed { digest: Digest::of(b"signature"), outcome: Ok(Proof::Key(key(at), Some(statement))) }]
}

/// Judges a change, with the signatures of the version that would become active and of the one that is.
fn judge(
    log: &mut Log,
    change: &Change,
    by: (&[usize], Vec<Signed>, Vec<Signed>),
) -> Result<Option<Standing>, Rejection> {
    judge_after(log, change, by, None)
}

/// The same, with those of the version that had the highest serial.
fn judge_after(
    log: &mut Log,
    change: &Change,
    by: (&[usize], Vec<Signed>, Vec<Signed>),
    foremost: Option<(u64, Vec<Signed>)>,
) -> Result<Option<Standing>, Rejection> {
    let (revoked, candidate, active) = by;
    let row = change.selector().and_then(|selector| log.pick(&selector));
    let operation = Operation::new("id".into(), change.action(), Subject::admin());
    let foremost = foremost.and_then(|(number, signed)| Some((log.row(number)?, signed)));
    let signatures = Some(Signatures { requirement: requirement(revoked), candidate, active, foremost });
    let judgement = Judgement { row, signatures, ..Judgement::new(operation, at(log.now)) };
    match Head::next(log.head.as_ref(), &name(), change, judgement)? {
        Outcome::Next { head, standing, .. } => {
            log.head = Some(*head);
            Ok(standing)
        }
        Outcome::Unchanged(_) => Ok(None),
    }
}

fn missing(result: Result<Option<Standing>, Rejection>) -> SignaturesMissing {
    match result {
        Err(Rejection::SignaturesMissing(missing)) => *missing,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_version_needs_a_signature_but_to_stage_it_none() {
    let mut log = Log::of([prepare(1)]);
    let none = || (&[][..], vec![], vec![]);
    let refused = missing(judge(&mut log, &commit(1), none()));
    assert_eq!((refused.version, refused.need, refused.have.len()), (1, 1, 0));
    assert_eq!(log.state(1), Some(State::Prepared), "nothing happened");
    assert_eq!(judge(&mut log, &stage(1), none()), Ok(None));
    missing(judge(&mut log, &promote(1), none()));
    // One of another manifest does not count.
    let refused = missing(judge(&mut log, &promote(1), (&[], signed(2, 0, 5), vec![])));
    assert!(matches!(refused.refused[0].why, Refusal::OtherManifest(_)));
    let standing = judge(&mut log, &promote(1), (&[], signed(1, 0, 5), vec![])).unwrap().unwrap();
    assert!(standing.is_accepted());
    assert_eq!((standing.serial, standing.signers), (Some(5), vec![Signer::Key(key(0).id())]));
}

#[test]
fn a_new_version_is_not_behind_the_active_one() {
    let mut log = Log::of([prepare(1), commit(1), prepare(2)]);
    let behind = judge(&mut log, &commit(2), (&[], signed(2, 1, 4), signed(1, 0, 5)));
    assert_eq!(behind, Err(Rejection::SerialBehind { version: 2, serial: 4, active: 1, active_serial: 5 }));
    let standing = judge(&mut log, &commit(2), (&[], signed(2, 1, 5), signed(1, 0, 5))).unwrap().unwrap();
    assert!(standing.is_accepted());
}

#[test]
fn going_back_first_does_not_help_to_bring_what_was_superseded() {
    let mut log = Log::of([prepare(1), prepare(2), stage(2), prepare(3)]);
    judge(&mut log, &commit(1), (&[], signed(1, 0, 10), vec![])).unwrap();
    judge(&mut log, &commit(3), (&[], signed(3, 0, 100), signed(1, 0, 10))).unwrap();
    assert_eq!(log.head.as_ref().unwrap().foremost, Some(3));
    let foremost = || Some((3, signed(3, 0, 100)));
    judge(&mut log, &promote(1), (&[], signed(1, 0, 10), signed(3, 0, 100))).unwrap();
    assert_eq!(log.head.as_ref().unwrap().foremost, Some(3));
    let behind = judge_after(&mut log, &promote(2), (&[], signed(2, 0, 50), signed(1, 0, 10)), foremost());
    assert_eq!(behind, Err(Rejection::SerialBehind { version: 2, serial: 50, active: 3, active_serial: 100 }));
    // Nothing is active any more.
    log.make(&Change::Withdraw { expect: Expect::Anything, version: None, reason: String::new() }).unwrap();
    assert!(judge_after(&mut log, &promote(2), (&[], signed(2, 0, 50), vec![]), foremost()).is_err());
    // A stolen key cannot end all publishing: once it is revoked, what only it signed does not count.
    let revoked = judge_after(&mut log, &promote(2), (&[0], signed(2, 1, 50), vec![]), foremost()).unwrap().unwrap();
    assert!(revoked.is_accepted());
    assert_eq!(log.head.as_ref().unwrap().foremost, Some(2));
}

#[test]
fn going_back_needs_no_key_but_says_what_clients_do() {
    let mut log = Log::of([prepare(1), commit(1), prepare(2), commit(2)]);
    // Signed with a lower serial: allowed, and clients refuse it.
    let standing = judge(&mut log, &promote(1), (&[], signed(1, 0, 4), signed(2, 0, 5))).unwrap().unwrap();
    assert_eq!((standing.is_accepted(), standing.superseded), (false, Some(5)));
    // Never signed, because the policy is newer than the version.
    let standing = judge(&mut log, &promote(2), (&[], vec![], vec![])).unwrap().unwrap();
    assert!(!standing.is_accepted());
    // Signed by a key that was revoked since, and by no other.
    let refused = missing(judge(&mut log, &promote(1), (&[0], signed(1, 0, 4), vec![])));
    assert_eq!(refused.refused[0].why, Refusal::Revoked(key(0).id()));
    let both = [signed(1, 0, 4), signed(1, 1, 6)].concat();
    let standing = judge(&mut log, &promote(1), (&[0], both, signed(2, 1, 5))).unwrap().unwrap();
    assert!(standing.is_accepted());
    assert_eq!(standing.serial, Some(6));
}

#[test]
fn an_annex_is_replaced_only_by_one_that_is_based_on_it() {
    let mut log = Log::of([prepare(1), commit(1)]);
    let annex = |seed: &[u8]| Descriptor { digest: Digest::of(seed), size: 1 };
    let attach = |number, base, annex| Change::Attach { number, base, annex };
    assert_eq!(log.make(&attach(1, None, annex(b"1"))), Ok(true));
    assert_eq!(log.make(&attach(1, None, annex(b"2"))), Ok(false), "somebody was faster");
    assert_eq!(log.row(1).unwrap().annex, Some(annex(b"1")));
    assert_eq!(log.make(&attach(1, Some(annex(b"1")), annex(b"2"))), Ok(true));
    assert_eq!(log.head.as_ref().unwrap().operation.action, Action::Attach);
    for change in [prepare(2), commit(2), retire(1)] {
        log.make(&change).unwrap();
    }
    let retired = log.make(&attach(1, Some(annex(b"2")), annex(b"3")));
    assert!(matches!(retired, Err(Rejection::Retired(_))));
    assert_eq!(log.row(1).unwrap().annex, Some(annex(b"2")), "it stays with the row");
}
