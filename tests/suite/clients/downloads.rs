//! `docs/downloads.md`: its blocks work as they stand there, and clients that nobody here wrote read what is served.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::{in_bash, printed, variables};
use crate::readme;
use crate::support::process::{ServerProcess, free_port};

const GUIDE: &str = include_str!("../../../docs/downloads.md");
/// What the walk-through must show, in this order.
const SHOWN: [&str; 16] = [
    "\nlarder: detected tool-darwin-universal.gz: darwin universal gz\n",
    "\ntool@1 sha256:",
    "\ntool@2 sha256:",
    "\ntool-darwin-universal.gz\n",
    "\ntool-linux-arm64.gz\n",
    "\ntool-darwin-universal.gz: OK\n",
    "\ntool-linux-arm64.gz: OK\n",
    "\ntool-linux-arm64.gz: OK\n",
    "\ntool-linux-arm64.gz: OK\n",
    "\ntool v1.1.0 for linux-amd64\n",
    "\nv1.0.0\nv1.1.0\n",
    "{\"versions\":[\"v1.0.0\",\"v1.1.0\"]}",
    "## v1.1.0 (",
    "\nWhat is new in v1.1.0.\n",
    "\n## v1.0.0 (",
    "\nWhat is new in v1.0.0.\n",
];

#[test]
#[ignore = "needs bash, curl, wget, aria2 and sha256sum: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn the_walk_through_works_as_it_stands() {
    let blocks = readme::blocks(GUIDE, "sh walkthrough");
    assert!(blocks.len() > 5, "{blocks:#?}");
    let shown = readme::transcript(&blocks.join("\n").replace(":8080", &format!(":{}", free_port())));
    let shown = format!("\n{shown}");
    let mut from = 0;
    for text in SHOWN {
        let found = shown[from..].find(text).unwrap_or_else(|| panic!("{text:?} is missing in\n{shown}"));
        from += found + text.trim_end().len();
    }
}

#[test]
fn every_command_of_the_guide_exists() {
    assert!(readme::commands_exist(GUIDE, &["sh walkthrough"]) > 4);
}

/// A server with three versions of a name, labelled `1.0.0`, `2.0.0` and `3.0.0`. `file` makes the files.
fn scene(file: impl Fn(u8, &str) -> Vec<u8>) -> ServerProcess {
    let server = ServerProcess::start();
    for version in 1..=3 {
        let files = TempDir::new().unwrap();
        for platform in ["linux-amd64", "linux-arm64", "darwin-universal"] {
            fs::write(files.path().join(format!("tool-{platform}.tar.gz")), file(version, platform)).unwrap();
        }
        let publish = format!("publish tool --detect --label {version}.0.0 --meta notes=Notes-{version} .");
        server.larder(&publish).within(&files).ok();
    }
    server
}

/// An archive with a program that prints its version.
fn archive(version: u8, platform: &str) -> Vec<u8> {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("bin")).unwrap();
    let tool = directory.path().join("bin/tool");
    fs::write(&tool, format!("#!/bin/sh\necho version {version}\n# {platform}\n")).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("tar").args(["-czf", "-", "bin"]).current_dir(&directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
#[ignore = "needs bash, tar and mise: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn mise_lists_versions_and_installs_them() {
    let server = scene(archive);
    let home = TempDir::new().unwrap();
    let [config] = readme::blocks(GUIDE, "toml mise")[..] else { panic!("one configuration") };
    let config = config.replace("https://releases.example.org", &server.url());
    fs::write(home.path().join("mise.toml"), &config).unwrap();
    let mut variables = variables([("MISE_YES", "1"), ("MISE_TRUSTED_CONFIG_PATHS", "/")]);
    variables.push(("MISE_DATA_DIR".into(), home.path().join("data").display().to_string()));
    let run = |script: &str| printed(&in_bash(script, home.path(), &variables));
    assert_eq!(run("mise ls-remote http:tool 2> /dev/null"), "1.0.0\n2.0.0\n3.0.0\n");
    run("mise install");
    assert_eq!(run("mise exec -- tool 2> /dev/null"), "version 3\n");
    fs::write(home.path().join("mise.toml"), config.replace("\"latest\"", "\"2.0.0\"")).unwrap();
    run("mise install");
    assert_eq!(run("mise exec -- tool 2> /dev/null"), "version 2\n");
    run("mise lock --platform linux-x64");
    let lock = fs::read_to_string(home.path().join("mise.lock")).unwrap();
    let sum = server.larder("sums tool@2").ok().stdout;
    let line = sum.lines().find(|line| line.ends_with("tool-linux-amd64.tar.gz")).unwrap();
    assert!(lock.contains(&format!("checksum = \"sha256:{}\"", &line[..64])), "{lock}");
}

#[test]
#[ignore = "needs python3 with feedparser: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
fn feedparser_finds_nothing_wrong_with_the_feed() {
    let server = scene(|version, platform| format!("{version} {platform}").into_bytes());
    let script = "import feedparser, json, sys\n\
                  feed = feedparser.parse(sys.argv[1])\n\
                  entry = lambda one: [one.id.split(':')[-1], one.title, one.content[0].value, one.published_parsed is not None]\n\
                  print(json.dumps({'bozo': bool(feed.bozo), 'version': feed.version, 'title': feed.feed.title,\n\
                  'entries': [entry(one) for one in feed.entries]}))";
    let mut python = Command::new("python3");
    python.args(["-c", script, &format!("{}/feeds/tool/atom.xml", server.url())]).stdin(Stdio::null());
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let entry =
        |number: u8| json!([format!("tool@{number}"), format!("{number}.0.0"), format!("Notes-{number}"), true]);
    assert_eq!(
        found,
        json!({"bozo": false, "version": "atom10", "title": "tool", "entries": [entry(3), entry(2), entry(1)]})
    );
}
