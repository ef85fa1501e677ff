//! What the distribution specification asks for, each way of doing it, as its conformance program checks it at 1.1 and on
//! its main branch.

mod blobs;
mod contents;
mod errors;
mod sha512;

use serde_json::json;

use super::registry::{Registry, refused};
use crate::support::server::{TestServer, send};

#[tokio::test]
async fn the_first_request_says_how_to_log_in() {
    let server = TestServer::start().await;
    for path in ["/v2/", "/v2"] {
        let registry = Registry::of(&server);
        assert_eq!(registry.get(path).await.expect(200).json(), json!({}));
        let refusal = registry.anonymous().get(path).await;
        let challenge = refusal.header("www-authenticate").to_owned();
        refused(refusal, 401, "UNAUTHORIZED");
        let expected = format!("Bearer realm=\"http://{0}/v2/token\",service=\"{0}\"", server.address);
        assert_eq!(challenge, expected);
    }
}

#[tokio::test]
async fn a_repository_that_nobody_pushed_to_has_no_tags_and_no_referrers() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server).anonymous();
    refused(registry.get("/v2/nobody/here/tags/list").await, 404, "NAME_UNKNOWN");
    let digest = larder::domain::Digest::of(b"nothing");
    assert!(registry.referrers("nobody/here", digest, "").await.is_empty());
    refused(registry.get("/v2/nobody/here/referrers/sha256:x").await, 400, "DIGEST_INVALID");
    let catalog = registry.get("/v2/_catalog").await.expect(200).json();
    assert_eq!(catalog, json!({"repositories": []}));
}

#[tokio::test]
async fn other_surfaces_keep_their_own_errors() {
    let server = TestServer::start().await;
    send(server.anonymous(reqwest::Method::GET, "/manifests/nobody/here")).await.problem(404, "MANIFEST_UNKNOWN");
}
