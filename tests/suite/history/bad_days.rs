//! Histories of names that many change at once, and of names that were changed very often.

use larder::layout::LayoutKey;
use larder::service::{Histories, HistoryQuery};
use serde_json::{Value, json};

use super::changes::{changes, told};
use crate::support::faulty::FaultyStore;
use crate::support::server::TestServer;
use crate::support::services::*;
use crate::support::store::*;

async fn all_changes(server: &TestServer) -> Vec<Value> {
    let (mut found, mut path) = (Vec::new(), "/history/main?limit=200&all=true".to_owned());
    loop {
        let page = server.get(&path).await.expect(200).json();
        found.extend(changes(&page));
        let Some(next) = page["next"].as_u64() else { return found };
        path = format!("/history/main?limit=200&all=true&before={next}");
    }
}

/// Asserts that each change begins where the one before it ended.
fn assert_chained(changes: &[Value]) {
    for pair in changes.windows(2) {
        assert_eq!(pair[0]["from"], pair[1]["to"], "{pair:#?}");
        assert_eq!(pair[0]["generation"].as_u64().unwrap(), pair[1]["generation"].as_u64().unwrap() + 1);
        assert!(pair[0]["at"].as_str() >= pair[1]["at"].as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_who_promote_at_once_are_both_in_the_history() {
    let server = TestServer::start().await;
    for content in ["1", "2", "3"] {
        server.publish("main", &[("file", content.as_bytes())]).await;
    }
    let promote = async |number: u64| {
        let path = format!("/versions/main@{number}/promote?reason=for%20{number}");
        server.post(&path, &json!(null)).await.expect(200);
    };
    for _ in 0..10 {
        tokio::join!(promote(1), promote(2));
    }
    let all = all_changes(&server).await;
    assert_chained(&all);
    let promoted: Vec<String> =
        all.iter().map(told).filter(|text| !text.starts_with('p') || text.contains("for")).collect();
    assert!(promoted.len() >= 11, "each round has two, but the first of a round may find its version active: {all:#?}");
    assert!(promoted.iter().all(|text| text.ends_with(">1 for 1") || text.ends_with(">2 for 2")), "{promoted:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yank_with_rollback_under_a_race_never_leaves_the_version_active() {
    let server = TestServer::start().await;
    for content in ["1", "2", "3", "4"] {
        server.publish("main", &[("file", content.as_bytes())]).await;
    }
    let body = json!({"reason": "bad"}).to_string();
    let yank = || server.put("/versions/main@3/yank?rollback=true", body.clone());
    let (nothing, retries) = (json!(null), 0..8);
    for round in retries {
        let promote = |number: u64| {
            let path = format!("/versions/main@{number}/promote");
            let (server, nothing) = (&server, &nothing);
            async move { server.post(&path, nothing).await.status.as_u16() }
        };
        let (first, second, third, fourth, fifth) = tokio::join!(promote(3), yank(), promote(1), yank(), promote(3));
        assert_eq!((second.status.as_u16(), fourth.status.as_u16(), third), (200, 200, 200), "round {round}");
        assert!([200, 409].contains(&first) && [200, 409].contains(&fifth));
        let page = server.get("/versions/main").await.expect(200).json();
        assert_ne!(page["active"], 3, "{page:#}");
        assert!(page["active"].is_u64(), "there always is an active version");
        let answer = server.get("/manifests/main").await.expect(200);
        assert!(!answer.headers.contains_key("larder-yanked"));
        server.delete("/versions/main@3/yank").await.expect(200);
        server.post("/versions/main@3/promote", &json!(null)).await.expect(200);
    }
    assert_chained(&all_changes(&server).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_of_ten_thousand_generations_costs_only_its_page() {
    let backend = FsBackend::quick();
    let writer = Services::over(&backend.store());
    writer.release("main", &Release::new("v1", 1)).await.unwrap();
    let mut head = serde_json::to_value(&*writer.head("main").await).unwrap();
    for generation in 3..=10_000_u64 {
        head["generation"] = generation.into();
        head["operation"]["action"] = if generation % 2 == 0 { "pin" } else { "unpin" }.into();
        backend.plant(&LayoutKey::Head(name("main").into(), generation).key(), head.to_string().as_bytes());
    }
    let faulty = FaultyStore::over(&backend.store());
    let reader = Services::over(&faulty.store());
    let histories = Histories::new(reader.heads.clone());
    let query = HistoryQuery { before: None, limit: 50, steps: false, version: None };
    let mut before = None;
    for expected in [10_000, 9_950, 9_900] {
        faulty.reset();
        let page = histories.page(&name("main"), HistoryQuery { before, ..query }).await.unwrap().unwrap();
        let generations: Vec<u64> = page.entries.iter().map(|entry| entry.generation).collect();
        assert_eq!(generations, (expected - 49..=expected).rev().collect::<Vec<_>>());
        assert!(faulty.total() <= 50 + 1 + 16 + 2, "{}", faulty.breakdown());
        before = page.next;
    }
    // A filter that nothing passes examines a bounded number of heads, and says where to go on.
    faulty.reset();
    let of = HistoryQuery { version: Some(7), limit: 1, ..query };
    let page = histories.page(&name("main"), of).await.unwrap().unwrap();
    assert_eq!((page.entries.len(), page.next), (0, Some(9_937)));
    assert!(faulty.total() <= 66, "{}", faulty.breakdown());
    let last = HistoryQuery { before: Some(4), limit: 50, ..query };
    let page = histories.page(&name("main"), last).await.unwrap().unwrap();
    assert_eq!((page.entries.len(), page.next), (2, None), "the publish and its first change");
}

#[tokio::test]
async fn a_head_that_is_missing_within_the_history_is_a_loss_and_an_older_beginning_is_none() {
    let backend = FsBackend::quick();
    let services = Services::over(&backend.store());
    for label in ["v1", "v2", "v3"] {
        services.release("main", &Release::new(label, 1)).await.unwrap();
    }
    let histories = Histories::new(services.heads.clone());
    let query = HistoryQuery { before: None, limit: 50, steps: false, version: None };
    for generation in [1, 2] {
        backend.store().delete(&LayoutKey::Head(name("main").into(), generation).key()).await.unwrap();
    }
    let page = histories.page(&name("main"), query).await.unwrap().unwrap();
    let shown: Vec<_> = page.entries.iter().map(|entry| (entry.generation, entry.from, entry.to)).collect();
    assert_eq!((shown, page.next), (vec![(6, Some(2), Some(3)), (4, Some(1), Some(2))], None));
    backend.store().delete(&LayoutKey::Head(name("main").into(), 4).key()).await.unwrap();
    histories.page(&name("main"), query).await.unwrap_err();
}
