//! What `docs/releases.md` says works as it stands there.

use std::fs;

use larder::config::load;
use larder::domain::policy::Labels;

use crate::readme::{blocks, commands_exist, transcript};
use crate::support::process::free_port;

const DOCS: &str = include_str!("../../docs/releases.md");

#[test]
fn the_policies_in_the_docs_say_what_the_docs_say() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let rules: Vec<_> = blocks(DOCS, "toml").into_iter().rev().collect();
    assert_eq!(rules.len(), 2);
    fs::write(file.path(), rules.join("\n")).unwrap();
    let policies = load(Some(file.path()), []).unwrap().policies();
    let beta = policies.of(&"tool/beta".parse().unwrap());
    assert_eq!((beta.labels, beta.follow.len(), beta.keep_labels.len()), (Labels::Once, 1, 1));
    assert_eq!(beta.follow[0].as_str(), "tool/stable");
}

#[test]
fn a_rule_that_follows_is_for_a_single_name() {
    for (rule, problem) in [
        ("match = ['tool/*']\nfollow = ['tool/stable']", "follow is for one name"),
        ("match = ['a', 'b']\nfollow = ['tool/stable']", "follow is for one name"),
        ("match = ['a']\nfollow = ['a']", "a cannot follow itself"),
        ("match = ['a']\nfollow = ['b', 'c', 'd', 'e', 'f']", "a follows more than 4 names"),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("[[names]]\n{rule}\n")).unwrap();
        let error = load(Some(file.path()), []).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn the_commands_in_the_docs_exist() {
    assert!(commands_exist(DOCS, &["sh walkthrough"]) >= 8);
}

#[test]
#[ignore = "needs bash and curl: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn the_commands_in_the_docs_work_as_they_stand_there() {
    let blocks = blocks(DOCS, "sh walkthrough");
    assert_eq!(blocks.len(), 2);
    let shown = transcript(&blocks.join("\n").replace(":8080", &format!(":{}", free_port())));
    let versions: Vec<_> = shown.lines().filter_map(|line| line.strip_prefix("the tool, ")).collect();
    assert_eq!(versions, ["v1.4.0", "v1.4.1", "v1.4.1", "v2.0.0-rc.1", "v1.4.1", "v1.4.1"], "{shown}");
    assert!(shown.contains("tool@2"), "{shown}");
}
