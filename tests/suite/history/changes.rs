//! `/history`: every change, with its author, and its reason.

use larder::config::{NameRule, Token};
use larder::domain::{Digest, Permission, Reads};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{TestServer, send};

pub fn changes(page: &Value) -> Vec<Value> {
    page["changes"].as_array().unwrap().clone()
}

/// `ACTION VERSION FROM>TO`, and the reason.
pub fn told(change: &Value) -> String {
    let number = |member: &str| change[member].as_u64().map_or("-".to_owned(), |number| number.to_string());
    let reason = change["reason"].as_str().map(|reason| format!(" {reason}")).unwrap_or_default();
    let action = change["action"].as_str().unwrap();
    format!("{action} {} {}>{}{reason}", number("version"), number("from"), number("to"))
}

pub async fn history(server: &TestServer, target: &str) -> Vec<String> {
    changes(&server.get(&format!("/history/{target}")).await.expect(200).json()).iter().map(told).collect()
}

#[tokio::test]
async fn every_change_is_told_with_its_reason_newest_first() {
    let server = TestServer::start().await;
    for content in ["1", "2", "3"] {
        server.publish("main", &[("file", content.as_bytes())]).await;
    }
    server.post("/versions/main@1/promote?reason=slow", &json!(null)).await.expect(200);
    server.post("/versions/main@active/rollback?reason=was%20the%20network", &json!(null)).await.expect(200);
    let row = server.put("/versions/main@1/pin?reason=audit", "").await.expect(200).json();
    assert_eq!((&row["pins"][0]["reason"], &row["pins"][0]["by"]), (&json!("audit"), &json!("larder:admin")));
    server.delete("/versions/main@1/pin").await.expect(200);
    server.delete("/manifests/main@2?reason=CVE-1").await.expect(200);
    server.post("/versions/main@3/copy?reason=release&activate=false", &json!({"to": "stable"})).await.expect(201);
    assert_eq!(
        history(&server, "main").await,
        [
            "retire 2 3>3 CVE-1",
            "unpin 1 3>3",
            "pin 1 3>3 audit",
            "rollback 3 1>3 was the network",
            "promote 1 3>1 slow",
            "publish 3 2>3",
            "publish 2 1>2",
            "publish 1 ->1",
        ]
    );
    let copied = server.get("/history/stable").await.expect(200).json();
    assert_eq!(told(&copied["changes"][0]), "copy 1 ->- release");
    assert_eq!(copied["changes"][0]["origin"]["name"], "main");
    let one = &changes(&server.get("/history/main").await.json())[0];
    assert_eq!((&one["by"], &one["issuer"], &one["id"]), (&json!("larder:admin"), &json!("larder"), &json!("admin")));
    assert!(one["at"].is_string() && one["generation"].is_u64());
    assert_eq!(history(&server, "main@1").await.len(), 6, "also what ended and began its activity");
    assert_eq!(history(&server, "main@2").await, ["retire 2 3>3 CVE-1", "publish 3 2>3", "publish 2 1>2"]);
    server.get("/history/other").await.problem(404, "MANIFEST_UNKNOWN");
    server.get("/history/main?limit=x").await.problem(400, "QUERY_INVALID");
    let long = "r".repeat(501);
    let refused = server.post(&format!("/versions/main@1/promote?reason={long}"), &json!(null)).await;
    refused.problem(400, "QUERY_INVALID");
}

#[tokio::test]
async fn rows_say_who_published_and_who_made_active() {
    let server = TestServer::with(|config| {
        let token = |id: &str, actions: &[Permission]| Token {
            id: id.into(),
            sha256: Digest::of(id.as_bytes()).hex(),
            actions: actions.to_vec(),
            names: vec!["**".parse().unwrap()],
            surfaces: None,
            until: None,
        };
        config.access.tokens = vec![
            token("ci", &[Permission::Publish]),
            token("ops", &[Permission::Promote, Permission::Retire]),
            token("reader", &[Permission::Read]),
        ];
        let rule = NameRule { matches: vec!["secret".parse().unwrap()], ..NameRule::default() };
        config.names = vec![NameRule { read: Some(Reads::Token), ..rule }];
    })
    .await;
    let as_who = |who: &str, method: Method, path: &str, body: &str| {
        send(server.anonymous(method, path).bearer_auth(who).body(body.to_owned()))
    };
    for content in ["1", "2"] {
        as_who("ci", Method::PUT, &format!("/blobs/{}", Digest::of(content.as_bytes())), content).await.expect(201);
        let manifest = crate::support::server::manifest(&[("f", content.as_bytes())]).to_string();
        as_who("ci", Method::PUT, "/manifests/secret", &manifest).await.expect(201);
    }
    as_who("ops", Method::POST, "/versions/secret@1/promote", "").await.expect(200);
    as_who("ops", Method::DELETE, "/manifests/secret@2", "").await.expect(200);
    let row = |number: u64| as_who("reader", Method::GET, &format!("/versions/secret@{number}"), "");
    let first = row(1).await.expect(200).json();
    assert_eq!((&first["created_by"], &first["promoted_by"]), (&json!("token:ci"), &json!("token:ops")));
    assert_eq!((&first["activations"], &first["version_number"]), (&json!(2), &json!(1)));
    assert_eq!(format!("sha256:{}", first["artifact_sha256"].as_str().unwrap()), first["manifest"].as_str().unwrap());
    assert!(first["first_active_at"].as_str().unwrap() < first["promoted_at"].as_str().unwrap());
    let second = row(2).await.expect(200).json();
    assert_eq!(
        (&second["retired_by"], second.get("retired_because")),
        (&json!("token:ops"), None),
        "no reason was given"
    );
    let problem = as_who("reader", Method::GET, "/manifests/secret@2", "").await.problem(410, "VERSION_RETIRED");
    assert_eq!(problem["reason"], json!(null));
    server.get("/history/secret").await.problem(401, "UNAUTHORIZED");
    as_who("ops", Method::GET, "/history/secret", "").await.problem(403, "DENIED");
    let page = as_who("reader", Method::GET, "/history/secret", "").await.expect(200).json();
    assert_eq!(changes(&page).iter().map(|one| one["by"].as_str().unwrap()).collect::<Vec<_>>()[..2], ["token:ops"; 2]);
    // A copy may be read by everybody, but not where it comes from.
    as_who("ci", Method::POST, "/versions/secret@1/copy", r#"{"to": "open"}"#).await.problem(403, "DENIED");
}

#[tokio::test]
async fn the_origin_of_a_copy_is_told_to_those_who_may_read_it() {
    let server = TestServer::with(|config| {
        let rule = NameRule { matches: vec!["secret".parse().unwrap()], ..NameRule::default() };
        config.names = vec![NameRule { read: Some(Reads::Token), ..rule }];
    })
    .await;
    server.publish("secret", &[("f", b"1")]).await;
    server.post("/versions/secret@1/copy", &json!({"to": "open"})).await.expect(201);
    assert_eq!(server.get("/history/open").await.expect(200).json()["changes"][0].get("origin"), None);
    let page = send(server.request(Method::GET, "/history/open")).await.expect(200).json();
    assert_eq!(page["changes"][0]["origin"]["name"], "secret");
}

#[tokio::test]
async fn steps_are_folded_unless_they_are_asked_for_and_pages_follow_each_other() {
    let server = TestServer::start().await;
    for at in 0..40 {
        server.publish("main", &[("file", format!("{at}").as_bytes())]).await;
    }
    let missing = crate::support::server::manifest(&[("f", b"not there")]).to_string();
    server.put("/manifests/main", missing).await.expect(409);
    let collect = async |query: &str| {
        let (mut found, mut path) = (Vec::new(), format!("/history/main?limit=7{query}"));
        loop {
            let answer = server.get(&path).await.expect(200);
            let page = answer.json();
            found.extend(changes(&page).iter().map(told));
            assert!(changes(&page).len() <= 7);
            let Some(next) = page["next"].as_u64() else { return found };
            assert!(answer.header("link").contains(&format!("before={next}")));
            path = format!("/history/main?limit=7{query}&before={next}");
        }
    };
    let short = collect("").await;
    assert_eq!((short.len(), short[0].as_str(), short[39].as_str()), (40, "publish 40 39>40", "publish 1 ->1"));
    let all = collect("&all=true").await;
    assert_eq!((all.len(), all[0].as_str(), all[1].as_str()), (82, "abort 41 40>40", "prepare 41 40>40"));
    assert_eq!(all[81], "prepare 1 ->-");
    assert_eq!(changes(&server.get("/history/main?before=1").await.expect(200).json()).len(), 0);
}

#[tokio::test]
async fn a_name_that_was_deleted_and_published_again_keeps_its_history() {
    let server = TestServer::start().await;
    server.publish("main", &[("file", b"1")]).await;
    server.delete("/manifests/main?reason=by%20mistake").await.expect(200);
    let page = server.get("/history/main").await.expect(200).json();
    assert_eq!(page["deleted"]["reason"], "by mistake");
    assert_eq!((&page["deleted"]["by"], &page["active"]), (&json!("larder:admin"), &json!(null)));
    server.get("/manifests/main").await.problem(410, "MANIFEST_DELETED");
    server.publish("main", &[("file", b"2")]).await;
    let page = server.get("/history/main").await.expect(200).json();
    assert_eq!(page.get("deleted"), None);
    assert_eq!(
        changes(&page).iter().map(told).collect::<Vec<_>>(),
        ["publish 2 ->2", "delete - 1>- by mistake", "publish 1 ->1"]
    );
    server.delete("/manifests/main").await.expect(200);
    let problem = server.get("/manifests/main").await.problem(410, "MANIFEST_DELETED");
    assert_eq!(problem["reason"], json!(null), "who did it is no reason");
    let row = server.get("/versions/main@2").await.expect(200).json();
    assert_eq!((row.get("retired_because"), &row["retired_by"]), (None, &json!("larder:admin")));
}
