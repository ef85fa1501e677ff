//! Limits: how much one request may bring.

use larder::domain::Digest;
use serde_json::{Value, json};

use crate::support::server::TestServer;

fn artifacts(count: usize) -> Value {
    let blob = Digest::of(b"x");
    json!({"artifacts": (0..count).map(|at| json!({"name": format!("f{at}"), "blob": blob, "size": 1})).collect::<Vec<_>>()})
}

#[tokio::test]
async fn a_manifest_of_a_hundred_thousand_artifacts_is_refused_by_default() {
    let server = TestServer::start().await;
    server.put_blob(b"x").await;
    server.put("/manifests/main", artifacts(100_000).to_string()).await.problem(413, "SIZE_INVALID");
    let problem = server.put("/manifests/main", artifacts(10_001).to_string()).await.problem(422, "MANIFEST_INVALID");
    assert!(problem["detail"].as_str().unwrap().contains("10001 artifacts"), "{problem}");
    server.put("/manifests/main", artifacts(10_000).to_string()).await.expect(201);
    server.get("/refs/main/f9999").await.expect(307);
}

#[tokio::test]
async fn a_hundred_thousand_artifacts_are_served_where_the_limits_allow_them() {
    let server = TestServer::with(|config| {
        config.limits.artifacts = 100_000;
        config.limits.manifest_size = "32MiB".parse().unwrap();
    })
    .await;
    server.put_blob(b"x").await;
    server.put("/manifests/main", artifacts(100_000).to_string()).await.expect(201);
    server.get("/refs/main/f99999").await.expect(307);
}

#[tokio::test]
async fn a_manifest_over_the_limit_is_refused_whether_or_not_it_says_so() {
    let server = TestServer::with(|config| config.limits.manifest_size = "1KiB".parse().unwrap()).await;
    let text = artifacts(100).to_string();
    server.put("/manifests/main", text.clone()).await.problem(413, "SIZE_INVALID");
    let chunks = text.into_bytes().chunks(500).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    server.put("/manifests/main", body).await.problem(413, "SIZE_INVALID");
}
