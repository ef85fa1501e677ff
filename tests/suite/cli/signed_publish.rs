//! `larder publish --key`: what is published and signed in one step.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::folder;
use super::signing::key;
use crate::support::process::{Larder, ServerProcess, larder};

/// A publisher's directory with `a.key`, and a server on which only what that key has signed becomes active.
fn strict() -> (ServerProcess, TempDir) {
    let keys = key();
    let public = larder("key show a.key.pub").within(&keys).ok().stdout;
    let policy =
        format!("[[names]]\nmatch = [\"**\"]\n[names.signatures]\nthreshold = 1\nminisign = [\"{}\"]\n", public.trim());
    fs::write(keys.path().join("larder.toml"), policy).unwrap();
    let server = ServerProcess::with(&format!("--config {}", keys.path().join("larder.toml").display()));
    (server, keys)
}

/// `larder publish main` of the file `f` with this content.
fn publish(server: &ServerProcess, keys: &TempDir, content: &str, options: &str) -> Larder {
    fs::write(keys.path().join("f"), content).unwrap();
    server.larder(&format!("publish main f --json {options}")).within(keys)
}

fn attached(server: &ServerProcess, target: &str) -> Vec<Value> {
    let list = server.larder(&format!("attachments {target} --json")).ok().json();
    list["attachments"].as_array().unwrap().clone()
}

#[test]
fn one_command_publishes_what_the_policy_of_the_name_lets_through() {
    let (server, keys) = strict();
    let refused = publish(&server, &keys, "1", "").run();
    assert_eq!(refused.error()["code"], "SIGNATURES_MISSING");
    let options = "-k a.key --label v1 --scope ** --expires 90days";
    let published = publish(&server, &keys, "1", options).ok().json();
    assert_eq!((&published["state"], &published["verifying"]["accept"]), (&json!("active"), &json!(true)));
    let signature = &published["signature"];
    assert_eq!((&signature["scope"], &signature["label"]), (&json!("**"), &json!("v1")));
    assert!(signature["expires"].is_string() && signature["serial"].as_u64() > Some(1_700_000_000), "{signature}");
    let list = attached(&server, "main");
    assert_eq!((list.len(), &list[0]["digest"], &list[0]["key"]), (1, &signature["digest"], &signature["key"]));
    let fetched = server.larder("fetch main --verify-key a.key.pub --json --output out").within(&keys);
    assert_eq!(fetched.env("HOME", keys.path()).ok().json()["verified"]["serial"], signature["serial"]);

    // The same again, as a job does that is repeated, adds nothing.
    let again = publish(&server, &keys, "1", options).ok().json();
    assert_eq!((&again["unchanged"], &again["signature"]["digest"]), (&json!(true), &signature["digest"]));
    assert_eq!((&signature["added"], &again["signature"]["added"]), (&json!(true), &json!(false)));
    assert_eq!(attached(&server, "main").len(), 1);
    // Asking for another statement does: the version stays, and is signed once more.
    let longer = publish(&server, &keys, "1", "-k a.key --label v1 --scope ** --expires 300days").ok().json();
    assert_eq!((&longer["unchanged"], &longer["version"]), (&json!(true), &published["version"]));
    assert!(longer["signature"]["serial"].as_u64() > signature["serial"].as_u64());
    assert_eq!(attached(&server, "main").len(), 2);
    // Never below what the key has signed for the name.
    let behind = publish(&server, &keys, "2", "-k a.key --serial 5").exits(2).error();
    assert_eq!(behind["code"], "SERIAL_BEHIND");
    let next = publish(&server, &keys, "2", "-k a.key").ok().json();
    assert!(next["signature"]["serial"].as_u64() > longer["signature"]["serial"].as_u64());
    assert_eq!(next["verifying"]["serial"], next["signature"]["serial"]);
    // What comes back as a new version needs a signature above the newest one.
    let back = publish(&server, &keys, "1", "-k a.key --label v1 --scope **").ok().json();
    assert!(back["signature"]["serial"].as_u64() > next["signature"]["serial"].as_u64());
    assert_eq!(back["verifying"]["accept"], true);
}

#[test]
fn what_is_staged_is_signed_and_needs_no_key_to_be_promoted() {
    let (server, keys) = strict();
    let staged = publish(&server, &keys, "1", "-k a.key --stage").ok().json();
    assert_eq!(staged["state"], "ready");
    // Staged again, it is the same version with the same signature.
    let again = publish(&server, &keys, "1", "-k a.key --stage").ok().json();
    assert_eq!((&again["unchanged"], &again["signature"]["digest"]), (&json!(true), &staged["signature"]["digest"]));
    let promoted = server.larder("promote main@next --json").ok().json();
    assert_eq!(promoted["verifying"]["serial"], staged["signature"]["serial"]);
}

#[test]
fn a_site_that_demotes_a_file_is_signed_as_it_is_published() {
    let (server, keys) = strict();
    let site = |content: &str, options: &str| {
        fs::create_dir_all(keys.path().join("site/assets")).unwrap();
        fs::write(keys.path().join("site/index.html"), "x").unwrap();
        fs::write(keys.path().join("site/assets/app-BdfX91ab.js"), content).unwrap();
        let command = format!("publish site site --kind static --compress none -k a.key --json {options}");
        server.larder(&command).within(&keys)
    };
    site("1", "").ok();
    assert_eq!(site("2", "").run().error()["code"], "IMMUTABLE_CHANGED");
    let published = site("2", "--allow-changed").ok().json();
    assert_eq!((&published["state"], &published["verifying"]["accept"]), (&json!("active"), &json!(true)));
    let verified = server.larder("get site --verify-key a.key.pub").within(&keys).env("HOME", keys.path()).ok().json();
    assert_eq!(verified["site"]["revalidate"], json!(["assets/app-BdfX91ab.js"]));
}

#[test]
fn what_cannot_be_signed_is_refused_before_anything_is_sent() {
    let (server, keys) = (ServerProcess::start(), key());
    for (options, why) in [
        ("--scope **", "--key"),
        ("--serial 7", "--key"),
        ("--password-file f", "--key"),
        ("-k a.key.pub", "public key"),
        ("-k a.key --scope other", "does not hold for main"),
        ("-k a.key --part linux --parts linux --label v1", "--part"),
        ("-k a.key --expires 2020-01-01T00:00:00Z", "expired"),
    ] {
        fs::write(keys.path().join("f"), "1").unwrap();
        let output = server.larder(&format!("publish main f {options}")).within(&keys).exits(2);
        assert!(output.stderr.contains(why), "{options}: {}", output.stderr);
    }
    assert_eq!(server.uploads(), 0);
    let shown = server.larder("publish main f -k a.key --dry-run").within(&keys).ok();
    assert!(shown.stderr.contains("would sign with the key"), "{}", shown.stderr);
    server.larder("get main").exits(3);
}

#[test]
fn a_key_with_a_password_signs() {
    let (server, keys) = (ServerProcess::start(), folder(&[("p", b"secret\n"), ("f", b"1")]));
    larder("key new a.key --password-file p").within(&keys).ok();
    let shown = server.larder("publish main f -k a.key --password-file p").within(&keys).ok();
    assert!(shown.stderr.contains("signed with the key"), "{}", shown.stderr);
    server.larder("get main --verify-key a.key.pub").within(&keys).env("HOME", keys.path()).ok();
}
