//! `docs/clients.md`: its blocks work as they stand there.

use std::fs;
use std::path::Path;

use clap::Parser as _;
use larder::cli::Cli;
use tempfile::TempDir;

use super::{example, in_bash, printed, variables};
use crate::support::process::ServerProcess;

const GUIDE: &str = include_str!("../../../docs/clients.md");
const FILE: &str = "tool-linux-amd64.tar.gz";

/// The block with this info string.
fn block(info: &str) -> &'static str {
    let (_, rest) = GUIDE.split_once(&format!("\n```{info}\n")).unwrap_or_else(|| panic!("no block is {info}"));
    rest.split_once("\n```").unwrap().0
}

/// What a version of the guide's name consists of.
fn content(version: u8, file: &str) -> Vec<u8> {
    format!("{file} of version {version}\n").repeat(100_000).into_bytes()
}

/// A server with three versions of the guide's name, the directory to work in, and its variables.
fn scene() -> (ServerProcess, TempDir, Vec<(String, String)>) {
    let server = ServerProcess::start();
    for version in 1..=3 {
        let files = TempDir::new().unwrap();
        for file in [FILE, "tool-darwin-arm64.tar.gz"] {
            fs::write(files.path().join(file), content(version, file)).unwrap();
        }
        server.larder("publish tool/main .").within(&files).ok();
    }
    let variables = variables([("LARDER_SERVER", &server.url()), ("FILE", FILE)]);
    (server, TempDir::new().unwrap(), variables)
}

fn holds(directory: &TempDir, name: &str, version: u8, file: &str) {
    let found = fs::read(directory.path().join(name)).unwrap();
    assert!(found == content(version, file), "{name} is not {file} of version {version}");
}

#[test]
#[ignore = "needs bash, curl and wget: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn one_line_downloads_a_file_of_any_version() {
    let (_server, home, variables) = scene();
    let lines: Vec<&str> = block("sh download").lines().collect();
    assert_eq!(lines.len(), 4);
    for (line, (name, version)) in lines.iter().zip([(FILE, 3), (FILE, 3), ("earlier.tar.gz", 2), ("first.tar.gz", 1)])
    {
        printed(&in_bash(line, home.path(), &variables));
        holds(&home, name, version, FILE);
        fs::remove_file(home.path().join(name)).unwrap();
    }
}

#[test]
#[ignore = "needs bash, curl, jq and sha256sum: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn a_shell_downloads_by_the_manifest_and_verifies() {
    let (_server, home, variables) = scene();
    let shown = printed(&in_bash(block("sh manifest"), home.path(), &variables));
    assert!(shown.contains(&format!("{FILE}: OK")) && shown.contains("tool-darwin-arm64.tar.gz: OK"), "{shown}");
    holds(&home, FILE, 3, FILE);
    holds(&home, "tool-darwin-arm64.tar.gz", 3, "tool-darwin-arm64.tar.gz");

    let home = TempDir::new().unwrap();
    let shown = printed(&in_bash(block("sh one"), home.path(), &variables));
    assert!(shown.contains(&format!("{FILE}: OK")), "{shown}");
    holds(&home, FILE, 3, FILE);

    printed(&in_bash(block("sh etag"), home.path(), &variables));
    let first: serde_json::Value =
        serde_json::from_slice(&fs::read(home.path().join("manifest.json")).unwrap()).unwrap();
    assert_eq!(first["artifacts"].as_array().unwrap().len(), 2);
}

#[test]
#[ignore = "needs bash and python3: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn python_downloads_by_the_manifest_and_verifies() {
    let (_server, home, variables) = scene();
    fs::write(home.path().join("download.py"), block("python")).unwrap();
    printed(&in_bash("python3 download.py", home.path(), &variables));
    holds(&home, FILE, 3, FILE);
}

#[test]
#[ignore = "needs bash and go: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn go_downloads_by_the_manifest_and_verifies() {
    let (_server, home, variables) = scene();
    fs::write(home.path().join("download.go"), format!("{}\n", block("go"))).unwrap();
    printed(&in_bash("test -z \"$(gofmt -l download.go)\"; go run download.go", home.path(), &variables));
    holds(&home, FILE, 3, FILE);
}

#[test]
fn rust_downloads_by_the_manifest_and_verifies() {
    let path = super::file("examples/download.rs");
    assert_eq!(format!("{}\n", block("rust")), fs::read_to_string(path).unwrap(), "the guide shows another program");
    let (_server, home, variables) = scene();
    let mut program = std::process::Command::new(example("download"));
    let output = program.args(["tool/main@2", FILE]).envs(variables).current_dir(home.path()).output().unwrap();
    printed(&output);
    holds(&home, FILE, 2, FILE);
    let dependency: toml::Table = block("toml").parse().unwrap();
    assert_eq!(dependency["dependencies"]["larder"]["features"].as_array().unwrap(), &["client".into()]);
}

#[test]
fn every_command_and_file_in_the_guide_exists() {
    let commands: Vec<&str> = GUIDE
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("- ").split_once("larder publish "))
        .map(|found| found.1)
        .collect();
    assert!(commands.len() >= 2, "{commands:?}");
    for command in commands.iter().filter(|command| command.contains("--server")) {
        let words = ["larder", "publish"].into_iter().chain(command.split(' '));
        Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{command}: {error}"));
    }
    for link in GUIDE.split("](../").skip(1) {
        let path = link.split(')').next().unwrap();
        assert!(Path::new(&super::file(path)).exists(), "{path} is not there");
    }
}
