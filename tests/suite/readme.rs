//! The README and the guides in `docs/`: their walk-throughs work as they stand, their commands exist, and so do the files
//! and headings that they name.

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
/// Largest README, in bytes: one that is read.
const README_SIZE: usize = 8 << 10;

/// What the README's walk-through must show, in this order.
const README_SHOWS: &[&str] = &["\napp@1 sha256:", "\napp@2 sha256:", "larder: app went back from version 2 (sha256:"];
/// Guides whose walk-throughs continue that of the README, and what they must show, in this order.
const GUIDES: [(&str, &[&str]); 5] = [
    (
        "docs/artifacts.md",
        &["ocker-content-digest: sha256:", "image.title\":\"tool\"", "notes.txt: OK", "fetched/notes.txt\n"],
    ),
    ("docs/http-by-hand.md", &["\nupload-offset: 8388608", "PRECONDITION_FAILED", "notes@1 retired\n", " retired "]),
    ("docs/backup.md", &[": all is well\n"]),
    ("docs/retention.md", &["app@2 retired\n"]),
    (
        "docs/signing.md",
        &[
            "signed with the key",
            "0 already there",
            "Signature and comment signature verified",
            "app-linux-amd64.txt: OK",
        ],
    ),
];
/// Guides whose blocks are run by tests of their own.
const TESTED_ELSEWHERE: &[&str] = &[
    "docs/assets.md",
    "docs/catalogs.md",
    "docs/clients.md",
    "docs/containers.md",
    "docs/downloads.md",
    "docs/history.md",
    "docs/keyless.md",
    "docs/moving.md",
    "docs/publishing.md",
    "docs/releases.md",
    "docs/sites.md",
    "docs/timeless.md",
    "docs/tuf.md",
];

/// The README and all guides: path and text.
fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guides =
        fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let guides = guides
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "md"))
        .map(|name| format!("docs/{name}"));
    let paths = ["README.md", "config/README.md", "benches/README.md", "migrations/README.md"].map(str::to_owned);
    paths.into_iter().chain(guides).map(|path| (path.clone(), fs::read_to_string(root.join(path)).unwrap())).collect()
}

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

/// Runs the walk-throughs of these documents, one after the other in one shell.
fn walk_through(documents: &[&str]) -> String {
    let blocks: Vec<_> = documents.iter().flat_map(|text| blocks(text, "sh walkthrough")).collect();
    let shown = transcript(&blocks.join("\n").replace(PORT, &format!(":{}", free_port())));
    format!("\n{shown}")
}

#[track_caller]
fn assert_shows(shown: &str, expected: &[&str]) {
    let mut from = 0;
    for text in expected {
        let found = shown[from..].find(text).unwrap_or_else(|| panic!("{text:?} is missing in\n{shown}"));
        // A line end can be the end of one text and the beginning of the next.
        from += found + text.trim_end().len();
    }
}

#[test]
#[ignore = "needs bash, curl and sha256sum: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn the_walk_through_works_as_it_stands_in_the_readme() {
    assert_shows(&walk_through(&[README]), README_SHOWS);
}

#[test]
#[ignore = "needs bash, curl, jq, minisign and sha256sum: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn every_guide_works_as_it_stands() {
    for (path, expected) in GUIDES {
        let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        assert_shows(&walk_through(&[README, &guide]), expected);
    }
}

#[test]
fn every_walk_through_is_run() {
    let run = GUIDES.map(|(path, _)| path);
    for (path, text) in documents().iter().filter(|(_, text)| text.contains("\n```sh walkthrough\n")) {
        let path = path.as_str();
        assert!(path == "README.md" || run.contains(&path) || TESTED_ELSEWHERE.contains(&path), "nothing runs {path}");
        assert!(!blocks(text, "sh walkthrough").is_empty());
    }
}

#[test]
fn the_readme_is_short() {
    assert!(README.len() <= README_SIZE, "{} bytes", README.len());
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
        let end = rest.find([';', ')', '|', '>', '<', '&', '\n', '`', '#']).unwrap_or(rest.len());
        // The digit of a redirection such as `2> file`.
        rest[..end]
            .trim_end_matches(" 2")
            .replace("$moment", "2026-05-14T18:20:00Z")
            .replace("COMMAND", "publish")
            .replace(" SHELL", " bash")
            .replace("$channel", "main")
            .replace("$version", "v1.4.0")
            .replace("$manifest", "sha256:HEX")
            .replace("sha256:HEX", &format!("sha256:{:064}", 0))
            .replace("$1", "main")
    });
    // `docker run … larder` names an image.
    commands.filter(|command| command.starts_with(|c: char| c.is_ascii_lowercase())).collect()
}

#[test]
fn every_command_in_the_readme_and_the_guides_exists() {
    let found: usize = documents().iter().map(|(_, text)| commands_exist(text, &["sh", "sh walkthrough", "ini"])).sum();
    assert!(found > 60, "{found}");
}

/// Asserts that all commands in the blocks of a document and in its prose are ones; returns how many there are.
pub fn commands_exist(document: &str, infos: &[&str]) -> usize {
    let (mut found, mut wrong) = (0, Vec::new());
    let code = infos.iter().flat_map(|info| blocks(document, info));
    // Beside blocks, what stands between backticks in the prose.
    let prose = document.split('`').filter(|span| span.starts_with("larder ") && !span.contains('\n'));
    for command in code.chain(prose).flat_map(commands) {
        found += 1;
        match Cli::try_parse_from([vec!["larder".to_owned()], words(&command)].concat()) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::DisplayHelp => {}
            // A command is also mentioned by its bare name.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                ) && !command.contains(' ') => {}
            Err(error) => wrong.push(format!("larder {command}\n{error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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

/// The anchors of a document's headings.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut dead = Vec::new();
    for (path, text) in documents() {
        let links = text.split("](").skip(1).map(|rest| rest.split_once(')').unwrap().0);
        for link in links.filter(|link| !link.starts_with("https://")) {
            let (file, section) = link.split_once('#').map_or((link, None), |(file, section)| (file, Some(section)));
            let directory = root.join(&path).parent().unwrap().to_owned();
            let target = if file.is_empty() { root.join(&path) } else { directory.join(file) };
            let found = match section {
                _ if !target.exists() => false,
                Some(section) => anchors(&fs::read_to_string(target).unwrap()).iter().any(|anchor| anchor == section),
                None => true,
            };
            dead.extend((!found).then(|| format!("{path}: {link}")));
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn every_guide_is_found_from_the_readme() {
    for (path, _) in documents().iter().filter(|(path, _)| path.starts_with("docs/")) {
        let name = path.trim_start_matches("docs/");
        let linked = |(from, text): &(String, String)| {
            from != path
                && (text.contains(&format!("]({path}"))
                    || from.starts_with("docs/") && text.contains(&format!("]({name}")))
        };
        assert!(documents().iter().any(linked), "nothing leads to {path}");
    }
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    let places = ["src/", "config/", "migrations/", "tests/", "benches/", "docs/", ".ci/", ".github/"];
    for (document, text) in documents() {
        let words = text
            .split(|c: char| c.is_whitespace() || "`()[];,".contains(c))
            .map(|word| word.trim_end_matches(['.', ':']));
        for path in words.filter(|word| places.iter().any(|place| word.starts_with(place))) {
            let path = path.split('#').next().unwrap();
            let there =
                root.join(path).exists() || root.join(path).with_extension("rs").exists() || path.contains("NNNN");
            missing.extend((!there && !path.contains('*')).then(|| format!("{document}: {path}")));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_reader_of_commands_finds_what_there_is() {
    let text = "until larder healthcheck --url \"x\" 2> /dev/null; do\ntest \"$(larder get \"main@$moment\")\" = 1\n\
                docker run --name larder --read-only larder\n/bin/larder serve \\\n  --data d # here\nlarder-data larder .";
    let found = ["healthcheck --url \"x\"", "get \"main@2026-05-14T18:20:00Z\"", "serve    --data d "];
    assert_eq!(commands(text), found);
    assert_eq!(words("a \"b c\" 'd'  e=\"f\""), ["a", "b c", "d", "e=f"]);
}
