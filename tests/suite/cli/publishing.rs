//! What `larder publish` takes, what it refuses, and when it makes no new version; and how `rollback` finds another one.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, FileType, mknodat};
use serde_json::json;

use super::{everything, folder, publish};
use crate::support::process::{Output, ServerProcess};

fn names(server: &ServerProcess, name: &str) -> Vec<String> {
    let manifest = server.larder(&format!("get {name}")).ok().json();
    manifest["artifacts"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn identical_files_make_no_new_version() {
    let server = ServerProcess::start();
    let files = folder(&[("a", b"1"), ("b", b"2"), ("source", b"3")]);
    let run = |arguments: &str, epoch: &str| {
        let command = server.larder(&format!("publish main {arguments} --json"));
        command.env("SOURCE_DATE_EPOCH", epoch).within(&files).ok().json()
    };
    let first = run("a b --label v1 --meta k=v --source source", "1700000000");
    for arguments in ["a b --label v1 --meta k=v --source source", "b a --source source --meta k=v --label v1"] {
        let again = run(arguments, "1800000000");
        assert_eq!((&again["unchanged"], &again["version"]), (&json!(true), &json!(1)), "{arguments}");
        assert_eq!(again["manifest"], first["manifest"]);
    }
    // What was never staged is already more than staged.
    assert_eq!(run("a b --label v1 --meta k=v --source source --stage", "1800000000")["unchanged"], true);
    let text = server.larder("publish main a b --label v1 --meta k=v --source source").within(&files).ok();
    assert!(text.stdout.starts_with("main@1 sha256:"), "{text:#?}");
    text.says("unchanged: main@1");
    let plan = server.larder("publish main a b --label v1 --meta k=v --source source --dry-run --json");
    assert_eq!(plan.within(&files).ok().json()["digest"], first["manifest"]);
    let digest = first["manifest"].as_str().unwrap();
    for (expect, exit) in [("none", 5), ("any", 0), (digest, 0)] {
        let command = format!("publish main a b --label v1 --meta k=v --source source --expect {expect}");
        server.larder(&command).within(&files).exits(exit);
    }
    assert_eq!(server.states("main"), ["active"]);
    for (at, arguments) in [
        "a b --label v2 --meta k=v --source source",
        "a b --label v2 --meta k=w --source source",
        "a b --label v2 --meta k=w",
        "a b --label v2 --meta k=w --commit abc",
        "a --label v2 --meta k=w --commit abc",
        "a --label v2 --meta k=w --commit abc --new-version",
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(run(arguments, &format!("{}", 1_900_000_000 + at))["version"], json!(at + 2), "{arguments}");
    }
    fs::write(files.path().join("a"), "other").unwrap();
    assert_eq!(run("a --label v2 --meta k=w --commit abc", "1900000005")["version"], 8);
}

#[test]
fn who_means_it_gets_a_new_version_within_the_same_second() {
    let server = ServerProcess::start();
    let files = folder(&[("a", b"1")]);
    for version in 1..=3 {
        let receipt = server.larder("publish main a --new-version --json").within(&files).ok().json();
        assert_eq!((&receipt["version"], &receipt["unchanged"]), (&json!(version), &json!(false)));
    }
}

#[test]
fn a_staged_version_is_not_staged_twice() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("a", b"old")]);
    let files = folder(&[("a", b"new")]);
    let run = |epoch: &str| {
        let command = server.larder("publish main a --stage --json").env("SOURCE_DATE_EPOCH", epoch);
        command.within(&files).ok().json()
    };
    assert_eq!((&run("1700000000")["version"], &run("1700000001")["version"]), (&json!(2), &json!(2)));
    assert_eq!(server.states("main"), ["ready", "active"]);
    server.larder("publish main a --expect none").within(&files).exits(5);
}

#[test]
fn a_token_that_may_not_read_publishes_without_comparing() {
    let server = ServerProcess::start();
    let files = folder(&[("a", b"1")]);
    let manifest = server.larder("publish main a --dry-run").within(&files).ok().stdout;
    let fake = super::fake::Fake::start({
        let address = server.address;
        move |request, _| {
            if request.is("GET", "/manifests/") {
                return super::fake::answer(403, &[], b"{}");
            }
            super::fake::Act::Answer(request.pass_on(address))
        }
    });
    assert!(manifest.contains("artifacts"));
    for version in 1..=2 {
        let command = server.larder("publish main a --json").env("LARDER_SERVER", fake.url());
        let receipt = command.env("SOURCE_DATE_EPOCH", format!("170000000{version}")).within(&files).ok().json();
        assert_eq!(receipt["version"], version);
    }
}

#[test]
fn a_rollback_skips_versions_with_the_same_content() {
    let server = ServerProcess::start();
    let good = publish(&server, "main", &[("f", b"good")]);
    let broken = publish(&server, "main", &[("f", b"broken")]);
    let active = server.larder("get main").ok().stdout;
    // Another way to the same bytes: the version before the active one is as broken as the active one.
    server.larder("copy main other").ok();
    publish(&server, "main", &[("f", b"short-lived")]);
    server.larder("publish main --manifest - --json").input(active).ok();
    server.larder("promote main@2").ok();
    assert_eq!(server.larder("get main@previous f").ok().stdout, "broken");
    server.larder("delete main@3 --yes").ok();

    let output = server.larder("rollback main").ok();
    assert!(output.stdout.starts_with("main@1 sha256:"), "{output:#?}");
    let output = output.says("from version 2").says("to version 1");
    output.says(good["manifest"].as_str().unwrap()).says(broken["manifest"].as_str().unwrap());
    assert_eq!(server.larder("get main f").ok().stdout, "good");
    server.larder("rollback main").ok();
    assert_eq!(server.larder("get main f").ok().stdout, "broken", "twice returns to where it began");
}

#[test]
fn without_other_content_there_is_no_rollback() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"1")]);
    let manifest = server.larder("get main").ok().stdout;
    server.larder("rollback main").exits(3).says("nothing to go back to");
    publish(&server, "main", &[("f", b"2")]);
    server.larder("publish main --manifest -").input(manifest).ok();
    server.larder("delete main@2 --yes").ok();
    let error = server.larder("rollback main --json").exits(3).error();
    assert_eq!(error["code"], "VERSION_UNKNOWN");
    assert_eq!(server.larder("get main f").ok().stdout, "1");
    server.larder("rollback absent").exits(3).says("absent");
}

#[test]
fn an_argument_that_is_a_file_is_that_file() {
    let server = ServerProcess::start();
    let files = folder(&[("dist/a=b.txt", b"literal"), ("c.txt", b"named"), ("x=y/z", b"in")]);
    server.larder("publish literal dist/a=b.txt x=y/z").within(&files).ok();
    assert_eq!(names(&server, "literal"), ["a=b.txt", "z"]);
    server.larder("publish named dist/c=c.txt").within(&files).ok();
    assert_eq!(names(&server, "named"), ["dist/c"]);
    server.larder("publish neither d=e").within(&files).exits(1).says("d=e").says("file e ");

    fs::write(files.path().join("b.txt"), "both").unwrap();
    let refused = server.larder("publish both dist/a=b.txt").within(&files).exits(2);
    refused.says("./dist/a=b.txt").says("dist/a=./b.txt");
    assert_eq!(server.larder("ls").ok().stdout, "literal\nnamed\n");
    server.larder("publish both ./dist/a=b.txt").within(&files).ok();
    assert_eq!(server.larder("get both a=b.txt").ok().stdout, "literal");
    server.larder("publish both dist/a=./b.txt").within(&files).ok();
    assert_eq!(server.larder("get both dist/a").ok().stdout, "both");
}

#[test]
fn links_out_of_a_directory_and_special_files_are_refused_together() {
    let server = ServerProcess::start();
    let (files, outside) = (folder(&[("site/index.html", b"<p>")]), folder(&[("id_rsa", b"secret"), ("d/x", b"far")]));
    let at = |path: &str| files.path().join("site").join(path);
    symlink(outside.path().join("id_rsa"), at("key")).unwrap();
    symlink(outside.path().join("d"), at("far")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    symlink("round", at("round")).unwrap();
    mknodat(CWD, at("fifo"), FileType::Fifo, 0o600.into(), 0).unwrap();
    let refused = server.larder("publish main site").within(&files).exits(2);
    let target = fs::canonicalize(outside.path().join("id_rsa")).unwrap();
    let refused = refused.says("site/key").says(target.to_str().unwrap()).says("--follow-links");
    refused.says("site/far").says("site/dangling").says("nowhere").says("site/round").says("site/fifo");
    assert_eq!((server.larder("ls").ok().stdout.as_str(), server.uploads()), ("", 0));

    for bad in ["dangling", "round", "fifo"] {
        fs::remove_file(at(bad)).unwrap();
    }
    symlink("index.html", at("inside")).unwrap();
    server.larder("publish main site").within(&files).exits(2);
    server.larder("publish main site --follow-links").within(&files).ok();
    assert_eq!(names(&server, "main"), ["far/x", "index.html", "inside", "key"]);
    server.larder("publish named site/key").within(&files).ok();
    assert_eq!(server.larder("get named key").ok().stdout, "secret", "what is named on the command line is taken");
}

#[test]
fn hidden_files_are_left_out_and_said_to_be() {
    let server = ServerProcess::start();
    let files = folder(&[
        ("site/index.html", b"<p>"),
        ("site/.env", b"PASSWORD=1"),
        ("site/.git/config", b"[core]"),
        ("site/assets/.DS_Store", b"x"),
        ("site/.well-known/security.txt", b"Contact: x"),
    ]);
    let output = server.larder("publish main site").within(&files).ok();
    let output = output.says("left out 3").says("site/.env").says("site/.git").says("site/assets/.DS_Store");
    output.says("--hidden");
    assert_eq!(names(&server, "main"), [".well-known/security.txt", "index.html"]);
    let receipt = server.larder("publish main site --json").within(&files).ok().json();
    assert_eq!(receipt["left_out"]["count"], 3);
    server.larder("publish all site --hidden").within(&files).ok();
    assert_eq!(names(&server, "all").len(), 5);
    server.larder("publish named site/.env").within(&files).ok();
    assert_eq!(names(&server, "named"), [".env"]);
}

#[test]
fn files_that_cannot_be_named_are_all_named_at_once() {
    let server = ServerProcess::start();
    let files = folder(&[("d/invoice\u{202e}gpj.exe", b"1"), ("d/back\\slash", b"2"), ("d/zero\u{200b}", b"3")]);
    let refused = server.larder("publish main d").within(&files).exits(2);
    assert!(!refused.stderr.contains('\u{202e}') && !refused.stderr.contains('\u{200b}'), "{refused:#?}");
    refused.says("U+202E RIGHT-TO-LEFT OVERRIDE").says("back\\slash").says("U+200B ZERO WIDTH SPACE");
    let fine = [
        "מסמך.txt",
        "مرحبا.txt",
        "می\u{200c}خواهم.txt",
        "👨\u{200d}👩\u{200d}👧.png",
        "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    ];
    let files: Vec<(&str, &[u8])> = fine.iter().map(|name| (*name, name.as_bytes())).collect();
    publish(&server, "main", &files);
    let output = folder(&[]);
    server.larder("fetch main").within(&output).ok();
    assert_eq!(everything(output.path()).len(), fine.len());
}

#[test]
fn names_that_are_one_on_other_disks_are_a_warning() {
    let server = ServerProcess::start();
    let (nfc, nfd) = ("na\u{ef}ve", "nai\u{308}ve");
    let files = folder(&[("Readme", b"1"), ("README", b"2"), (nfc, b"3"), (nfd, b"4"), ("aux.txt", b"5"), ("b", b"6")]);
    if everything(files.path()).len() < 6 {
        // This disk cannot hold them either; there is nothing to publish.
        return;
    }
    let output = server.larder("publish main .").within(&files).ok();
    let output = output.says("warning: README and Readme are one file").says("aux.txt cannot be written on Windows");
    output.says(&format!("{nfd} and {nfc}"));
    let receipt = server.larder("publish main . --json").within(&files).ok();
    assert_eq!((&receipt.json()["warnings"]["count"], receipt.stderr.as_str()), (&json!(3), ""));
    // This disk holds both, and a fetch proves it before it writes.
    let output = folder(&[]);
    server.larder("fetch main").within(&output).ok();
    assert_eq!(everything(output.path()).len(), 6);
    // The other form of a name is found if there is only one such file.
    publish(&server, "unique", &[(nfc, b"one")]);
    for form in [nfc, nfd] {
        assert_eq!(server.larder("get unique").arg(form).ok().stdout, "one");
        assert_eq!(server.larder("get main").arg(form).ok().stdout, if form == nfc { "3" } else { "4" });
    }
}

/// Asserts that an output shows text without hiding any of it.
fn shows(output: &Output, escape: &str) {
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(all.contains(escape) && !all.contains(['\u{202e}', '\u{1b}', '\u{200b}']), "{output:#?}");
}

#[test]
fn labels_and_reasons_are_escaped_where_people_read_them() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1"), ("g", b"2")]);
    let label = "v1\u{202e}1v \u{1b}[31m";
    server.larder("publish main f --label").arg(label).within(&files).ok();
    shows(&server.larder("ls --long").ok(), "v1\\u{202e}1v \\u{1b}[31m");
    shows(&server.larder("versions main").ok(), "v1\\u{202e}1v");
    let json = server.larder("versions main@1 --json").ok();
    shows(&json, "v1\\u202e1v");
    assert_eq!(json.json()["label"], label, "programs get the exact text");
    server.larder("publish main g").within(&files).ok();
    shows(&server.larder("rollback main").ok(), "v1\\u{202e}1v");
    server.larder("promote main@2").ok();
    server.larder("delete main@1 --yes --reason").arg("bad\u{202e}dab").ok();
    shows(&server.larder("get main@1").exits(3), "bad\\u{202e}dab");
    shows(&server.larder("get main@1 --json").exits(3), "bad\\u202edab");
    shows(&server.larder("get main").arg("x\u{200b}").exits(3), "x\\u{200b}");
    shows(&server.larder("get main").arg("x\u{1b}[31m").exits(2), "U+001B ESCAPE");
}
