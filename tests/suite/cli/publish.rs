//! `larder publish`, from real files to what readers get.

use std::fs;

use larder::domain::Digest;
use serde_json::json;

use super::fake::{Act, Fake};
use super::{everything, folder, noise, publish};
use crate::support::process::ServerProcess;

#[test]
fn what_is_published_is_what_is_fetched() {
    let server = ServerProcess::start();
    let large = noise(3 << 20, 1);
    let files = folder(&[("tool-linux-amd64.tar.gz", &large), ("empty", b""), ("notes.txt", b"v1\n")]);
    let receipt = server.larder("publish miren/main tool-linux-amd64.tar.gz empty notes.txt --label v1 --json");
    let receipt = receipt.within(&files).ok().json();
    assert_eq!((&receipt["version"], &receipt["state"], &receipt["files"]), (&json!(1), &json!("active"), &json!(3)));
    assert_eq!(receipt["uploaded"], json!({"blobs": 3, "bytes": large.len() + 3}));

    let output = folder(&[]);
    let fetched = server.larder("fetch miren/main --output . --json").within(&output).ok().json();
    assert_eq!(fetched["manifest"], receipt["manifest"]);
    assert_eq!(everything(output.path()), ["empty", "notes.txt", "tool-linux-amd64.tar.gz"]);
    for name in everything(output.path()) {
        let read = |folder: &tempfile::TempDir| fs::read(folder.path().join(&name)).unwrap();
        assert!(read(&output) == read(&files), "{name}");
    }
}

#[test]
fn names_tell_media_type_platform_and_architecture() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("tool-linux-amd64.tar.gz", b"x")]);
    let artifact = server.larder("get main").ok().json()["artifacts"][0].clone();
    assert_eq!(
        artifact,
        json!({"name": "tool-linux-amd64.tar.gz", "blob": Digest::of(b"x"), "size": 1, "media_type": "application/gzip",
            "platform": "linux", "arch": "amd64"})
    );
}

#[test]
fn a_directory_is_published_with_paths_relative_to_it() {
    let server = ServerProcess::start();
    let files = folder(&[("public/index.html", b"<p>"), ("public/assets/app.js", b"1")]);
    server.larder("publish site --kind static --entrypoint index.html public").within(&files).ok();
    let output = folder(&[]);
    server.larder("fetch site --output out").within(&output).ok();
    assert_eq!(everything(output.path()), ["out/assets/app.js", "out/index.html"]);
    assert_eq!(server.get("/refs/site@active/assets/app.js").unwrap().status, 307);
}

#[test]
fn a_file_can_be_published_under_another_name() {
    let server = ServerProcess::start();
    let files = folder(&[("target/release/tool", b"elf"), ("a=b", b"equals")]);
    server.larder("publish main bin/tool=target/release/tool ./a=b").within(&files).ok();
    let output = folder(&[]);
    server.larder("fetch main").within(&output).ok();
    assert_eq!(everything(output.path()), ["a=b", "bin/tool"]);
}

#[test]
fn a_ready_manifest_is_published_byte_for_byte() {
    let server = ServerProcess::start();
    let blob = Digest::of(b"bytes");
    let manifest =
        format!("{{ \"x-ours\":[1,  2],\n\"artifacts\":[{{\"size\":5,\"blob\":\"{blob}\",\"name\":\"f\"}}]}}");
    let files = folder(&[("dist/f", b"bytes"), ("m.json", manifest.as_bytes())]);
    let receipt = server.larder("publish main --manifest m.json --files dist --json").within(&files).ok().json();
    assert_eq!(receipt["manifest"], json!(Digest::of(manifest.as_bytes())));
    assert_eq!(server.larder("get main").ok().stdout, manifest);
    let again = server.larder("publish other --manifest - --json").input(manifest).ok().json();
    assert_eq!((&again["manifest"], &again["uploaded"]["blobs"]), (&receipt["manifest"], &json!(0)));
}

#[test]
fn a_ready_manifest_whose_files_are_elsewhere_says_what_is_missing() {
    let server = ServerProcess::start();
    let (blob, other) = (Digest::of(b"bytes"), Digest::of(b"other"));
    let manifest = format!(r#"{{"artifacts":[{{"size":5,"blob":"{blob}","name":"f"}}]}}"#);
    let files = folder(&[("wrong/f", b"other"), ("m.json", manifest.as_bytes())]);
    server.larder("publish main --manifest m.json").within(&files).exits(1).says("--files DIR");
    let wrong = server.larder("publish main --manifest m.json --files wrong").within(&files).exits(6);
    wrong.says("wrong/f").says(&other.to_string());
    server.larder("publish main --manifest m.json --files nowhere").within(&files).exits(1).says("nowhere/f");
    assert_eq!(server.larder("ls").ok().stdout, "");
}

#[test]
fn a_source_snapshot_goes_along() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1"), ("source.tar", b"the source")]);
    server.larder("publish main f --source source.tar").within(&files).ok();
    let row = server.larder("versions main@active --json").ok().json();
    assert_eq!(row["source_sha256"], json!(Digest::of(b"the source")));
    assert!(fs::exists(super::blob_path(&server, b"the source")).unwrap());
}

#[test]
fn a_staged_version_is_not_seen_until_it_is_promoted() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"old")]);
    let files = folder(&[("f", b"new")]);
    let receipt = server.larder("publish main f --stage --json").within(&files).ok().json();
    assert_eq!((&receipt["version"], &receipt["state"]), (&json!(2), &json!("ready")));
    assert_eq!(server.larder("get main f").ok().stdout, "old");
    assert_eq!(server.larder("get main@2 f").ok().stdout, "new");
    server.larder("promote main@2").ok();
    assert_eq!(server.larder("get main f").ok().stdout, "new");
}

#[test]
fn a_dry_run_changes_nothing() {
    let server = ServerProcess::start();
    publish(&server, "other", &[("old", b"old")]);
    let (before, uploads) = (everything(&server.data), server.uploads());
    let files = folder(&[("old", b"old"), ("new", b"new")]);
    let plan = server.larder("publish main . --dry-run --json").within(&files).ok().json();
    assert_eq!(plan["upload"][0]["digest"], json!(Digest::of(b"new")));
    assert_eq!(plan["reuse"][0]["digest"], json!(Digest::of(b"old")));
    let plan = server.larder("publish main . --dry-run").within(&files).ok();
    assert_eq!(plan.json()["artifacts"][0]["name"], "new", "stdout is the manifest");
    plan.says("would upload").says("would reuse");
    let tokenless = server.larder("publish main . --dry-run --json").env("LARDER_TOKEN_FILE", "").within(&files).ok();
    assert_eq!(tokenless.json()["upload"][0]["digest"], json!(Digest::of(b"new")));
    assert_eq!((everything(&server.data), server.uploads()), (before, uploads));
    server.larder("versions main").exits(3);
}

#[test]
fn whoever_expects_something_else_loses() {
    let server = ServerProcess::start();
    let files = folder(&[("one", b"1"), ("two", b"2")]);
    let publish = |arguments: String| server.larder(&format!("publish main {arguments} --json")).within(&files);
    let first = publish("one --expect none".into()).ok().json();
    let lost = publish("two --expect none".into()).exits(5).error();
    assert_eq!(lost["code"], "PRECONDITION_FAILED");
    assert_eq!(lost["current_etag"], json!(format!("\"{}\"", first["manifest"].as_str().unwrap())));
    publish(format!("two --expect {}", Digest::of(b"something else"))).exits(5);
    publish(format!("two --expect {}", first["manifest"].as_str().unwrap())).ok();
    publish("one --expect any".into()).ok();
    server.larder("publish other one --expect any").within(&files).exits(5);
    assert!(server.states("main").iter().all(|state| state != "prepared"), "{:?}", server.states("main"));
}

#[test]
fn the_same_release_twice_is_one_version() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1")]);
    let publish = || server.larder("publish main f --json").env("SOURCE_DATE_EPOCH", "1700000000").within(&files);
    assert_eq!(publish().ok().json()["unchanged"], json!(false));
    let again = publish().ok().json();
    assert_eq!((&again["unchanged"], &again["version"]), (&json!(true), &json!(1)));
    assert_eq!(server.states("main"), ["active"]);
}

#[test]
fn only_what_is_missing_is_uploaded() {
    let server = ServerProcess::start();
    let large = noise(1 << 20, 2);
    publish(&server, "main", &[("large", &large), ("small", b"1")]);
    let before = server.uploads();
    let receipt = publish(&server, "main", &[("large", &large), ("copy", &large), ("small", b"2")]);
    assert_eq!(receipt["uploaded"], json!({"blobs": 1, "bytes": 1}));
    assert_eq!(receipt["reused"], json!({"blobs": 1, "bytes": large.len()}));
    assert_eq!(server.uploads() - before, 1);
}

#[test]
fn a_file_that_changes_while_it_is_published_is_never_published() {
    let server = ServerProcess::start();
    let files = folder(&[("stable", b"stable"), ("f", b"before")]);
    let (address, path) = (server.address, files.path().join("f"));
    let meddler = Fake::start(move |request, _| {
        if request.is("POST", "/sessions/") {
            fs::write(&path, "after, and longer").unwrap();
        }
        Act::Answer(request.pass_on(address))
    });
    let output = server.larder("publish main stable f").env("LARDER_SERVER", meddler.url()).within(&files).exits(6);
    output.says("f changed while it was being published");
    assert_eq!(server.larder("ls").ok().stdout, "");
    assert_eq!(server.states("main"), Vec::<String>::new(), "no session is left open");
}

#[test]
fn a_file_that_cannot_be_read_ends_a_publish_before_it_begins() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1"), ("empty/x/y", b"")]);
    fs::remove_file(files.path().join("empty/x/y")).unwrap();
    for (argument, code, says) in [
        ("absent", 1, "absent"),
        ("f/below", 1, "f/below"),
        ("empty", 2, "holds no files"),
        ("/dev/null", 2, "/dev/null"),
        ("f g/../f", 1, "g/../f"),
        ("f ./f", 2, "both be named f"),
        ("f ../f", 1, "../f"),
        ("--source absent f", 1, "absent"),
        ("--kind static f", 2, "entrypoint"),
        ("--manifest f", 1, "manifest is not valid"),
        ("", 2, "Usage"),
    ] {
        server.larder(&format!("publish main {argument}")).within(&files).exits(code).says(says);
    }
    for name in ["UPPER/main", "a//b", "a@1", "..", "a:b"] {
        server.larder(&format!("publish {name} f")).within(&files).exits(2).says(name);
    }
    assert_eq!((server.uploads(), server.larder("ls").ok().stdout.as_str()), (0, ""));
}

#[test]
fn a_manifest_that_is_not_valid_is_refused_with_all_its_problems() {
    let server = ServerProcess::start();
    let blob = Digest::of(b"x");
    let artifact = |name: &str| format!(r#"{{"name":"{name}","blob":"{blob}","size":1}}"#);
    let manifest =
        format!(r#"{{"kind":"static","artifacts":[{},{},{}]}}"#, artifact("a"), artifact("a"), artifact(".."));
    let error = server.larder("publish main --manifest - --json").input(manifest).exits(1).error();
    assert_eq!(error["code"], "MANIFEST_INVALID");
    assert!(error["problems"].as_array().unwrap().len() == 3, "{error:#}");
}
