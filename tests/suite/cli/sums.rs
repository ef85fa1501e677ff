//! Checksums on the command line, and files by platform.

use std::fs;

use larder::domain::Digest;
use serde_json::json;

use super::{everything, folder, publish};
use crate::support::process::ServerProcess;

const FILES: [(&str, &[u8]); 4] = [
    ("tool-linux-amd64.tar.gz", b"amd64"),
    ("tool-linux-arm64.tar.gz", b"arm64"),
    ("tool_arm64.deb", b"deb"),
    ("tool-darwin-universal.zip", b"mac"),
];

fn line(name: &str, bytes: &[u8]) -> String {
    format!("{}  {name}\n", Digest::of(bytes).hex())
}

#[test]
fn digests_are_written_as_the_server_does() {
    let server = ServerProcess::start();
    publish(&server, "main", &FILES);
    let sums = server.larder("sums main").ok().stdout;
    let mut expected = FILES.map(|(name, bytes)| (name, line(name, bytes)));
    expected.sort_unstable();
    assert_eq!(sums, expected.map(|(_, line)| line).concat());
    assert_eq!(server.get("/refs/main/SHA256SUMS").unwrap().body, sums.into_bytes());
    let bsd = server.larder("sums main@1 --format bsd").ok().stdout;
    assert!(bsd.starts_with("SHA256 (tool-darwin-universal.zip) = "), "{bsd}");
    assert_eq!(server.larder("sums main --json").ok().json()["files"].as_array().unwrap().len(), 4);
    server.larder("sums none").exits(3);
    server.larder("sums main --format md5").exits(2);
}

#[test]
fn a_release_can_have_its_digests_as_a_file() {
    let server = ServerProcess::start();
    let files = folder(&FILES);
    let names = FILES.map(|(name, _)| name).join(" ");
    server.larder(&format!("publish main --sums {names}")).within(&files).ok();
    let output = folder(&[]);
    server.larder("fetch main").within(&output).ok();
    let sums = fs::read_to_string(output.path().join("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), 4);
    assert!(sums.contains(&line("tool_arm64.deb", b"deb")), "{sums}");
    assert_eq!(server.get("/refs/main/SHA256SUMS").unwrap().status, 307, "it is a file like all others");
    let again = server.larder(&format!("publish main --sums --json {names}")).within(&files).ok().json();
    assert_eq!(again["unchanged"], true);
    fs::write(files.path().join("SHA256SUMS"), "own").unwrap();
    server.larder("publish main --sums SHA256SUMS tool_arm64.deb").within(&files).exits(2).says("SHA256SUMS is among");
}

#[test]
fn more_is_read_from_names_on_request() {
    let server = ServerProcess::start();
    let files =
        folder(&[("tool-x86_64-unknown-linux-musl.tar.gz", b"x"), ("tool_1.0_arm64.deb", b"y"), ("SUMS.txt", b"z")]);
    let publish =
        server.larder("publish main --detect tool-x86_64-unknown-linux-musl.tar.gz tool_1.0_arm64.deb SUMS.txt");
    let output = publish.within(&files).ok();
    let output = output.says("larder: detected tool-x86_64-unknown-linux-musl.tar.gz: linux amd64 musl tar.gz\n");
    output.says("larder: detected tool_1.0_arm64.deb: linux arm64 deb\n").says("larder: detected SUMS.txt: nothing\n");
    let artifacts = server.larder("get main").ok().json()["artifacts"].clone();
    let traits = ["platform", "arch", "libc", "format"].map(|member| artifacts[0][member].clone());
    assert_eq!(traits, [json!("linux"), json!("amd64"), json!("musl"), json!("tar.gz")]);
    assert_eq!((&artifacts[1]["platform"], &artifacts[1]["libc"]), (&json!("linux"), &json!(null)));
    assert!(artifacts[2].get("platform").is_none() && artifacts[2].get("format").is_none());
}

#[test]
fn a_file_is_chosen_by_platform() {
    let server = ServerProcess::start();
    publish(&server, "main", &FILES);
    assert_eq!(server.larder("get main --os linux --arch x86_64").ok().stdout, "amd64");
    let mac = server.larder("get main --os macos --arch arm64").ok();
    assert_eq!(mac.stdout, "mac");
    mac.says("taking tool-darwin-universal.zip (arch=universal)");
    let url = server.larder("get --url main --os linux --arch arm64 --format deb").ok().stdout;
    assert!(url.contains(&Digest::of(b"deb").to_string()), "{url}");
    server.larder("get main --os linux --arch arm64").exits(2).says("tool-linux-arm64.tar.gz, tool_arm64.deb");
    server.larder("get main --os plan9").exits(3).says("tool-darwin-universal.zip");
    server.larder("get main tool_arm64.deb --os linux").exits(2);
    let output = folder(&[]);
    server.larder("fetch main@1 --os linux --arch amd64").within(&output).ok();
    assert_eq!(everything(output.path()), ["tool-linux-amd64.tar.gz"]);
}
