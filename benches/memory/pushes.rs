//! Many pushes of images at once, as container clients make them. The images have layers in common that nobody has
//! pushed before, so that all clients transfer them at the same time.

use std::time::{Duration, Instant};

use bytes::Bytes;
use larder::domain::Digest;
use reqwest::{Client, Response, StatusCode};
use serde_json::json;

use super::support::Server;
use super::{Content, client, filling};

/// Layers that all images have in common.
pub(crate) const SHARED: u64 = 3;
/// Layers that each image has besides.
pub(crate) const OWN: u64 = 2;
/// What is above the number of every image.
const OWN_SEEDS: u64 = 1 << 32;

/// Pushes images with layers of this size, all at once, each into a repository of its own.
pub(crate) async fn push_all(server: &Server, pushes: u64, size: u64) -> Duration {
    let (client, filling) = (client(), filling());
    let layers = async |seeds: std::ops::Range<u64>| {
        let mut layers = Vec::new();
        for seed in seeds {
            let content = Content::new(seed, size, &filling);
            layers.push((content.digest().await, content));
        }
        layers
    };
    let shared = layers(0..SHARED).await;
    let mut images = Vec::new();
    for image in 0..pushes {
        let first = OWN_SEEDS + image * OWN;
        images.push([shared.clone(), layers(first..first + OWN).await].concat());
    }
    let began = Instant::now();
    let pushes = images.into_iter().enumerate().map(|(at, layers)| push(&client, server, at, layers));
    futures_util::future::join_all(pushes).await;
    began.elapsed()
}

async fn push(client: &Client, server: &Server, at: usize, layers: Vec<(Digest, Content)>) {
    let repository = format!("{}/v2/team/app-{at}", server.url);
    let config = Bytes::from(format!("{{\"image\":{at}}}"));
    let describe = |digest: Digest, size: u64, kind: &str| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest.to_string(), "size": size});
    let described =
        layers.iter().map(|(digest, content)| describe(*digest, content.size, "layer.v1.tar")).collect::<Vec<_>>();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": described,
        "config": describe(Digest::of(&config), config.len() as u64, "config.v1+json"),
    });
    for (digest, content) in layers {
        push_blob(client, server, &repository, digest, content.body()).await;
    }
    push_blob(client, server, &repository, Digest::of(&config), config.into()).await;
    let request = client.put(format!("{repository}/manifests/latest")).bearer_auth(&server.token);
    let request = request.header("content-type", "application/vnd.oci.image.manifest.v1+json");
    expect(request.body(manifest.to_string()).send().await, StatusCode::CREATED);
}

/// Asks for a blob and, unless it is there, begins an upload, sends the bytes without a length, and completes it.
async fn push_blob(client: &Client, server: &Server, repository: &str, digest: Digest, body: reqwest::Body) {
    let authorized = |request: reqwest::RequestBuilder| request.bearer_auth(&server.token);
    let there = authorized(client.head(format!("{repository}/blobs/{digest}"))).send().await.expect("an answer");
    if there.status() == StatusCode::OK {
        return;
    }
    let begun = authorized(client.post(format!("{repository}/blobs/uploads/"))).send().await;
    let upload = location(server, &expect(begun, StatusCode::ACCEPTED));
    let sent = expect(authorized(client.patch(upload)).body(body).send().await, StatusCode::ACCEPTED);
    let upload = location(server, &sent);
    let mark = if upload.contains('?') { '&' } else { '?' };
    let completed = authorized(client.put(format!("{upload}{mark}digest={digest}"))).header("content-length", 0);
    expect(completed.send().await, StatusCode::CREATED);
}

fn expect(response: reqwest::Result<Response>, status: StatusCode) -> Response {
    let response = response.expect("an answer");
    assert_eq!(response.status(), status, "{}", response.url());
    response
}

fn location(server: &Server, response: &Response) -> String {
    let location = response.headers()["location"].to_str().expect("text");
    if location.starts_with('/') { format!("{}{location}", server.url) } else { location.to_owned() }
}
