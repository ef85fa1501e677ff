//! What `docs/catalogs.md` says works as it stands there.

use larder::config::load;

use super::*;
use crate::readme::{blocks, commands_exist, transcript};
use crate::support::process::free_port;

const DOCS: &str = include_str!("../../../docs/catalogs.md");
const TIMELESS: &str = include_str!("../../../docs/timeless.md");

#[test]
fn the_policy_in_the_docs_says_what_the_docs_say() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), blocks(DOCS, "toml").concat()).unwrap();
    let policy = load(Some(file.path()), []).unwrap().policies().of(&format!("{NAME}/_catalog").parse().unwrap());
    assert!(policy.catalog && policy.catalog_founders.iter().any(|glob| glob.matches("token:release")));
}

#[test]
fn the_commands_in_the_docs_exist() {
    assert!(commands_exist(DOCS, &["sh walkthrough"]) >= 10);
    assert!(commands_exist(TIMELESS, &["sh walkthrough"]) >= 6);
}

#[test]
#[ignore = "needs bash and curl: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn the_commands_in_the_docs_work_as_they_stand_there() {
    let script = blocks(DOCS, "sh walkthrough").join("\n").replace(":8080", &format!(":{}", free_port()));
    let script = script.replace(":8081", &format!(":{}", free_port()));
    let shown = transcript(&script);
    let lines: Vec<_> = shown.lines().filter(|line| line.starts_with("the tool, ")).collect();
    assert_eq!(lines, ["the tool, 1.0", "the tool, 1.0", "the tool, 1.0"], "{shown}");
    for text in [
        "example.org/tool serial 1\n",
        "example.org/tool serial 3: all is well\n",
        "warns against v1.1",
        "v1.0 is taken: v1.1 above it has hazards",
        "\ntar:",
        "example.org/tool serial 7: all is well\n",
        "example.org/tool serial 8: all is well\n",
    ] {
        assert!(shown.contains(text), "{text:?} is missing in\n{shown}");
    }
}

#[test]
#[ignore = "needs bash and curl: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn what_the_docs_say_of_the_timeless_stack_works_as_it_stands_there() {
    let script = blocks(TIMELESS, "sh walkthrough").join("\n").replace(":8080", &format!(":{}", free_port()));
    let shown = transcript(&script);
    for text in [
        "example.org/base serial 1: 1 of 1 releases are new, founded\n",
        "\nthe same bytes\n404\n",
        "\nthe same tar\n",
        "\nlarder catalog replay example.org/tool:v1.0 --output replay\ncd replay && reach emerge\n",
        "\ntool  build.out  -\n",
    ] {
        assert!(shown.contains(text), "{text:?} is missing in\n{shown}");
    }
}

/// Whoever has only minisign can verify the document by hand.
#[test]
#[ignore = "needs minisign: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
fn minisign_verifies_the_document() {
    let (server, author) = founded();
    for (name, bytes) in liars::files(&server) {
        author.write(&name, &bytes);
    }
    let mut verify = std::process::Command::new("minisign");
    verify.args(["-V", "-m", "catalog.json", "-p", "author.pub"]).current_dir(author.path("."));
    let output = verify.output().expect("install minisign");
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("larder:1 scope=example.org/tool/** serial=3"),
        "{output:?}"
    );
}

/// Clients of TUF read the roots, and find each signed as the one before requires.
#[test]
#[ignore = "needs python3 and its package tuf: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn python_tuf_verifies_the_roots() {
    let (server, author) = founded();
    author.key("new");
    author.catalog(&server, &format!("rotate {NAME} -k author.key --new new.key")).ok();
    for (name, bytes) in liars::files(&server) {
        author.write(&name, &bytes);
    }
    let script = "from tuf.api.metadata import Metadata, Root\n\
                  one, two = (Metadata[Root].from_file(f'metadata/{n}.root.json') for n in (1, 2))\n\
                  one.verify_delegate('root', one)\n\
                  one.verify_delegate('root', two)\n\
                  two.verify_delegate('root', two)\n\
                  print(one.signed.version, two.signed.version)";
    let mut python = std::process::Command::new("python3");
    let output = python.args(["-c", script]).current_dir(author.path(".")).output().expect("install python3");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1 2\n", "{output:?}");
}
