//! Versions: history, promotion, pins, retirement, copies, selectors.

use larder::config::{Config, Duration};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{TestServer, manifest, send};

/// A server with `count` versions of `main`, each with its own content.
async fn with_versions(count: usize) -> TestServer {
    let server = TestServer::start().await;
    for number in 1..=count {
        server.publish("main", &[("file", format!("content {number}").as_bytes())]).await;
    }
    server
}

async fn file_of(server: &TestServer, target: &str) -> String {
    let location = server.get(&format!("/refs/{target}/file")).await.expect(307).header("location").to_owned();
    server.get(&location).await.expect(200).text()
}

fn numbers(history: &Value) -> Vec<u64> {
    history["versions"].as_array().unwrap().iter().map(|row| row["number"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn history_is_paged_newest_first_across_what_a_head_holds() {
    let server = with_versions(75).await;
    let mut seen = Vec::new();
    let mut path = "/versions/main?limit=20".to_owned();
    loop {
        let page = server.get(&path).await.expect(200).json();
        seen.extend(numbers(&page));
        let Some(next) = page["next"].as_u64() else { break };
        path = format!("/versions/main?limit=20&before={next}");
    }
    assert_eq!(seen, (1..=75).rev().collect::<Vec<u64>>());
    let row = server.get("/versions/main@1").await.expect(200).json();
    assert_eq!((&row["state"], &row["artifact_manifest"]["files"]), (&json!("archived"), &json!(1)));
    assert!(row["archived_at"].is_string());
    assert_eq!(file_of(&server, "main@1").await, "content 1");
    assert_eq!(file_of(&server, "main").await, "content 75");
    server.post("/versions/main@1/promote", &json!(null)).await.expect(200);
    assert_eq!(file_of(&server, "main").await, "content 1");
    server.get("/versions/none").await.problem(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn promoting_the_previous_version_is_a_rollback() {
    let server = with_versions(3).await;
    let receipt = server.post("/versions/main@previous/promote", &json!(null)).await.expect(200).json();
    assert_eq!((&receipt["version"], &receipt["previous"]), (&json!(2), &json!(3)));
    assert_eq!(file_of(&server, "main").await, "content 2");
    assert_eq!(file_of(&server, "main@previous").await, "content 3");
    let again = server.post("/versions/main@2/promote", &json!(null)).await.expect(200).json();
    assert_eq!(again["unchanged"], true);
    server.post("/versions/main@9/promote", &json!(null)).await.problem(404, "VERSION_UNKNOWN");
}

#[tokio::test]
async fn promotion_honours_a_precondition() {
    let server = with_versions(2).await;
    let promote =
        |etag: String| send(server.request(Method::POST, "/versions/main@1/promote").header("if-match", etag));
    promote("\"sha256:0000\"".into()).await.problem(412, "PRECONDITION_FAILED");
    let etag = server.get("/manifests/main").await.header("etag").to_owned();
    promote(etag).await.expect(200);
}

#[tokio::test]
async fn a_moment_in_time_shows_what_was_active_then() {
    let server = with_versions(1).await;
    let before = server.get("/versions/main@1").await.json()["promoted_at"].as_str().unwrap().to_owned();
    server.publish("main", &[("file", b"content 2")]).await;
    let after = server.get("/versions/main@2").await.json()["promoted_at"].as_str().unwrap().to_owned();
    server.post("/versions/main@1/promote", &json!(null)).await.expect(200);
    assert_eq!(file_of(&server, &format!("main@{before}")).await, "content 1");
    assert_eq!(file_of(&server, &format!("main@{after}")).await, "content 2");
    assert_eq!(server.get("/manifests/main@2099-01-01T00:00:00Z").await.header("larder-version"), "1");
    server.get("/manifests/main@2001-01-01T00:00:00Z").await.problem(404, "VERSION_UNKNOWN");
}

#[tokio::test]
async fn a_retired_version_is_gone_but_its_row_stays() {
    let server = with_versions(3).await;
    let request = server.request(Method::DELETE, "/manifests/main@1").header("if-match", "\"other\"");
    send(request).await.problem(412, "PRECONDITION_FAILED");
    let row = server.delete("/manifests/main@1?reason=CVE-2026-1").await.expect(200).json();
    assert_eq!(row["state"], "retired");
    for path in ["/manifests/main@1", "/refs/main@1/file"] {
        let problem = server.get(path).await.problem(410, "VERSION_RETIRED");
        assert_eq!(problem["reason"], "CVE-2026-1");
        assert!(problem["retired_at"].is_string());
    }
    server.post("/versions/main@1/promote", &json!(null)).await.problem(410, "VERSION_RETIRED");
    send(server.request(Method::PUT, "/versions/main@1/pin")).await.problem(410, "VERSION_RETIRED");
    assert_eq!(server.get("/versions/main@1").await.expect(200).json()["retired_because"], "CVE-2026-1");
    server.delete("/manifests/main@1").await.expect(200);
    server.delete("/manifests/main@3").await.problem(409, "VERSION_STATE");
}

#[tokio::test]
async fn a_pin_beats_retirement_and_deletion() {
    let server = with_versions(2).await;
    let row = send(server.request(Method::PUT, "/versions/main@1/pin")).await.expect(200).json();
    assert_eq!(row["pinned"], true);
    server.delete("/manifests/main@1").await.problem(409, "VERSION_PINNED");
    server.delete("/manifests/main").await.problem(409, "VERSION_PINNED");
    let row = server.delete("/versions/main@1/pin").await.expect(200).json();
    assert_eq!(row["pinned"], false);
    server.delete("/manifests/main@1").await.expect(200);
}

#[tokio::test]
async fn a_copy_is_one_pointer_to_the_same_bytes() {
    let server = with_versions(2).await;
    let receipt = server.post("/versions/main@1/copy", &json!({"to": "stable/latest"})).await.expect(201).json();
    assert_eq!((&receipt["name"], &receipt["version"]), (&json!("stable/latest"), &json!(1)));
    let (copy, original) = (server.get("/manifests/stable/latest").await, server.get("/manifests/main@1").await);
    assert_eq!(copy.body, original.body);
    server.post("/versions/main@1/copy", &json!({"to": "stable/latest"})).await.expect(200);
    server.post("/versions/main@9/copy", &json!({"to": "x"})).await.expect(404);
    server.post("/versions/main@1/copy", &json!({"to": "../x"})).await.problem(400, "NAME_INVALID");
    server.post("/versions/main@1/copy", &json!({})).await.problem(400, "NAME_INVALID");
}

#[tokio::test]
async fn actions_need_a_selector_and_their_own_method() {
    let server = with_versions(1).await;
    for (method, path, allow) in [
        (Method::GET, "/versions/main@1/promote", "POST,OPTIONS"),
        (Method::POST, "/versions/main@1/pin", "PUT,DELETE,OPTIONS"),
        (Method::PUT, "/versions/main@1/promote", "POST,OPTIONS"),
        (Method::POST, "/versions/main", "GET,HEAD,OPTIONS"),
        (Method::DELETE, "/versions/main", "GET,HEAD,OPTIONS"),
        (Method::PATCH, "/versions/main", "GET,HEAD,OPTIONS"),
    ] {
        let answer = send(server.request(method.clone(), path)).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, allow), "{method} {path}");
    }
    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
        send(server.request(method, "/versions/main@1/explode")).await.problem(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let directory = tempfile::TempDir::new().unwrap();
    let server = TestServer::on(directory.path(), |_| {}).await;
    server.publish("main", &[("file", b"one")]).await;
    server.publish("main", &[("file", b"two")]).await;
    let (manifest_before, token) = (server.get("/manifests/main").await, server.token.clone());
    server.stop().await.unwrap();
    let server = TestServer::on(directory.path(), |_| {}).await;
    assert_eq!(server.token, token);
    assert_eq!(server.get("/manifests/main").await.body, manifest_before.body);
    assert_eq!(file_of(&server, "main@previous").await, "one");
    assert_eq!(server.publish("main", &[("file", b"three")]).await["version"], 3);
}

#[tokio::test]
async fn two_servers_on_one_directory_see_each_other() {
    let directory = tempfile::TempDir::new().unwrap();
    let one = TestServer::on(directory.path(), always_fresh).await;
    let two = TestServer::on(directory.path(), always_fresh).await;
    assert_eq!(one.token, two.token);
    one.publish("main", &[("file", b"one")]).await;
    assert_eq!(file_of(&two, "main").await, "one");
    two.publish("main", &[("file", b"two")]).await;
    assert_eq!(file_of(&one, "main").await, "two");
    let contents: Vec<String> = (0..20).map(|i| format!("race {i}")).collect();
    for content in &contents {
        one.put_blob(content.as_bytes()).await;
    }
    let publishes = contents.iter().enumerate().map(|(at, content)| {
        let server = if at % 2 == 0 { &one } else { &two };
        server.put("/manifests/main", manifest(&[("file", content.as_bytes())]).to_string())
    });
    for answer in futures_util::future::join_all(publishes).await {
        answer.expect(201);
    }
    let (a, b) = (one.get("/versions/main").await.json(), two.get("/versions/main").await.json());
    assert_eq!(a, b);
    assert_eq!(numbers(&a), (1..=22).rev().collect::<Vec<u64>>());
}

fn always_fresh(config: &mut Config) {
    config.heads.max_staleness = Duration::from_secs(0);
}

#[tokio::test]
async fn who_insists_is_told_what_another_server_published_a_moment_ago() {
    let directory = tempfile::TempDir::new().unwrap();
    let long = |config: &mut Config| config.heads.max_staleness = Duration::from_secs(3600);
    let (one, two) = (TestServer::on(directory.path(), long).await, TestServer::on(directory.path(), long).await);
    one.publish("main", &[("file", b"one")]).await;
    assert_eq!(file_of(&two, "main").await, "one");
    one.publish("main", &[("file", b"two")]).await;
    assert_eq!(file_of(&two, "main").await, "one", "within the hour that is configured");
    for directive in ["max-age=0", "no-transform, No-Cache"] {
        let request = two.anonymous(Method::GET, "/refs/main/file").header("cache-control", directive);
        let target = send(request).await.expect(307).header("location").to_owned();
        assert_eq!(two.get(&target).await.expect(200).body, b"two", "{directive}");
        assert_eq!(file_of(&two, "main").await, "two", "and nobody goes back after that");
        one.publish("main", &[("file", b"one")]).await;
        one.publish("main", &[("file", b"two")]).await;
    }
    assert_eq!(two.get("/versions/main").await.json()["versions"].as_array().unwrap().len(), 6, "always fresh");
}

#[tokio::test]
async fn a_digest_picks_a_version_that_can_be_read() {
    let server = TestServer::start().await;
    let files: [(&str, &[u8]); 1] = [("file", b"content 1")];
    let digest = server.publish("main", &files).await["manifest"].as_str().unwrap().to_owned();
    server.publish("main", &[("file", b"content 2")]).await;
    server.post("/sessions/main", &manifest(&files)).await.expect(201);
    let by_digest = format!("main@{digest}");
    assert_eq!(file_of(&server, &by_digest).await, "content 1", "a session does not hide what is published");
    server.put("/sessions/main@3?activate=false", "").await.expect(201);
    server.delete("/manifests/main@3").await.expect(200);
    assert_eq!(file_of(&server, &by_digest).await, "content 1", "a retired twin does not either");
    server.delete("/manifests/main@1").await.expect(200);
    server.get(&format!("/manifests/{by_digest}")).await.problem(410, "VERSION_RETIRED");
}

#[tokio::test]
async fn a_rollback_goes_to_the_last_other_content() {
    let server = with_versions(2).await;
    // The same bytes once more, by way of another version.
    let broken = server.get("/manifests/main@2").await.text();
    server.publish("main", &[("file", b"content 3")]).await;
    server.put("/manifests/main", broken).await.expect(201);
    server.delete("/manifests/main@3").await.expect(200);
    server.post("/versions/main@2/promote", &json!(null)).await.expect(200);
    assert_eq!(file_of(&server, "main@previous").await, "content 2", "literally the one before");

    let target = |name: &str| send(server.request(Method::GET, &format!("/versions/{name}@active/rollback")));
    assert_eq!(target("main").await.expect(200).json()["number"], 1);
    let etag = server.get("/manifests/main").await.header("etag").to_owned();
    let rollback = |etag: &str| {
        send(server.request(Method::POST, "/versions/main@active/rollback").header("if-match", etag.to_owned()))
    };
    let receipt = rollback(&etag).await.expect(200).json();
    assert_eq!((&receipt["version"], &receipt["state"]), (&json!(1), &json!("active")));
    assert_eq!(file_of(&server, "main").await, "content 1");
    rollback(&etag).await.problem(412, "PRECONDITION_FAILED");
    server.post("/versions/main@1/rollback", &json!(null)).await.problem(400, "SELECTOR_INVALID");
    send(server.request(Method::PUT, "/versions/main@active/rollback")).await.problem(405, "METHOD_NOT_ALLOWED");
    for method in [Method::GET, Method::POST] {
        send(server.anonymous(method, "/versions/main@active/rollback")).await.problem(401, "UNAUTHORIZED");
    }

    server.publish("single", &[("file", b"content 1")]).await;
    target("single").await.problem(404, "VERSION_UNKNOWN");
    server.post("/versions/single@active/rollback", &json!(null)).await.problem(404, "VERSION_UNKNOWN");
    server.post("/versions/none@active/rollback", &json!(null)).await.problem(404, "VERSION_UNKNOWN");
}

#[tokio::test]
async fn a_rollback_looks_further_back_than_a_head_remembers() {
    let server = with_versions(1).await;
    let (one, two) =
        (manifest(&[("file", b"content 2")]), manifest(&[("file", b"content 2"), ("file 2", b"content 2")]));
    server.put_blob(b"content 2").await;
    for _ in 0..10 {
        for document in [&one, &two] {
            server.put("/manifests/main", document.to_string()).await.expect(201);
        }
    }
    // Only the first version and the active one are left.
    for number in 2..=20 {
        server.delete(&format!("/manifests/main@{number}")).await.expect(200);
    }
    let receipt = server.post("/versions/main@active/rollback", &json!(null)).await.expect(200).json();
    assert_eq!(receipt["version"], 1);
}
