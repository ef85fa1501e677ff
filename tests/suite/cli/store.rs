//! The commands that look at a store directly: `verify` and `migrate`.

use std::fs;

use larder::domain::Digest;
use serde_json::{Value, json};

use super::{blob_path, everything, folder, publish, quiet};
use crate::support::process::{Larder, ServerProcess, larder};

fn verify(server: &ServerProcess, arguments: &str) -> Larder {
    larder(&format!("verify {arguments} --data")).arg(&server.data)
}

/// The findings of a verification that must find something.
fn findings(server: &ServerProcess) -> Vec<Value> {
    let output = verify(server, "--json").exits(8);
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(document["totals"]["findings"], json!(document["findings"].as_array().unwrap().len()));
    document["findings"].as_array().unwrap().clone()
}

#[test]
fn a_store_that_is_well_is_said_to_be_so() {
    let server = quiet();
    publish(&server, "main", &[("f", b"one"), ("g", b"two")]);
    publish(&server, "main", &[("f", b"one"), ("g", b"three")]);
    publish(&server, "team/other", &[("f", b"one")]);
    let totals = verify(&server, "--json").ok().json()["totals"].clone();
    assert_eq!((&totals["names"], &totals["versions"], &totals["references"]), (&json!(2), &json!(3), &json!(5)));
    // Three files and three manifests.
    assert_eq!((&totals["blobs"], &totals["findings"]), (&json!(6), &json!(0)));
    assert!(verify(&server, "").ok().stdout.contains("all is well"));
}

#[test]
fn a_damaged_blob_is_named() {
    let server = quiet();
    publish(&server, "main", &[("good", b"good"), ("bad", b"bad")]);
    fs::write(blob_path(&server, b"bad"), "bAd").unwrap();
    let found = findings(&server);
    assert_eq!((found.len(), &found[0]["kind"]), (1, &json!("damaged_blob")));
    assert!(found[0]["key"].as_str().unwrap().contains(&*Digest::of(b"bad").hex()), "{found:?}");
    let text = verify(&server, "").exits(8).stdout;
    assert!(text.contains(&*Digest::of(b"bad").hex()), "{text}");
}

#[test]
fn a_missing_blob_is_named_and_healed_by_an_upload() {
    let server = quiet();
    let files: &[(&str, &[u8])] = &[("f", b"precious")];
    publish(&server, "main", files);
    fs::remove_file(blob_path(&server, b"precious")).unwrap();
    let found = findings(&server);
    assert_eq!((found.len(), &found[0]["kind"], &found[0]["stored"]), (1, &json!("bad_reference"), &Value::Null));
    assert_eq!(found[0]["blob"]["digest"], json!(Digest::of(b"precious")));
    // Under another name, since a publish that changes nothing uploads nothing.
    assert_eq!(publish(&server, "healing", files)["uploaded"]["blobs"], json!(1));
    verify(&server, "").ok();
}

#[test]
fn a_truncated_blob_is_named() {
    let server = quiet();
    publish(&server, "main", &[("f", b"precious")]);
    fs::write(blob_path(&server, b"precious"), "prec").unwrap();
    let found = findings(&server);
    let kinds: Vec<_> = found.iter().map(|finding| finding["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["bad_reference", "damaged_blob"], "{found:?}");
    assert_eq!(found[0]["stored"], json!(4));
}

#[test]
fn a_damaged_manifest_is_named_with_its_version() {
    let server = quiet();
    publish(&server, "main", &[("f", b"1")]);
    let manifest = server.larder("get main").ok().stdout;
    fs::write(blob_path(&server, manifest.as_bytes()), manifest.replace("\"f\"", "\"g\"")).unwrap();
    let text = verify(&server, "").exits(8).stdout;
    assert!(text.contains("main@1: the manifest is damaged"), "{text}");
}

#[test]
fn a_lost_head_and_a_foreign_file_are_named() {
    let server = quiet();
    publish(&server, "main", &[("f", b"1")]);
    publish(&server, "main", &[("f", b"2")]);
    let heads = server.data.join("objects/heads/main@");
    // Newest first.
    fs::remove_file(heads.join(&everything(&heads)[1])).unwrap();
    fs::write(server.data.join("objects/blobs/sha256/zz"), "?").unwrap();
    publish(&server, "other", &[("f", b"3")]);
    fs::remove_file(server.data.join("objects/names/other@")).unwrap();
    let found = findings(&server);
    let kinds: Vec<_> = found.iter().map(|finding| finding["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["damaged_head", "unknown_key", "unlisted_name"], "{found:?}");
}

#[test]
fn a_verification_goes_on_where_the_last_one_was() {
    let server = quiet();
    publish(&server, "main", &[("f", b"one"), ("g", b"two"), ("h", b"three")]);
    let objects = server.data.join("objects");
    let keys: Vec<_> = everything(&objects).into_iter().filter(|key| key.starts_with("blobs/")).collect();
    assert_eq!(keys.len(), 4);
    let first = objects.join(&keys[0]);
    fs::write(&first, vec![b'!'; usize::try_from(fs::metadata(&first).unwrap().len()).unwrap()]).unwrap();
    let files = folder(&[("progress", format!("{}\n", keys[1]).as_bytes())]);
    let totals = verify(&server, "--checkpoint progress --json").within(&files).run();
    let totals: Value = serde_json::from_str(&totals.stdout).unwrap();
    assert_eq!(totals["totals"]["blobs"], json!(2));
    let damaged = totals["findings"].as_array().unwrap().iter().filter(|finding| finding["kind"] == "damaged_blob");
    assert_eq!(damaged.count(), 0, "{totals}");
    assert!(everything(files.path()).is_empty(), "a finished run needs no checkpoint");
    verify(&server, "--checkpoint progress").within(&files).exits(8);
    fs::write(files.path().join("progress"), "holiday photos").unwrap();
    verify(&server, "--checkpoint progress").within(&files).exits(2).says("not a checkpoint");
}

#[test]
fn looking_at_a_store_never_makes_one() {
    let files = folder(&[("file", b"")]);
    for data in ["absent", "file", "."] {
        for command in ["verify", "migrate", "migrate --plan"] {
            larder(&format!("{command} --data {data}")).within(&files).exits(3).says("There is no store");
        }
    }
    assert_eq!(everything(files.path()), ["file"]);
}

#[test]
fn a_store_that_is_up_to_date_needs_no_migration() {
    let server = quiet();
    publish(&server, "main", &[("f", b"1")]);
    let before = everything(&server.data);
    for arguments in ["migrate --plan --data", "migrate --data"] {
        assert!(larder(arguments).arg(&server.data).ok().stdout.contains("nothing to do"));
    }
    assert_eq!(everything(&server.data), before);
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let mut server = quiet();
    publish(&server, "main", &[("f", b"1")]);
    server.kill();
    fs::write(server.data.join("objects/layout/2"), r#"{"layout":2,"min_reader":2,"min_writer":2}"#).unwrap();
    let before = everything(&server.data);
    for command in ["verify", "migrate", "migrate --plan", "serve --listen 127.0.0.1:0"] {
        larder(&format!("{command} --data")).arg(&server.data).exits(1).says("install a newer larder");
    }
    assert_eq!(everything(&server.data), before);
}

#[test]
fn a_store_without_a_marker_is_left_alone() {
    let mut server = quiet();
    publish(&server, "main", &[("f", b"1")]);
    server.kill();
    fs::remove_file(server.data.join("objects/layout/1")).unwrap();
    for command in ["verify", "migrate", "serve --listen 127.0.0.1:0"] {
        larder(&format!("{command} --data")).arg(&server.data).exits(1).says("no layout marker");
    }
}
