//! The actions for GitHub: their steps, run with the variables that a runner sets.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use super::{file, in_bash, printed};
use crate::cli::exchange::{Exchange, Rules};
use crate::cli::fake::{Act, Fake, answer};
use crate::support::process::ServerProcess;

/// A step that runs a script: its id, the command, and the expressions of its variables.
#[derive(Debug, Default)]
struct Step {
    id: String,
    run: String,
    variables: Vec<(String, String)>,
}

/// An action as far as a runner needs it.
struct Action {
    directory: String,
    defaults: BTreeMap<String, String>,
    steps: Vec<Step>,
}

fn unquoted(value: &str) -> String {
    let value = value.trim();
    let inner = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    // Where a plain value has these, YAML means something else.
    assert!(inner.is_some() || !value.contains(": ") && !value.contains(" #"), "{value} needs quotes");
    inner.unwrap_or(value).to_owned()
}

fn action(name: &str) -> Action {
    let directory = format!(".github/actions/{name}");
    let text = fs::read_to_string(file(&format!("{directory}/action.yml"))).unwrap();
    let (mut defaults, mut steps, mut section, mut input) = (BTreeMap::new(), Vec::<Step>::new(), "", "");
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let indent = line.len() - line.trim_start_matches([' ', '-']).len();
        let Some((key, value)) = line.trim_start_matches([' ', '-']).split_once(':') else { continue };
        match (indent, section) {
            (0, _) => section = key,
            (2, "inputs") => input = key,
            (4, "inputs") => {
                let value = unquoted(value);
                if key == "default" {
                    defaults.insert(input.to_owned(), value);
                }
            }
            (6, "runs") => {
                if line.trim_start().starts_with('-') {
                    steps.push(Step::default());
                }
                let step = steps.last_mut().unwrap();
                match key {
                    "id" => step.id = unquoted(value),
                    "run" => step.run = unquoted(value),
                    _ => {}
                }
            }
            (8, "runs") => steps.last_mut().unwrap().variables.push((key.to_owned(), unquoted(value))),
            _ => {}
        }
    }
    steps.retain(|step| !step.run.is_empty());
    Action { directory, defaults, steps }
}

/// A machine that runs the steps of jobs.
pub struct Runner {
    pub home: TempDir,
    /// The variables of the job, beside those that every job has.
    job: Vec<(String, String)>,
}

fn run_step(step: &Step, home: &Path, variables: &[(String, String)]) -> Output {
    in_bash(&step.run, &home.join("work"), variables)
}

/// What a job is left with.
pub struct Done {
    pub output: Output,
    outputs: BTreeMap<String, String>,
    pub path: String,
}

impl Runner {
    pub fn new(job: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let home = TempDir::new().unwrap();
        for name in ["temp", "tools", "work"] {
            fs::create_dir(home.path().join(name)).unwrap();
        }
        Self { home, job: job.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
    }

    fn at(&self, name: &str) -> String {
        self.home.path().join(name).to_str().unwrap().to_owned()
    }

    fn variables(&self, action: &Action) -> Vec<(String, String)> {
        let own = [
            ("GITHUB_ACTION_PATH", file(&action.directory).to_str().unwrap().to_owned()),
            ("GITHUB_OUTPUT", self.at("output")),
            ("GITHUB_PATH", self.at("path")),
            ("GITHUB_REF_NAME", "main".to_owned()),
            ("GITHUB_REF_TYPE", "branch".to_owned()),
            ("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567".to_owned()),
            ("RUNNER_ARCH", "X64".to_owned()),
            ("RUNNER_OS", "Linux".to_owned()),
            ("RUNNER_TEMP", self.at("temp")),
            ("RUNNER_TOOL_CACHE", self.at("tools")),
        ];
        own.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(self.job.iter().cloned()).collect()
    }

    /// Runs an action with these inputs, up to the first step that fails.
    pub fn carries_out(&self, name: &str, inputs: &[(&str, &str)]) -> Done {
        let (action, mut outputs) = (action(name), BTreeMap::new());
        fs::write(self.at("path"), "").unwrap();
        let mut last = None;
        for step in &action.steps {
            fs::write(self.at("output"), "").unwrap();
            let mut variables = self.variables(&action);
            for (name, expression) in &step.variables {
                let expression = expression.strip_prefix("${{ ").unwrap().strip_suffix(" }}").unwrap();
                let value = if let Some(input) = expression.strip_prefix("inputs.") {
                    let given = inputs.iter().find(|(name, _)| *name == input).map(|(_, value)| (*value).to_owned());
                    given.or_else(|| action.defaults.get(input).cloned()).unwrap_or_else(|| panic!("no {input}"))
                } else {
                    outputs.get(expression).cloned().unwrap_or_else(|| panic!("no {expression}"))
                };
                variables.push((name.clone(), value));
            }
            let output = run_step(step, self.home.path(), &variables);
            for line in fs::read_to_string(self.at("output")).unwrap().lines() {
                let (name, value) = line.split_once('=').unwrap();
                outputs.insert(format!("steps.{}.outputs.{name}", step.id), value.to_owned());
            }
            let failed = !output.status.success();
            last = Some(output);
            if failed {
                break;
            }
        }
        Done { output: last.unwrap(), outputs, path: fs::read_to_string(self.at("path")).unwrap() }
    }
}

impl Done {
    pub fn get(&self, step: &str, name: &str) -> &str {
        self.outputs.get(&format!("steps.{step}.outputs.{name}")).map_or("", String::as_str)
    }

    /// The message that the runner shows for the job.
    #[track_caller]
    pub fn error(&self) -> String {
        let text = String::from_utf8_lossy(&self.output.stderr).into_owned();
        assert!(!self.output.status.success(), "{:?}", self.outputs);
        let found = text.lines().find_map(|line| line.strip_prefix("::error title=Larder::"));
        found.unwrap_or_else(|| panic!("no message: {:?}", self.output)).to_owned()
    }
}

const TOOL: &str = "#!/bin/sh\necho the tool works\n";

/// A server with `tool/main`, a program for two machines.
pub fn with_tool() -> ServerProcess {
    let server = ServerProcess::start();
    let files = TempDir::new().unwrap();
    fs::write(files.path().join("tool-linux-amd64"), TOOL).unwrap();
    fs::write(files.path().join("tool-darwin-arm64"), "another").unwrap();
    // The same manifest on every server.
    let publish = server.larder("publish tool/main . --label v1.2.3").within(&files);
    publish.env("SOURCE_DATE_EPOCH", "1700000000").ok();
    server
}

/// A server in front of another one, which counts, and changes bytes of blobs if asked to.
fn in_front_of(server: &ServerProcess, damages: bool) -> Fake {
    let address = server.address;
    Fake::start(move |request, _| {
        let mut reply = request.pass_on(address);
        if damages && request.is("GET", "/blobs/") {
            reply.body[0] ^= 1;
        }
        Act::Answer(reply)
    })
}

#[test]
fn no_input_is_part_of_a_command() {
    for name in ["publish", "setup"] {
        let action = action(name);
        assert!(!action.steps.is_empty());
        for step in &action.steps {
            assert!(!step.run.contains("${{"), "{}", step.run);
            assert!(step.variables.iter().all(|(_, value)| value.starts_with("${{ ")), "{:?}", step.variables);
        }
        let script = fs::read_to_string(file(&format!("{}/{name}.sh", action.directory))).unwrap();
        assert!(script.starts_with("#!/usr/bin/env bash\n") && script.contains("\nset -euo pipefail\n"), "{name}");
        assert!(!script.contains("eval"), "{name}");
    }
    let included = fs::read_to_string(file(".github/actions/setup/verify.sh")).unwrap();
    assert!(!included.contains("eval") && !included.contains("\nset "), "it is part of setup.sh");
}

#[test]
#[ignore = "needs bash, curl and jq: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn setup_puts_the_file_for_the_runner_on_the_path_and_caches_it() {
    let server = with_tool();
    let front = in_front_of(&server, false);
    let runner = Runner::new([]);
    let inputs = [("server", &*front.url()), ("name", "tool/main"), ("command", "tool")];
    let done = runner.carries_out("setup", &inputs);
    printed(&done.output);
    assert_eq!((done.get("resolve", "version"), done.get("resolve", "label")), ("1", "v1.2.3"));
    let variables = [("PATH".to_owned(), format!("{}:/usr/bin:/bin", done.path.trim_end()))];
    assert_eq!(printed(&in_bash("tool", runner.home.path(), &variables)), "the tool works\n");

    let again = runner.carries_out("setup", &inputs);
    printed(&again.output);
    assert_eq!(front.requests_of("GET", "/blobs/").len(), 1, "it is in the cache");
    // What the cache holds is not trusted.
    fs::write(format!("{}/blob", again.get("resolve", "cached")), "something else").unwrap();
    printed(&runner.carries_out("setup", &inputs).output);
    assert_eq!(front.requests_of("GET", "/blobs/").len(), 2);

    let pinned = format!("tool/main@{}", done.get("resolve", "manifest"));
    printed(&runner.carries_out("setup", &[("server", &front.url()), ("name", &pinned)]).output);
}

#[test]
#[ignore = "needs bash, curl, jq and tar: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn setup_unpacks_archives() {
    let server = ServerProcess::start();
    let files = TempDir::new().unwrap();
    fs::create_dir_all(files.path().join("tool/bin")).unwrap();
    fs::write(files.path().join("tool/bin/tool"), TOOL).unwrap();
    let pack = "chmod 755 tool/bin/tool; tar -czf tool-linux-amd64.tar.gz tool; rm -r tool";
    printed(&in_bash(pack, files.path(), &[]));
    server.larder("publish tool/main .").within(&files).ok();
    let runner = Runner::new([]);
    let done =
        runner.carries_out("setup", &[("server", &server.url()), ("name", "tool/main"), ("directory", "tool/bin")]);
    printed(&done.output);
    let variables = [("PATH".to_owned(), format!("{}:/usr/bin:/bin", done.path.trim_end()))];
    assert_eq!(printed(&in_bash("tool", runner.home.path(), &variables)), "the tool works\n");
    let other =
        runner.carries_out("setup", &[("server", &server.url()), ("name", "tool/main"), ("directory", "absent")]);
    assert!(other.error().contains("absent"));
}

#[test]
#[ignore = "needs bash, curl and jq: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn setup_installs_nothing_that_is_damaged_absent_or_for_another_machine() {
    let server = with_tool();
    let damaging = in_front_of(&server, true);
    let runner = Runner::new([]);
    let done = runner.carries_out("setup", &[("server", &damaging.url()), ("name", "tool/main")]);
    assert!(done.error().contains("is damaged") && done.path.is_empty());
    let absent = runner.carries_out("setup", &[("server", &server.url()), ("name", "absent")]);
    assert!(absent.error().contains("/manifests/absent cannot be downloaded"));
    let other =
        runner.carries_out("setup", &[("server", &server.url()), ("name", "tool/main"), ("file", "tool-plan9")]);
    assert!(other.error().ends_with("%0Atool-darwin-arm64%0Atool-linux-amd64"), "{}", other.error());
    let wrong = format!("tool/main@sha256:{}", "0".repeat(64));
    assert!(!runner.carries_out("setup", &[("server", &server.url()), ("name", &wrong)]).output.status.success());
}

#[test]
#[ignore = "needs bash, curl and jq: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn setup_believes_no_server_that_wants_to_set_other_outputs() {
    let lying = Fake::start(|_, _| {
        let blob = format!("sha256:{}", "0".repeat(64));
        let artifacts = format!(r#"[{{"name": "f", "blob": "{blob}", "size": 1}}]"#);
        answer(200, &[], format!(r#"{{"version": "v1\npath=/evil", "artifacts": {artifacts}}}"#).as_bytes())
    });
    let runner = Runner::new([]);
    let done = runner.carries_out("setup", &[("server", &lying.url()), ("name", "tool/main"), ("file", "f")]);
    assert!(done.error().contains("has a line break"));
    assert_eq!(done.get("resolve", "path"), "");
}

#[test]
#[ignore = "needs bash and jq: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn publish_needs_no_secret() {
    let server = ServerProcess::start();
    let exchange = Exchange::before(&server, Rules::default());
    let runner = Runner::new(exchange.github());
    let work = runner.home.path().join("work");
    fs::create_dir(work.join("dist")).unwrap();
    for name in ["a b", "c"] {
        fs::write(work.join("dist").join(name), name).unwrap();
    }
    let url = exchange.url();
    let inputs =
        [("server", &*url), ("name", "tool/main"), ("files", "dist/*\nrenamed=dist/c\n"), ("copy-to", "latest")];
    let done = runner.carries_out("publish", &inputs);
    let shown = printed(&done.output);
    assert!(shown.contains("::add-mask::access-1\n"), "{shown}");
    assert_eq!((done.get("publish", "version"), done.get("publish", "unchanged")), ("1", "false"));
    assert!(done.get("publish", "manifest").starts_with("sha256:"));
    let manifest = server.larder("get latest").ok().json();
    let names: Vec<_> = manifest["artifacts"].as_array().unwrap().iter().map(|file| file["name"].clone()).collect();
    assert_eq!(names, ["a b", "c", "renamed"]);
    assert_eq!(manifest["version"], "main:0123456");
    assert_eq!((exchange.usable(), exchange.issued()), (0, exchange.revoked()));
    assert_eq!(runner.carries_out("publish", &inputs).get("publish", "unchanged"), "true");
}

#[test]
#[ignore = "needs bash and jq: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn publish_says_what_is_missing_and_takes_inputs_as_text() {
    let server = ServerProcess::start();
    let exchange = Exchange::before(&server, Rules::default());
    let runner = Runner::new(exchange.github());
    let work = runner.home.path().join("work");
    fs::write(work.join("f"), "1").unwrap();
    let url = exchange.url();
    for (name, files) in [
        ("tool/main", "absent*"),
        ("tool/main", "f; touch pwned"),
        ("tool/main", "$(touch pwned)"),
        ("$(touch pwned)", "f"),
        ("--help", "f"),
        ("tool/main", "\n"),
    ] {
        let done = runner.carries_out("publish", &[("server", &url), ("name", name), ("files", files)]);
        assert!(!done.error().is_empty());
        assert_eq!(fs::read_dir(&work).unwrap().count(), 1, "{name} {files}");
    }
    assert_eq!(exchange.usable(), 0);
    let lacking = Runner::new([("GITHUB_ACTIONS", "true".to_owned())]);
    fs::write(lacking.home.path().join("work/f"), "1").unwrap();
    let done = lacking.carries_out("publish", &[("server", &url), ("name", "tool/main"), ("files", "f")]);
    assert!(String::from_utf8_lossy(&done.output.stderr).contains("id-token: write"), "{:?}", done.output);
    assert!(done.error().contains("was not published"));
}

#[test]
#[ignore = "needs bash and jq: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn publish_takes_the_parts_of_several_jobs() {
    let server = ServerProcess::start();
    let exchange = Exchange::before(&server, Rules::default());
    let runner = Runner::new(exchange.github());
    for part in ["linux", "macos"] {
        fs::write(runner.home.path().join("work").join(part), part).unwrap();
    }
    let url = exchange.url();
    let job = |part: &str, parts: &str| {
        let inputs = [("server", &*url), ("name", "tool/main"), ("files", part), ("part", part), ("parts", parts)];
        runner.carries_out("publish", &[&inputs[..], &[("label", "v1"), ("copy-to", "latest")]].concat())
    };
    let first = job("linux", "linux,macos");
    assert!(printed(&first.output).contains("::add-mask::"), "{:?}", first.output);
    assert_eq!((first.get("publish", "version"), first.get("publish", "complete")), ("1", "false"));
    assert_eq!((first.get("publish", "manifest"), first.get("publish", "unchanged")), ("", "false"));
    server.larder("get latest").exits(3);
    let last = job("macos", "linux,macos");
    printed(&last.output);
    assert_eq!((last.get("publish", "version"), last.get("publish", "complete")), ("1", "true"));
    assert!(last.get("publish", "manifest").starts_with("sha256:"));
    assert_eq!(server.larder("get latest linux").ok().stdout, "linux");
    assert!(job("linux", "").error().contains("belong together"));
    assert!(job("linux", "macos,windows").error().contains("was not published"));
}

#[test]
fn the_workflow_in_the_guide_uses_inputs_that_there_are() {
    let guide = include_str!("../../../docs/clients.md");
    for name in ["publish", "setup"] {
        let (_, step) = guide.split_once(&format!("/.github/actions/{name}@")).unwrap();
        let lines = step.lines().skip(2).take_while(|line| line.starts_with("          "));
        let used: Vec<_> = lines.map(|line| line.trim().split(':').next().unwrap()).collect();
        let text = fs::read_to_string(file(&format!(".github/actions/{name}/action.yml"))).unwrap();
        assert!(used.len() >= 2 && used.iter().all(|input| text.contains(&format!("\n  {input}:\n"))), "{used:?}");
        let required = text.matches("\n    required: true\n").count();
        assert!(used.len() >= required, "{used:?}");
    }
}
