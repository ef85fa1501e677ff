//! Yanks and floors, as clients meet them.

use larder::wire::YankNotice;
use reqwest::Method;
use serde_json::json;

use super::changes::history;
use crate::support::server::{TestServer, send};

async fn with_versions(count: usize) -> TestServer {
    let server = TestServer::start().await;
    for number in 1..=count {
        server.publish("main", &[("file", format!("content {number}").as_bytes())]).await;
    }
    server
}

#[tokio::test]
async fn a_yanked_version_answers_with_the_reason_and_keeps_its_bytes() {
    let server = with_versions(3).await;
    let before = server.get("/manifests/main@1").await.expect(200);
    assert!(!before.headers.contains_key("larder-yanked"));
    let body = json!({"reason": "verliert \"Daten\" – immer\u{202e}", "instead": "active"}).to_string();
    let row = server.put("/versions/main@1/yank", body.clone()).await.expect(200).json();
    assert_eq!((&row["state"], &row["yanked"]["instead"]), (&json!("archived"), &json!(3)));
    assert_eq!(row["yanked"]["by"], "larder:admin");
    let digest = row["manifest"].as_str().unwrap();
    for path in ["/manifests/main@1".to_owned(), format!("/manifests/main@{digest}")] {
        let answer = server.get(&path).await.expect(200);
        assert_eq!(answer.body, before.body, "{path}");
        let notice = YankNotice::parse(answer.header("larder-yanked"));
        assert_eq!(notice, YankNotice { reason: "verliert \"Daten\" – immer\u{202e}".into(), instead: Some(3) });
    }
    assert!(server.get("/refs/main@1/file").await.expect(307).header("larder-yanked").starts_with("%\""));
    assert!(server.head("/manifests/main@1").await.expect(200).headers.contains_key("larder-yanked"));
    let unchanged = server.anonymous(Method::GET, "/manifests/main@1").header("if-none-match", before.header("etag"));
    assert!(send(unchanged).await.expect(304).headers.contains_key("larder-yanked"));
    for path in ["/manifests/main", "/manifests/main@2", "/refs/main/file"] {
        assert!(!server.get(path).await.headers.contains_key("larder-yanked"), "{path}");
    }
    let again = server.put("/versions/main@1/yank", body).await.expect(200).json();
    assert_eq!(again, row, "a repeated request changes nothing");
    server.post("/versions/main@1/promote", &json!(null)).await.problem(409, "VERSION_YANKED");
    let row = server.delete("/versions/main@1/yank?reason=tested%20again").await.expect(200).json();
    assert_eq!(row.get("yanked"), None);
    assert!(!server.get("/manifests/main@1").await.expect(200).headers.contains_key("larder-yanked"));
    server.post("/versions/main@1/promote", &json!(null)).await.expect(200);
    let told = history(&server, "main").await;
    assert_eq!(told[..2], ["promote 1 3>1", "unyank 1 3>3 tested again"]);
    assert!(told[2].starts_with("yank 1 3>3 verliert"), "{told:?}");
}

#[tokio::test]
async fn the_active_version_is_yanked_by_going_back_in_the_same_step() {
    let server = with_versions(3).await;
    let yank =
        async |path: &str, body: serde_json::Value| server.put(&format!("/versions/{path}"), body.to_string()).await;
    let problem = yank("main@3/yank", json!({"reason": "bad"})).await.problem(409, "VERSION_STATE");
    assert!(problem["detail"].as_str().unwrap().contains("rollback=true"), "{problem}");
    let generation = server.get("/versions/main").await.json()["generation"].as_u64().unwrap();
    yank("main@3/yank?rollback=true", json!({"reason": "bad", "instead": 2})).await.expect(200);
    let page = server.get("/versions/main").await.expect(200).json();
    assert_eq!((page["generation"].as_u64(), &page["active"]), (Some(generation + 1), &json!(2)));
    assert_eq!(history(&server, "main").await[0], "yank 3 3>2 bad");
    // A rollback passes yanked versions by.
    yank("main@1/yank", json!({"reason": "too"})).await.expect(200);
    server.post("/versions/main@active/rollback", &json!(null)).await.problem(404, "VERSION_UNKNOWN");
    server.post("/versions/main@previous/promote", &json!(null)).await.problem(409, "VERSION_YANKED");
    yank("main@active/yank?rollback=true", json!({"reason": "last"})).await.problem(404, "VERSION_UNKNOWN");
    for (body, code) in [
        (json!({}), "REQUEST_INVALID"),
        (json!({"reason": " "}), "REQUEST_INVALID"),
        (json!({"reason": "r".repeat(501)}), "QUERY_INVALID"),
        (json!({"reason": "r", "instead": "@@"}), "SELECTOR_INVALID"),
    ] {
        yank("main@1/yank", body).await.problem(400, code);
    }
    yank("main@1/yank", json!({"reason": "r", "instead": 9})).await.problem(404, "VERSION_UNKNOWN");
    yank("main@1/yank", json!({"reason": "r", "instead": 3})).await.problem(409, "VERSION_YANKED");
    yank("main@9/yank", json!({"reason": "r"})).await.problem(404, "VERSION_UNKNOWN");
    send(server.anonymous(Method::PUT, "/versions/main@1/yank").body("{}")).await.problem(401, "UNAUTHORIZED");
    send(server.request(Method::POST, "/versions/main@1/yank")).await.problem(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn a_floor_is_stated_with_every_manifest_of_the_name() {
    let server = TestServer::start().await;
    for (content, label) in [("1", "v1.4.0"), ("2", "v1.4.1"), ("3", "naïve label")] {
        let digest = server.put_blob(content.as_bytes()).await;
        let body = json!({"version": label, "artifacts": [{"name": "f", "blob": digest, "size": 1}]});
        server.put("/manifests/main", body.to_string()).await.expect(201);
    }
    assert!(!server.get("/manifests/main").await.headers.contains_key("larder-minimum-version"));
    let set = server.put("/versions/main@2/floor", json!({"reason": "CVE-1"}).to_string()).await.expect(200).json();
    assert_eq!((&set["floor"]["version"], &set["floor"]["label"]), (&json!(2), &json!("v1.4.1")));
    for target in ["main", "main@1"] {
        let answer = server.get(&format!("/manifests/{target}")).await.expect(200);
        assert_eq!(answer.header("larder-minimum-version"), "v1.4.1");
    }
    let page = server.get("/versions/main").await.expect(200).json();
    assert_eq!((&page["floor"]["reason"], &page["floor"]["by"]), (&json!("CVE-1"), &json!("larder:admin")));
    server.put("/versions/main@3/floor", json!({"reason": "CVE-2"}).to_string()).await.expect(200);
    assert_eq!(
        server.get("/manifests/main").await.header("larder-minimum-version"),
        "3",
        "no header can hold the label"
    );
    server.delete("/versions/main@2/floor").await.problem(404, "VERSION_UNKNOWN");
    let cleared = server.delete("/versions/main@active/floor?reason=fixed").await.expect(200).json();
    assert_eq!(cleared["floor"], json!(null));
    server.delete("/versions/main@active/floor").await.expect(200);
    assert!(!server.get("/manifests/main").await.headers.contains_key("larder-minimum-version"));
    assert_eq!(history(&server, "main").await[..3], ["unfloor 3 3>3 fixed", "floor 3 3>3 CVE-2", "floor 2 3>3 CVE-1"]);
    server.delete("/versions/none@active/floor").await.problem(404, "VERSION_UNKNOWN");
    server.get("/history/none").await.problem(404, "MANIFEST_UNKNOWN");
}
