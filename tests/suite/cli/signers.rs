//! Signers and readers on several machines, which know nothing of each other, and whose clocks may be wrong.

use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::signing::key;
use super::{everything, folder};
use crate::support::process::{Larder, ServerProcess, larder};

/// A server on which so many of these people must sign what becomes active.
fn server_for(people: &[&TempDir], threshold: usize) -> (ServerProcess, TempDir) {
    let public = |keys: &&TempDir| larder("key show a.key.pub").within(keys).ok().stdout.trim().to_owned();
    let keys: Vec<String> = people.iter().map(public).collect();
    let policy = format!(
        "[[names]]\nmatch = [\"**\"]\n[names.signatures]\nthreshold = {threshold}\nminisign = {}\n",
        json!(keys)
    );
    let place = folder(&[("larder.toml", policy.as_bytes())]);
    let server = ServerProcess::with(&format!("--config {}", place.path().join("larder.toml").display()));
    (server, place)
}

fn publish(server: &ServerProcess, content: &str, options: &str) -> Larder {
    let files = folder(&[("f", content.as_bytes())]);
    server.larder(&format!("publish main {} --json {options}", files.keep().join("f").display()))
}

#[test]
fn two_machines_sign_one_after_the_other_and_then_anybody_promotes() {
    let (one, two) = (key(), key());
    let (server, _place) = server_for(&[&one, &two], 2);
    // One key is not enough, not even twice, and whoever publishes.
    let refused = publish(&server, "1", "-k").arg(one.path().join("a.key")).run().error();
    assert_eq!((&refused["code"], &refused["need"]), (&json!("SIGNATURES_MISSING"), &json!(2)));
    publish(&server, "1", "--stage -k").arg(one.path().join("a.key")).ok();
    server.larder("sign main@next -k a.key").within(&one).ok();
    assert_eq!(server.larder("promote main@next --json").run().error()["code"], "SIGNATURES_MISSING");
    // The other one sees what it signs: the bytes of the manifest, and what is attached already.
    let seen = server.larder("attachments main@next --json").within(&two).ok().json();
    assert_eq!(seen["attachments"].as_array().unwrap().len(), 2);
    let signed = server.larder("sign main@next -k a.key --json").within(&two).ok().json();
    assert_eq!(signed["manifest"], seen["manifest"]);
    let promoted = server.larder("promote main@next --json").ok().json();
    assert_eq!((&promoted["state"], &promoted["verifying"]["accept"]), (&json!("active"), &json!(true)));
    let fetch = |threshold: &str| {
        let (out, home) = (folder(&[]).keep(), folder(&[]).keep());
        let command = server.larder(&format!("fetch main --json --threshold {threshold} --output")).arg(out);
        let keys = [&one, &two].map(|keys| keys.path().join("a.key.pub"));
        let command = command.arg("--verify-key").arg(&keys[0]).arg("--verify-key").arg(&keys[1]);
        command.env("HOME", home)
    };
    assert_eq!(fetch("2").ok().json()["verified"]["keys"].as_array().unwrap().len(), 2);

    // Both at the same moment: none of the signatures is lost.
    publish(&server, "2", "--stage").ok();
    let sign = |keys: &TempDir| server.larder("sign main@next -k a.key --json").within(keys).ok().json();
    let (left, right) = std::thread::scope(|scope| {
        let other = scope.spawn(|| sign(&one));
        (sign(&two), other.join().unwrap())
    });
    assert_ne!(left["key"], right["key"]);
    let promoted = server.larder("promote main@next --json").ok().json();
    let keys = promoted["verifying"]["keys"].as_array().unwrap();
    assert!(keys.contains(&left["key"]) && keys.contains(&right["key"]), "{promoted:#}");
}

/// The same command on a machine whose clock is off.
fn on_machine(command: Larder, off: &str) -> Larder {
    let library = Command::new("faketime").args(["-f", off, "printenv", "LD_PRELOAD"]).output().unwrap();
    let library = String::from_utf8(library.stdout).unwrap();
    let command = command.env("LD_PRELOAD", library.trim()).env("FAKETIME", off);
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DONT_RESET", "1")
}

const AHEAD: &str = "+365d";
const BEHIND: &str = "-365d";

#[test]
#[ignore = "needs faketime: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
fn a_readers_clock_that_is_a_year_off_refuses_too_much_and_never_goes_back() {
    let (server, keys) = (ServerProcess::start(), key());
    publish(&server, "1", "").ok();
    server.larder("sign main -k a.key --expires 90days --serial 10").within(&keys).ok();
    let fetch = |off: &str, home: &TempDir| {
        let out = folder(&[]);
        let command = server.larder("fetch main --json --verify-key a.key.pub --output").arg(out.path()).within(&keys);
        let output = on_machine(command.env("HOME", home.path()), off).run();
        (output, everything(out.path()))
    };
    let home = folder(&[]);
    let (output, written) = fetch(AHEAD, &home);
    assert_eq!((&output.error()["code"], written), (&json!("SIGNATURE_EXPIRED"), Vec::new()));
    let (output, _) = fetch(BEHIND, &home);
    assert_eq!(output.json()["verified"]["serial"], 10);
    // What was accepted by the wrong clock holds for the right one: serials are numbers, not times.
    publish(&server, "0", "").ok();
    server.larder("sign main -k a.key --serial 11").within(&keys).ok();
    assert_eq!(fetch("+0d", &home).0.json()["verified"]["serial"], 11);
    server.larder("rollback main").ok();
    assert_eq!(fetch(BEHIND, &home).0.error()["code"], "SERIAL_WENT_BACK");
}

#[test]
#[ignore = "needs faketime: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
fn a_signers_clock_that_is_a_year_ahead_is_told_to_the_next_signer() {
    let (one, two) = (key(), key());
    let (server, _place) = server_for(&[&one, &two], 1);
    let publish = |content: &str, keys: &TempDir, options: &str| {
        publish(&server, content, &format!("{options} -k")).arg(keys.path().join("a.key"))
    };
    let serial = |receipt: &Value| receipt["signature"]["serial"].as_u64().unwrap();
    let first = on_machine(publish("1", &one, ""), AHEAD).ok().json();
    // The same key goes on from there, whatever its clock says now.
    let second = publish("2", &one, "").ok().json();
    assert_eq!(serial(&second), serial(&first) + 1);
    // Another one cannot know before it is told, and nothing is visible that clients would refuse.
    let refused = publish("3", &two, "").run().error();
    assert_eq!((&refused["code"], &refused["active_serial"]), (&json!("SERIAL_BEHIND"), &json!(serial(&second))));
    assert_eq!(server.larder("versions main@active --json").ok().json()["number"], second["version"]);
    let third = publish("3", &two, &format!("--serial {}", serial(&second) + 1)).ok().json();
    assert_eq!(third["state"], "active");
}
