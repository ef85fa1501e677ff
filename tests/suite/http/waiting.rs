//! Requests that wait until a name changes, and what a runtime learns of a dynamic release.

use std::time::Duration;

use reqwest::{Method, header};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::support::server::{Answer, TestServer, send};

/// What a machine under load may add to any time.
const SLACK: Duration = Duration::from_secs(4);
/// A wait that is not meant to end by itself.
const LONG: Duration = Duration::from_secs(50);

fn number(answer: &Answer, name: &str) -> u64 {
    answer.header(name).parse().unwrap()
}

async fn generation(server: &TestServer, name: &str) -> u64 {
    number(&server.get(&format!("/versions/{name}")).await.expect(200), "larder-generation")
}

#[tokio::test]
async fn a_dynamic_release_says_how_it_is_run() {
    let server = TestServer::start().await;
    let (program, config) = (server.put_blob(b"#!/bin/sh\n").await, server.put_blob(b"{}").await);
    let release = json!({
        "version": "v1", "kind": "dynamic", "entrypoint": "bin/app", "command": ["app", "--fast"], "port": 8080,
        "artifacts": [
            {"name": "app.json", "blob": config, "size": 2},
            {"name": "bin/app", "blob": program, "size": 10, "media_type": "text/x-sh", "executable": true},
        ],
    });
    server.put("/manifests/app", release.to_string()).await.expect(201);
    let answer = server.get("/versions/app@active").await.expect(200);
    let row = answer.json();
    let url = format!("/blobs/{program}/app?type=text%2Fx-sh");
    let artifact = json!({
        "name": "bin/app", "url": row["runtime"]["artifact"]["url"], "digest": program, "size": 10,
        "media_type": "text/x-sh", "executable": true,
    });
    let runtime = json!({"artifact": artifact, "entrypoint": "bin/app", "command": ["app", "--fast"], "port": 8080});
    assert_eq!(row["runtime"], runtime, "{row:#}");
    let found = row["runtime"]["artifact"]["url"].as_str().unwrap();
    assert_eq!(found.replace("text/x-sh", "text%2Fx-sh"), url);
    assert_eq!(server.get(found).await.expect(200).body, b"#!/bin/sh\n");
    assert_eq!(row["generation"], number(&answer, "larder-generation"));
    assert_eq!(row["generation"], server.get("/versions/app").await.json()["generation"]);

    // The only file is the entrypoint, and of other kinds nothing is said.
    let release = json!({"kind": "dynamic", "command": "serve", "port": "http",
        "artifacts": [{"name": "image.tar", "blob": config, "size": 2}]});
    server.put("/manifests/app", release.to_string()).await.expect(201);
    let row = server.get("/versions/app@2").await.expect(200).json();
    assert_eq!(row["runtime"]["artifact"]["name"], "image.tar");
    assert_eq!((&row["runtime"]["command"], &row["runtime"]["port"]), (&json!("serve"), &json!("http")));
    server.publish("files", &[("f", b"1")]).await;
    assert!(server.get("/versions/files@1").await.json().get("runtime").is_none());
}

#[tokio::test]
async fn what_has_changed_is_answered_at_once_and_what_has_not_after_the_wait() {
    let server = TestServer::with(|config| config.heads.max_wait = "2s".parse().unwrap()).await;
    server.publish("main", &[("f", b"1")]).await;
    let now = generation(&server, "main").await;
    for path in ["/versions/main", "/versions/main@active", "/manifests/main"] {
        let began = Instant::now();
        let answer = server.get(&format!("{path}?wait=50s&after={}", now - 1)).await.expect(200);
        assert_eq!(number(&answer, "larder-generation"), now);
        assert!(began.elapsed() < SLACK, "{path}");
        // No longer than the server lets anybody wait.
        let (began, path) = (Instant::now(), format!("{path}?wait=50s&after={now}"));
        let answer = server.get(&path).await.expect(204);
        assert_eq!((number(&answer, "larder-generation"), answer.header("cache-control")), (now, "no-store"));
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(2) + SLACK, "{took:?}");
        assert_eq!(server.head(&path.replace("50s", "0s")).await.expect(204).body, b"");
    }
    for query in ["wait=5s", "wait=5s&after=x", "wait=soon&after=1", "wait=&after=1", "wait=5s&after=-1"] {
        server.get(&format!("/versions/main?{query}")).await.problem(400, "QUERY_INVALID");
        server.get(&format!("/manifests/main?{query}")).await.problem(400, "QUERY_INVALID");
    }
}

#[tokio::test]
async fn a_condition_is_judged_when_the_wait_is_over() {
    let server = TestServer::start().await;
    server.publish("main", &[("f", b"1")]).await;
    let answer = server.get("/manifests/main").await.expect(200);
    let (etag, now) = (answer.header("etag").to_owned(), number(&answer, "larder-generation"));
    let ask = |etag: &str, wait: &str, after: u64| {
        let path = format!("/manifests/main?wait={wait}&after={after}");
        send(server.anonymous(Method::GET, &path).header(header::IF_NONE_MATCH, etag))
    };
    let unchanged = ask(&etag, "300ms", now).await.expect(304);
    assert_eq!(number(&unchanged, "larder-generation"), now);
    ask("\"sha256:00\"", "300ms", now).await.expect(200);
    // The first step of a publish is a change, too, by which readers get nothing else yet.
    let until_other = async {
        let mut after = now;
        loop {
            let answer = ask(&etag, "50s", after).await;
            after = number(&answer, "larder-generation");
            if answer.status != 304 {
                return answer;
            }
        }
    };
    let publishing = async {
        sleep(Duration::from_millis(300)).await;
        server.publish("main", &[("f", b"2")]).await
    };
    let (answer, _) = tokio::join!(until_other, publishing);
    assert_ne!(answer.expect(200).header("etag"), etag);
}

#[tokio::test]
async fn a_name_may_be_waited_for_before_it_exists_and_after_it_was_withdrawn() {
    let server = TestServer::start().await;
    let answer = server.get("/versions/main@active?wait=300ms&after=0").await.expect(204);
    assert_eq!(number(&answer, "larder-generation"), 0);
    let ask = |after: u64| {
        let request = server.anonymous(Method::GET, &format!("/versions/main@active?wait=50s&after={after}"));
        async move { timeout(LONG, send(request)).await.expect("in time") }
    };
    let change = |change: &'static str| {
        let server = &server;
        async move {
            sleep(Duration::from_millis(300)).await;
            match change {
                "publish" => drop(server.publish("main", &[("f", b"1")]).await),
                _ => drop(server.delete("/manifests/main").await.expect(200)),
            }
        }
    };
    // A publish has steps, each of which is a generation; nothing is active before the last one.
    let mut after = 0;
    let follow = async {
        loop {
            let answer = ask(after).await;
            after = number(&answer, "larder-generation");
            if answer.status == 200 {
                return answer;
            }
            answer.expect(404);
        }
    };
    let (answer, ()) = tokio::join!(follow, change("publish"));
    assert_eq!(answer.json()["number"], 1);
    let (answer, ()) = tokio::join!(ask(after), change("withdraw"));
    assert!(number(&answer, "larder-generation") > after);
    after = number(&answer, "larder-generation");
    answer.problem(410, "MANIFEST_DELETED");
    assert_eq!(
        number(&server.get(&format!("/versions/main?wait=0s&after={after}")).await.expect(204), "larder-generation"),
        after
    );
}

#[tokio::test]
async fn what_follows_other_names_is_waited_for_name_by_name() {
    let server = TestServer::with(|config| {
        let rule = "match = ['beta']\nfollow = ['stable']";
        config.names = vec![toml::from_str(rule).unwrap()];
    })
    .await;
    server.publish("stable", &[("f", b"1")]).await;
    let problem = server.get("/manifests/beta?wait=5s&after=0").await.problem(400, "QUERY_INVALID");
    assert!(problem["detail"].as_str().unwrap().contains("beta@active"), "{problem}");
    server.get("/manifests/beta@active?wait=100ms&after=0").await.expect(204);
}
