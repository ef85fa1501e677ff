//! What other programs get when they use the client alone.

use std::process::Command;

use super::{read, root};

/// What the client must not drag in: the server's parts, and everything of the S3 SDK.
const SERVER_ONLY: [&str; 8] = ["axum", "clap", "maud", "metrics", "moka", "toml", "tracing-subscriber", "aws-"];

/// The crates that the library is built from with these arguments, without what tests need.
fn tree(arguments: &[&str]) -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none", "--format", "{lib}"]);
    let output = cargo.args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut crates: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.trim_end_matches(" (*)").replace('_', "-"))
        .collect();
    crates.sort();
    crates.dedup();
    crates
}

#[test]
fn the_client_alone_drags_in_neither_the_server_nor_the_sdk_of_s3() {
    let (client, all) = (tree(&["--no-default-features", "--features", "client"]), tree(&[]));
    for name in SERVER_ONLY {
        let of = |crates: &[String]| crates.iter().filter(|found| found.starts_with(name)).cloned().collect::<Vec<_>>();
        assert_eq!(of(&client), Vec::<String>::new(), "the client needs {name}");
        assert!(!of(&all).is_empty(), "nothing needs {name}");
    }
    assert!(client.contains(&"reqwest".to_owned()) && client.len() < all.len(), "{}", client.len());
}

#[test]
fn the_checks_build_the_client_alone() {
    assert!(read(".ci/run").contains(" --no-default-features --features client --lib --examples "));
}
