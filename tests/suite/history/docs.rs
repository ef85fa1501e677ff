//! What `docs/history.md` says works as it stands there.

use larder::domain::Digest;

use crate::readme::{blocks, commands_exist, transcript};
use crate::support::process::free_port;

const DOCS: &str = include_str!("../../../docs/history.md");

/// What the commands show, in this order.
const SHOWN: [&str; 10] = [
    "published 1 (v1.4.0)",
    "main@2 yanked\n",
    "larder: warning: main@2 is yanked: loses data on upgrade; use main@1 instead",
    "larder-yanked: \"loses data on upgrade\";instead=1",
    "yanked 2 (v1.4.1), active 1, was 2: loses",
    "main@2 not yanked\n",
    "main@2 (v1.4.1) is the floor since ",
    "larder-minimum-version: v1.4.1",
    "\"held_by\"",
    "main@2   ",
];

#[test]
#[ignore = "needs bash, curl and sha256sum: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn the_commands_in_the_docs_work_as_they_stand_there() {
    let shown = transcript(&blocks(DOCS, "sh walkthrough").join("\n").replace(":8080", &format!(":{}", free_port())));
    let mut from = 0;
    for text in SHOWN {
        let found = shown[from..].find(text).unwrap_or_else(|| panic!("{text:?} is missing in\n{shown}"));
        from += found + text.len();
    }
}

#[test]
fn every_command_in_the_docs_exists() {
    let manifest = Digest::of(b"a manifest").to_string();
    assert!(commands_exist(&DOCS.replace("$manifest", &manifest), &["sh walkthrough"]) > 8);
}
