//! 410: what was there and is not any more, in every way of asking for it; 404: what never was.

use jiff::Timestamp;
use larder::clock::{Clock as _, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{TestServer, manifest, send};

const FIRST: [(&str, &[u8]); 1] = [("file", b"first")];
const SECOND: [(&str, &[u8]); 1] = [("file", b"second")];

/// Asks for a target in every way that yields bytes, and expects each to be gone. Returns the problem.
async fn gone(server: &TestServer, target: &str, code: &str) -> Value {
    for path in [format!("/refs/{target}/file"), format!("/refs/{target}/never-there")] {
        server.get(&path).await.problem(410, code);
        server.head(&path).await.expect(410);
    }
    let path = format!("/manifests/{target}");
    server.head(&path).await.expect(410);
    let copy = server.post(&format!("/versions/{target}/copy"), &json!({"to": "elsewhere"})).await;
    if target.contains('@') {
        copy.problem(410, code);
    }
    server.get(&path).await.problem(410, code)
}

/// A moment between what happened before and what happens next.
async fn moment() -> Timestamp {
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let now = SystemClock.now();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    now
}

fn digest_of(answer: &Value) -> &str {
    answer["manifest"].as_str().unwrap()
}

#[tokio::test]
async fn a_deleted_name_is_gone_in_every_way_of_asking() {
    let server = TestServer::start().await;
    let before = moment().await;
    let receipt = server.publish("main", &FIRST).await;
    let during = moment().await;
    server.delete("/manifests/main?reason=by%20mistake").await.expect(200);
    let after = moment().await;
    for target in ["main".to_owned(), "main@active".into(), "main@previous".into(), format!("main@{after}")] {
        let problem = gone(&server, &target, "MANIFEST_DELETED").await;
        assert_eq!(problem["reason"], "by mistake", "{target}");
        assert!(problem["deleted_at"].as_str().unwrap().parse::<Timestamp>().unwrap() < after, "{target}");
    }
    for target in ["main@1".to_owned(), format!("main@{during}"), format!("main@{}", digest_of(&receipt))] {
        let problem = gone(&server, &target, "VERSION_RETIRED").await;
        assert_eq!((&problem["reason"], &problem["version"]), (&json!("by mistake"), &json!(1)), "{target}");
        assert!(problem["retired_at"].is_string(), "{target}");
    }
    for path in ["/versions/main@active", "/versions/main@previous"] {
        server.get(path).await.problem(410, "MANIFEST_DELETED");
    }
    assert_eq!(server.get("/versions/main@1").await.expect(200).json()["state"], "retired", "the row stays");
    let never = larder::domain::Digest::of(b"never");
    for target in ["other", "main@2", &format!("main@{before}"), &format!("main@{never}")] {
        server.get(&format!("/manifests/{target}")).await.expect(404);
        server.get(&format!("/refs/{target}/file")).await.expect(404);
    }
}

#[tokio::test]
async fn changes_of_a_deleted_name_say_that_it_is_gone() {
    let server = TestServer::start().await;
    server.publish("main", &FIRST).await;
    server.delete("/manifests/main?reason=by%20mistake").await.expect(200);
    let again = server.delete("/manifests/main").await.problem(410, "MANIFEST_DELETED");
    assert_eq!(again["reason"], "by mistake");
    for (method, path, code) in [
        (Method::POST, "/versions/main@active/promote", "MANIFEST_DELETED"),
        (Method::PUT, "/versions/main@active/pin", "MANIFEST_DELETED"),
        (Method::DELETE, "/manifests/main@active", "MANIFEST_DELETED"),
        (Method::POST, "/versions/main@previous/promote", "VERSION_RETIRED"),
        (Method::POST, "/versions/main@1/promote", "VERSION_RETIRED"),
        (Method::PUT, "/versions/main@1/pin", "VERSION_RETIRED"),
    ] {
        send(server.request(method, path)).await.problem(410, code);
    }
    for (method, path) in [
        (Method::POST, "/versions/main@2/promote"),
        (Method::POST, "/versions/other@active/promote"),
        (Method::DELETE, "/manifests/other"),
    ] {
        send(server.request(method, path)).await.expect(404);
    }
}

#[tokio::test]
async fn a_name_that_is_published_again_does_not_forget_what_is_gone() {
    let server = TestServer::start().await;
    let first = server.publish("main", &FIRST).await;
    let during = moment().await;
    server.delete("/manifests/main?reason=by%20mistake").await.expect(200);
    let deleted = moment().await;
    server.publish("main", &SECOND).await;
    server.get("/refs/main/file").await.expect(307);
    server.get("/manifests/main").await.expect(200);
    let targets =
        ["main@1".to_owned(), "main@previous".into(), format!("main@{during}"), format!("main@{}", digest_of(&first))];
    for target in targets {
        let problem = gone(&server, &target, "VERSION_RETIRED").await;
        assert_eq!((&problem["reason"], &problem["version"]), (&json!("by mistake"), &json!(1)), "{target}");
    }
    let problem = gone(&server, &format!("main@{deleted}"), "MANIFEST_DELETED").await;
    assert_eq!(problem["reason"], "by mistake");
    send(server.request(Method::POST, "/versions/main@previous/promote")).await.problem(410, "VERSION_RETIRED");
    // What comes after that is as ever.
    server.publish("main", &[("file", b"third")]).await;
    assert_eq!(server.get("/manifests/main@previous").await.expect(200).header("larder-version"), "2");
    server.get("/manifests/main@9").await.problem(404, "VERSION_UNKNOWN");
}

#[tokio::test]
async fn staging_a_version_does_not_make_a_deleted_name_one_that_never_was() {
    let server = TestServer::start().await;
    server.publish("main", &FIRST).await;
    server.delete("/manifests/main?reason=by%20mistake").await.expect(200);
    server.put_blob(b"second").await;
    server.put("/manifests/main?activate=false", manifest(&SECOND).to_string()).await.expect(201);
    for target in ["main", "main@active", "main@previous"] {
        server.get(&format!("/manifests/{target}")).await.expect(410);
        let problem = server.get(&format!("/refs/{target}/file")).await.expect(410).json();
        assert_eq!(problem["reason"], "by mistake", "{target}");
    }
    server.get("/refs/main@2/file").await.expect(307);
    send(server.request(Method::POST, "/versions/main@2/promote")).await.expect(200);
    server.get("/refs/main/file").await.expect(307);
    // A name that never had anything but staged versions was never there for readers.
    server.put("/manifests/new?activate=false", manifest(&SECOND).to_string()).await.expect(201);
    for target in ["new", "new@previous"] {
        server.get(&format!("/manifests/{target}")).await.problem(404, "VERSION_UNKNOWN");
    }
}
