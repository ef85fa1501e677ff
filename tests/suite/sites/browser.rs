//! Sites in a real browser, open while they are published and rolled back.

use std::path::Path;
use std::process::Command;

use super::{ADMIN, READER, Sites};

/// Runs one of the programs in `tests/browser` against a site whose earlier files stay in reach.
async fn drive(node: &mut Command, program: &str) {
    let sites = Sites::with(|config| {
        let rule = "match = ['acme/**']\nearlier_files = { for = '7days' }";
        config.names.push(toml::from_str(rule).unwrap());
    })
    .await;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    node.arg(program).current_dir(directory);
    node.env("LARDER_URL", sites.0.url("")).env("LARDER_TOKEN", ADMIN).env("LARDER_READER", READER);
    let mut child =
        node.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("node");
    child.stdin.take();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().expect("node runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}

#[tokio::test]
#[ignore = "needs chromium, node and `npm ci` in tests/browser: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
async fn an_open_tab_survives_a_publish_and_a_rollback() {
    drive(&mut Command::new("node"), "sites.mjs").await;
}

#[tokio::test]
#[ignore = "needs chromium, node and `npm ci` in tests/browser: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
async fn an_application_goes_on_behind_its_service_worker() {
    drive(&mut Command::new("node"), "applications.mjs").await;
}

#[tokio::test]
#[ignore = "needs chromium, node and `npm ci` in tests/browser: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
async fn a_site_that_others_have_built_finds_all_of_its_scripts() {
    drive(&mut Command::new("node"), "built.mjs").await;
}
