//! Moving over: the runbook works as it stands, and the collector keeps exactly what manifests refer to if asked to.

use std::collections::BTreeSet;
use std::fs;

use larder::domain::Digest;
use tempfile::TempDir;

use crate::readme::{blocks, commands_exist, transcript};
use crate::support::process::{ServerProcess, free_port, larder};

const RUNBOOK: &str = include_str!("../../docs/moving.md");
/// What the runbook must show, in this order.
const SHOWN: [&str; 16] = [
    "TORN_PAIR miren/main/miren-base-linux-arm64.tar.gz: miren-base-linux-arm64.tar.gz.sha256 says",
    "3 would be imported, 0 present, 0 kept, 0 failed",
    "3 imported, 0 present, 0 kept, 0 failed",
    "\"label\": \"main:abc1234\"",
    "\"url\": \"https://api.example.org/assets/release/miren/main\"",
    "imported miren/main@2",
    "\"present\": 3",
    "\"uploaded\": 0",
    "miren-base-linux-arm64.tar.gz: OK",
    "miren/v0.6.0@1 sha256:",
    "would be imported, 4 present, 0 kept, 0 failed",
    "miren-base-linux-amd64.tar.gz: OK",
    "miren-base-linux-amd64.tar.gz: OK",
    "\"version\": \"v0.5.0\"",
    "would be imported, 4 present, 0 kept, 0 failed",
    ": all is well\n",
];

#[test]
#[ignore = "needs bash, curl and sha256sum: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn the_runbook_works_as_it_stands() {
    let blocks = blocks(RUNBOOK, "sh moving");
    assert!(blocks.len() > 10, "{blocks:#?}");
    let shown = transcript(&blocks.join("\n").replace(":8080", &format!(":{}", free_port())));
    let mut from = 0;
    for text in SHOWN {
        let found = shown[from..].find(text).unwrap_or_else(|| panic!("{text:?} is missing in\n{shown}"));
        from += found + text.trim_end().len();
    }
}

#[test]
fn every_command_in_the_runbook_exists() {
    assert!(commands_exist(RUNBOOK, &["sh moving"]) > 20);
}

/// The digests of all bytes in a store.
fn stored(data: &std::path::Path) -> BTreeSet<Digest> {
    let mut digests = BTreeSet::new();
    let mut open = vec![data.join("objects/blobs/sha256")];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                open.push(path);
            } else if name.len() > 64 && name[65..].bytes().all(|byte| byte.is_ascii_digit()) {
                digests.insert(Digest::from_hex(&name[..64]).unwrap());
            }
        }
    }
    digests
}

/// The digests of the active manifest of a name, and of all that it lists.
fn referenced(server: &ServerProcess, name: &str) -> BTreeSet<Digest> {
    let bytes = server.larder(&format!("get {name}")).ok().stdout;
    let manifest: serde_json::Value = serde_json::from_str(&bytes).unwrap();
    let files = manifest["artifacts"].as_array().unwrap().iter();
    let blobs = files.map(|file| file["blob"].as_str().unwrap().parse().unwrap());
    blobs.chain([Digest::of(bytes.as_bytes())]).collect()
}

#[test]
fn the_store_then_holds_exactly_what_manifests_refer_to() {
    let server = ServerProcess::start();
    let directory = TempDir::new().unwrap();
    let publish = |name: &str, files: &[(&str, &str)]| {
        for (file, text) in files {
            fs::write(directory.path().join(file), text).unwrap();
        }
        let files: Vec<_> = files.iter().map(|(file, _)| *file).collect();
        server.larder(&format!("publish {name} {}", files.join(" "))).within(&directory).ok();
    };
    publish("main", &[("a", "1"), ("shared", "s")]);
    publish("main", &[("a", "2"), ("b", "2")]);
    publish("other", &[("shared", "s")]);
    publish("gone", &[("c", "3")]);
    server.larder("delete gone --yes --reason test").ok();
    // Bytes that no manifest ever named.
    let orphan = Digest::of(b"orphan");
    let head = format!("PUT /blobs/{orphan} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 6\r\n");
    let head = format!("{head}authorization: Bearer {}\r\n\r\n", server.token());
    assert_eq!(crate::support::process::exchange(server.address, &head, b"orphan").unwrap().status, 201);
    let wanted: BTreeSet<Digest> = ["main", "other"].iter().flat_map(|name| referenced(&server, name)).collect();
    assert!(stored(&server.data).is_superset(&wanted) && stored(&server.data).contains(&orphan));

    let policy = RUNBOOK.split("\n```toml\n").nth(1).unwrap().split("\n```").next().unwrap();
    let config = directory.path().join("exact.toml");
    fs::write(&config, policy).unwrap();
    let collect = format!("collect --once --config {} --data {}", config.display(), server.data.display());
    larder(&collect).ok();
    assert_eq!(stored(&server.data), wanted);
    assert_eq!(server.states("main"), ["active", "retired"]);
}
