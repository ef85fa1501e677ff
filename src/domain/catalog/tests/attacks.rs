//! What a lying server can do to a signed catalog, and what a reader makes of it.

use super::super::*;
use super::fixture::*;
use crate::domain::Digest;

fn nothing() -> Known {
    Known::default()
}

#[test]
fn a_catalog_is_believed_that_the_keys_of_its_root_sign() {
    let key = Key::new();
    let stored = Stored::new(&document(3, &["v2", "v1"]), &[&key], &[root(1, &[&key], 1, &[&key])]);
    let verified = stored.verify(&key, &nothing()).unwrap();
    let signers: Vec<_> = verified.signers.iter().map(|(key, _)| *key).collect();
    assert_eq!((verified.document.serial, signers, verified.roots.len()), (3, vec![key.public], 1));
    // It stays so when it is read again.
    assert_eq!(stored.code(&key, &stored.verify(&key, &nothing()).unwrap().into_known()), "ok");
}

#[test]
fn without_a_root_the_readers_own_keys_sign() {
    let (key, other) = (Key::new(), Key::new());
    let stored = Stored::new(&document(1, &["v1"]), &[&key], &[]);
    assert_eq!(stored.code(&key, &nothing()), "ok");
    assert_eq!(stored.code(&other, &nothing()), "SIGNATURE_MISSING");
}

#[test]
fn minisign_by_itself_is_enough() {
    let key = Key::new();
    let mut stored = Stored::new(&document(1, &["v1"]), &[], &[root(1, &[&key], 1, &[&key])]);
    stored.signatures = vec![key.sign(&stored.document, "timestamp:1764324000\tfile:catalog.json\thashed")];
    assert_eq!(stored.code(&key, &nothing()), "ok");
}

/// A catalog with serial 5, of which the reader knows serial 4.
struct Honest {
    key: Key,
    thief: Key,
    roots: [Vec<u8>; 1],
    document: Document,
    known: Known,
}

impl Honest {
    fn new() -> Self {
        let (key, thief) = (Key::new(), Key::new());
        let roots = [root(1, &[&key], 1, &[&key])];
        let before = Stored::new(&document(4, &["v2", "v1"]), &[&key], &roots);
        let known = before.verify(&key, &nothing()).unwrap().into_known();
        Self { key, thief, roots, document: document(5, &["v3", "v2", "v1"]), known }
    }

    fn signed(&self, document: &Document) -> Stored {
        Stored::new(document, &[&self.key], &self.roots)
    }

    fn edited(&self, edit: &dyn Fn(&mut Document)) -> Document {
        let mut document = self.document.clone();
        edit(&mut document);
        document
    }

    fn unsigned(&self, edit: &dyn Fn(&mut Document)) -> Stored {
        Stored { document: self.edited(edit).write(), ..self.signed(&self.document) }
    }

    fn resigned(&self, edit: &dyn Fn(&mut Document)) -> Stored {
        self.signed(&self.edited(edit))
    }

    fn with_signature(&self, signature: Vec<u8>) -> Stored {
        Stored { signatures: vec![signature], ..self.signed(&self.document) }
    }

    fn states(&self, text: &str) -> Vec<u8> {
        let bytes = self.document.write();
        self.key.sign(&bytes, &format!("larder:1 {text} manifest={}", Digest::of(&bytes)))
    }

    fn refuses<const N: usize>(&self, attacks: [(&str, Stored, &str); N]) {
        assert_eq!(self.signed(&self.document).code(&self.key, &self.known), "ok");
        for (attack, stored, code) in attacks {
            assert_eq!(stored.code(&self.key, &self.known), code, "{attack}");
        }
    }
}

#[test]
fn what_others_make_of_a_catalog_is_refused_for_its_own_reason() {
    let it = Honest::new();
    let mut truncated = it.signed(&it.document).signatures[0].clone();
    truncated.truncate(truncated.len() / 2);
    let reserialised = serde_json::to_vec_pretty(&it.document).unwrap();
    it.refuses([
        ("the bytes of another serial", it.unsigned(&|document| document.serial = 6), "SIGNATURE_MISSING"),
        ("a release less", it.unsigned(&|document| drop(document.releases.pop())), "SIGNATURE_MISSING"),
        (
            "a changed digest",
            it.unsigned(&|document| document.releases[0].manifest = Digest::of(b"evil")),
            "SIGNATURE_MISSING",
        ),
        (
            "the same values written again",
            Stored { document: reserialised, ..it.signed(&it.document) },
            "SIGNATURE_MISSING",
        ),
        ("half a signature", it.with_signature(truncated), "SIGNATURE_MISSING"),
        ("no signature", Stored { signatures: vec![], ..it.signed(&it.document) }, "SIGNATURE_MISSING"),
        ("another key", Stored::new(&it.document, &[&it.thief], &it.roots), "SIGNATURE_MISSING"),
        (
            "another root",
            Stored::new(&it.document, &[&it.thief], &[root(1, &[&it.thief], 1, &[&it.thief])]),
            "ROOT_WENT_BACK",
        ),
        ("no root", Stored::new(&it.document, &[&it.key], &[]), "ROOT_WENT_BACK"),
        (
            "another catalog",
            it.resigned(&|document| document.name = "example.org/other".parse().unwrap()),
            "SIGNATURE_MISSING",
        ),
    ]);
}

#[test]
fn what_its_author_must_not_sign_or_has_signed_before_is_refused_for_its_own_reason() {
    let it = Honest::new();
    it.refuses([
        ("an older one", it.signed(&document(3, &["v1"])), "SERIAL_WENT_BACK"),
        ("another one with the same serial", it.signed(&document(4, &["v9", "v2", "v1"])), "CATALOG_FORKED"),
        (
            "a release dropped by its author",
            it.resigned(&|document| drop(document.releases.remove(2))),
            "RELEASE_REMOVED",
        ),
        ("releases reordered", it.resigned(&|document| document.releases.swap(1, 2)), "RELEASE_REMOVED"),
        ("a release below others", it.resigned(&|document| document.releases.swap(0, 1)), "RELEASE_REMOVED"),
        (
            "a release changed",
            it.resigned(&|document| document.releases[1].manifest = Digest::of(b"new")),
            "RELEASE_CHANGED",
        ),
        ("items changed", it.resigned(&|document| drop(document.releases[1].items.remove("src"))), "RELEASE_CHANGED"),
        ("expired", it.resigned(&|document| document.expires = now()), "CATALOG_EXPIRED"),
        (
            "from next year",
            it.resigned(&|document| {
                document.issued = days(300);
                document.expires = days(400);
            }),
            "CLOCK_BEHIND",
        ),
        ("a signature for other names", it.with_signature(it.states("scope=other/** serial=5")), "SIGNATURE_MISSING"),
        (
            "a signature of another serial",
            it.with_signature(it.states("scope=example.org/** serial=4")),
            "SIGNATURE_MISSING",
        ),
        (
            "a signature that expired",
            it.with_signature(it.states(&format!("scope=** serial=5 expires={}", now()))),
            "SIGNATURE_MISSING",
        ),
        ("no JSON", Stored { document: b"{".to_vec(), ..it.signed(&it.document) }, "CATALOG_DOCUMENT"),
    ]);
}

/// The document of another catalog of the same author, whose signature states no names.
#[test]
fn a_catalog_is_believed_under_its_own_name_only() {
    let key = Key::new();
    let mut other = document(5, &["v1"]);
    other.name = "example.org/other".parse().unwrap();
    let mut stored = Stored::new(&other, &[], &[root(1, &[&key], 1, &[&key])]);
    stored.signatures = vec![key.sign(&stored.document, "plain")];
    assert_eq!(stored.code(&key, &nothing()), "CATALOG_NAME");
}

#[test]
fn one_key_signs_once_however_often_it_does() {
    let (one, two) = (Key::new(), Key::new());
    let roots = [root(1, &[&one, &two], 2, &[&one, &two])];
    let document = document(1, &["v1"]);
    let twice = Stored::new(&document, &[&one, &one], &roots);
    let refusal = twice.verify(&one, &nothing()).unwrap_err();
    assert!(matches!(refusal, Refusal::TooFew { need: 2, have: 1, .. }), "{refusal}");
    assert_eq!(Stored::new(&document, &[&one, &two], &roots).code(&one, &nothing()), "ok");
}

#[test]
fn a_frozen_mirror_is_noticed_once_its_copy_expires() {
    let key = Key::new();
    let stored = Stored::new(&document(1, &["v1"]), &[&key], &[root_until(1, days(30), &[&key], 1, &[&key])]);
    let known = stored.verify(&key, &nothing()).unwrap().into_known();
    let code =
        |days_later| stored.verify_at(&key, &known, days(days_later)).map_or_else(|refusal| refusal.code(), |_| "ok");
    assert_eq!((code(29), code(30), code(365)), ("ok", "ROOT_EXPIRED", "ROOT_EXPIRED"));
    // By a clock that is a year behind nothing is ever over; it is noticed by the document.
    assert_eq!(code(-365), "CLOCK_BEHIND");
}
