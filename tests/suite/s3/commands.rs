//! The binary on a bucket: a server, and the commands that look at a store.

use std::fs;
use std::path::Path;

use larder::domain::Digest;
use serde_json::json;
use tempfile::TempDir;

use crate::support::ceph::Ceph;
use crate::support::process::{Larder, Running, larder, until};
use crate::support::s3::S3Model;
use larder::store::s3::S3Settings;

const TOKEN: &str = "larder_a-token-for-tests-only";

/// A configuration for this bucket, and no credentials in it.
pub(super) fn configure(directory: &Path, settings: &S3Settings) {
    let digest = Digest::of(TOKEN.as_bytes()).to_string();
    let text = format!(
        "[store]\ntype = \"s3\"\nbucket = {:?}\nprefix = {:?}\nendpoint = {:?}\ngive_up_after = \"3s\"\n\n\
         [[access.tokens]]\nid = \"test\"\nsha256 = {:?}\nactions = [\"admin\"]\n",
        settings.bucket,
        settings.prefix,
        settings.endpoint.as_deref().unwrap(),
        digest.trim_start_matches("sha256:"),
    );
    fs::write(directory.join("larder.toml"), text).unwrap();
}

/// A command that finds its credentials where the SDK looks for them.
pub(super) fn on_bucket(directory: &Path, settings: &S3Settings, arguments: &str) -> Larder {
    let key = settings.access_key.as_ref().unwrap();
    larder(arguments)
        .arg("--config")
        .arg(directory.join("larder.toml"))
        .env("AWS_ACCESS_KEY_ID", &key.id)
        .env("AWS_SECRET_ACCESS_KEY", &key.secret)
        .env("AWS_EC2_METADATA_DISABLED", "true")
}

pub(super) fn url_of(server: &Running) -> String {
    until("the server is ready", || server.stdout().contains("\"url\""));
    let announced: serde_json::Value = serde_json::from_str(server.stdout().trim()).unwrap();
    announced["url"].as_str().unwrap().to_owned()
}

/// Publishes through one server, reads through another, collects and verifies.
fn lives_in_a_bucket(settings: &S3Settings) {
    let directory = TempDir::new().unwrap();
    let directory = directory.path();
    configure(directory, settings);
    let serve = || on_bucket(directory, settings, "serve --json --listen 127.0.0.1:0").start();
    let (one, other) = (serve(), serve());
    let (one_url, other_url) = (url_of(&one), url_of(&other));
    fs::create_dir(directory.join("files")).unwrap();
    fs::write(directory.join("files/small"), "small").unwrap();
    fs::write(directory.join("files/large"), vec![b'x'; 11 << 20]).unwrap();
    let talk = |url: &str, arguments: &str| larder(arguments).env("LARDER_SERVER", url).env("LARDER_TOKEN", TOKEN);
    talk(&one_url, "publish main").arg(directory.join("files")).ok();
    fs::create_dir(directory.join("fetched")).unwrap();
    talk(&other_url, "fetch main").within(&directory.join("fetched")).ok();
    assert_eq!(fs::read(directory.join("fetched/small")).unwrap(), b"small");
    assert_eq!(fs::read(directory.join("fetched/large")).unwrap(), vec![b'x'; 11 << 20]);
    on_bucket(directory, settings, "collect --once").ok();
    let totals = on_bucket(directory, settings, "verify --json").ok().json()["totals"].clone();
    assert_eq!((&totals["names"], &totals["blobs"], &totals["findings"]), (&json!(1), &json!(3), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_and_commands_work_on_a_bucket() {
    let model = S3Model::start().await;
    let settings = model.settings();
    tokio::task::spawn_blocking(move || lives_in_a_bucket(&settings)).await.unwrap();
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn servers_and_commands_work_on_a_real_engine() {
    let ceph = Ceph::start().await;
    let settings = ceph.settings();
    tokio::task::spawn_blocking(move || lives_in_a_bucket(&settings)).await.unwrap();
    ceph.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_does_not_start_on_a_bucket_that_is_not_there() {
    let model = S3Model::start().await;
    model.quirks(|quirks| quirks.without_bucket = true);
    let settings = model.settings();
    let serve = move || {
        let directory = TempDir::new().unwrap();
        configure(directory.path(), &settings);
        on_bucket(directory.path(), &settings, "serve --listen 127.0.0.1:0").exits(1).says("store.bucket");
    };
    tokio::task::spawn_blocking(serve).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_credentials_says_so() {
    let model = S3Model::start().await;
    let settings = model.settings();
    let serve = move || {
        let directory = TempDir::new().unwrap();
        configure(directory.path(), &settings);
        let serve = larder("serve --listen 127.0.0.1:0 --config").arg(directory.path().join("larder.toml"));
        serve.env("AWS_EC2_METADATA_DISABLED", "true").exits(1).says("no credentials");
    };
    tokio::task::spawn_blocking(serve).await.unwrap();
}
