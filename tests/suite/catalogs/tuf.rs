//! Repositories of The Update Framework: those that others made, published as names, and those that are shown of
//! catalogs. Read by clients that nobody here wrote.

mod checks;
mod clients;
mod hosting;
mod rotation;
mod signing;
mod view;

use std::process::Command;

use super::*;
use crate::readme::{blocks, transcript};
use crate::support::process::free_port;

const DOCS: &str = include_str!("../../../docs/tuf.md");
/// The clients in `tests/tuf`, and what runs them.
const CLIENTS: [(&str, &str); 2] = [("python3", "client.py"), ("node", "client.mjs")];

/// A server with a catalog of one release that clients of TUF can read, and its author.
fn shown() -> (ServerProcess, Person) {
    let (server, author) = (ServerProcess::start(), Person::with_key("author"));
    author
        .catalog(&server, &format!("init {NAME} -k author.key --tuf"))
        .ok()
        .says("/tuf/example.org/tool/metadata/1.root");
    author.add(&server, "v1.0", "--track stable");
    (server, author)
}

/// Somebody who reads a repository with every client, each with a state of its own.
#[derive(Debug)]
struct TufReader {
    home: TempDir,
    base: String,
}

impl TufReader {
    /// A reader who was given this root and address.
    fn new(root: &[u8], base: &str) -> Self {
        let home = TempDir::new().unwrap();
        fs::write(home.path().join("root.json"), root).unwrap();
        Self { home, base: base.to_owned() }
    }

    /// What both clients make of a target, on a clock that is this number of days ahead.
    fn reads(&self, target: &str, days: u32) -> [String; 2] {
        CLIENTS.map(|(program, script)| {
            let mut command = Command::new(program);
            command.arg(script).arg(self.home.path()).args([&self.base, target, &days.to_string()]);
            command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tuf"));
            let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
        })
    }

    /// Asserts that both clients get these bytes.
    #[track_caller]
    fn gets(&self, target: &str, bytes: &str) {
        assert_eq!(self.reads(target, 0), [bytes, bytes]);
    }

    /// Asserts that both clients refuse, each with one of these errors.
    #[track_caller]
    fn refuses(&self, target: &str, days: u32, errors: &[&str]) {
        for said in self.reads(target, days) {
            assert!(errors.iter().any(|error| said.contains(error)), "{said}");
        }
    }
}

#[test]
#[ignore = "needs bash, curl, python3 and its package tuf: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn the_commands_in_the_docs_work_as_they_stand_there() {
    let script = blocks(DOCS, "sh walkthrough").join("\n").replace(":8080", &format!(":{}", free_port()));
    let shown = transcript(&script);
    let tools: Vec<_> = shown.lines().filter(|line| line.starts_with("the tool, ")).collect();
    assert_eq!(tools, ["the tool, 1.0", "the tool, 1.1", "the tool, 1.1", "the tool, 1.1"], "{shown}");
    assert!(shown.contains("BadVersionNumberError: New timestamp version 1 must be >= 2"), "{shown}");
}
