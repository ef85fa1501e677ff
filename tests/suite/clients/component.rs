//! The component for GitLab: its script, run with the variables that a runner sets.

use std::fs;

use tempfile::TempDir;

use super::{file, in_bash, printed};
use crate::cli::exchange::{Exchange, Rules};
use crate::support::process::ServerProcess;

fn text() -> String {
    fs::read_to_string(file("templates/publish.yml")).unwrap()
}

/// The script of the job.
fn script() -> String {
    let text = text();
    let (_, rest) = text.split_once("\n  script:\n    - |\n").unwrap();
    let lines = rest.lines().take_while(|line| line.starts_with("      "));
    lines.map(|line| line.trim_start().to_owned() + "\n").collect()
}

/// The variables of the job with these inputs.
fn variables(inputs: &[(&str, &str)]) -> Vec<(String, String)> {
    let text = text();
    let (_, rest) = text.split_once("\n  variables:\n").unwrap();
    let lines: Vec<&str> = rest.lines().take_while(|line| line.starts_with("    ")).map(str::trim).collect();
    let mut found = Vec::new();
    for entry in lines.chunks(3) {
        let [name, value, "expand: false"] = entry else { panic!("{entry:?}") };
        let input = value.strip_prefix("value: \"$[[ inputs.").unwrap().strip_suffix(" ]]\"").unwrap();
        let value = inputs.iter().find(|(name, _)| *name == input).map_or("", |(_, value)| value);
        found.push((name.trim_end_matches(':').to_owned(), value.to_owned()));
    }
    found
}

#[test]
fn no_input_of_the_component_is_part_of_its_script() {
    assert!(script().starts_with("set -eu\n") && script().contains("larder publish "));
    assert!(!script().contains("$[["));
    assert_eq!(variables(&[]).len(), 4);
}

#[test]
#[ignore = "needs bash: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
fn the_component_publishes_without_a_secret_and_hands_on_the_version() {
    let server = ServerProcess::start();
    let exchange = Exchange::before(&server, Rules::default());
    let work = TempDir::new().unwrap();
    fs::write(work.path().join("f.txt"), "1").unwrap();
    let run = |id_token: &str, files: &str| {
        let inputs = [("server", &*exchange.url()), ("name", "tool/main"), ("files", files)];
        let job = [
            ("GITLAB_CI", "true"),
            ("LARDER_ID_TOKEN", id_token),
            ("CI_COMMIT_REF_NAME", "main"),
            ("CI_COMMIT_SHA", "0123456789abcdef0123456789abcdef01234567"),
            ("CI_COMMIT_SHORT_SHA", "01234567"),
        ];
        let job = job.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables = [variables(&inputs), job.to_vec()].concat();
        in_bash(&format!("sh -c '{}'", script()), work.path(), &variables)
    };
    let shown = printed(&run("first", "*.txt"));
    assert!(shown.contains("tool/main@1 sha256:") && !shown.contains("first"), "{shown}");
    let handed_on = fs::read_to_string(work.path().join("larder.env")).unwrap();
    assert!(handed_on.starts_with("LARDER_VERSION=1\nLARDER_MANIFEST=sha256:"), "{handed_on}");
    assert_eq!(server.larder("get tool/main").ok().json()["version"], "main:01234567");
    assert_eq!(exchange.usable(), 0);
    assert!(!run("second", "$(touch${IFS}pwned) ;touch pwned").status.success());
    assert!(!work.path().join("pwned").exists());
}

#[test]
fn the_pipeline_in_the_guide_uses_inputs_that_there_are() {
    let (_, block) = include_str!("../../../docs/clients.md").split_once("\n    inputs:\n").unwrap();
    let used: Vec<_> = block.lines().take_while(|line| line.starts_with("      ")).map(str::trim).collect();
    let used: Vec<_> = used.iter().map(|line| line.split(':').next().unwrap()).collect();
    let text = text();
    let (_, inputs) = text.split_once("\n  inputs:\n").unwrap();
    let inputs = inputs.split("\n---\n").next().unwrap();
    let mut required = Vec::new();
    for line in inputs.lines().filter(|line| !line.starts_with("      ")) {
        required.push(line.trim().trim_end_matches(':'));
    }
    assert!(used.iter().all(|input| required.contains(input)), "{used:?}");
    required.retain(|input| {
        !inputs.split_once(&format!("    {input}:\n")).unwrap().1.lines().nth(1).unwrap().contains("default:")
    });
    assert!(required.iter().all(|input| used.contains(input)), "{required:?}");
}
