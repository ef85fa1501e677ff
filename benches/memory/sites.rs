//! Sites of very many files: what a server holds that is asked for one version after the other.

use std::fmt::Write as _;
use std::fs;

use bytes::Bytes;
use larder::domain::Digest;
use reqwest::{Client, StatusCode};

use super::client;
use super::support::{QUIET, Server, directory};

/// Versions that are asked for.
const VERSIONS: u64 = 7;
/// Different contents of the files.
const CONTENTS: u64 = 1000;
/// The host of a version, without its number.
const HOST: &str = "site.preview.test";
const CONFIGURATION: &str = "[server]\napi_hosts = [\"127.0.0.1\"]\n\
     [[sites]]\nid = \"site\"\nhosts = [\"site.test\"]\nname = \"bench/site\"\n\
     [sites.previews]\ndomain = \"preview.test\"\nread = \"public\"\n";

/// Publishes versions of a site with so many files, each with other contents, and reads a page of each on a server that has
/// read none before. Prints what it holds after each.
pub(crate) async fn read_all(files: u64) {
    let directory = directory();
    let configuration = directory.path().join("larder.toml");
    fs::write(&configuration, CONFIGURATION).expect("a configuration");
    let data = directory.path().join("data");
    let limits = [("LARDER__LIMITS__ARTIFACTS", "1000000"), ("LARDER__LIMITS__MANIFEST_SIZE", "32MiB")];
    let configured = ("LARDER_CONFIG", configuration.to_str().expect("a path in UTF-8"));
    let start = || Server::start_with(&data, &[&limits[..], &[configured, QUIET]].concat());
    let server = start();
    let before = server.status("VmRSS");
    let size = publish(&server, files).await;
    let most = server.status("VmHWM") >> 10;
    println!(
        "{VERSIONS} publishes of a site of {files} files (manifest of {} KiB): {} MiB idle, {most} MiB at its highest",
        size >> 10,
        before >> 10
    );
    drop(server);
    let server = start();
    let client = client();
    print_memory(&server, "idle");
    for version in 1..=VERSIONS {
        read(&client, &server, version).await;
        print_memory(&server, &format!("after a page of version {version}"));
    }
}

fn print_memory(server: &Server, when: &str) {
    let [now, most] = ["VmRSS", "VmHWM"].map(|key| server.status(key) >> 10);
    println!("resident memory {when}: {now} MiB, {most} MiB at its highest");
}

/// Publishes all versions, and returns the size of the last manifest.
async fn publish(server: &Server, files: u64) -> usize {
    let client = client();
    let contents: Vec<Bytes> = (0..CONTENTS).map(|number| Bytes::from(format!("content {number:08}"))).collect();
    let digests: Vec<Digest> = contents.iter().map(|content| Digest::of(content)).collect();
    for (digest, content) in digests.iter().zip(&contents) {
        let url = format!("{}/blobs/{digest}", server.url);
        let response = client.put(url).bearer_auth(&server.token).body(content.clone()).send().await;
        assert!(response.expect("an upload").status().is_success());
    }
    let mut size = 0;
    for version in 0..VERSIONS {
        let mut manifest = String::from("{\"kind\":\"static\",\"entrypoint\":\"page-00000000.html\",\"artifacts\":[");
        for file in 0..files {
            let directory = if file == 0 { String::new() } else { format!("docs/section-{}/", file % 1000) };
            let digest = digests[usize::try_from((file + version) % CONTENTS).expect("few")];
            let comma = if file == 0 { "" } else { "," };
            let _ = write!(
                manifest,
                "{comma}{{\"name\":\"{directory}page-{file:08}.html\",\"blob\":\"{digest}\",\"size\":16,\"media_type\":\"text/html; charset=utf-8\"}}"
            );
        }
        manifest.push_str("]}");
        size = manifest.len();
        let url = format!("{}/manifests/bench/site", server.url);
        let response = client.put(url).bearer_auth(&server.token).body(manifest).send().await.expect("a publish");
        assert_eq!(response.status(), StatusCode::CREATED, "{:?}", response.text().await);
    }
    size
}

async fn read(client: &Client, server: &Server, version: u64) {
    let page = client.get(format!("{}/docs/section-7/page-00000007", server.url));
    let response = page.header("host", format!("v{version}-{HOST}")).send().await.expect("a page");
    assert_eq!(response.status(), StatusCode::OK);
}
