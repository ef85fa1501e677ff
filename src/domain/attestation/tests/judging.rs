//! Which signatures count for a policy or a reader.

use jiff::Timestamp;

use super::*;

fn requirement(threshold: usize, keys: &[&Signer], revoked: &[&Signer]) -> Requirement {
    let keys = keys.iter().map(|signer| signer.key()).collect();
    Requirement::new(threshold, true, keys, revoked.iter().map(|signer| signer.key().id()).collect()).unwrap()
}

fn judge_at(requirement: &Requirement, signatures: &[String], now: Option<Timestamp>) -> Judged {
    let verify = |text: &String| Signed::verify(text.as_bytes(), MANIFEST, requirement.keys());
    let signed: Vec<Signed> = signatures.iter().map(verify).collect();
    let name = name();
    let release = SignedRelease { name: &name, label: Some("v1"), manifest: Digest::of(MANIFEST) };
    requirement.judge(release, &signed, now)
}

fn judge(requirement: &Requirement, signatures: &[String]) -> Judged {
    judge_at(requirement, signatures, Some(Timestamp::UNIX_EPOCH))
}

fn why(judged: &Judged) -> Vec<Refusal> {
    judged.refused.iter().map(|refused| refused.why.clone()).collect()
}

#[test]
fn a_signature_counts_for_its_names_and_its_manifest() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let (one, id) = (requirement(1, &[&signer], &[]), signer.key().id());
    for words in ["scope=miren/main serial=7", "scope=miren/** serial=7", "scope=** label=v1 serial=7"] {
        let judged = judge(&one, &[signer.state(MANIFEST, words)]);
        assert!(one.is_met(&judged), "{words}");
        let signers = vec![crate::domain::attestation::Signer::Key(id)];
        assert_eq!((judged.signers, judged.serial, judged.refused), (signers, Some(7), vec![]));
    }
    let other = Digest::of(b"x");
    for (text, expected) in [
        (signer.state(MANIFEST, "scope=miren/dev serial=7"), Refusal::Scope("miren/dev".into())),
        (signer.state(MANIFEST, "scope=miren/* label=v2 serial=7"), Refusal::Label("v2".into())),
        (signer.state(b"x", "scope=** serial=7"), Refusal::Unverified(id)),
        (signer.sign(MANIFEST, &format!("larder:1 scope=** serial=1 manifest={other}")), Refusal::OtherManifest(other)),
        (signer.sign(MANIFEST, "timestamp:1"), Refusal::Unbound),
        (signer.sign(MANIFEST, "larder:1 scope=**"), Refusal::Statement(StatementError::Missing("serial"))),
        (stranger.state(MANIFEST, "scope=** serial=7"), Refusal::UnknownKey(stranger.key().id())),
        ("x".into(), Refusal::Malformed(SignatureError::Lines)),
    ] {
        let judged = judge(&one, std::slice::from_ref(&text));
        assert!(!one.is_met(&judged), "{text}");
        assert_eq!(why(&judged), [expected]);
    }
}

#[test]
fn unbound_signatures_count_only_where_that_is_said() {
    let signer = Signer::new();
    let loose = Requirement::new(1, false, vec![signer.key()], vec![]).unwrap();
    let judged = judge(&loose, &[signer.sign(MANIFEST, "timestamp:1")]);
    assert!(loose.is_met(&judged) && judged.serial.is_none());
    // What does state something is held to it.
    assert!(!loose.is_met(&judge(&loose, &[signer.state(MANIFEST, "scope=other serial=1")])));
}

#[test]
fn one_key_counts_once_and_cannot_raise_the_serial_alone() {
    let (one, two) = (Signer::new(), Signer::new());
    let both = requirement(2, &[&one, &two], &[]);
    let first = |serial: u64| one.state(MANIFEST, &format!("scope=** serial={serial}"));
    let judged = judge(&both, &[first(1), first(2), first(3)]);
    assert!(!both.is_met(&judged));
    assert_eq!((judged.signers.len(), judged.serial), (1, None));
    let judged = judge(&both, &[first(9), two.state(MANIFEST, "scope=** serial=5"), first(3)]);
    assert!(both.is_met(&judged));
    assert_eq!(judged.serial, Some(5), "as many keys as required state at least this");
    let either = requirement(1, &[&one, &two], &[]);
    assert_eq!(judge(&either, &[first(9), two.state(MANIFEST, "scope=** serial=5")]).serial, Some(9));
}

#[test]
fn a_signature_expires_at_the_second_that_it_states() {
    let signer = Signer::new();
    let one = requirement(1, &[&signer], &[]);
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let signatures = [signer.state(MANIFEST, "scope=** serial=1 expires=2026-12-01T00:00:00Z")];
    let met = |now| one.is_met(&judge_at(&one, &signatures, now));
    assert!(met(Some(at("2026-11-30T23:59:59.999Z"))));
    assert!(!met(Some(at("2026-12-01T00:00:00Z"))));
    // A clock that is a year off: behind, it cannot know better; ahead, it refuses.
    assert!(met(Some(at("2025-11-30T00:00:00Z"))) && !met(Some(at("2027-11-30T00:00:00Z"))));
    assert!(met(None));
}

#[test]
fn revoked_keys_do_not_count() {
    let (one, two) = (Signer::new(), Signer::new());
    let rest = requirement(1, &[&one, &two], &[&one]);
    let (old, new) = (one.state(MANIFEST, "scope=** serial=9"), two.state(MANIFEST, "scope=** serial=1"));
    let judged = judge(&rest, std::slice::from_ref(&old));
    assert!(!rest.is_met(&judged) && judged.only_revoked);
    assert_eq!(why(&judged), [Refusal::Revoked(one.key().id())]);
    let judged = judge(&rest, &[old, new]);
    assert!(rest.is_met(&judged) && !judged.only_revoked);
    assert_eq!(judged.serial, Some(1));
    // Somebody who only writes the id of a revoked key somewhere does not make a version one of that key.
    let forged = one.state(b"x", "scope=** serial=9");
    assert!(!judge(&rest, &[forged]).only_revoked);
}
