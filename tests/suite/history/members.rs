//! A release found by its hash: who holds it, what it costs, and how the index is kept right.

use bytes::Bytes;
use larder::config::NameRule;
use larder::domain::{Digest, Reads};
use larder::layout;
use larder::service::Members;
use larder::store::StoreErrorKind;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::collecting::*;
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::server::{TestServer, send};
use crate::support::services::*;
use crate::support::store::*;

fn held_by(page: &Value) -> Vec<String> {
    let one = |holder: &Value| format!("{}@{}", holder["name"].as_str().unwrap(), holder["number"]);
    page["held_by"].as_array().unwrap().iter().map(one).collect()
}

#[tokio::test]
async fn a_release_is_found_by_its_hash_under_the_names_that_may_be_read() {
    let server = TestServer::with(|config| {
        let rule = NameRule { matches: vec!["secret".parse().unwrap()], ..NameRule::default() };
        config.names = vec![NameRule { read: Some(Reads::Token), ..rule }];
    })
    .await;
    let digest = server.publish("Main.v1", &[("f", b"1")]).await["manifest"].as_str().unwrap().to_owned();
    let path = format!("/manifests/{digest}");
    for to in ["a/stable", "a/b.5", "secret"] {
        server.post("/versions/Main.v1@1/copy", &json!({ "to": to })).await.expect(201);
    }
    let page = server.get(&path).await.expect(200).json();
    assert_eq!(held_by(&page), ["a/b.5@1", "a/stable@1", "Main.v1@1"]);
    assert_eq!((&page["digest"], &page["held_by"][0]["state"]), (&json!(digest), &json!("active")));
    assert!(page["size"].as_u64().unwrap() > 10);
    let all = send(server.request(Method::GET, &path)).await.expect(200).json();
    assert_eq!(held_by(&all).len(), 4);
    let (mut found, mut next) = (Vec::new(), format!("{path}?limit=1"));
    loop {
        let page = server.get(&next).await.expect(200).json();
        found.extend(held_by(&page));
        let Some(after) = page["next"].as_str() else { break };
        next = format!("{path}?limit=1&after={after}");
    }
    assert_eq!(found, held_by(&page), "page by page");
    server.publish("a/stable", &[("f", b"2")]).await;
    server.delete("/manifests/a/stable@1").await.expect(200);
    assert_eq!(held_by(&server.get(&path).await.expect(200).json()), ["a/b.5@1", "Main.v1@1"], "it was retired");
    server.head(&path).await.expect(200);
    let html = send(server.anonymous(Method::GET, &path).header("accept", "text/html")).await.expect(200);
    assert!(html.text().contains("/versions/a/b.5"), "{}", html.text());
    server.get(&format!("/manifests/{}", Digest::of(b"x"))).await.problem(404, "MANIFEST_UNKNOWN");
    server.get("/manifests/sha256:12").await.problem(400, "DIGEST_INVALID");
    server.get(&format!("{path}?after=x")).await.problem(400, "QUERY_INVALID");
    send(server.request(Method::PUT, &path)).await.problem(400, "NAME_INVALID");
    let secret = server.publish("secret", &[("f", b"3")]).await["manifest"].as_str().unwrap().to_owned();
    server.get(&format!("/manifests/{secret}")).await.problem(404, "MANIFEST_UNKNOWN");
}

fn all_members(services: &Services, store: &Store) -> Members {
    Members::new(store.clone(), services.heads.clone())
}

async fn holders(members: &Members, digest: Digest) -> Vec<String> {
    let page = members.page(digest, None, 100, |_| true).await.unwrap();
    page.holders.iter().map(|(name, row)| format!("{name}@{}", row.number)).collect()
}

#[tokio::test]
async fn a_publish_that_could_not_be_indexed_succeeds_and_a_collector_makes_up_for_it() {
    let backend = marked();
    let faulty = FaultyStore::over(&backend.store());
    let services = Services::over(&faulty.store());
    faulty.script(Rule::on(Op::Create).key("aux/members/").fail_as(StoreErrorKind::Full));
    let release = Release::new("v1", 1);
    services.release("main", &release).await.unwrap();
    let members = all_members(&services, &backend.store());
    assert!(holders(&members, release.digest()).await.is_empty());
    collect(&backend.store(), patient()).await.unwrap();
    assert_eq!(holders(&members, release.digest()).await, ["main@1"]);
    let services = Services::over(&backend.store());
    // One that is prepared while the collector looks keeps its entry.
    let open = Release::new("v2", 1);
    services.publish.prepare(&name("main"), open.manifest(), &activate(), &*ACTOR).await.unwrap();
    collect(&backend.store(), patient()).await.unwrap();
    assert!(holders(&members, open.digest()).await.is_empty(), "it is not complete");
    services.upload_all(&open).await.unwrap();
    services.publish.commit(&name("main"), 2, activate(), &*ACTOR).await.unwrap();
    assert_eq!(holders(&members, open.digest()).await, ["main@2"]);
}

#[tokio::test]
async fn entries_of_versions_that_have_ended_are_deleted_and_others_are_left_alone() {
    let backend = marked();
    let services = Services::over(&backend.store());
    let releases: Vec<Release> = (1..=3).map(|number| Release::new(format!("v{number}"), 1)).collect();
    for release in &releases {
        services.release("main", release).await.unwrap();
    }
    // One that was given up, one that says what is wrong, and keys that a later version may know.
    let lost = Release::new("lost", 1);
    services.publish_only("main", &lost, activate()).await.unwrap_err();
    let wrong = layout::MEMBERS.key(releases[0].digest(), &name("main").into(), 3).unwrap();
    let foreign = layout::MEMBERS.key(releases[0].digest(), &name("elsewhere").into(), 1).unwrap();
    for key in [&wrong, &foreign] {
        backend.plant(key, b"");
    }
    put(&backend.store(), "aux/members/later", Bytes::new()).await;
    assert_eq!(keys(&backend.store(), "aux/members/", None, None).await.len(), 7);
    collect(&backend.store(), greedy()).await.unwrap();
    let mut left = keys(&backend.store(), "aux/members/", None, None).await;
    let active = layout::MEMBERS.key(releases[2].digest(), &name("main").into(), 3).unwrap();
    let mut expected = ["aux/members/later".to_owned(), active.to_string(), foreign.to_string()];
    left.sort();
    expected.sort();
    assert_eq!(left, expected, "what names no version of this store is not this store's to judge");
}

/// A release of parts gets its manifest, and with it its entry, when it is completed; that may be after a collector read
/// the head.
#[tokio::test]
async fn the_entry_of_a_draft_is_kept_while_it_is_open() {
    let backend = marked();
    let services = Services::over(&backend.store());
    let (main, by) = (name("main"), (&*ACTOR).into());
    let parts = ["linux".to_owned()].into();
    let (row, _) = services.publish.begin_parts(&main, "v1", &parts, &by).await.unwrap();
    let entry = layout::MEMBERS.key(Digest::of(b"made of parts"), &main.clone().into(), row.number).unwrap();
    backend.plant(&entry, b"");
    collect(&backend.store(), patient()).await.unwrap();
    assert_eq!(keys(&backend.store(), "aux/members/", None, None).await, [entry.to_string()]);
    services.publish.abort(&main, row.number, &*ACTOR).await.unwrap();
    collect(&backend.store(), patient()).await.unwrap();
    assert!(keys(&backend.store(), "aux/members/", None, None).await.is_empty());
}

#[tokio::test]
async fn an_index_costs_a_publish_one_create_and_a_page_one_listing() {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    let services = Services::over(&faulty.store());
    let release = Release::new("v1", 1);
    services.release("main", &release).await.unwrap();
    let members = all_members(&services, &faulty.store());
    for at in 0..20 {
        let origin = larder::domain::Origin::default();
        let to = name(&format!("copies/{at}"));
        services.publish.republish(&to, release.manifest(), (None, origin, None), activate(), &*ACTOR).await.unwrap();
    }
    faulty.reset();
    assert_eq!(holders(&members, release.digest()).await.len(), 21);
    assert!(faulty.calls(Op::List) == 1 && faulty.total() <= 22, "{}", faulty.breakdown());
}
