//! The README: its walk-through works as it stands, its commands exist, and so do the files it names.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Parser as _;
use clap::error::ErrorKind;
use larder::cli::Cli;

use crate::support::process::free_port;

const README: &str = include_str!("../../README.md");
/// The port that the README uses; the only text of the walk-through that is replaced.
const PORT: &str = ":8080";
/// How long everything may take, in tenths of a second.
const PATIENCE: u32 = 1200;
/// What the walk-through must show, in this order.
const SHOWN: [&str; 12] = [
    "\nmain@1 sha256:",
    "\"artifacts\"",
    "\ntool-linux-amd64.txt: OK\n",
    "\nmain@2 sha256:",
    "larder: main went back from version 2 (sha256:",
    "\nmain@1 pinned\n",
    "\nlatest@1 sha256:",
    "\nupload-offset: 8388608",
    "PRECONDITION_FAILED",
    "notes@1 retired\n",
    " retired ",
    ": all is well\n",
];

/// The code blocks of a document with this info string, in their order.
pub fn blocks<'a>(document: &'a str, info: &str) -> Vec<&'a str> {
    let fence = format!("\n```{info}\n");
    document.split(&fence).skip(1).map(|rest| rest.split_once("\n```").unwrap().0).collect()
}

/// A shell and everything that it started, ended with it.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        let kill = format!("kill -KILL -{} 2> /dev/null", self.0.id());
        let _ = Command::new("sh").args(["-c", &kill]).status();
        let _ = self.0.wait();
    }
}

/// Runs a script in an empty directory with the built binary on the `PATH`; returns everything it printed.
pub fn transcript(script: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    fs::create_dir(&home).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_larder")).parent().unwrap();
    let log = directory.path().join("transcript");
    let output = fs::OpenOptions::new().append(true).create(true).open(&log).unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-eu", "-o", "pipefail", "-c", script]).current_dir(&home).process_group(0);
    shell.env_clear().env("PATH", format!("{}:{}", binary.display(), env::var("PATH").unwrap())).env("HOME", &home);
    shell.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    let mut shell = Shell(shell.spawn().expect("install bash"));
    for _ in 0..PATIENCE {
        if let Some(status) = shell.0.try_wait().unwrap() {
            let shown = fs::read_to_string(&log).unwrap();
            assert!(status.success(), "{status}\n{shown}");
            return shown;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("it takes too long\n{}", fs::read_to_string(&log).unwrap());
}

#[test]
#[ignore = "needs bash, curl and sha256sum: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn the_walk_through_works_as_it_stands_in_the_readme() {
    let blocks = blocks(README, "sh walkthrough");
    assert!(blocks.len() > 5, "{blocks:#?}");
    let shown = transcript(&blocks.join("\n").replace(PORT, &format!(":{}", free_port())));
    let shown = format!("\n{shown}");
    let mut from = 0;
    for text in SHOWN {
        let found = shown[from..].find(text).unwrap_or_else(|| panic!("{text:?} is missing in\n{shown}"));
        // A line end can be the end of one text and the beginning of the next.
        from += found + text.trim_end().len();
    }
}

/// A shell's words, as far as a README needs them: quotes group, nothing is expanded.
pub fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in command.chars() {
        match (letter, quote) {
            (_, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => quote = Some(letter),
            (' ', None) => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            _ => word.push(letter),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// What follows each `larder ` of a text up to the end of the command, with values for what a reader would fill in.
pub fn commands(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ").replace("cargo run --release -- ", "larder ");
    let starts = text
        .match_indices("larder ")
        .filter(|(at, _)| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '-'));
    let commands = starts.map(|(at, found)| {
        let rest = &text[at + found.len()..];
        let end = rest.find([';', ')', '|', '>', '&', '\n', '`', '#']).unwrap_or(rest.len());
        // The digit of a redirection such as `2> file`.
        rest[..end]
            .trim_end_matches(" 2")
            .replace("$moment", "2026-05-14T18:20:00Z")
            .replace("COMMAND", "publish")
            .replace("$channel", "main")
            .replace("$1", "main")
    });
    // `docker run … larder` names an image.
    commands.filter(|command| command.starts_with(|c: char| c.is_ascii_lowercase())).collect()
}

#[test]
fn every_command_in_the_readme_exists() {
    assert!(commands_exist(README, &["sh", "sh walkthrough", "ini"]) > 20);
}

/// Asserts that all commands in the blocks of a document and in its prose are ones; returns how many there are.
pub fn commands_exist(document: &str, infos: &[&str]) -> usize {
    let mut found = 0;
    let code = infos.iter().flat_map(|info| blocks(document, info));
    // Beside blocks, what stands between backticks in the prose.
    let prose = document.split('`').filter(|span| span.starts_with("larder ") && !span.contains('\n'));
    for command in code.chain(prose).flat_map(commands) {
        found += 1;
        match Cli::try_parse_from([vec!["larder".to_owned()], words(&command)].concat()) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::DisplayHelp => {}
            // A command is also mentioned by its bare name.
            Err(error) if error.kind() == ErrorKind::MissingRequiredArgument && !command.contains(' ') => {}
            Err(error) => panic!("larder {command}\n{error}"),
        }
    }
    found
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let letters = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'));
    letters.fold(String::new(), |mut anchor, c| {
        let _ = write!(anchor, "{}", if c == ' ' { '-' } else { c.to_ascii_lowercase() });
        anchor
    })
}

#[test]
fn every_link_in_the_readme_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let headings = README.lines().filter(|line| line.starts_with('#'));
    let anchors: Vec<_> = headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect();
    let links: Vec<_> = README.split("](").skip(1).map(|rest| rest.split_once(')').unwrap().0).collect();
    assert!(links.len() > 3, "{links:?}");
    for link in links {
        match link.strip_prefix('#') {
            Some(section) => assert!(anchors.iter().any(|anchor| anchor == section), "{link} is none of {anchors:?}"),
            None => assert!(link.starts_with("https://") || root.join(link).exists(), "{link}"),
        }
    }
}

#[test]
fn every_file_that_the_readme_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = ["src/", "config/", "migrations/", "tests/", "benches/", "docs/", ".ci/", ".github/"];
    let words = README
        .split(|c: char| c.is_whitespace() || "`()[];,".contains(c))
        .map(|word| word.trim_end_matches(['.', ':']));
    let named: Vec<_> = words.filter(|word| places.iter().any(|place| word.starts_with(place))).collect();
    assert!(named.len() > 10, "{named:?}");
    for path in named {
        assert!(root.join(path).exists() || root.join(path).with_extension("rs").exists(), "{path} is not there");
    }
}

#[test]
fn the_reader_of_commands_finds_what_there_is() {
    let text = "until larder healthcheck --url \"x\" 2> /dev/null; do\ntest \"$(larder get \"main@$moment\")\" = 1\n\
                docker run --name larder --read-only larder\n/bin/larder serve \\\n  --data d # here\nlarder-data larder .";
    let found = ["healthcheck --url \"x\"", "get \"main@2026-05-14T18:20:00Z\"", "serve    --data d "];
    assert_eq!(commands(text), found);
    assert_eq!(words("a \"b c\" 'd'  e=\"f\""), ["a", "b c", "d", "e=f"]);
}
