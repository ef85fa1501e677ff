//! Help, completions and manual pages; `docs/commands.md` says the same.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command as Process;

use clap::{Command, CommandFactory as _, Parser as _};
use larder::cli::Cli;

use super::publish;
use crate::readme::{commands, words};
use crate::support::process::{Larder, ServerProcess, larder};

const REFERENCE: &str = include_str!("../../../docs/commands.md");

/// All commands and what is below them, with their full names.
fn all() -> Vec<(String, Command)> {
    fn add(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        found.push((path.to_owned(), command.clone()));
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            add(below, &format!("{path} {}", below.get_name()), found);
        }
    }
    let (mut root, mut found) = (Cli::command(), Vec::new());
    root.build();
    add(&root, "larder", &mut found);
    found
}

#[test]
fn every_help_text_fits_into_eighty_columns() {
    for (path, command) in all() {
        let texts = [command.clone().render_help().to_string(), command.clone().render_long_help().to_string()];
        for line in texts.iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 80, "{path}: {line}");
        }
    }
    let shown = larder("publish --help").ok().stdout;
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
}

#[test]
fn every_command_has_three_examples_that_can_be_typed() {
    for (path, command) in all().into_iter().skip(1) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{path} has no examples"));
        let digest = format!("sha256:{}", "0".repeat(64));
        let mut examples = commands(&examples.replace("sha256:HEX", &digest).replace(" < ", " > "));
        // `/var/lib/larder FILE` is no command.
        examples.retain(|example| format!("larder {example}").starts_with(&path));
        assert!(examples.len() >= 3, "{path}: {examples:?}");
        for example in examples {
            let line = [vec!["larder".to_owned()], words(&example)].concat();
            assert!(Cli::try_parse_from(&line).is_ok(), "{path}: {:?}", Cli::try_parse_from(&line).unwrap_err());
        }
        assert!(command.get_about().is_some_and(|about| !about.to_string().contains('\n')), "{path}");
    }
}

#[test]
fn help_is_there_however_it_is_asked_for() {
    assert_eq!(larder("help fetch").ok().stdout, larder("fetch --help").ok().stdout);
    let help = larder("--help").ok().stdout;
    for heading in ["Publish:", "Read:", "Serve:", "Selectors:", "Exit codes:", "Environment:"] {
        assert!(help.contains(&format!("\n{heading}\n")), "{heading} is not in\n{help}");
    }
    assert_eq!(larder("fetch --help").ok().stdout.matches("\nServer:\n").count(), 1);
    assert!(larder("--version").ok().stdout.contains(&format!("{}\nplatform: ", env!("CARGO_PKG_VERSION"))));
    larder("").exits(2).says("Usage:");
}

#[test]
fn the_reference_says_what_the_help_says() {
    let (short, long) = (larder("-h").ok().stdout, larder("--help").ok().stdout);
    let listed = short.split_once("\n\n").unwrap().1.split_once("\nOptions:").unwrap().0;
    let mut rows = 0;
    for group in listed.split("\n\n").skip(1) {
        let (title, lines) = group.trim().split_once(":\n").unwrap();
        let mut section = format!("\n## {title}\n\n| Command | What it does |\n|---|---|\n");
        for line in lines.lines() {
            let (name, about) = line.trim().split_once(' ').unwrap();
            writeln!(section, "| `larder {name}` | {} |", about.trim()).unwrap();
            rows += 1;
        }
        assert!(REFERENCE.contains(&section), "docs/commands.md lacks or changes\n{section}");
    }
    assert_eq!(rows, Cli::command().get_subcommands().count());
    for (heading, header) in [("Exit codes", "| Code | Meaning |"), ("Selectors", "| Selector | Version |")] {
        let (_, block) = long.split_once(&format!("\n{heading}:\n")).unwrap();
        let lines = block.split("\n\n").next().unwrap().lines().filter(|line| line.contains("  ") && line.len() > 4);
        let cells = lines.filter_map(|line| line.trim().split_once("  "));
        let mut table = format!("{header}\n|---|---|\n");
        for (key, meaning) in cells {
            writeln!(table, "| `{key}` | {} |", meaning.trim()).unwrap();
        }
        assert!(REFERENCE.contains(&table), "docs/commands.md lacks or changes\n{table}");
    }
}

/// What a shell is offered for the last of these words.
fn offered(server: &ServerProcess, line: &[&str]) -> Vec<String> {
    let mut request = larder("--").env("LARDER_COMPLETE", "bash").env("LARDER_SERVER", server.url());
    request = request.env("_CLAP_COMPLETE_INDEX", (line.len() - 1).to_string()).env("_CLAP_IFS", "\n");
    request = request.env("LARDER_TOKEN_FILE", server.token_file());
    let found = line.iter().fold(request, Larder::arg).ok().stdout;
    found.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn names_are_completed_from_the_server() {
    let mut server = ServerProcess::start();
    publish(&server, "miren/main", &[("f", b"1")]);
    publish(&server, "miren/next", &[("f", b"1")]);
    publish(&server, "other", &[("f", b"1")]);
    assert_eq!(offered(&server, &["larder", "fetch", "mi"]), ["miren/main", "miren/next"]);
    for command in ["history", "sums", "yank", "unyank", "floor", "complete", "sessions"] {
        assert_eq!(offered(&server, &["larder", command, "mi"]), ["miren/main", "miren/next"], "{command}");
    }
    assert_eq!(offered(&server, &["larder", "copy", "other", "miren/m"]), ["miren/main"]);
    assert!(offered(&server, &["larder", "fet"]).contains(&"fetch".to_owned()));
    assert!(offered(&server, &["larder", "fetch", "--out"]).contains(&"--output".to_owned()));
    let elsewhere = offered(&server, &["larder", "ls", "--server", "http://127.0.0.1:1", "mi"]);
    assert_eq!(elsewhere, [""; 0], "the server that is named is asked, and its silence is no error");
    server.kill();
    assert_eq!(offered(&server, &["larder", "fetch", "mi"]), [""; 0]);
}

#[test]
fn completion_scripts_are_there_for_the_usual_shells() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = larder(&format!("completions {shell}")).ok().stdout;
        assert!(script.contains("LARDER_COMPLETE") && script.contains("larder"), "{shell}: {script}");
    }
    larder("completions no-such-shell").exits(2).says("possible values");
}

#[test]
#[ignore = "needs bash: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
fn bash_completes_commands_and_names() {
    let server = ServerProcess::start();
    publish(&server, "miren/main", &[("f", b"1")]);
    let complete = |words: &str, index: u32, word: &str| {
        let script = format!(
            "source <(larder completions bash); COMP_WORDS=({words}) COMP_CWORD={index} COMP_TYPE=9\n\
             _clap_complete_larder larder '{word}' x; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let binary = Path::new(env!("CARGO_BIN_EXE_larder")).parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        let mut bash = Process::new("bash");
        bash.args(["-c", &script]).env("PATH", path).env("LARDER_SERVER", server.url());
        let output = bash.env("LARDER_TOKEN_FILE", server.token_file()).output().expect("install bash");
        String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("larder fetch mir", 2, "mir"), ["miren/main"]);
    assert_eq!(complete("larder rollb", 1, "rollb"), ["rollback"]);
}

#[test]
fn every_command_has_a_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    let pages = larder("man new/man1").within(&directory).ok().stdout;
    assert_eq!(pages.lines().count(), all().len());
    let requests = ["TH", "SH", "PP", "TP", "RS", "RE", "nf", "fi", "ie", "el", "br", "IP", "B", "SS"];
    for (path, _) in all() {
        let page = fs::read_to_string(directory.path().join(format!("new/man1/{}.1", path.replace(' ', "-")))).unwrap();
        for line in page.lines().filter_map(|line| line.strip_prefix('.')) {
            assert!(requests.contains(&line.split(' ').next().unwrap()), "{path}: .{line}");
        }
        let title = path.replace(' ', "\\-");
        assert!(page.contains(&title) || page.contains(&path.replace(' ', "-")), "{path}: {page}");
        assert!(path == "larder" || page.contains(".SH EXAMPLES\n.nf\nlarder "), "{path}: {page}");
    }
}

#[test]
#[ignore = "needs man: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
fn manual_pages_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    larder("man .").within(&directory).ok();
    let mut man = Process::new("man");
    man.args(["--warnings", "-l", "larder-publish.1"]).current_dir(directory.path()).env("MANWIDTH", "80");
    let shown = man.env("LC_ALL", "C").output().expect("install man-db");
    let (text, warnings) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    assert!(text.contains("larder publish miren/main --label main:abc1234 dist/*.tar.gz"), "{text}");
    assert_eq!(warnings, "");
}
