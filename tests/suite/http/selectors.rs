//! Selecting by labels, labels that are used once, and names that follow others.

use larder::config::NameRule;
use larder::domain::Reads;
use larder::domain::policy::{Labels, Tags};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{Answer, TestServer, manifest, send};

/// Publishes a version with this label and a file that says the label and `content`.
async fn publish(server: &TestServer, name: &str, label: &str, content: &str) -> Answer {
    let text = format!("{label} {content}");
    let files: [(&str, &[u8]); 1] = [("file", text.as_bytes())];
    server.put_blob(text.as_bytes()).await;
    let mut document = manifest(&files);
    document["version"] = label.into();
    server.put(&format!("/manifests/{name}"), document.to_string()).await
}

/// A server with a version of `tool` for each label, numbered from 1.
async fn with_labels(labels: &[&str]) -> TestServer {
    let server = TestServer::start().await;
    for label in labels {
        publish(&server, "tool", label, "").await.expect(201);
    }
    server
}

fn rule(name: &str, change: impl FnOnce(&mut NameRule)) -> NameRule {
    let mut rule = NameRule { matches: vec![name.parse().unwrap()], ..NameRule::default() };
    change(&mut rule);
    rule
}

const REVALIDATE: &str = "no-cache, no-transform";

#[tokio::test]
async fn manifests_and_files_are_found_by_labels_lines_and_ranges() {
    let server = with_labels(&["v1.4.0", "1.4.1", "v2.0.0-rc.1", "main:abc1234", "v1.3.0"]).await;
    for (selector, number) in [
        ("v1.4.0", 1),
        ("v1.4.1", 2),
        ("1.4.1", 2),
        ("v1", 2),
        ("v1.3", 5),
        ("stable", 2),
        ("newest", 3),
        ("^1.3", 2),
        ("%5E1.3", 2),
        ("~1.3.0", 5),
        ("%7E1.3.0", 5),
        ("v2.0.0-rc.1", 3),
        ("v2%2E0.0-rc.1", 3),
    ] {
        for _ in 0..2 {
            let answer = server.get(&format!("/manifests/tool@{selector}")).await.expect(200);
            assert_eq!(answer.header("larder-version"), number.to_string(), "{selector}");
            assert_eq!(answer.header("content-location"), format!("/manifests/tool@{number}"), "{selector}");
            assert_eq!(answer.header("cache-control"), REVALIDATE, "{selector}");
            let label = answer.json()["version"].clone();
            assert_eq!(answer.header("larder-label"), label, "{selector}");
            let file = server.get(&format!("/refs/tool@{selector}/file")).await.expect(307);
            assert_eq!(file.header("larder-label"), label, "{selector}");
            assert_eq!(file.header("link"), format!("</manifests/tool@{number}>; rel=\"describedby\""), "{selector}");
        }
        let row = server.get(&format!("/versions/tool@{selector}")).await.expect(200).json();
        assert_eq!(row["number"], number, "{selector}");
    }
    let active = server.get("/manifests/tool").await.expect(200);
    assert_eq!((active.header("larder-version"), active.header("content-location")), ("5", "/manifests/tool@5"));
    assert!(!server.get("/manifests/tool@5").await.expect(200).headers.contains_key("content-location"));
    assert_eq!(server.get("/manifests/tool@4").await.expect(200).header("larder-label"), "main:abc1234");
}

#[tokio::test]
async fn a_label_that_no_header_can_hold_is_left_out() {
    let server = with_labels(&["v1.0.0 \u{e9}", " v1", "v1.0 final"]).await;
    let label = async |number: u64| {
        let answer = server.get(&format!("/manifests/tool@{number}")).await.expect(200);
        answer.headers.get("larder-label").map(|label| label.to_str().unwrap().to_owned())
    };
    assert_eq!((label(1).await, label(2).await), (None, None));
    assert_eq!(label(3).await.as_deref(), Some("v1.0 final"));
}

#[tokio::test]
async fn what_is_promoted_pinned_copied_and_retired_can_be_named_by_its_label() {
    let server = with_labels(&["v1.0.0", "v1.1.0", "v2.0.0"]).await;
    let receipt = server.post("/versions/tool@v1/promote", &Value::Null).await.expect(200).json();
    assert_eq!(receipt["version"], 2);
    server.put("/versions/tool@v1.0.0/pin", "").await.expect(200);
    assert_eq!(server.get("/versions/tool@1").await.json()["pinned"], true);
    server.post("/versions/tool@v1.0/copy", &json!({"to": "other"})).await.expect(201);
    assert_eq!(server.get("/manifests/other").await.expect(200).json()["version"], "v1.0.0");
    server.delete("/versions/tool@v1.0.0/pin").await.expect(200);
    server.delete("/manifests/tool@v1.0.0").await.expect(200);
    server.get("/manifests/tool@v1.0.0").await.problem(410, "VERSION_RETIRED");
    server.get("/manifests/tool@v1.0").await.problem(404, "VERSION_UNKNOWN");
    assert_eq!(server.get("/manifests/tool@v1").await.expect(200).header("larder-version"), "2");
    server.delete("/manifests/tool").await.expect(200);
    server.get("/manifests/tool@stable").await.problem(410, "MANIFEST_DELETED");
}

#[tokio::test]
async fn the_newest_staged_version_is_next() {
    let server = with_labels(&["v1.0.0"]).await;
    let none = server.get("/manifests/tool@next").await.problem(404, "VERSION_UNKNOWN");
    assert!(none["detail"].as_str().unwrap().contains("none is staged"), "{none}");
    for content in ["a", "b"] {
        server.put_blob(content.as_bytes()).await;
        let document = manifest(&[("file", content.as_bytes())]).to_string();
        server.put("/manifests/tool?activate=false", document).await.expect(201);
    }
    assert_eq!(server.get("/manifests/tool@next").await.expect(200).header("larder-version"), "3");
    server.post("/versions/tool@next/promote", &Value::Null).await.expect(200);
    assert_eq!(server.get("/manifests/tool").await.header("larder-version"), "3");
    assert_eq!(server.get("/manifests/tool@next").await.expect(200).header("larder-version"), "2");
}

/// Readers who choose by version get what was released, and lists tell them of nothing else.
#[tokio::test]
async fn a_staged_version_is_offered_to_nobody() {
    let server = with_labels(&["v1.0.0"]).await;
    for label in ["v1.1.0", "v1.0.0", "v1"] {
        server.put_blob(label.as_bytes()).await;
        let mut document = manifest(&[("staged", label.as_bytes())]);
        document["version"] = label.into();
        server.put("/manifests/tool?activate=false", document.to_string()).await.expect(201);
    }
    let number = async |selector: &str| {
        server.get(&format!("/manifests/tool@{selector}")).await.expect(200).header("larder-version").to_owned()
    };
    for selector in ["v1", "v1.0", "stable", "newest", "%5E1", "v1.0.0", "1.0.0"] {
        assert_eq!(number(selector).await, "1", "{selector}");
    }
    let problem = server.get("/manifests/tool@v2").await.problem(404, "VERSION_UNKNOWN");
    assert_eq!(problem["labels"], json!(["v1.0.0"]));
    assert_eq!(server.get("/feeds/tool/versions.txt").await.text(), "v1.0.0\n");
    assert_eq!(server.get("/feeds/tool/index.json").await.json().as_array().unwrap().len(), 1);
    // Testers find it, and whoever promotes it means what was staged.
    assert_eq!((number("v1.1.0").await, number("2").await, number("next").await), ("2".into(), "2".into(), "4".into()));
    let promoted = server.post("/versions/tool@v1.0.0/promote", &Value::Null).await.expect(200).json();
    assert_eq!(promoted["version"], 3);
    assert_eq!(number("v1.0.0").await, "3");
    server.post("/versions/tool@v1.1.0/promote", &Value::Null).await.expect(200);
    for selector in ["v1", "stable", "newest", "%5E1"] {
        assert_eq!(number(selector).await, "2", "{selector}");
    }
    assert_eq!(server.get("/feeds/tool/versions.txt").await.text(), "v1.1.0\nv1.0.0\n");
}

#[tokio::test]
async fn a_selector_that_selects_nothing_is_answered_with_what_there_is() {
    let labels: Vec<_> = (0..12).map(|minor| format!("v1.{minor}.0")).collect();
    let server = with_labels(&labels.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let highest = json!(["v1.11.0", "v1.10.0", "v1.9.0", "v1.8.0", "v1.7.0"]);
    for path in ["/manifests/tool@v3", "/refs/tool@%5E2.0/file", "/versions/tool@nightly"] {
        let problem = server.get(path).await.problem(404, "VERSION_UNKNOWN");
        assert_eq!(problem["labels"], highest, "{path}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("v1.7.0 (and 7 more); ask for one of them, such as tool@v1.11.0"), "{detail}");
    }
    let problem = server.post("/versions/tool@v3/promote", &Value::Null).await.problem(404, "VERSION_UNKNOWN");
    assert_eq!(problem["labels"], highest);
    publish(&server, "branch", "main:abc1234", "").await.expect(201);
    let problem = server.get("/manifests/branch@stable").await.problem(404, "VERSION_UNKNOWN");
    assert!(problem["detail"].as_str().unwrap().contains("none of its releases has a label that selects"), "{problem}");
    let problem = server.get("/manifests/branch@main:abc1234").await.problem(400, "SELECTOR_INVALID");
    assert!(problem["detail"].as_str().unwrap().contains("beginning with a letter"), "{problem}");
    server.get("/manifests/none@v1").await.problem(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_label_that_was_used_is_refused_where_labels_are_used_once() {
    let server = TestServer::with(|config| {
        config.names = vec![rule("once", |rule| rule.labels = Some(Labels::Once))];
    })
    .await;
    publish(&server, "once", "v1.0.0", "a").await.expect(201);
    publish(&server, "once", "v1.1.0", "a").await.expect(201);
    let before = server.get("/versions/once").await.json();
    let problem = publish(&server, "once", "v1.0.0", "b").await.problem(409, "LABEL_TAKEN");
    assert_eq!((&problem["version"], &problem["label"]), (&json!(1), &json!("v1.0.0")));
    assert_eq!(server.get("/versions/once").await.json()["versions"], before["versions"], "nothing is left of it");
    // The same again is no other content.
    publish(&server, "once", "v1.0.0", "a").await.expect(201);
    assert_eq!(server.get("/manifests/once").await.header("larder-label"), "v1.0.0");
    // A copy is a publish, too; to a name without the policy nothing is refused.
    publish(&server, "any", "v1.1.0", "b").await.expect(201);
    publish(&server, "any", "v1.1.0", "c").await.expect(201);
    server.post("/versions/any@1/copy", &json!({"to": "once"})).await.problem(409, "LABEL_TAKEN");
    // Not even the label of a retired version is free.
    server.delete("/manifests/once@v1.1.0").await.expect(200);
    publish(&server, "once", "v1.1.0", "b").await.problem(409, "LABEL_TAKEN");
    publish(&server, "once", "v1.2.0", "b").await.expect(201);
}

#[tokio::test]
async fn an_immutable_name_leads_nowhere_else_before_it_is_deleted() {
    let server = TestServer::with(|config| {
        config.names = vec![rule("fixed/*", |rule| rule.tags = Some(Tags::Immutable))];
    })
    .await;
    publish(&server, "fixed/v1", "1", "a").await.expect(201);
    let before = server.get("/manifests/fixed/v1").await;
    let history = server.get("/history/fixed/v1").await.json();
    let problem = publish(&server, "fixed/v1", "2", "b").await.problem(409, "TAG_IMMUTABLE");
    let current = json!(before.header("etag").trim_matches('"'));
    assert_eq!((&problem["version"], &problem["current"]), (&json!(1), &current));
    assert!(problem["detail"].as_str().unwrap().contains("delete this one first"), "{problem}");
    assert_eq!(server.get("/history/fixed/v1").await.json(), history, "nothing is left of it");
    // The same manifest is no change, and staging changes nothing for readers.
    publish(&server, "fixed/v1", "1", "a").await.expect(200);
    publish(&server, "fixed/v1?activate=false", "2", "b").await.expect(201);
    server.post("/versions/fixed/v1@2/promote", &json!({})).await.problem(409, "TAG_IMMUTABLE");
    publish(&server, "other", "3", "c").await.expect(201);
    server.post("/versions/other@1/copy", &json!({"to": "fixed/v1"})).await.problem(409, "TAG_IMMUTABLE");
    assert_eq!(server.get("/manifests/fixed/v1").await.body, before.body);
    server.delete("/manifests/fixed/v1").await.expect(200);
    publish(&server, "fixed/v1", "2", "b").await.expect(201);
}

#[tokio::test]
async fn a_session_is_refused_when_it_is_committed_if_its_label_was_taken_meanwhile() {
    let server = TestServer::with(|config| {
        config.names = vec![rule("once", |rule| rule.labels = Some(Labels::Once))];
    })
    .await;
    let document = |file: &str| {
        let mut document = manifest(&[(file, b"x")]);
        document["version"] = "v1.0.0".into();
        document.to_string()
    };
    server.put_blob(b"x").await;
    let open = async |file: &str| {
        let answer = send(server.request(Method::POST, "/sessions/once").body(document(file))).await;
        answer.expect(201).json()["version"].as_u64().unwrap()
    };
    let (first, second) = (open("a").await, open("b").await);
    let commit = async |number: u64| server.put(&format!("/sessions/once@{number}"), "").await;
    commit(first).await.expect(201);
    commit(second).await.problem(409, "LABEL_TAKEN");
    // The answer to a lost reply.
    commit(first).await.expect(200);
}

#[tokio::test]
async fn only_an_exact_label_that_is_used_once_is_immutable() {
    const IMMUTABLE: &str = "public, max-age=31536000, immutable, no-transform";
    let server = TestServer::with(|config| {
        config.names = vec![rule("once", |rule| rule.labels = Some(Labels::Once))];
    })
    .await;
    for name in ["once", "any"] {
        publish(&server, name, "v1.0.0", "").await.expect(201);
        publish(&server, name, "1.1.0", "").await.expect(201);
    }
    let caching = async |path: &str| server.get(path).await.header("cache-control").to_owned();
    for (target, immutable) in [
        ("once@v1.0.0", true),
        ("once@1.1.0", true),
        ("once@v1.1.0", false),
        ("once@1", true),
        ("once@v1", false),
        ("once@%5E1", false),
        ("once@stable", false),
        ("once@active", false),
        ("once", false),
        ("any@v1.0.0", false),
    ] {
        let expected = if immutable { IMMUTABLE } else { REVALIDATE };
        assert_eq!(caching(&format!("/manifests/{target}")).await, expected, "{target}");
        assert_eq!(caching(&format!("/refs/{target}/file")).await, expected, "{target}");
    }
    // A label that several versions had before the policy came is not.
    let data = tempfile::tempdir().unwrap();
    let before = TestServer::on(data.path(), |_| {}).await;
    publish(&before, "once", "v1.0.0", "a").await.expect(201);
    publish(&before, "once", "v1.0.0", "b").await.expect(201);
    before.stop().await.unwrap();
    let after = TestServer::on(data.path(), |config| {
        config.names = vec![rule("once", |rule| rule.labels = Some(Labels::Once))];
    })
    .await;
    let answer = after.get("/manifests/once@v1.0.0").await.expect(200);
    assert_eq!((answer.header("larder-version"), answer.header("cache-control")), ("2", REVALIDATE));
}

/// `tool/beta` follows `tool/stable`, which follows it in turn.
async fn following(private: bool) -> TestServer {
    TestServer::with(|config| {
        config.names = vec![
            rule("tool/beta", |rule| rule.follow = Some(vec!["tool/stable".parse().unwrap()])),
            rule("tool/stable", |rule| {
                rule.follow = Some(vec!["tool/beta".parse().unwrap()]);
                rule.read = private.then_some(Reads::Token);
            }),
        ];
    })
    .await
}

#[tokio::test]
async fn readers_of_a_name_that_follows_another_get_whichever_label_is_higher() {
    let server = following(false).await;
    server.get("/manifests/tool/beta").await.problem(404, "MANIFEST_UNKNOWN");
    publish(&server, "tool/stable", "v1.0.0", "").await.expect(201);
    let seen = async || {
        let mut all = Vec::new();
        for _ in 0..3 {
            let answer = server.get("/manifests/tool/beta").await.expect(200);
            let file = server.get("/refs/tool/beta/file").await.expect(307);
            assert_eq!(file.header("larder-resolved"), answer.header("larder-resolved"));
            assert_eq!(answer.header("cache-control"), REVALIDATE);
            let etag = answer.header("etag").to_owned();
            let again = server.anonymous(Method::GET, "/manifests/tool/beta").header("if-none-match", &etag);
            send(again).await.expect(304);
            let label = answer.json()["version"].as_str().unwrap().to_owned();
            let number = answer
                .headers
                .get("larder-version")
                .map_or(String::new(), |number| format!("{} ", number.to_str().unwrap()));
            all.push(format!("{} {number}{label}", answer.header("larder-resolved")));
        }
        all.dedup();
        let [one] = &*all else { panic!("{all:?}") };
        one.clone()
    };
    assert_eq!(seen().await, "tool/stable@1 v1.0.0", "the number of another name is not stated as its own");
    publish(&server, "tool/beta", "v1.1.0-rc.1", "").await.expect(201);
    assert_eq!(seen().await, "tool/beta@1 1 v1.1.0-rc.1");
    publish(&server, "tool/stable", "v1.1.0", "").await.expect(201);
    assert_eq!(seen().await, "tool/stable@2 v1.1.0");
    publish(&server, "tool/beta", "v1.2.0-rc.1", "").await.expect(201);
    assert_eq!(seen().await, "tool/beta@2 2 v1.2.0-rc.1");
    server.post("/versions/tool/beta@1/promote", &Value::Null).await.expect(200);
    assert_eq!(seen().await, "tool/stable@2 v1.1.0");
    // The other name follows this one, which makes no circle; what is not the active version is never another name's.
    assert_eq!(server.get("/manifests/tool/stable").await.header("larder-resolved"), "tool/stable@2");
    let own = server.get("/manifests/tool/beta@active").await.expect(200);
    assert_eq!((own.header("larder-version"), own.headers.contains_key("larder-resolved")), ("1", false));
    assert_eq!(server.get("/manifests/tool/beta@newest").await.header("larder-version"), "2");
    assert_eq!(server.get("/versions/tool/beta@active").await.json()["number"], 1);
    // Who withdraws a name means its readers, whatever it follows.
    server.delete("/manifests/tool/beta").await.expect(200);
    server.get("/manifests/tool/beta").await.problem(410, "MANIFEST_DELETED");
}

#[tokio::test]
async fn whoever_reads_a_name_that_follows_another_must_be_allowed_to_read_both() {
    let server = following(true).await;
    publish(&server, "tool/beta", "v1.0.0", "").await.expect(201);
    publish(&server, "tool/stable", "v2.0.0", "").await.expect(201);
    for path in ["/manifests/tool/beta", "/refs/tool/beta/file"] {
        for _ in 0..2 {
            let problem = send(server.anonymous(Method::GET, path)).await.problem(401, "UNAUTHORIZED");
            assert!(!problem["detail"].as_str().unwrap().contains("tool/stable"), "{problem}");
            let answer = send(server.request(Method::GET, path)).await;
            assert_eq!(answer.header("larder-resolved"), "tool/stable@1", "{path}");
            assert!(answer.header("cache-control").starts_with("private"), "{answer:?}");
        }
    }
    assert_eq!(server.get("/manifests/tool/beta@1").await.expect(200).header("larder-version"), "1");
}
