#![cfg(feature = "server")]

use ::minisign::{self as tool, KeyPair};

use super::*;
use crate::domain::{Digest, ManifestName};

mod annexes;
mod judging;
mod statements;

/// A key with which tests sign.
struct Signer {
    pair: KeyPair,
}

impl Signer {
    fn new() -> Self {
        Self { pair: KeyPair::generate_unencrypted_keypair().unwrap() }
    }

    fn key(&self) -> PublicKey {
        self.pair.pk.to_base64().parse().unwrap()
    }

    fn sign(&self, bytes: &[u8], comment: &str) -> String {
        let (pk, sk) = (Some(&self.pair.pk), &self.pair.sk);
        tool::sign(pk, sk, bytes, Some(comment), Some("by a test")).unwrap().into_string()
    }

    /// A signature of `manifest` with a statement whose words are these and the manifest's digest.
    fn state(&self, manifest: &[u8], words: &str) -> String {
        self.sign(manifest, &format!("larder:1 {words} manifest={}", Digest::of(manifest)))
    }
}

const MANIFEST: &[u8] = b"{\"artifacts\":[]}";

#[test]
fn a_signature_is_four_exact_lines() {
    let signer = Signer::new();
    let text = signer.sign(MANIFEST, "timestamp:1\tfile:x\thashed");
    let signature = Signature::parse(text.as_bytes()).unwrap();
    assert_eq!((signature.key(), signature.comment()), (signer.key().id(), "timestamp:1\tfile:x\thashed"));
    assert_eq!(Signature::parse(text.trim_end().as_bytes()).map(|one| one.key()), Ok(signer.key().id()));
    // Cut off anywhere, it is none, but for the line feed at its end.
    for end in 0..text.len() - 1 {
        assert!(Signature::parse(&text.as_bytes()[..end]).is_err(), "{end}");
    }
    let lines: Vec<&str> = text.lines().collect();
    let with = |at: usize, line: &str| {
        let mut lines = lines.clone();
        lines[at] = line;
        Signature::parse(lines.join("\n").as_bytes())
    };
    assert_eq!(with(0, "comment"), Err(SignatureError::Lines));
    assert_eq!(with(2, "comment"), Err(SignatureError::Lines));
    assert_eq!(with(2, "trusted comment: a\rb"), Err(SignatureError::Lines));
    assert_eq!(with(1, &format!("{} ", lines[1])), Err(SignatureError::Base64(2)));
    assert_eq!(with(3, lines[1]), Err(SignatureError::Base64(4)));
    let old = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [b"Ed".as_slice(), &[0; 72]].concat());
    assert_eq!(with(1, &old), Err(SignatureError::Legacy));
    let other = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [0; 74]);
    assert_eq!(with(1, &other), Err(SignatureError::Algorithm));
    for other in [text.replace('\n', "\r\n"), format!("{text}\n"), format!("{text}x\n"), format!("\u{feff}{text}")] {
        assert_eq!(Signature::parse(other.as_bytes()), Err(SignatureError::Lines), "{other:?}");
    }
    // The last character of `…==` has bits that no byte needs: another spelling is not the same signature.
    let global = lines[3].strip_suffix("==").unwrap();
    let last = global.chars().last().unwrap();
    let next = char::from_u32(u32::from(last) + 1).unwrap();
    let respelled = format!("{}{next}==", &global[..global.len() - 1]);
    assert!(with(3, &respelled).is_err() || !signer.key().verifies(&with(3, &respelled).unwrap(), MANIFEST));
}

#[test]
fn a_key_verifies_its_own_signatures_of_the_same_bytes() {
    let (signer, other) = (Signer::new(), Signer::new());
    let signature = |text: &str| Signature::parse(text.as_bytes()).unwrap();
    let text = signer.sign(MANIFEST, "a comment");
    assert!(signer.key().verifies(&signature(&text), MANIFEST));
    assert!(!other.key().verifies(&signature(&text), MANIFEST), "another key");
    assert!(!signer.key().verifies(&signature(&text), b"{\"artifacts\": []}"), "the same JSON in other bytes");
    assert!(!signer.key().verifies(&signature(&text.replace("a comment", "b comment")), MANIFEST), "another comment");
    // The first line is covered by nothing.
    assert!(signer.key().verifies(&signature(&text.replace("by a test", "by nobody")), MANIFEST));
}

#[test]
fn keys_are_read_as_minisign_writes_them() {
    let text = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let key: PublicKey = text.parse().unwrap();
    assert_eq!((key.to_string().as_str(), key.id().to_string().as_str()), (text, "E7620F1842B4E81F"));
    assert_eq!(format!("untrusted comment: x\n{text}\n").parse::<PublicKey>().unwrap(), key);
    assert_eq!("e7620f1842b4e81f".parse::<KeyId>().unwrap(), key.id());
    for bad in ["", "RWQ", &text[1..], &format!("{text}\n{text}"), &format!("{text}A"), &text.replace("RWQ", "RWA")] {
        assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
    }
    for bad in ["", "E7620F1842B4E81", "+7620F1842B4E81F", "E7620F1842B4E81FF", "G7620F1842B4E81F"] {
        assert!(bad.parse::<KeyId>().is_err(), "{bad}");
    }
    let secret = KeyPair::generate_unencrypted_keypair().unwrap().sk.to_box(None).unwrap().into_string();
    assert_eq!(secret.parse::<PublicKey>(), Err(KeyError::Secret));
}

#[test]
fn a_signature_may_offer_its_key() {
    let signer = Signer::new();
    let offered = |comment: &str| {
        let text = tool::sign(None, &signer.pair.sk, MANIFEST, Some("x"), Some(comment)).unwrap();
        Signature::parse(text.into_string().as_bytes()).unwrap().offered_key()
    };
    assert_eq!(offered(&format!("larder {}", signer.key())), Some(signer.key()));
    assert_eq!(offered("signature from minisign secret key"), None);
    let mut other = Signer::new();
    assert_eq!(offered(&format!("larder {}", other.key())), None, "a key with another id");
    other.pair.pk = signer.pair.pk.clone();
    assert_eq!(offered(&format!("x {}", other.key())), Some(signer.key()));
}

#[test]
fn a_requirement_can_be_met() {
    let (one, two) = (Signer::new().key(), Signer::new().key());
    let new = |threshold, keys: &[&PublicKey], revoked: &[KeyId]| {
        Requirement::new(threshold, true, keys.iter().copied().cloned().collect(), revoked.to_vec()).map(|_| ())
    };
    assert_eq!(new(2, &[&one, &two], &[]), Ok(()));
    assert_eq!(new(0, &[], &[]), Ok(()));
    assert_eq!(new(1, &[], &[]), Err(RequirementError::Threshold(0)));
    assert_eq!(new(2, &[&one, &two], &[one.id()]), Err(RequirementError::Threshold(1)));
    assert_eq!(new(2, &[&one, &one], &[]), Err(RequirementError::Twice(one.id())));
    assert_eq!(new(1, &[&one], &[two.id()]), Err(RequirementError::RevokedUnknown(two.id())));
}

fn name() -> ManifestName {
    "miren/main".parse().unwrap()
}
