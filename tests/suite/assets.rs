//! Flat paths: the clients in the field that read them, and the workflow that publishes to them.

mod bad_days;
mod docs;
mod drafts;
mod moving;
mod processes;
mod publishing;
mod reading;

use bytes::Bytes;
use larder::config::{Config, Token};
use larder::domain::Digest;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{Answer, TestServer, send};

/// The token that the workflow has; it reaches nothing but the flat paths.
const TOKEN: &str = "the token of the old workflow";

/// The configuration that an operator would write.
const PATHS: &str = r#"
    deprecated = 2026-01-01T00:00:00Z
    sunset = 2027-01-01T00:00:00Z
    [[paths]]
    prefix = "release/miren"
    name = "miren/{channel}"
    [[paths]]
    prefix = "release/runtime"
    name = "miren/{channel}"
    aliases = { "runtime-" = "miren-", "release-linux-" = "miren-base-linux-" }
    [[paths]]
    prefix = "release/main"
    name = "miren/main"
    aliases = { "release-linux-" = "miren-base-linux-" }
    [[paths]]
    name = "miren/_root"
    commit = "each_put"
"#;

fn flat(config: &mut Config) {
    config.assets = toml::from_str(PATHS).unwrap();
    let token = format!(
        "id = 'workflow'\nsha256 = '{}'\nactions = ['publish']\nnames = ['miren/**']\nsurfaces = ['assets']",
        Digest::of(TOKEN.as_bytes()).hex()
    );
    config.access.tokens.push(toml::from_str::<Token>(&token).unwrap());
}

async fn start() -> TestServer {
    TestServer::with(|config| {
        flat(config);
        admin(config);
    })
    .await
}

/// With tokens configured there is none of the server's own.
fn admin(config: &mut Config) {
    let token = format!("id = 'operator'\nsha256 = '{}'\nactions = ['admin']", Digest::of(ADMIN.as_bytes()).hex());
    config.access.tokens.push(toml::from_str::<Token>(&token).unwrap());
}

const ADMIN: &str = "the token of the operator";

/// The files of one build.
fn build(seed: &str) -> Vec<(String, Bytes)> {
    let names = [
        "miren-base-linux-amd64.tar.gz",
        "miren-base-linux-arm64.tar.gz",
        "miren-linux-amd64.zip",
        "miren-linux-arm64.zip",
        "miren-darwin-amd64.zip",
        "miren-darwin-arm64.zip",
        "docker-compose.yml",
    ];
    names.iter().map(|name| ((*name).to_owned(), Bytes::from(format!("{name} of {seed}").repeat(50)))).collect()
}

/// A `version.json` of these files; the workflow lists all but the last.
fn listing(version: &str, files: &[(String, Bytes)]) -> String {
    let artifact = |(name, bytes): &(String, Bytes)| {
        let (platform, arch) = if name.contains("darwin") { ("darwin", "arm64") } else { ("linux", "amd64") };
        json!({"name": name, "sha256": Digest::of(bytes).hex(), "size": bytes.len(), "platform": platform, "arch": arch})
    };
    let artifacts: Vec<Value> = files.iter().filter(|(name, _)| !name.ends_with("yml")).map(artifact).collect();
    // By hand, because the order of its members is what some clients rely on.
    format!(
        "{{\n  \"version\": \"{version}\",\n  \"commit\": \"abc1234\",\n  \"branch\": \"main\",\n  \
         \"build_date\": \"2026-05-27T10:00:00Z\",\n  \"artifacts\": {}\n}}\n",
        json!(artifacts)
    )
}

fn sum(name: &str, bytes: &[u8]) -> String {
    format!("{}  ./dist/{name}\n", Digest::of(bytes).hex())
}

/// A form with one part, as `curl -F file=@…` sends it.
fn form(boundary: &str, filename: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    [head.as_bytes(), bytes, format!("\r\n--{boundary}--\r\n").as_bytes()].concat()
}

fn as_form(server: &TestServer, method: Method, path: &str, bytes: &[u8]) -> reqwest::RequestBuilder {
    let boundary = "------------------------d74496d66958873e";
    let request = server.anonymous(method, path).bearer_auth(TOKEN);
    let request = request.header("content-type", format!("multipart/form-data; boundary={boundary}"));
    request.body(form(boundary, "other-name.bin", bytes))
}

/// Puts a file as the workflow does.
async fn put(server: &TestServer, path: &str, bytes: &[u8]) -> Answer {
    send(as_form(server, Method::PUT, path, bytes)).await
}

/// What the workflow puts for these channels, in its order.
fn puts(channels: &[&str], version: &str, files: &[(String, Bytes)]) -> Vec<(String, Vec<u8>)> {
    let mut puts = Vec::new();
    for (name, bytes) in files {
        let paths =
            |name: &str| channels.iter().map(|c| format!("/assets/release/miren/{c}/{name}")).collect::<Vec<_>>();
        puts.extend(paths(name).into_iter().map(|path| (path, bytes.to_vec())));
        let sum = sum(name, bytes).into_bytes();
        puts.extend(paths(&format!("{name}.sha256")).into_iter().map(|path| (path, sum.clone())));
    }
    let listing = listing(version, files).into_bytes();
    puts.extend(channels.iter().map(|c| (format!("/assets/release/miren/{c}/version.json"), listing.clone())));
    puts
}

/// Publishes one build to one channel.
async fn publish(server: &TestServer, channel: &str, version: &str) -> Vec<(String, Bytes)> {
    let files = build(version);
    for (path, bytes) in puts(&[channel], version, &files) {
        let answer = put(server, &path, &bytes).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
    }
    files
}

/// What an installed client does with a channel: it compares the file with its `.sha256`.
async fn upgrade(server: &TestServer, channel: &str, file: &str) -> (Value, Vec<u8>) {
    let base = format!("/assets/release/miren/{channel}");
    let version = server.get(&format!("{base}/version.json")).await.expect(200).json();
    let sum = server.get(&format!("{base}/{file}.sha256")).await.expect(200).text();
    let bytes = server.get(&format!("{base}/{file}")).await.expect(200);
    assert_eq!(sum.split(' ').next().unwrap(), Digest::of(&bytes.body).hex());
    (version, bytes.body)
}
