//! Tests that need more than a Rust toolchain and a C compiler are ignored with a reason that names the command which
//! runs them. None passes without having run.

use super::{read, rust_files};

/// What a reason must say, behind what the test needs.
const REASONS: [&str; 2] = [
    ": .ci/run installs it and runs this; by hand: cargo test -- --ignored",
    ": .ci/run installs them and runs this; by hand: cargo test -- --ignored",
];
/// What starts a program that a machine need not have, and what the reason must name then.
const NEEDS: [(&str, &str); 11] = [
    ("Ceph::start()", "Ceph"),
    ("Command::new(\"apt-get\")", "apt-get"),
    ("Command::new(\"aria2c\")", "aria2c"),
    ("Command::new(\"axel\")", "axel"),
    ("Command::new(\"bash\")", "bash"),
    ("Command::new(\"caddy\")", "caddy"),
    ("Command::new(\"curl\")", "curl"),
    ("Command::new(\"lftp\")", "lftp"),
    ("Command::new(\"node\")", "node"),
    ("Command::new(\"python3\")", "python3"),
    ("Command::new(\"wget\")", "wget"),
];
/// Helpers of tests, which are not tests themselves: they start a program for a test that is ignored.
const HELPERS: [(&str, &str); 10] = [
    ("tests/suite/support/ceph.rs", "fn start"),
    ("tests/suite/readme.rs", "pub fn transcript"),
    ("tests/suite/readme.rs", "fn walk_through"),
    ("tests/suite/clients.rs", "fn in_bash"),
    ("tests/suite/clients/actions.rs", "fn run_step"),
    ("tests/suite/catalogs/tuf/hosting.rs", "fn release"),
    ("tests/suite/clients/verified_setup.rs", "fn set_up"),
    ("tests/suite/clients/verified_setup.rs", "fn set_up_for"),
    ("tests/suite/oci/clients/matrix.rs", "fn clients"),
    ("tests/suite/oci/clients/matrix.rs", "fn pushed_and_pulled"),
];
/// What [`HELPERS`] are called by, and clients of containers and of TUF.
const CALLS: [(&str, &str); 23] = [
    ("transcript(&", "bash"),
    ("walk_through(&", "bash"),
    ("in_bash(", "bash"),
    (".carries_out(", "bash"),
    ("release(home, ", "python3"),
    (".gets(\"", "python3"),
    (".gets(\"", "node"),
    ("= set_up(", "bash"),
    ("set_up_for(&", "bash"),
    ("Skopeo(Home::", "skopeo"),
    ("Podman(Home::", "podman"),
    ("Buildah(Home::", "buildah"),
    ("Daemons::start(", "docker"),
    ("Daemons::start(", "containerd"),
    ("background(&home, &[\"nginx\"", "nginx"),
    ("Oras(Home::", "python3"),
    ("Helm(Home::", "python3"),
    ("pushed_and_pulled(", "skopeo"),
    ("pushed_and_pulled(", "podman"),
    ("pushed_and_pulled(", "buildah"),
    ("pushed_and_pulled(", "docker"),
    ("pushed_and_pulled(", "containerd"),
    ("pushed_and_pulled(", "python3"),
];

/// The reasons of the ignored tests of a text; an empty one for a test that is ignored without.
fn reasons(text: &str) -> Vec<&str> {
    let attributes = text.lines().filter_map(|line| line.trim().strip_prefix("#[ignore"));
    attributes
        .map(|rest| rest.strip_prefix(" = \"").and_then(|rest| rest.strip_suffix("\"]")).unwrap_or_default())
        .collect()
}

/// What a reason says is needed, if it says everything it has to.
fn needed(reason: &str) -> Option<&str> {
    let needed = REASONS.iter().find_map(|end| reason.strip_suffix(end))?;
    needed.strip_prefix("needs ")
}

/// The functions of a text: their attributes and names, and their bodies.
fn functions(text: &str) -> Vec<(String, String)> {
    let (mut found, mut attributes) = (Vec::<(String, String)>::new(), String::new());
    for line in text.lines() {
        let code = line.trim();
        if code.starts_with("#[") {
            attributes.push_str(code);
        } else if ["fn ", "async fn ", "pub fn ", "pub async fn "].iter().any(|start| code.starts_with(start)) {
            found.push((format!("{}\n{code}", std::mem::take(&mut attributes)), String::new()));
        } else if let Some((_, body)) = found.last_mut() {
            body.push_str(code);
            body.push('\n');
        }
    }
    found
}

/// What is wrong with the tests of a file: those that start what a machine need not have, and do not say so.
fn unnamed(path: &str, text: &str) -> Vec<String> {
    let is_helper =
        |head: &str| HELPERS.iter().any(|(file, start)| *file == path && head.contains(&format!("\n{start}(")));
    let mut wrong = Vec::new();
    for (head, body) in functions(text).iter().filter(|(head, _)| !is_helper(head)) {
        for (call, program) in NEEDS.iter().chain(&CALLS) {
            let named = reasons(&head.replace("#[", "\n#["))
                .iter()
                .any(|reason| needed(reason).is_some_and(|needed| needed.contains(program)));
            if body.contains(call) && !named {
                wrong.push(format!("{path}: {} needs {program}", head.lines().last().unwrap_or_default()));
            }
        }
    }
    wrong
}

#[test]
fn every_ignored_test_says_what_it_needs_and_which_command_runs_it() {
    let mut found = 0;
    for (path, text) in rust_files("tests").iter().filter(|(path, _)| path != "tests/suite/tidy/ignored.rs") {
        for reason in reasons(text) {
            found += 1;
            assert!(needed(reason).is_some(), "{path}: {reason:?} must end with {:?}", REASONS[0]);
        }
    }
    assert!(found > 10, "only {found} ignored tests were found");
}

#[test]
fn no_test_starts_what_a_machine_need_not_have_without_being_ignored() {
    let files = rust_files("tests");
    let wrong: Vec<_> = files
        .iter()
        .filter(|(path, _)| path != "tests/suite/tidy/ignored.rs")
        .flat_map(|(path, text)| unnamed(path, text))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (path, start) in HELPERS {
        assert!(read(path).contains(&format!("\n{start}(")), "{path} has no {start}");
    }
}

#[test]
fn the_reader_of_reasons_sees_what_there_is() {
    let text = "#[test]\n#[ignore]\nfn a() {}\n    #[ignore = \"needs Ceph: by hand\"]\n";
    assert_eq!(reasons(text), ["", "needs Ceph: by hand"]);
    assert_eq!(needed(&format!("needs Ceph{}", REASONS[0])), Some("Ceph"));
    assert_eq!((needed("needs Ceph"), needed("")), (None, None));
    let engine = format!("async fn b() {{\n    let ceph = {}.await;\n}}\n", NEEDS[0].0);
    let ignored = format!("#[tokio::test]\n#[ignore = \"needs Ceph{}\"]\n{engine}", REASONS[0]);
    assert_eq!(unnamed("x", &ignored), Vec::<String>::new());
    assert_eq!(unnamed("x", &format!("#[test]\n{engine}")), ["x: async fn b() { needs Ceph"]);
    assert_eq!(unnamed("x", &ignored.replace("needs Ceph:", "needs curl:")), ["x: async fn b() { needs Ceph"]);
}
