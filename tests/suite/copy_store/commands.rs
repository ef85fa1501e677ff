//! `larder copy-store`, the binary.

use std::fs;
use std::path::Path;

use larder::store::s3::S3Settings;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::support::process::{Larder, ServerProcess, larder, until};

/// A server whose collector does not run, with one name in it.
fn serving() -> ServerProcess {
    let server = ServerProcess::after("export LARDER__COLLECTOR__ENABLED=false");
    publish(&server, "one");
    server
}

fn publish(server: &ServerProcess, content: &str) {
    let files = TempDir::new().unwrap();
    fs::write(files.path().join("f"), content).unwrap();
    server.larder("publish main .").within(&files).ok();
}

fn copy(from: &Path, to: &Path, arguments: &str) -> Larder {
    larder(&format!("copy-store {arguments}")).arg(from).arg(to)
}

#[test]
fn a_directory_is_copied_while_it_is_served_and_once_more_for_what_came_last() {
    let (mut server, place) = (serving(), TempDir::new().unwrap());
    let to = place.path().join("copy");
    let first = copy(&server.data, &to, "--json").ok().json();
    let summary = &first["summary"];
    assert_eq!(
        (&summary["finished"], &summary["settled"], &first["findings"]),
        (&json!(true), &json!(true), &json!([]))
    );
    assert_eq!((&summary["copied"]["names"], &summary["copied"]["blobs"]), (&json!(1), &json!(2)));
    publish(&server, "two");
    server.kill();
    let last = copy(&server.data, &to, "").ok().says("if servers still write to FROM");
    assert!(last.stdout.contains("copied 2 blobs") && last.stdout.contains("TO is complete"), "{last:#?}");
    assert!(larder("verify --data").arg(&to).ok().stdout.contains("1 names, 2 versions"));
    let nothing = copy(&server.data, &to, "--verify --jobs 2").ok();
    assert!(
        nothing.stdout.contains("copied 0 blobs (0 B) and 0 heads of 0 new names; 6 objects there before"),
        "{nothing:#?}"
    );
}

#[test]
fn damage_has_an_exit_code_and_says_what_to_do() {
    let (mut server, place) = (serving(), TempDir::new().unwrap());
    server.kill();
    let to = place.path().join("copy");
    let digest = Digest::of(b"one");
    let hex = digest.hex().clone();
    let blob = server.data.join(format!("objects/blobs/sha256/{}/{}/{hex}.0", &hex[..2], &hex[2..4]));
    fs::write(&blob, "ONE").unwrap();
    let output = copy(&server.data, &to, "").exits(8).says("--accept-damage");
    assert!(output.stdout.contains(&hex) && output.stdout.contains("not finished"), "{output:#?}");
    larder("serve --listen 127.0.0.1:0 --data").arg(&to).exits(1).says("copy-store");
    larder("verify --data").arg(&to).exits(1).says("run it again");
    let output = copy(&server.data, &to, "--accept-damage --json").exits(8);
    let document: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        (&document["summary"]["finished"], &document["findings"][0]["kind"]),
        (&json!(true), &json!("damaged_blob"))
    );
    larder("verify --data").arg(&to).exits(8);
    fs::write(&blob, "one").unwrap();
    copy(&server.data, &to, "").ok();
    larder("verify --data").arg(&to).ok();
}

#[test]
fn what_cannot_be_copied_is_refused_with_a_reason() {
    let (server, place) = (serving(), TempDir::new().unwrap());
    let to = place.path().join("copy");
    copy(&place.path().join("absent"), &to, "").exits(3).says("There is no store in");
    assert!(!to.exists(), "nothing was made");
    copy(&server.data, &server.data, "").exits(2).says("the same store");
    let other = serving();
    copy(&server.data, &other.data, "").exits(1).says("FROM does not have");
    fs::create_dir_all(place.path().join("full/objects")).unwrap();
    fs::write(place.path().join("full/objects/photo"), "beach").unwrap();
    copy(&server.data, &place.path().join("full"), "").exits(1).says("TO is not empty");
    fs::write(place.path().join("bad.toml"), "[store]\ntype = \"s4\"\n").unwrap();
    copy(&server.data, &place.path().join("bad.toml"), "").exits(2).says("s4");
    larder("copy-store").exits(2);
}

/// A command that finds its credentials where the SDK looks for them.
fn with_credentials(command: Larder, settings: &S3Settings) -> Larder {
    let key = settings.access_key.as_ref().unwrap();
    let command = command.env("AWS_ACCESS_KEY_ID", &key.id).env("AWS_SECRET_ACCESS_KEY", &key.secret);
    command.env("AWS_EC2_METADATA_DISABLED", "true")
}

/// Moves a directory into a bucket, serves that, and makes a directory of it again.
fn moves_to_a_bucket(settings: &S3Settings) {
    let (mut server, place) = (serving(), TempDir::new().unwrap());
    let config = place.path().join("s3.toml");
    let text = format!(
        "[store]\ntype = \"s3\"\nbucket = {:?}\nendpoint = {:?}\n[collector]\nenabled = false\n",
        settings.bucket,
        settings.endpoint.as_deref().unwrap()
    );
    let token = "[[access.tokens]]\nid = \"t\"\nactions = [\"admin\"]\nsha256 = ";
    let digest = Digest::of(b"larder_a-token-for-tests-only").hex().clone();
    fs::write(&config, format!("{text}{token}{digest:?}\n")).unwrap();
    with_credentials(copy(&server.data, &config, ""), settings).ok();
    publish(&server, "two");
    server.kill();
    // What the environment says about one store is not said about two.
    let last = with_credentials(copy(&server.data, &config, "--json"), settings).env("LARDER__STORE__BUCKET", "none");
    assert_eq!(last.ok().json()["summary"]["copied"]["blobs"], json!(2));
    let serve = larder("serve --json --listen 127.0.0.1:0 --config").arg(&config);
    let running = with_credentials(serve, settings).start();
    until("the server is ready", || running.stdout().contains("\"url\""));
    let announced: serde_json::Value = serde_json::from_str(running.stdout().trim()).unwrap();
    let get = larder("get main f").env("LARDER_SERVER", announced["url"].as_str().unwrap());
    assert_eq!(get.ok().stdout, "two");
    drop(running);
    let back = place.path().join("back");
    with_credentials(copy(&config, &back, ""), settings).ok();
    assert!(larder("verify --data").arg(&back).ok().stdout.contains("all is well"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_moves_to_a_bucket_and_back() {
    let model = S3Model::start().await;
    let settings = model.settings();
    tokio::task::spawn_blocking(move || moves_to_a_bucket(&settings)).await.unwrap();
    model.finish().await;
}
