//! Several who change a name at once: every outcome is one that they could have had one after the other.

use larder::domain::Digest;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{TestServer, send};

const ROUNDS: usize = 100;

/// Checks that each change of the name began where the one before it ended, and that nothing became active while it was
/// yanked. Returns how many there are.
async fn check(server: &TestServer) -> usize {
    let (mut changes, mut path) = (Vec::new(), "/history/tool?limit=200".to_owned());
    loop {
        let page = server.get(&path).await.expect(200).json();
        changes.extend(page["changes"].as_array().unwrap().iter().cloned());
        let Some(before) = page["next"].as_u64() else { break };
        path = format!("/history/tool?limit=200&before={before}");
    }
    changes.reverse();
    let (mut active, mut yanked) = (Value::Null, false);
    for change in &changes {
        assert_eq!(change["from"], active, "{change}");
        active = change["to"].clone();
        match change["action"].as_str().unwrap() {
            "yank" => yanked = true,
            "unyank" => yanked = false,
            _ => {}
        }
        assert!(!(yanked && active == 3), "a yanked version is active: {change}");
    }
    changes.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn promotions_and_a_yank_at_once_leave_a_right_history() {
    let server = TestServer::start().await;
    for content in ["1", "2", "3"] {
        server.publish("tool", &[("file", content.as_bytes())]).await;
    }
    for round in 0..ROUNDS {
        let promote = async |number: u64| server.post(&format!("/versions/tool@{number}/promote"), &Value::Null).await;
        let yank = server.put("/versions/tool@3/yank?rollback=true", json!({"reason": "bad"}).to_string());
        let (first, second, yanked) = tokio::join!(promote(1), promote(2), yank);
        first.expect(200);
        second.expect(200);
        yanked.expect(200);
        let active = server.get("/versions/tool@active").await.expect(200).json();
        assert!(active["number"] == 1 || active["number"] == 2, "round {round}: {active}");
        assert_eq!(server.get("/versions/tool@3").await.json()["yanked"]["reason"], "bad", "round {round}");
        promote(3).await.problem(409, "VERSION_YANKED");
        server.delete("/versions/tool@3/yank").await.expect(200);
        promote(3).await.expect(200);
    }
    // A promotion of what is active already changes nothing.
    let changes = check(&server).await;
    assert!((3 + 4 * ROUNDS..=3 + 5 * ROUNDS).contains(&changes), "{changes}");
}

/// Large documents are made on threads that serve nobody else meanwhile; that changes nothing about them.
#[tokio::test(flavor = "multi_thread")]
async fn documents_of_thousands_of_files_are_made_for_many_at_once() {
    let server = TestServer::start().await;
    server.put_blob(b"x").await;
    let blob = Digest::of(b"x");
    for (label, count) in [("v1.0.0", 2000), ("v1.1.0", 1999)] {
        let file = |at: usize| json!({"name": format!("tool-{at:04}-linux-arm64"), "blob": blob, "size": 1});
        let document = json!({"version": label, "artifacts": (0..count).map(file).collect::<Vec<_>>()});
        server.put("/manifests/tool", document.to_string()).await.expect(201);
    }
    let sums = async || server.get("/refs/tool/SHA256SUMS").await.expect(200).text().lines().count();
    let index =
        async || server.get("/feeds/tool/index.json").await.expect(200).json()[1]["files"].as_array().unwrap().len();
    let diff = async || server.get("/versions/tool@1/diff?to=2").await.expect(200).json()["unchanged"].clone();
    let platform = async || {
        let path = "/refs/tool?os=linux&arch=arm64";
        send(server.anonymous(Method::GET, path)).await.expect(300).json()["more"].clone()
    };
    for _ in 0..5 {
        let (sums, more_sums, index, diff, platform) = tokio::join!(sums(), sums(), index(), diff(), platform());
        assert_eq!((sums, more_sums, index), (1999, 1999, 2000));
        assert_eq!((diff, platform), (json!(1999), json!(1899)));
    }
}
