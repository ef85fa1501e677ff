//! House rules that no compiler checks.

mod circles;
mod compose;
mod features;
mod graph;
mod ignored;
mod layers;
mod packaging;

use std::fs;
use std::path::{Path, PathBuf};

/// What the repository consists of at its top, beside dotfiles. Anything new needs a place in one of these.
const TOP_LEVEL: [&str; 14] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "Dockerfile",
    "LICENSE",
    "benches",
    "README.md",
    "config",
    "docs",
    "examples",
    "migrations",
    "src",
    // Where GitLab looks for components.
    "templates",
    "tests",
];
/// Files longer than this are easier to live in as two.
const MAX_LINES: usize = 400;
/// What is never committed: work that was left open, and prints from a debugging session.
const LEFT_OPEN: [&str; 6] = ["todo!", "unimplemented!", "dbg!", "TODO", "FIXME", "#[ignore"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository.
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All Rust files below a directory of the repository, as paths relative to the repository, with their text.
fn rust_files(directory: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(directory)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(root().join(&directory)).unwrap() {
            let path = directory.join(entry.unwrap().file_name());
            if root().join(&path).is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let path = path.to_str().unwrap().to_owned();
                found.push((path.clone(), read(&path)));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

#[test]
fn the_top_level_holds_nothing_else() {
    let ignored: Vec<String> = read(".gitignore")
        .lines()
        .map(|line| line.trim_matches('/').to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = name.starts_with('.') || TOP_LEVEL.contains(&name.as_str()) || ignored.contains(&name);
        assert!(known, "{name} has no place at the top level");
    }
    for name in TOP_LEVEL {
        assert!(Path::new(&root()).join(name).exists(), "{name} is missing");
    }
}

#[test]
fn no_file_is_longer_than_it_should_be() {
    for (path, text) in rust_files("src").into_iter().chain(rust_files("migrations")) {
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{path} has {lines} lines, more than {MAX_LINES}");
    }
}

#[test]
fn nothing_is_left_open() {
    for (path, text) in rust_files("src").into_iter().chain(rust_files("migrations")) {
        for (number, line) in (1..).zip(text.lines()) {
            let found = LEFT_OPEN.iter().find(|mark| line.contains(*mark));
            assert_eq!(found, None, "{path}:{number}");
        }
    }
}

#[test]
fn every_file_of_src_says_what_it_owns() {
    for (path, text) in rust_files("src") {
        // Unit tests in a file of their own are introduced by the file they belong to.
        assert!(text.starts_with("//!") || path.ends_with("/tests.rs"), "{path} has no header");
    }
}
