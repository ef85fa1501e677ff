//! Refs: redirects that people can curl.

use serde_json::json;

use crate::support::server::TestServer;

#[tokio::test]
async fn a_ref_redirects_to_the_blob_of_the_current_version() {
    let server = TestServer::start().await;
    server.publish("miren/main", &[("miren linux.tar.gz", b"one"), ("b", b"two")]).await;
    let answer = server.get("/refs/miren/main/miren%20linux.tar.gz").await.expect(307);
    let location = answer.header("location").to_owned();
    assert!(location.starts_with("/blobs/sha256:") && location.ends_with("/miren%20linux.tar.gz"), "{location}");
    assert_eq!(answer.text(), format!("{location}\n"));
    assert_eq!(answer.header("cache-control"), "no-cache, no-transform");
    assert_eq!(answer.header("link"), "</manifests/miren/main@1>; rel=\"describedby\"");
    assert!(!answer.headers.contains_key("repr-digest"));
    let blob = server.get(&location).await.expect(200);
    assert_eq!((blob.text().as_str(), blob.header("content-type")), ("one", "application/gzip"));
    let head = server.head("/refs/miren/main/b").await.expect(307);
    assert!(head.body.is_empty());
    server.publish("miren/main", &[("b", b"three")]).await;
    server.get("/refs/miren/main/miren%20linux.tar.gz").await.problem(404, "FILE_UNKNOWN");
    let old = server.get("/refs/miren/main@1/b").await.expect(307);
    assert!(old.header("cache-control").contains("immutable"));
}

#[tokio::test]
async fn a_file_in_a_directory_is_reached_behind_a_selector() {
    let server = TestServer::start().await;
    server.put_blob(b"js").await;
    server.put_blob(b"html").await;
    let document = json!({"kind": "static", "entrypoint": "index.html", "artifacts": [
        {"name": "index.html", "blob": larder::domain::Digest::of(b"html"), "size": 4},
        {"name": "assets/app.js", "blob": larder::domain::Digest::of(b"js"), "size": 2},
    ]});
    server.put("/manifests/site", document.to_string()).await.expect(201);
    let location = server.get("/refs/site@active/assets/app.js").await.expect(307).header("location").to_owned();
    assert!(location.ends_with("/app.js"));
    server.get("/refs/site/assets/app.js").await.problem(404, "MANIFEST_UNKNOWN");
    server.get("/refs/site/index.html").await.expect(307);
    server.get("/refs/site").await.problem(400, "NAME_INVALID");
}

#[tokio::test]
async fn untrusted_html_cannot_run_in_our_origin() {
    let server = TestServer::start().await;
    server.publish("main", &[("page.html", b"<script>alert(1)</script>")]).await;
    let location = server.get("/refs/main/page.html").await.header("location").to_owned();
    let answer = server.get(&location).await.expect(200);
    assert!(answer.header("content-disposition").starts_with("attachment"));
    assert_eq!(answer.header("content-security-policy"), "default-src 'none'; sandbox; frame-ancestors 'none'");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let digest = location.rsplit_once('/').unwrap().0;
    server.get(&format!("{digest}?name=..%2Fx")).await.problem(400, "QUERY_INVALID");
    server.get(&format!("{digest}?name=a%0d%0aset-cookie:x")).await.problem(400, "QUERY_INVALID");
}
