//! What pages show around a version: warnings, commands, copies, the history, and the choice among files.

use larder::config::{self, Config, NameRule};
use larder::domain::policy::Labels;
use reqwest::Method;
use serde_json::json;

use super::{BROWSER, browse, keep_private, open, publish};
use crate::support::server::{Answer, TestServer, send};

async fn warn(server: &TestServer) {
    for version in ["v1.0.0", "v1.1.0", "v1.2.0"] {
        publish(server, "tool", &format!("tool-{version}.zip"), json!({"version": version})).await;
    }
    let yank = json!({"reason": "<b>eats</b> disks", "instead": "3"});
    server.put("/versions/tool@2/yank", yank.to_string()).await.expect(200);
    server.put("/versions/tool@3/floor", json!({"reason": "CVE-1 & CVE-2"}).to_string()).await.expect(200);
}

#[tokio::test]
async fn warnings_come_first() {
    let server = TestServer::start().await;
    warn(&server).await;
    let yanked = browse(&server, "/versions/tool@2").await;
    let (warning, files) = (yanked.find("Do not use this version").unwrap(), yanked.find("id=\"files\"").unwrap());
    assert!(warning < files && warning < yanked.find("curl -f").unwrap(), "{yanked}");
    for expected in [
        "&lt;b&gt;eats&lt;/b&gt; disks",
        "href=\"/versions/tool@3\">version 3</a> instead",
        "by larder:admin",
        "older than the lowest that should be run",
        "CVE-1 &amp; CVE-2",
    ] {
        assert!(yanked.contains(expected), "no {expected} in {yanked}");
    }
    let name = browse(&server, "/versions/tool").await;
    assert!(name.contains("Lowest version that should be run") && name.contains("CVE-1 &amp; CVE-2"), "{name}");
    assert!(!name.contains("Do not use") && name.contains("badge yanked"), "the active version is sound: {name}");
    assert!(!browse(&server, "/versions/tool@3").await.contains("should be run"), "it is the floor itself");
}

#[tokio::test]
async fn a_line_to_copy_comes_before_the_files_and_documents_are_linked() {
    let server = TestServer::with(|config: &mut Config| {
        let matches = vec!["once".parse().unwrap()];
        config.names = vec![NameRule { matches, labels: Some(Labels::Once), ..NameRule::default() }];
    })
    .await;
    let source = server.put_blob(b"source").await;
    let (amd, arm) = (server.put_blob(b"amd").await, server.put_blob(b"arm").await);
    let document = json!({"version": "v1.0.0", "source": {"blob": source, "size": 6}, "metadata": {"notes": "Fixes."}, "artifacts": [
        {"name": "tool-linux-amd64", "blob": amd, "size": 3, "platform": "linux", "arch": "amd64", "executable": true},
        {"name": "tool-linux-arm64", "blob": arm, "size": 3, "platform": "linux", "arch": "arm64"},
    ]});
    for name in ["any", "once"] {
        server.put(&format!("/manifests/{name}"), document.to_string()).await.expect(201);
    }
    let page = browse(&server, "/versions/any").await;
    let link = format!("curl -fLJO &quot;{}&amp;arch=amd64&quot;", server.url("/refs/any?os=linux"));
    let check = format!("curl -fsSL {} | sha256sum -c --ignore-missing", server.url("/refs/any/SHA256SUMS"));
    let files = page.find("<ul class=\"files\"").unwrap();
    for command in [&link, &check] {
        assert!(page.find(command.as_str()).unwrap_or_else(|| panic!("no {command} in {page}")) < files);
    }
    let digest = server.get("/versions/any@1").await.expect(200).json()["manifest"].as_str().unwrap().to_owned();
    for expected in [
        "<link rel=\"alternate\" type=\"application/atom+xml\"",
        "href=\"/history/any\"",
        "href=\"/feeds/any/atom.xml\"",
        "href=\"/refs/any@1/SHA256SUMS\"",
        "href=\"/feeds/any@1/notes\"",
        "href=\"/history/any@1\"",
        &format!("href=\"/manifests/{digest}\""),
        &format!("href=\"/blobs/{source}/any-1-source\""),
    ] {
        assert!(page.contains(expected), "no {expected} in {page}");
    }
    assert_eq!(page.matches("executable").count(), 1, "{page}");
    let number = browse(&server, "/versions/any@1").await;
    let exact = format!("curl -fLO {}<", server.url("/refs/any@1/tool-linux-arm64"));
    assert!(number.contains("/refs/any@1?os=linux&amp;arch=amd64") && number.contains(&exact), "{number}");
    let label = browse(&server, "/versions/once@1").await;
    assert!(label.contains(&exact.replace("any@1", "once@v1.0.0")), "{label}");
    assert!(label.contains("href=\"/refs/once@1/tool-linux-arm64\""), "links are by number: {label}");
}

#[tokio::test]
async fn a_version_names_the_others_with_the_same_files_that_everybody_may_know() {
    let server = TestServer::with(keep_private).await;
    publish(&server, "private/origin", "a", json!({"version": "v1"})).await;
    for to in ["one", "other", "private/copy"] {
        server.post("/versions/private/origin@1/copy", &json!({"to": to})).await.expect(201);
    }
    let public = browse(&server, "/versions/one@1").await;
    assert!(public.contains("Also published as") && public.contains("href=\"/versions/other@1\""), "{public}");
    let mine = send(server.request(Method::GET, "/versions/one@1").header("accept", BROWSER)).await.expect(200).text();
    for page in [&public, &mine, &browse(&server, "/versions/one").await] {
        assert!(!page.contains("private/"), "a cache may keep it for everybody: {page}");
    }
    let private = server.request(Method::GET, "/versions/private/copy@1").header("accept", BROWSER);
    let private = send(private).await.expect(200).text();
    assert!(
        private.contains("href=\"/versions/private/origin@1\"") && private.contains("/versions/one@1"),
        "{private}"
    );
}

#[tokio::test]
async fn the_history_says_who_did_what_and_why() {
    let server = TestServer::with(keep_private).await;
    warn(&server).await;
    let why = "/versions/tool@1/promote?reason=%3Cb%3Eslow%E2%80%AE";
    server.post(why, &json!(null)).await.expect(200);
    server.delete("/manifests/tool@2?reason=gone").await.expect(200);
    let page = open(&server, "/history/tool").await.expect(200);
    assert!(page.header("cache-control").starts_with("private"), "{page:?}");
    let page = page.text();
    for expected in [
        "Promoted <a href=\"/versions/tool@1\">v1.0.0 #1</a>",
        "&lt;b&gt;slow\\u{202e}",
        "Set the floor to <a href=\"/versions/tool@3\">",
        "Retired",
        "larder:admin",
        "href=\"/history/tool?all=true\"",
    ] {
        assert!(page.contains(expected), "no {expected} in {page}");
    }
    assert!(!page.contains("Prepared") && browse(&server, "/history/tool?all=true").await.contains("Prepared"));
    let first = browse(&server, "/history/tool?limit=2").await;
    let next = super::between(&first, "rel=\"next\" href=\"", "\"").replace("&amp;", "&");
    assert!(first.contains("2 changes of more") && browse(&server, &next).await.contains("Newest changes"));
    let one = browse(&server, "/history/tool@1").await;
    assert!(one.contains("Promoted") && !one.contains("Retired"), "{one}");
    server.get("/history/tool").await.expect(200).json();
    assert!(open(&server, "/history/nothing").await.expect(404).text().contains("There is no such name"));
    server.delete("/manifests/tool?reason=over").await.expect(200);
    assert!(browse(&server, "/history/tool").await.contains("Deleted the name"), "it stays");
    publish(&server, "private/origin", "a", json!({})).await;
    server.post("/versions/private/origin@1/copy", &json!({"to": "copy"})).await.expect(201);
    assert!(!browse(&server, "/history/copy").await.contains("private/origin"));
    let mine = send(server.request(Method::GET, "/history/copy").header("accept", BROWSER)).await.expect(200).text();
    assert!(mine.contains("private/origin"), "{mine}");
}

/// A list of files for a platform, and the feed, as somebody behind a proxy asks for them.
async fn with_addresses(server: &TestServer, path: &str, accept: &str) -> Answer {
    let request = server.anonymous(Method::GET, path).header("accept", accept);
    send(request.header("host", "dl.example").header("x-forwarded-proto", "https")).await
}

#[tokio::test]
async fn answers_with_the_host_of_the_request_are_for_that_client_only() {
    let files: [(&str, &[u8]); 2] = [("tool-linux-amd64.deb", b"deb"), ("tool-linux-amd64.rpm", b"rpm")];
    let server = TestServer::start().await;
    server.publish("tool", &files).await;
    let (link, feed) = ("/refs/tool@1?os=linux&arch=amd64", "/feeds/tool/atom.xml");
    let page = open(&server, link).await.expect(300).text();
    assert!(page.contains("Choose a file") && page.contains("href=\"/refs/tool@1/tool-linux-amd64.rpm\""), "{page}");
    let list = with_addresses(&server, link, "*/*").await.expect(300);
    assert_eq!(list.json()["files"][0]["url"], "https://dl.example/refs/tool@1/tool-linux-amd64.deb");
    let feed_of = with_addresses(&server, feed, "*/*").await.expect(200);
    assert!(feed_of.text().contains("href=\"https://dl.example/"), "{}", feed_of.text());
    for answer in [list, feed_of] {
        assert!(answer.header("cache-control").starts_with("private"), "{answer:?}");
    }
    assert!(!server.get(feed).await.expect(200).text().contains("dl.example"));
    let hostile = server.anonymous(Method::GET, feed).header("host", "e.example;rm");
    assert!(!send(hostile).await.text().contains(";rm"));
    let url: config::PublicUrl = "https://releases.example".parse().unwrap();
    let server = TestServer::with(|config| config.server.public_url = Some(url)).await;
    server.publish("tool", &files).await;
    for path in [link, feed] {
        let answer = with_addresses(&server, path, "*/*").await;
        assert!(answer.text().contains("https://releases.example/") && !answer.text().contains("dl.example"));
        assert!(!answer.header("cache-control").contains("private"), "{answer:?}");
    }
}
