//! What files keep on their way from one disk to another, and what a fetch finds at the end of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use larder::domain::Digest;
use serde_json::json;

use super::{everything, folder, noise, publish, quiet};
use crate::support::process::ServerProcess;

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn programs_stay_programs() {
    let server = ServerProcess::start();
    let files = folder(&[("tool", b"elf"), ("run.sh", b"#!/bin/sh\n"), ("notes.txt", b"v1")]);
    set_mode(files.path().join("tool"), 0o755);
    set_mode(files.path().join("run.sh"), 0o700);
    server.larder("publish main tool run.sh notes.txt").within(&files).ok();
    let artifacts = server.larder("get main").ok().json()["artifacts"].clone();
    let executable: Vec<_> = artifacts.as_array().unwrap().iter().map(|file| file.get("executable")).collect();
    assert_eq!(executable, [Some(&json!(true)), Some(&json!(true)), None]);

    let output = folder(&[]);
    let at = |name: &str| output.path().join(name);
    server.larder("fetch main").within(&output).ok();
    let plain = mode(at("notes.txt"));
    assert_eq!(plain & 0o111, 0);
    assert_eq!((mode(at("tool")), mode(at("run.sh"))), (plain | (plain & 0o444) >> 2, plain | (plain & 0o444) >> 2));

    // What an older fetch, or a copy through a disk without modes, left behind is repaired, and nothing is transferred.
    set_mode(at("tool"), 0o640);
    let again = server.larder("fetch main --json").within(&output).ok().json();
    assert!(again["files"].as_array().unwrap().iter().all(|file| file["state"] == "present"), "{again}");
    assert_eq!(mode(at("tool")), 0o750);

    // The same bytes with another bit are another release.
    server.larder("publish main tool run.sh notes.txt").within(&files).ok().says("unchanged");
    set_mode(files.path().join("run.sh"), 0o644);
    server.larder("publish main tool run.sh notes.txt").within(&files).ok();
    assert_eq!(server.states("main").len(), 2);
}

#[test]
fn the_umask_decides_who_may_run_a_program() {
    let server = ServerProcess::start();
    let files = folder(&[("tool", b"elf")]);
    set_mode(files.path().join("tool"), 0o755);
    server.larder("publish main tool").within(&files).ok();
    let output = folder(&[]);
    let fetch = format!("umask 077 && {} fetch main", env!("CARGO_BIN_EXE_larder"));
    let fetch =
        Command::new("sh").args(["-c", &fetch]).env("LARDER_SERVER", server.url()).current_dir(&output).output();
    assert!(fetch.unwrap().status.success());
    assert_eq!(mode(output.path().join("tool")), 0o700);
}

#[test]
fn what_of_a_tree_is_not_published_is_said() {
    let server = ServerProcess::start();
    let files =
        folder(&[("a.js", b"1"), ("a.js.map", b"2"), ("docs/x", b"3"), (".env", b"4"), (".larderignore", b"/docs/\n")]);
    fs::create_dir(files.path().join("logs")).unwrap();
    symlink("a.js", files.path().join("latest.js")).unwrap();
    let output = server.larder("publish site . --exclude *.map").within(&files).ok();
    let output = output.says("1 hidden file or directory").says("2 excluded files and directories: ./a.js.map, ./docs");
    output.says("1 empty directory: ./logs").says("followed 1 symbolic link: ./latest.js");
    let fetched = folder(&[]);
    server.larder("fetch site").within(&fetched).ok();
    assert_eq!(everything(fetched.path()), ["a.js", "latest.js"]);
    let receipt = server.larder("publish site . --include .env --json").within(&files).ok().json();
    assert_eq!((&receipt["files"], &receipt["links"]["count"]), (&json!(4), &json!(1)));
    assert_eq!((&receipt["excluded"]["paths"], &receipt["left_out"]), (&json!(["./docs"]), &json!(null)));
}

#[test]
fn a_pipe_is_published_as_a_file() {
    let server = ServerProcess::start();
    let (bytes, files) = (noise(3 << 20, 7), folder(&[("f", b"1")]));
    server.larder("publish main dump=- f --resumable-from 1MiB").input(bytes.clone()).within(&files).ok();
    assert_eq!(everything(files.path()), ["f"], "nothing is left of it here");
    let output = folder(&[]);
    server.larder("fetch main").within(&output).ok();
    assert!(fs::read(output.path().join("dump")).unwrap() == bytes);
    server.larder("publish main -").input("x").within(&files).exits(2).says("FILENAME=-");
    server.larder("publish main a=- b=-").input("x").within(&files).exits(2).says("one file only");
    fs::write(files.path().join("-"), "a file").unwrap();
    server.larder("publish main g=./-").within(&files).ok();
    assert_eq!(server.larder("get main g").ok().stdout, "a file");
}

#[test]
fn a_fetch_prints_what_sha256sum_reads() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("a", b"1"), ("dir/b c", b"2")]);
    let output = folder(&[]);
    let sums = server.larder("fetch main --output out").within(&output).ok().stdout;
    assert_eq!(sums.lines().next().unwrap(), format!("{}  out/a", Digest::of(b"1").hex()));
    fs::write(output.path().join("sums"), sums).unwrap();
    let check = Command::new("sha256sum").args(["--strict", "-c", "sums"]).current_dir(&output).output().unwrap();
    assert!(check.status.success(), "{check:?}");
}

#[test]
fn a_fetch_destroys_nothing_without_force() {
    let server = quiet();
    publish(&server, "main", &[("a", b"1"), ("b", b"1"), ("c", b"1")]);
    let output = folder(&[("a", b"my own notes"), ("elsewhere", b"x")]);
    symlink("elsewhere", output.path().join("b")).unwrap();
    let read = |name: &str| fs::read_to_string(output.path().join(name)).unwrap();
    let plan = server.larder("fetch main --dry-run").within(&output).ok();
    let rows: Vec<Vec<&str>> = plan.stdout.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [["overwrite", "1", "B", "./a"], ["overwrite", "1", "B", "./b"], ["fetch", "1", "B", "./c"]]);
    plan.says("--force");
    let refused = server.larder("fetch main --json").within(&output).exits(1).error();
    assert_eq!((&refused["code"], &refused["files"]), (&json!("FILES_DIFFER"), &json!(["a", "b"])));
    server.larder("fetch main").within(&output).exits(1).says("--force");
    assert_eq!(
        (everything(output.path()), read("a")),
        (vec!["a".into(), "b".into(), "elsewhere".into()], "my own notes".into())
    );
    server.larder("fetch main c").within(&output).ok();
    server.larder("fetch main --force").within(&output).ok();
    assert_eq!((read("a"), read("b"), read("elsewhere")), ("1".into(), "1".into(), "x".into()));

    // An upgrade replaces what an earlier fetch wrote, and leaves other files alone.
    publish(&server, "main", &[("a", b"2"), ("b", b"1")]);
    let plan = server.larder("fetch main --dry-run --json").within(&output).ok().json();
    assert_eq!((&plan["files"][0]["state"], &plan["files"][1]["state"]), (&json!("outdated"), &json!("present")));
    server.larder("fetch main").within(&output).ok().says("1 file fetched, 1 already there");
    assert_eq!((read("a"), read("c")), ("2".into(), "1".into()));
    fs::write(output.path().join("a"), "edited").unwrap();
    server.larder("fetch main").within(&output).exits(1).says("a.");
    assert_eq!(read("a"), "edited");
}

#[test]
fn a_dry_run_of_a_fetch_makes_nothing() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("d/a", b"1")]);
    let output = folder(&[]);
    server.larder("fetch main --output out --dry-run").within(&output).ok();
    assert_eq!(fs::read_dir(output.path()).unwrap().count(), 0);
}

#[test]
fn the_source_snapshot_is_fetched_under_a_name() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1"), ("source.tar", b"the source")]);
    server.larder("publish main f --source source.tar").within(&files).ok();
    let output = folder(&[]);
    server.larder("fetch main --source src/main.tar").within(&output).ok();
    assert_eq!(everything(output.path()), ["src/main.tar"]);
    assert_eq!(fs::read(output.path().join("src/main.tar")).unwrap(), b"the source");
    publish(&server, "bare", &[("f", b"1")]);
    server.larder("fetch bare --source s").within(&output).exits(3).says("without a source snapshot");
}
