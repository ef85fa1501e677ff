//! `larder import flat`

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::{actions, channel, names, site, troubles, write};
use crate::cli::fake::Act;
use crate::cli::{everything, folder, noise};
use crate::support::process::{Reply, ServerProcess, larder, until};

const ARM: &str = "miren-base-linux-arm64.tar.gz";
const AMD: &str = "miren-base-linux-amd64.tar.gz";

/// An old tree: `v0.4.0` and `main`, of which `main` has an old checksum beside a new tarball.
fn tree() -> TempDir {
    let directory = TempDir::new().unwrap();
    write(directory.path(), &channel("release/miren/v0.4.0", "v0.4.0", &[(AMD, b"amd 4"), (ARM, b"arm 4")]));
    let files: [(&str, &[u8]); 3] = [(AMD, b"amd 5"), (ARM, b"arm 5"), ("docker-compose.yml", b"services: {}\n")];
    write(directory.path(), &channel("release/miren/main", "main:abc1234", &files));
    let old = channel("release/miren/main", "x", &[(ARM, b"arm 4")]);
    let sidecar = format!("release/miren/main/{ARM}.sha256");
    fs::write(directory.path().join(&sidecar), &old[&sidecar]).unwrap();
    directory
}

#[test]
fn a_tree_with_one_torn_pair_is_imported_but_for_that_file() {
    let (server, tree) = (ServerProcess::start(), tree());
    let run = || {
        server
            .larder("import flat . release/miren --origin https://old.example.org/assets --json")
            .within(&tree)
            .exits(8)
    };
    let report: serde_json::Value = serde_json::from_str(&run().stdout).unwrap();
    assert_eq!(troubles(&report), [format!("TORN_PAIR {ARM}")]);
    assert_eq!(actions(&report), ["imported", "imported"]);
    assert_eq!(names(&server, "miren/main"), ["docker-compose.yml", AMD]);
    assert_eq!(names(&server, "miren/v0.4.0"), [AMD, ARM]);
    let manifest = server.larder("get miren/main").ok().json();
    assert_eq!(manifest["version"], "main:abc1234");
    assert_eq!((&manifest["branch"], &manifest["build_date"]), (&json!("main"), &json!("2025-11-05T07:55:00Z")));
    assert_eq!(manifest["artifacts"][1]["platform"], "linux");
    let row = server.larder("versions miren/main@active --json").ok().json();
    assert_eq!(row["label"], "main:abc1234");
    assert_eq!(row["from"]["url"], "https://old.example.org/assets/release/miren/main");
    assert!(row["from"]["published_at"].is_string(), "{row}");

    let (before, report) = (everything(&server.data.join("objects")), run().stdout);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(actions(&report), ["present", "present"]);
    assert_eq!(report["summary"]["uploaded"], 0);
    assert_eq!(before, everything(&server.data.join("objects")), "a second run changes nothing");
}

#[test]
fn once_the_source_is_whole_the_rest_follows() {
    let (server, tree) = (ServerProcess::start(), tree());
    let run = || server.larder("import flat . release/miren").within(&tree);
    run().exits(8).says(&format!("TORN_PAIR miren/main/{ARM}"));
    write(tree.path(), &channel("release/miren/main", "main:abc1234", &[(AMD, b"amd 5"), (ARM, b"arm 5")]));
    run().ok();
    assert_eq!(names(&server, "miren/main"), ["docker-compose.yml", AMD, ARM]);
    assert_eq!(server.states("miren/main"), ["active", "archived"]);
    assert_eq!(server.states("miren/v0.4.0"), ["active"]);
}

#[test]
fn a_name_keeps_what_is_whole_or_was_published_otherwise() {
    let (server, tree) = (ServerProcess::start(), TempDir::new().unwrap());
    let main = |bytes: &[u8]| channel("release/miren/main", "main:1", &[(AMD, bytes), (ARM, b"arm")]);
    write(tree.path(), &main(b"one"));
    let run = |more: &str| server.larder(&format!("import flat . release/miren --json {more}")).within(&tree);
    run("").ok();
    // The next publish has only begun: half of it must not replace what is whole.
    fs::write(tree.path().join("release/miren/main").join(AMD), "two").unwrap();
    let report: serde_json::Value = serde_json::from_str(&run("").exits(8).stdout).unwrap();
    assert_eq!(actions(&report), ["kept"]);
    assert_eq!(troubles(&report), [format!("TORN_PAIR {AMD}"), "NAME_KEPT -".to_owned()]);
    assert_eq!(server.states("miren/main"), ["active"]);
    write(tree.path(), &main(b"two"));
    run("").ok();

    let native = folder(&[(AMD, b"three"), (ARM, b"arm")]);
    server.larder(&format!("publish miren/main {AMD} {ARM}")).within(&native).ok();
    // Already imported once, so it is not taken for new.
    let report: serde_json::Value = serde_json::from_str(&run("").exits(8).stdout).unwrap();
    assert_eq!((actions(&report), troubles(&report)), (vec!["present"], vec!["NAME_KEPT -".to_owned()]));
    write(tree.path(), &main(b"four"));
    let report: serde_json::Value = serde_json::from_str(&run("").exits(8).stdout).unwrap();
    assert_eq!((actions(&report), troubles(&report)), (vec!["kept"], vec!["NAME_KEPT -".to_owned()]));
    // The pipeline published the very same files to both.
    write(tree.path(), &main(b"three"));
    assert_eq!(actions(&run("").ok().json()), ["present"]);
    write(tree.path(), &main(b"four"));
    assert_eq!(actions(&run("--replace").ok().json()), ["imported"]);
    assert_eq!(server.larder(&format!("get miren/main {AMD}")).ok().stdout, "four");
    // The old place went back, too.
    write(tree.path(), &main(b"two"));
    assert_eq!(actions(&run("--replace").ok().json()), ["imported"]);
    assert_eq!(server.larder(&format!("get miren/main {AMD}")).ok().stdout, "two");
    assert_eq!(actions(&run("").ok().json()), ["present"]);
}

#[test]
fn a_plan_changes_nothing_and_needs_no_token() {
    let (server, tree) = (ServerProcess::start(), tree());
    let before = everything(&server.data.join("objects"));
    let command = larder("import flat . release/miren --dry-run").env("LARDER_SERVER", server.url());
    let output = command.within(&tree).exits(8).says("TORN_PAIR").says("2 would be imported");
    assert_eq!(output.stdout.lines().filter(|line| line.starts_with("would import miren/")).count(), 2, "{output:#?}");
    assert_eq!(before, everything(&server.data.join("objects")));
}

#[test]
fn links_checksums_without_files_and_nonsense_are_reported() {
    let (server, tree) = (ServerProcess::start(), TempDir::new().unwrap());
    write(
        tree.path(),
        &channel("r/v1", "v1", &[("a", b"a"), ("b", b"b"), ("gone", b"x"), ("bad", b"x"), ("html", b"x")]),
    );
    let v1 = tree.path().join("r/v1");
    fs::remove_file(v1.join("gone")).unwrap();
    fs::write(v1.join("bad.sha256"), "<html>").unwrap();
    fs::write(v1.join("html"), "y").unwrap();
    fs::write(v1.join("plain"), "no checksum").unwrap();
    symlink("/etc/hostname", v1.join("outside")).unwrap();
    symlink("v1", tree.path().join("r/latest")).unwrap();
    let report = server.larder("import flat . r=tool --json").within(&tree).exits(8);
    let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    let mut found = troubles(&report);
    found.sort();
    found.dedup();
    let wanted = ["FILE_MISSING gone", "SOURCE_UNREADABLE outside", "TORN_PAIR bad", "TORN_PAIR html"];
    assert_eq!(found, wanted);
    for name in ["tool/v1", "tool/latest"] {
        assert_eq!(names(&server, name), ["a", "b", "plain"]);
    }
}

#[test]
fn a_server_is_read_once_and_checked_byte_for_byte() {
    let server = ServerProcess::start();
    let large = noise(3 << 20, 5);
    let files: [(&str, &[u8]); 3] = [(AMD, &large), (ARM, b"arm"), ("torn", b"four")];
    let mut all = channel("/assets/release/miren/main", "main:1", &files);
    all.extend(channel("/assets/release/miren/latest", "v1", &files[..2]));
    // Right size, other bytes: only reading them tells.
    all.insert("/assets/release/miren/main/torn".to_owned(), b"FOUR".to_vec());
    let (fake, _) = site(all, |_| None);
    let command = format!("import flat {}/assets release/miren --channel main,latest --json", fake.url());
    let report = server.larder(&command).exits(8);
    let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!((actions(&report), troubles(&report)), (vec!["imported"; 2], vec!["TORN_PAIR torn".to_owned()]));
    let tarball = |channel: &str| format!("/assets/release/miren/{channel}/{AMD}");
    let reads = |channel: &str| {
        fake.requests().iter().filter(|request| request.method == "GET" && request.path == tarball(channel)).count()
    };
    assert_eq!((reads("main"), reads("latest")), (1, 0), "the same bytes are fetched once");
    let row = server.larder("versions miren/main@active --json").ok().json();
    assert_eq!(row["from"]["published_at"], "2025-11-05T08:00:00Z");
    assert_eq!(row["from"]["url"], format!("{}/assets/release/miren/main", fake.url()));
    server.larder("fetch miren/latest --output out").within(&TempDir::new().unwrap()).ok();

    let report: serde_json::Value = serde_json::from_str(&server.larder(&command).exits(8).stdout).unwrap();
    assert_eq!(actions(&report), ["present"; 2]);
    assert_eq!((reads("main"), reads("latest")), (1, 0), "a second run fetches nothing again");
}

#[test]
fn a_transfer_that_breaks_goes_on_where_it_broke() {
    let server = ServerProcess::start();
    let large = noise(20 << 20, 6);
    let all = channel("/a/main", "main:1", &[("large", &large)]);
    let (broken, bytes) = (AtomicUsize::new(0), large.clone());
    let (fake, _) = site(all, move |request| {
        let first =
            request.method == "GET" && request.path == "/a/main/large" && broken.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| Act::Break(Reply { status: 200, headers: Vec::new(), body: bytes.clone() }, 12 << 20))
    });
    let command = format!("import flat {} a=tool --channel main --resumable-from 1MiB", fake.url());
    server.larder(&command).ok();
    let ranges: Vec<_> =
        fake.requests_of("GET", "/a/main/large").iter().map(|r| r.header("range").map(str::to_owned)).collect();
    // The sidecar has the same beginning.
    let ranges: Vec<_> = ranges.into_iter().flatten().collect();
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    assert_ne!(ranges[0], "bytes=0-");
    assert_eq!(server.larder("verify --data .").within(&server.data).ok().code(), Some(0));
}

#[test]
fn an_import_that_was_killed_is_simply_run_again() {
    let server = ServerProcess::start();
    let (first, second) = (noise(100_000, 7), noise(100_000, 8));
    let mut all = channel("/a/v1", "v1", &[("file", &first)]);
    all.extend(channel("/a/v2", "v2", &[("file", &second)]));
    let (stalled, bytes) = (AtomicUsize::new(0), second.clone());
    let (fake, _) = site(all, move |request| {
        let first =
            request.method == "GET" && request.path == "/a/v2/file" && stalled.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| Act::Stall(Reply { status: 200, headers: Vec::new(), body: bytes.clone() }, 1000))
    });
    let command = format!("import flat {} a=tool --channel v1,v2 --json", fake.url());
    let running = server.larder(&command).start();
    let reads = |path: &str| fake.requests_of("GET", path).iter().filter(|request| request.path == path).count();
    until("the second channel is under way", || reads("/a/v2/file") > 0);
    running.signal(Signal::KILL);
    running.wait();
    let report = server.larder(&command).ok().json();
    assert_eq!(actions(&report), ["present", "imported"]);
    assert_eq!(reads("/a/v1/file"), 1);
    assert_eq!((server.states("tool/v1"), server.states("tool/v2")), (vec!["active".into()], vec!["active".into()]));
}
