//! What a browser sees, and what operators' tools ask for.

mod around;
mod bad_days;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder::config::{Config, NameRule};
use larder::domain::{Digest, Reads};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::support::server::{Answer, TestServer, send};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn open(server: &TestServer, path: &str) -> Answer {
    let answer = send(server.anonymous(Method::GET, path).header("accept", BROWSER)).await;
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{path}");
    assert!(answer.header("vary").contains("Accept"), "{path}");
    assert!(answer.body.len() <= 500_000, "{path} has {} bytes", answer.body.len());
    allows_its_own_style_and_script_only(&answer);
    answer
}

async fn browse(server: &TestServer, path: &str) -> String {
    open(server, path).await.expect(200).text()
}

/// What is between two marks.
#[track_caller]
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("no {begin} in {text}"));
    rest.split_once(end).unwrap().0
}

fn allows_its_own_style_and_script_only(answer: &Answer) {
    let (policy, text) = (answer.header("content-security-policy"), answer.text());
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for (directive, element) in [("style-src", "style"), ("script-src", "script")] {
        let content = between(&text, &format!("<{element}>"), &format!("</{element}>"));
        let hash = STANDARD.encode(Sha256::digest(content));
        assert!(policy.contains(&format!("{directive} 'sha256-{hash}'")), "{directive}: {policy}");
        assert_eq!(text.matches(&format!("<{element}")).count(), 1, "{element}");
    }
    assert!(!text.contains(" style=") && !text.contains(" onclick="), "nothing inline");
}

/// Makes names below `private/` readable with a token only.
pub fn keep_private(config: &mut Config) {
    let matches = vec!["private/**".parse().unwrap()];
    config.names = vec![NameRule { matches, read: Some(Reads::Token), ..NameRule::default() }];
}

/// Publishes a manifest with these members beside its one file.
async fn publish(server: &TestServer, name: &str, file: &str, members: Value) {
    let blob = server.put_blob(b"a").await;
    let mut manifest =
        json!({"artifacts": [{"name": file, "blob": blob, "size": 1, "platform": "linux", "arch": "arm64"}]});
    manifest.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    server.put(&format!("/manifests/{name}"), manifest.to_string()).await.expect(201);
}

#[tokio::test]
async fn browsers_get_pages_and_programs_get_json() {
    let server = TestServer::start().await;
    assert!(browse(&server, "/").await.contains("Nothing is published"));
    publish(&server, "miren/main", "a", json!({"version": "<b>v1</b>"})).await;
    for path in ["/", "/manifests"] {
        assert!(browse(&server, path).await.contains("href=\"/versions/miren/main\""), "{path}");
    }
    let history = browse(&server, "/versions/miren/main").await;
    assert!(history.contains("active") && history.contains("&lt;b&gt;v1&lt;/b&gt;") && !history.contains("<b>"));
    for path in ["/", "/manifests", "/versions/miren/main", "/versions/miren/main@1", "/versions/miren/main@1/diff"] {
        for accept in [
            "*/*",
            "application/json",
            "application/json, text/plain, */*",
            "text/html;q=0, */*",
            "text/html;q=0.5, application/json",
            "text/html;q=0.1,application/json;q=0.9",
            "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
            "image/png",
            "",
        ] {
            let answer = send(server.anonymous(Method::GET, path).header("accept", accept)).await.expect(200);
            assert_eq!(answer.header("content-type"), "application/json", "{path} {accept}");
            assert!(answer.header("vary").contains("Accept"), "{path} {accept}");
        }
        let html = "application/json;q=0.1, text/*;q=0.2";
        let answer = send(server.anonymous(Method::GET, path).header("accept", html)).await.expect(200);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{path}");
    }
    let manifest = send(server.anonymous(Method::GET, "/manifests/miren/main").header("accept", BROWSER)).await;
    assert_eq!(manifest.expect(200).header("content-type"), "application/json", "as published, for everybody");
}

#[tokio::test]
async fn a_name_offers_its_files_commands_and_notes_then_its_history() {
    let server = TestServer::start().await;
    let notes = "# Better\n\n- [site](https://e.example) <script>alert(1)</script> [x](javascript:x)\n";
    publish(&server, "tool", "tool v1.zip", json!({"version": "v1", "metadata": {"notes": notes}})).await;
    publish(&server, "tool", "tool.zip", json!({"version": "v2"})).await;
    server.post("/versions/tool@1/promote", &json!(null)).await.expect(200);
    server.put("/versions/tool@1/pin", "").await.expect(200);
    let page = browse(&server, "/versions/tool").await;
    for expected in [
        "href=\"/refs/tool@1/tool%20v1.zip\"",
        &format!("curl -fLJO {}", server.url("/refs/tool@1/tool%20v1.zip")),
        &Digest::of(b"a").to_string(),
        "linux</span>",
        "<h3>Better</h3>",
        "href=\"https://e.example\" rel=\"nofollow noopener noreferrer\"",
        "&lt;script&gt;alert(1)",
        "larder:admin",
        "rollback from 2",
        "pinned",
        "/versions/tool@1/diff?to=2",
        "<svg role=\"img\"",
        "og:description",
    ] {
        assert!(page.contains(expected), "no {expected} in {page}");
    }
    assert!(!page.contains("href=\"javascript"), "{page}");
    let command = format!("curl -fLO {}", server.url("/refs/tool@2/tool.zip"));
    assert!(browse(&server, "/versions/tool@2").await.contains(&command));
    let hosts = send(
        server.anonymous(Method::GET, "/versions/tool@2").header("accept", BROWSER).header("host", "e.example;rm"),
    );
    assert!(!hosts.await.expect(200).text().contains(";rm"), "a shell would run it");
}

#[tokio::test]
async fn notes_come_from_a_file_if_the_manifest_has_none() {
    let server = TestServer::start().await;
    let long = "A line of notes.\n".repeat(5000);
    server.publish("file", &[("RELEASE_NOTES.md", long.as_bytes()), ("NOTES.md", b"Not these")]).await;
    let page = browse(&server, "/versions/file").await;
    assert!(page.contains("A line of notes.") && page.contains("The notes are longer") && !page.contains("Not these"));
    server.publish("binary", &[("RELEASE_NOTES.md", b"\xff\xfe")]).await;
    assert!(!browse(&server, "/versions/binary").await.contains("Release notes"));
}

#[tokio::test]
async fn two_versions_are_compared() {
    let server = TestServer::start().await;
    server.publish("main", &[("same", b"same"), ("gone", b"gone"), ("other", b"1")]).await;
    server.publish("main", &[("same", b"same"), ("new", b"new!!"), ("other", b"22")]).await;
    let diff = server.get("/versions/main@1/diff?to=2").await.expect(200).json();
    assert_eq!(
        (&diff["from"], &diff["to"], &diff["unchanged"], &diff["bytes"]),
        (&json!(1), &json!(2), &json!(1), &json!(2))
    );
    assert_eq!((&diff["added"][0]["name"], &diff["removed"][0]["name"]), (&json!("new"), &json!("gone")));
    assert_eq!((&diff["changed"][0]["name"], &diff["changed"][0]["new"]["size"]), (&json!("other"), &json!(2)));
    assert_eq!(server.get("/versions/main@1/diff").await.expect(200).json(), diff, "with the active one");
    let page = browse(&server, "/versions/main@1/diff?to=2").await;
    for expected in ["badge added", "badge removed", "badge changed", "+2 B"] {
        assert!(page.contains(expected), "no {expected} in {page}");
    }
    server.get("/versions/main@1/diff?to=7").await.problem(404, "VERSION_UNKNOWN");
    server.get("/versions/main@1/diff?to=%20").await.problem(400, "SELECTOR_INVALID");
    server.post("/versions/main@1/diff", &json!(null)).await.problem(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn errors_are_pages_for_browsers_and_problems_for_programs() {
    let server = TestServer::with(keep_private).await;
    server.publish("main", &[("a", b"1")]).await;
    server.publish("main", &[("a", b"2")]).await;
    server.publish("over", &[("a", b"3")]).await;
    server.publish("private/name", &[("a", b"4")]).await;
    server.delete("/manifests/main@1?reason=%3Cb%3Eeats%20disks").await.expect(200);
    server.delete("/manifests/over?reason=renamed").await.expect(200);
    for (path, status, code, expected) in [
        ("/versions/main@1", 410, "VERSION_RETIRED", "by larder:admin, because: <strong>&lt;b&gt;eats disks"),
        ("/refs/main@1/a", 410, "VERSION_RETIRED", "href=\"/versions/main\""),
        ("/manifests/over", 410, "MANIFEST_DELETED", "by larder:admin, because: <strong>renamed"),
        ("/refs/main/b", 404, "FILE_UNKNOWN", "href=\"/versions/main\""),
        ("/versions/nothing", 404, "MANIFEST_UNKNOWN", "There is no such name"),
        ("/nowhere", 404, "NOT_FOUND", "There is nothing here"),
        ("/versions/private/name", 401, "UNAUTHORIZED", "Authorization: Bearer"),
        ("/versions/main@%20", 400, "SELECTOR_INVALID", "cannot be answered"),
    ] {
        let page = open(&server, path).await.expect(status);
        assert!(
            page.text().contains(expected) && page.text().contains(code),
            "{path}: no {expected} in {}",
            page.text()
        );
        assert_eq!(page.header("x-robots-tag"), "noindex", "{path}");
        assert_eq!(page.headers.contains_key("www-authenticate"), status == 401, "{path}");
        // The row of a retired version stays, and so it is no error to programs.
        if path != "/versions/main@1" {
            server.get(path).await.problem(status, code);
        }
    }
    let deleted = browse(&server, "/versions/over").await;
    assert!(deleted.contains("Deleted") && deleted.contains("renamed"), "the history of a deleted name stays");
}

#[tokio::test]
async fn pages_show_nobody_what_he_may_not_read() {
    let server = TestServer::with(keep_private).await;
    server.publish("private/name", &[("a", b"1")]).await;
    server.publish("public", &[("a", b"1")]).await;
    for path in ["/", "/?q=private", "/manifests"] {
        assert!(!browse(&server, path).await.contains("private/name"), "{path}");
        let page = send(server.request(Method::GET, path).header("accept", BROWSER)).await.expect(200);
        assert!(page.text().contains("private/name"), "{path}");
        assert!(page.header("cache-control").starts_with("private"), "{path}");
    }
    let page = send(server.request(Method::GET, "/versions/private/name").header("accept", BROWSER)).await.expect(200);
    assert!(page.header("cache-control").starts_with("private") && page.text().contains("noindex"));
    let page = open(&server, "/versions/public").await;
    assert!(!page.header("cache-control").contains("private") && !page.text().contains("noindex"));
    let robots = server.get("/robots.txt").await.expect(200).text();
    assert!(robots.contains("Disallow: /blobs/") && !robots.contains("Disallow: /versions/\n"), "{robots}");
}

#[tokio::test]
async fn what_is_long_is_paged() {
    let server = TestServer::start().await;
    for number in 0..103 {
        publish(&server, &format!("n{number:03}"), "a", json!({"version": if number == 7 { "Findable" } else { "v" }}))
            .await;
    }
    let first = browse(&server, "/").await;
    let order = ["n102", "n101", "n003"].map(|name| first.find(&format!("/versions/{name}\"")));
    assert!(order.is_sorted() && order.iter().all(Option::is_some), "newest first: {order:?}");
    let next = between(&first, "class=\"button\" href=\"", "\"").replace("&amp;", "&");
    let second = browse(&server, &next).await;
    assert!(second.contains("/versions/n000\"") && !second.contains("/versions/n003\""));
    let found = browse(&server, "/?q=fIndaBLE").await;
    assert!(found.contains("/versions/n007\"") && found.matches("<tr>").count() == 2, "{found}");
    assert!(browse(&server, "/?q=%3Cscript%3E&skip=x&after=%2F").await.contains("&lt;script&gt;"));
    for number in 0..4 {
        publish(&server, "many", "a", json!({"version": format!("v{number}")})).await;
    }
    let page = browse(&server, "/versions/many?limit=2").await;
    assert!(page.contains("@4\"") && !page.contains("@2\">"), "{page}");
    let next = between(&page, "<a class=\"button\" href=\"", "\"").replace("&amp;", "&");
    let second = browse(&server, &next).await;
    assert!(second.contains("/versions/many@2\"") && !second.contains("id=\"active\""), "{second}");
}

#[tokio::test]
async fn ten_thousand_files_take_no_longer_than_a_page_of_them() {
    let server = TestServer::start().await;
    let blob = server.put_blob(b"same").await;
    for (name, files) in [("small", 100), ("large", 10_000)] {
        let artifacts: Vec<_> = (0..files).map(|n| json!({"name": format!("f{n}"), "blob": blob, "size": 4})).collect();
        server.put(&format!("/manifests/{name}"), json!({"artifacts": artifacts}).to_string()).await.expect(201);
    }
    let last = browse(&server, "/versions/large@1?page=100").await;
    assert!(last.contains("Files 9901–10000 of 10000") && last.contains(">f9999<"), "{last}");
    assert!(browse(&server, "/versions/large@1?page=7000").await.contains(">f9999<"), "the last one there is");
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..20 {
        for (at, path) in ["/versions/small@1", "/versions/large@1"].into_iter().enumerate() {
            let began = Instant::now();
            browse(&server, path).await;
            fastest[at] = fastest[at].min(began.elapsed());
        }
    }
    assert!(fastest[1] <= fastest[0] * 3, "{fastest:?}");
}

#[tokio::test]
async fn probes_and_metrics_answer() {
    let mut server = TestServer::start().await;
    // No connection is kept that a jump in time would end.
    server.http = larder::client::http_client_builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    assert_eq!(server.get("/livez").await.expect(200).text(), "ok\n");
    assert_eq!(server.get("/readyz").await.expect(200).text(), "ready\n");
    server.get("/manifests/never-published").await.expect(404);
    let metrics = server.get("/metrics").await.expect(200).text();
    assert!(metrics.contains("larder_http_requests_total"), "{metrics}");
    assert!(!metrics.contains("never-published"), "names must not become labels");
    std::fs::write(server.data.join("objects/layout/99"), "{\"layout\":99,\"min_reader\":99,\"min_writer\":99}")
        .unwrap();
    // Somebody else's migration is noticed within a minute.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::time::resume();
    let answer = server.get("/readyz").await.expect(503);
    assert!(answer.text().starts_with("not ready"));
    server.get("/livez").await.expect(200);
}

#[tokio::test]
async fn nothing_is_taken_for_absent_while_the_store_is_gone() {
    let server = TestServer::start().await;
    server.publish("main", &[("file", b"content")]).await;
    let (objects, away) = (server.data.join("objects"), server.data.join("away"));
    std::fs::rename(&objects, &away).unwrap();
    let blob = format!("/blobs/{}", Digest::of(b"content"));
    for path in ["/manifests/main", "/manifests/other", "/manifests", "/versions/main", blob.as_str()] {
        let answer = server.get(path).await;
        assert!(!answer.header("retry-after").is_empty());
        answer.problem(503, "UNAVAILABLE");
    }
    server.get("/readyz").await.expect(503);
    std::fs::rename(&away, &objects).unwrap();
    server.get("/manifests/main").await.expect(200);
}
