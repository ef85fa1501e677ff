//! The pages in a real browser: what is clicked, copied, typed, heard and seen.

use std::path::Path;
use std::process::Command;

use crate::support::server::TestServer;

#[tokio::test]
#[ignore = "needs chromium, node and `npm ci` in tests/browser: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
async fn people_can_use_the_pages() {
    let server = TestServer::with(super::pages::keep_private).await;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let mut node = Command::new("node");
    node.arg("pages.mjs").current_dir(directory);
    node.env("LARDER_URL", server.url("")).env("LARDER_TOKEN", &server.token);
    let output = tokio::task::spawn_blocking(move || node.output()).await.unwrap().expect("node runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}
