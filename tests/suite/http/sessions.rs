//! Publishing in three steps.

use larder::domain::Digest;
use reqwest::Method;
use serde_json::json;

use crate::support::server::{TestServer, manifest, send};

const FILES: [(&str, &[u8]); 2] = [("a.zip", b"aaa"), ("b.zip", b"bbbb")];

#[tokio::test]
async fn prepare_upload_commit() {
    let server = TestServer::start().await;
    server.put_blob(b"aaa").await;
    let answer = server.post("/sessions/main", &manifest(&FILES)).await.expect(201);
    assert_eq!(answer.header("location"), "/sessions/main@1");
    let body = answer.json();
    assert_eq!(body["missing"], json!([Digest::of(b"bbbb")]));
    assert_eq!(body["state"], "prepared");
    server.get("/manifests/main").await.expect(404);
    server.get("/manifests/main@1").await.expect(404);

    let problem = server.put("/sessions/main@1", "").await.problem(409, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(problem["missing"], json!([Digest::of(b"bbbb")]));
    server.put_blob(b"bbbb").await;
    let session = send(server.request(Method::GET, "/sessions/main@1")).await.expect(200).json();
    assert_eq!((&session["missing"], &session["state"]), (&json!([]), &json!("prepared")));

    let receipt = server.put("/sessions/main@1", "").await.expect(201).json();
    assert_eq!((&receipt["state"], &receipt["version"]), (&json!("active"), &json!(1)));
    server.get("/manifests/main").await.expect(200);
    let again = server.put("/sessions/main@1", "").await.expect(200).json();
    assert_eq!(again["unchanged"], true);
}

#[tokio::test]
async fn a_session_can_be_staged_or_given_up() {
    let server = TestServer::start().await;
    server.publish("main", &FILES).await;
    server.post("/sessions/main", &manifest(&FILES[..1])).await.expect(201);
    let receipt = server.put("/sessions/main@2?activate=false", "").await.expect(201).json();
    assert_eq!(receipt["state"], "ready");
    server.put_blob(b"other").await;
    server.post("/sessions/main", &manifest(&[("o", b"other")])).await.expect(201);
    server.delete("/sessions/main@3").await.expect(204);
    let gone = server.put("/sessions/main@3", "").await.problem(404, "VERSION_UNKNOWN");
    assert!(gone["detail"].as_str().unwrap().contains("begin a new one"), "{gone}");
    server.delete("/sessions/main@3").await.expect(404);
    server.delete("/sessions/main@1").await.problem(409, "VERSION_STATE");
    server.put("/sessions/main@99", "").await.expect(404);
    server.put("/sessions/other@1", "").await.expect(404);
    server.put("/sessions/main@active", "").await.problem(400, "SELECTOR_INVALID");
    let history = server.get("/versions/main").await.json();
    assert_eq!(history["versions"].as_array().unwrap().len(), 2, "an aborted session leaves no version");
}

#[tokio::test]
async fn what_is_active_already_needs_no_session() {
    let server = TestServer::start().await;
    server.publish("main", &FILES).await;
    let receipt = server.post("/sessions/main", &manifest(&FILES)).await.expect(200).json();
    assert_eq!((&receipt["unchanged"], &receipt["version"]), (&json!(true), &json!(1)));
}

#[tokio::test]
async fn a_precondition_holds_at_the_commit_too() {
    let server = TestServer::start().await;
    server.publish("main", &FILES).await;
    let etag = server.get("/manifests/main").await.header("etag").to_owned();
    server.put_blob(b"mine").await;
    let prepare = server.request(Method::POST, "/sessions/main").header("if-match", &etag);
    send(prepare.body(manifest(&[("m", b"mine")]).to_string())).await.expect(201);
    server.publish("main", &[("t", b"theirs")]).await;
    let commit = send(server.request(Method::PUT, "/sessions/main@2").header("if-match", &etag)).await;
    commit.problem(412, "PRECONDITION_FAILED");
    server.put("/sessions/main@2", "").await.expect(201);
}

#[tokio::test]
async fn a_size_that_is_wrong_is_found_at_the_commit() {
    let server = TestServer::start().await;
    let digest = server.put_blob(b"there").await;
    let document = json!({"artifacts": [{"name": "a", "blob": digest, "size": 4}]});
    let session = server.post("/sessions/main", &document).await.expect(201).json();
    assert_eq!(session["missing"], json!([digest]), "uploading it again would heal a damaged store");
    server.put(&format!("/blobs/{digest}"), "there").await.expect(200);
    let problem = server.put("/sessions/main@1", "").await.problem(409, "SIZE_INVALID");
    assert_eq!(problem["wrong_size"][0]["actual"], 5);
    server.delete("/sessions/main@1").await.expect(204);
}

#[tokio::test]
async fn asking_for_a_session_twice_gives_the_same_one() {
    let server = TestServer::start().await;
    for _ in 0..2 {
        let session = server.post("/sessions/main", &manifest(&FILES)).await.expect(201).json();
        assert_eq!(session["location"], "/sessions/main@1");
        assert_eq!(session["missing"].as_array().unwrap().len(), 2);
    }
    let other = server.post("/sessions/main", &manifest(&FILES[..1])).await.expect(201).json();
    assert_eq!(other["version"], 2);
}

#[tokio::test]
async fn an_import_says_where_it_comes_from() {
    let server = TestServer::start().await;
    server.put_blob(b"aaa").await;
    let files = &FILES[..1];
    for bad in ["from_url=file:///etc", "from_url=https://user:secret@h/", "from_url=https://h/?token=1", "from_name=x"]
    {
        server.post(&format!("/sessions/main?{bad}"), &manifest(files)).await.problem(400, "QUERY_INVALID");
    }
    let origin = "from_url=https://old.example.org/v1&from_published_at=2025-10-01T10:00:00Z";
    server.post(&format!("/sessions/main?{origin}"), &manifest(files)).await.expect(201);
    server.put("/sessions/main@1", "").await.expect(201);
    let from = json!({"url": "https://old.example.org/v1", "published_at": "2025-10-01T10:00:00Z"});
    assert_eq!(server.get("/versions/main@1").await.json()["from"], from);
    // A copy does not say which name it was made from: that one may be private.
    server.post("/versions/main@1/copy", &json!({"to": "other"})).await.expect(201);
    assert_eq!(server.get("/versions/other@1").await.json()["from"], json!(null));
}
