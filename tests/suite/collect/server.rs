//! The collector inside a server, and what the server shows of it.

use std::time::Duration;

use larder::config::{Collector, Config, NameRule};
use larder::domain::Digest;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::process::larder;
use crate::support::server::{TestServer, manifest, send};

/// Runs all the time, and keeps nothing that is not needed.
fn greedy(config: &mut Config) {
    let seconds = |seconds| Some(larder::config::Duration::from_secs(seconds));
    config.names = vec![NameRule {
        matches: vec!["**".parse().unwrap()],
        keep_last: Some(0),
        keep_for: seconds(0),
        staged_for: seconds(0),
        prepared_for: seconds(60),
        ..NameRule::default()
    }];
    config.collector = Collector {
        interval: "20ms".parse().unwrap(),
        min_age: larder::config::Duration::from_secs(0),
        ..Collector::default()
    };
}

async fn publish(server: &TestServer, bytes: &'static [u8]) {
    server.put_blob(bytes).await;
    let body = manifest(&[("file", bytes)]).to_string();
    let request = server.request(Method::PUT, "/manifests/main").body(body);
    send(request).await.expect(201);
}

/// Waits until an address answers with this status.
async fn wait_for(server: &TestServer, path: &str, status: u16) {
    for _ in 0..2000 {
        if server.get(path).await.status.as_u16() == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{path} never answered {status}");
}

#[tokio::test]
async fn a_server_collects_on_its_own_and_shows_what_it_did() {
    // Publishing blob by blob would race with a collector that never waits: that is what the minimum age is for.
    let directory = tempfile::TempDir::new().unwrap();
    let quiet = TestServer::on(directory.path(), |config| config.collector.enabled = false).await;
    publish(&quiet, b"one").await;
    publish(&quiet, b"two").await;
    quiet.stop().await.unwrap();
    let server = TestServer::on(directory.path(), greedy).await;
    wait_for(&server, "/manifests/main@1", 410).await;
    wait_for(&server, &format!("/blobs/{}", Digest::of(b"one")), 404).await;
    let gone = server.get("/refs/main@1/file").await.problem(410, "VERSION_RETIRED");
    assert!(gone["reason"].as_str().unwrap().contains("retention"), "{gone}");
    assert!(gone["retired_at"].is_string());
    send(server.request(Method::POST, "/versions/main@1/promote")).await.problem(410, "VERSION_RETIRED");
    server.get("/manifests/main").await.expect(200);
    let row = server.get("/versions/main@1").await.expect(200).json();
    assert_eq!((row["state"].as_str(), row["created_by"].as_str()), (Some("retired"), Some("larder:admin")));

    let deleted = |run: &&Value| run["totals"]["deleted"]["blobs"].as_u64() > Some(0);
    // The bytes are gone a moment before the report says so.
    let run = loop {
        let page = send(server.request(Method::GET, "/collector/runs?limit=200")).await.expect(200).json();
        if let Some(run) = page["runs"].as_array().unwrap().iter().find(deleted) {
            break run.clone();
        }
    };
    assert_eq!(run["outcome"], "completed");
    let id = run["run"].as_str().unwrap();
    let shown = send(server.request(Method::GET, &format!("/collector/runs/{id}"))).await.expect(200).json();
    assert_eq!(shown, run);
    let plan = send(server.request(Method::GET, &format!("/collector/runs/{id}/plan"))).await.expect(200);
    assert_eq!(plan.header("content-type"), "application/x-ndjson");
    assert!(plan.text().contains(&Digest::of(b"one").to_string()), "{}", plan.text());
    let metrics = server.get("/metrics").await.expect(200).text();
    for metric in
        ["larder_collector_runs_total", "larder_collector_deleted_bytes_total", "larder_collector_last_success"]
    {
        assert!(metrics.contains(metric), "{metrics}");
    }
    assert_eq!(server.get("/readyz").await.expect(200).text(), "ready\n");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn runs_are_for_those_who_may_do_everything() {
    let server = TestServer::start().await;
    for path in ["/collector/runs", "/collector/runs/20261121T142234.567Z-0badcafe", "/collector/runs/x/plan"] {
        send(server.anonymous(Method::GET, path)).await.problem(401, "UNAUTHORIZED");
    }
    let page = send(server.request(Method::GET, "/collector/runs")).await.expect(200).json();
    assert_eq!(page, json!({"runs": [], "next": null}));
    for path in ["20261121T142234.567Z-0badcafe", "20261121T142234.567Z-0badcafe/plan", "nonsense", "a/b/c"] {
        send(server.request(Method::GET, &format!("/collector/runs/{path}"))).await.problem(404, "RUN_UNKNOWN");
    }
    send(server.request(Method::GET, "/collector/runs?before=yesterday")).await.problem(400, "QUERY_INVALID");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn runs_are_paged() {
    let server = TestServer::start().await;
    for _ in 0..5 {
        larder("collect --once --data").arg(&server.data).ok();
    }
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = send(server.request(Method::GET, &format!("/collector/runs{query}"))).await.expect(200).json();
        seen.extend(page["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=2&before={next}");
    }
    assert_eq!(seen.len(), 5);
    seen.dedup();
    assert_eq!(seen.len(), 5, "each once");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_run_that_failed_shows_in_readiness_and_metrics_and_heals_with_the_store() {
    let server = TestServer::with(greedy).await;
    // A run must not find the first name of a store between its mark and its first head.
    while send(server.request(Method::GET, "/collector/runs")).await.json()["runs"][0]["outcome"] != "completed" {}
    publish_session(&server, b"one").await;
    let strange = server.data.join("objects/strange");
    std::fs::write(&strange, "").unwrap();
    let readiness = async |part: &str| {
        for _ in 0..2000 {
            if server.get("/readyz").await.expect(200).text().contains(part) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("/readyz never said {part}");
    };
    readiness("collector's run of").await;
    let runs = send(server.request(Method::GET, "/collector/runs?limit=1")).await.expect(200).json();
    assert!(runs["runs"][0]["outcome"] == "failed", "{runs}");
    assert!(runs["runs"][0]["error"].as_str().unwrap().contains("strange"), "{runs}");
    let metrics = server.get("/metrics").await.expect(200).text();
    assert!(metrics.contains("larder_collector_runs_total{outcome=\"failed\"}"), "{metrics}");
    std::fs::remove_file(&strange).unwrap();
    readiness("ready\n").await;
    server.stop().await.unwrap();
}

/// Publishes so that no collector can come in between.
async fn publish_session(server: &TestServer, bytes: &'static [u8]) {
    let body = manifest(&[("file", bytes)]).to_string();
    let session = send(server.request(Method::POST, "/sessions/main").body(body)).await.expect(201).json();
    server.put_blob(bytes).await;
    let location = session["location"].as_str().unwrap();
    send(server.request(Method::PUT, location)).await.expect(201);
}

#[tokio::test]
async fn sessions_lose_nothing_to_a_collector_that_never_waits() {
    let server = TestServer::with(greedy).await;
    for bytes in [b"one", b"two", b"six", b"ten"] {
        publish_session(&server, bytes).await;
        assert_eq!(server.get(&format!("/blobs/{}", Digest::of(bytes))).await.expect(200).body, bytes);
    }
    server.stop().await.unwrap();
}
