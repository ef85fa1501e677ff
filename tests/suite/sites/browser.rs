//! A site in a real browser, open while it is published and rolled back.

use std::path::Path;
use std::process::Command;

use super::{ADMIN, READER, Sites};

#[tokio::test]
#[ignore = "needs chromium, node and `npm ci` in tests/browser: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
async fn an_open_tab_survives_a_publish_and_a_rollback() {
    let sites = Sites::with(|config| {
        let rule = "match = ['acme/**']\nearlier_files = { for = '7days' }";
        config.names.push(toml::from_str(rule).unwrap());
    })
    .await;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let mut node = Command::new("node");
    node.arg("sites.mjs").current_dir(directory);
    node.env("LARDER_URL", sites.0.url("")).env("LARDER_TOKEN", ADMIN).env("LARDER_READER", READER);
    let output = tokio::task::spawn_blocking(move || node.output()).await.unwrap().expect("node runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}
