//! Roots: who may sign, and how that changes.

use serde_json::{Value, json};

use super::super::*;
use super::fixture::*;

fn codes(roots: &[Vec<u8>], signer: &Key, trusted: &Key) -> &'static str {
    Stored::new(&document(1, &["v1"]), &[signer], roots).code(trusted, &Known::default())
}

#[test]
fn a_new_key_signs_once_the_old_one_has_let_it() {
    let (old, new, thief) = (Key::new(), Key::new(), Key::new());
    let first = root(1, &[&old], 1, &[&old]);
    let rotated = [first.clone(), root(2, &[&new], 1, &[&old, &new])];
    // Readers who trust the old key follow; those who trust the new one need not know the old one.
    assert_eq!(codes(&rotated, &new, &old), "ok");
    assert_eq!(codes(&rotated, &new, &new), "ok");
    // The old key signs no longer.
    assert_eq!(codes(&rotated, &old, &old), "SIGNATURE_MISSING");
    assert_eq!(codes(&rotated, &new, &thief), "ROOT_UNTRUSTED");
    for (why, by) in
        [("by the new key only", vec![&new]), ("by the old key only", vec![&old]), ("by another", vec![&thief])]
    {
        let roots = [first.clone(), root(2, &[&new], 1, &by)];
        assert_eq!(codes(&roots, &new, &old), "ROOT_INVALID", "{why}");
    }
}

#[test]
fn no_root_is_left_out() {
    let (a, b, c) = (Key::new(), Key::new(), Key::new());
    let roots = [root(1, &[&a], 1, &[&a]), root(2, &[&b], 1, &[&a, &b]), root(3, &[&c], 1, &[&b, &c])];
    assert_eq!(codes(&roots, &c, &a), "ok");
    let skipped = [roots[0].clone(), roots[2].clone()];
    assert_eq!(codes(&skipped, &c, &a), "ROOT_INVALID");
    // Even if its author would sign the jump.
    let jump = [roots[0].clone(), root(3, &[&c], 1, &[&a, &c])];
    assert_eq!(codes(&jump, &c, &a), "ROOT_INVALID");
    assert_eq!(codes(&roots[1..], &c, &b), "ROOT_INVALID");
}

#[test]
fn a_threshold_counts_keys_by_their_bytes() {
    let (one, two) = (Key::new(), Key::new());
    let bytes = root(1, &[&one, &two], 2, &[&one, &two]);
    assert!(Root::read(&bytes).unwrap().is_signed());
    assert!(!Root::read(&root(1, &[&one, &two], 2, &[&one, &one])).unwrap().is_signed());
    // One key under two ids: no threshold of 2 can be met, so there is no such root.
    let mut root: Value = serde_json::from_slice(&bytes).unwrap();
    let ids: Vec<String> = root["signed"]["keys"].as_object().unwrap().keys().cloned().collect();
    root["signed"]["keys"][&ids[0]] = root["signed"]["keys"][&ids[1]].clone();
    let error = Root::read(root.to_string().as_bytes()).unwrap_err();
    assert!(error.to_string().contains("only 1 can"), "{error}");
}

#[test]
fn keys_of_other_kinds_are_allowed_and_never_count() {
    let key = Key::new();
    let mut root: Value = serde_json::from_slice(&root(1, &[&key], 1, &[])).unwrap();
    root["signed"]["keys"]["rsa"] = json!({"keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": {"public": "…"}});
    for role in ["root", "targets"] {
        root["signed"]["roles"][role]["keyids"].as_array_mut().unwrap().push("rsa".into());
    }
    assert_eq!(Root::read(root.to_string().as_bytes()).unwrap().targets.keys.len(), 1);
}

#[test]
fn what_is_no_root_is_refused() {
    let key = Key::new();
    let good: Value = serde_json::from_slice(&root(1, &[&key], 1, &[&key])).unwrap();
    let bad = |edit: &dyn Fn(&mut Value)| {
        let mut root = good.clone();
        edit(&mut root["signed"]);
        Root::read(root.to_string().as_bytes()).is_err()
    };
    assert!(!bad(&|_| ()));
    assert!(bad(&|signed| signed["_type"] = "targets".into()));
    assert!(bad(&|signed| signed["spec_version"] = "2.0.0".into()));
    assert!(bad(&|signed| signed["version"] = 0.into()));
    assert!(bad(&|signed| signed["version"] = 1.5.into()));
    assert!(bad(&|signed| signed["roles"]["targets"]["threshold"] = 0.into()));
    assert!(bad(&|signed| signed["roles"]["targets"]["threshold"] = 2.into()));
    assert!(bad(&|signed| signed["roles"]["root"]["keyids"] = json!(["unknown"])));
    assert!(bad(&|signed| signed["other"] = 1.5.into()), "has no canonical form");
    let repeated = good.to_string().replacen("\"version\":1", "\"version\":2,\"version\":1", 1);
    assert!(Root::read(repeated.as_bytes()).is_err());
}

/// The example of the TUF specification's canonical form, and what python-tuf's library writes for these values.
#[test]
fn the_canonical_form_is_that_of_tuf() {
    for (value, wanted) in [
        (json!({"b": [1, -2, true, null], "a": "x"}), r#"{"a":"x","b":[1,-2,true,null]}"#),
        (
            json!({"\u{e9}": "\"\\/\n\u{7f}é😀", "Z": {}, "a": []}),
            "{\"Z\":{},\"a\":[],\"\u{e9}\":\"\\\"\\\\/\n\u{7f}é😀\"}",
        ),
    ] {
        assert_eq!(canonical(&value).as_deref(), Some(wanted));
    }
    assert_eq!(canonical(&json!([1.5])), None);
}

/// The key and its id are those of a root that python-tuf reads.
#[test]
fn key_ids_are_those_of_tuf() {
    let key = PublicKey(
        hex::decode("4a1e2bd4a3d1c2c1b4c5a8f7e6d5c4b3a2918f7e6d5c4b3a2918f7e6d5c4b3a2").unwrap().try_into().unwrap(),
    );
    let form = format!(r#"{{"keytype":"ed25519","keyval":{{"public":"{key:?}"}},"scheme":"ed25519"}}"#);
    assert_eq!(key.tuf_id(), crate::domain::Digest::of(form.as_bytes()).hex());
}
