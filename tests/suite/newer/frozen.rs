//! The frozen store of layout 1, taken through everything that a server, a collector and an operator do.

use larder::domain::{Expect, Rejection, State};
use larder::layout::LayoutKey;
use larder::protocol::ChangeError;
use larder::service::{PublishError, ResolveError};
use larder::store::StoreErrorKind;
use larder::upkeep::CollectError;
use serde_json::json;

use super::*;
use crate::support::collecting::*;
use crate::support::layout1::*;
use crate::support::server::TestServer;

/// A row of the newest state of a name, as JSON.
async fn row(store: &Store, of: &str, number: u64) -> Value {
    let rows = Services::over(store).rows(of).await;
    let row = rows.iter().find(|row| row.number == number).expect("a row");
    serde_json::to_value(row).expect("a row is JSON")
}

/// The two rows that only a newer larder could write, as they must stay.
async fn peculiar(store: &Store) -> [Value; 2] {
    [row(store, "main", 1).await, row(store, "main", 2).await]
}

async fn assert_has(store: &Store, blobs: &[&str]) {
    for file in blobs {
        let (digest, bytes) = blob_of(file);
        let found = blob(&Services::over(store), digest).await.unwrap();
        assert_eq!(found.as_deref(), Some(bytes.as_slice()), "{file}");
    }
}

/// Objects of the fixture.
const FROZEN: usize = 22;
/// What versions 1 and 2 need.
const NEEDED: [&str; 6] = ["release-1.json", "file-1.txt", "need.txt", "far-need.txt", "release-2.json", "file-2.txt"];

/// Publishes until the oldest rows of `main` have been merged from segment to segment.
async fn publish_until_merged(store: &Store) {
    let services = Services::over(store);
    for number in 0..300 {
        services.release("main", &Release::new(format!("more-{number}"), 1)).await.unwrap();
        if services.head("main").await.segments.iter().any(|segment| segment.tier > 1 || segment.rows > 80) {
            return;
        }
    }
    panic!("nothing was merged");
}

#[test]
fn layout_1_spells_its_keys_as_it_was_frozen() {
    for (spelled, file, _) in objects() {
        let parsed = LayoutKey::parse(&key(&spelled)).unwrap();
        assert_eq!(parsed.key().to_string(), spelled, "{file}");
        if let Some((directory, file)) = file.split_once('/').filter(|(directory, _)| *directory == "blobs") {
            assert_eq!(parsed, LayoutKey::Blob(blob_of(file).0, 0), "{directory}/{file}");
        }
    }
    assert_eq!(objects().len(), FROZEN);
}

#[tokio::test]
async fn a_manifest_that_breaks_todays_publish_rules_is_kept_and_served_as_it_is() {
    let backend = layout1(&["rules"]);
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    let (_, bytes) = blob_of("rules.json");
    let before = row(&store, "rules", 1).await;
    let again = services.publish.publish(&name("other"), bytes.clone().into(), activate(), &*ACTOR).await.unwrap_err();
    assert!(matches!(&again, PublishError::Manifest(_)), "{again}");
    services.release("rules", &Release::new("v2", 1)).await.unwrap();
    services.versions.promote(&target("rules@1"), Expect::Anything, &*ACTOR).await.unwrap();
    collect(&store, greedy()).await.unwrap();
    assert_has(&store, &["rules.json", "file-1.txt", "file-2.txt"]).await;
    assert_eq!(verify(&store).await, []);
    let copy = FsBackend::quick();
    assert!(copy_store(&store, &copy.store()).await.0.finished);
    let now = row(&copy.store(), "rules", 1).await;
    for member in ["kind", "manifest", "files", "x-row"] {
        assert_eq!(now[member], before[member], "{member}");
    }
    let (_, loaded) = Services::over(&copy.store()).resolve.manifest(&target("rules"), AsOf::Now).await.unwrap();
    assert_eq!(loaded.bytes.as_ref(), bytes.as_slice());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_a_newer_larder_lives_through_all_that_this_one_does() {
    let backend = layout1(&["main"]);
    let (store, head) = (backend.store(), newest_head("main"));
    let before = peculiar(&store).await;
    assert_eq!(before[0]["x-row"], head["rows"][0]["x-row"]);
    assert_eq!((before[0]["pins"][0]["x-pin"].is_object(), &before[1]["state"]), (true, &json!("quarantined")));
    assert_eq!(verify(&store).await, []);

    Services::over(&store).release("main", &Release::new("first", 1)).await.unwrap();
    let after = serde_json::to_value(&*Services::over(&store).head("main").await).unwrap();
    assert_eq!((&after["x-head"], &after["segments"][0]), (&head["x-head"], &head["segments"][0]));
    let activations = |head: &Value| head["activations"].as_array().unwrap().clone();
    assert_eq!(activations(&after)[2..], activations(&head)[1..]);
    assert_eq!(activations(&after)[1]["x-activation"], head["activations"][0]["x-activation"], "closed, but kept");
    publish_until_merged(&store).await;
    assert!(Services::over(&store).head("main").await.inline(2).is_none(), "both have left the head");
    assert_eq!(peculiar(&store).await, before, "spilled and merged");

    let report = collect(&store, greedy()).await.unwrap();
    assert!(report.totals.deleted.blobs > 0 && report.totals.lost == 0, "{report:?}");
    assert_has(&store, &NEEDED).await;
    assert_eq!((peculiar(&store).await, verify(&store).await), (before.clone(), Vec::new()));

    let copy = FsBackend::quick();
    let (summary, findings) = copy_store(&store, &copy.store()).await;
    assert!(summary.finished && findings.is_empty(), "{findings:?}");
    assert_eq!((peculiar(&copy.store()).await, verify(&copy.store()).await), (before.clone(), Vec::new()));
    assert_has(&copy.store(), &NEEDED).await;

    let versions = Services::over(&store).versions;
    let refused = versions.promote(&target("main@1"), Expect::Anything, &*ACTOR).await.unwrap_err();
    assert!(matches!(refused, ChangeError::Rejected(Rejection::Yanked(_))), "{refused}");
    versions.unyank(&target("main@1"), &*ACTOR).await.unwrap();
    let receipt = versions.promote(&target("main@1"), Expect::Anything, &*ACTOR).await.unwrap();
    let promoted = serde_json::to_value(&receipt.row).unwrap();
    for member in ["x-row", "pins", "needs", "annex", "rendering", "session", "from", "first_active_at"] {
        let expected = if member == "first_active_at" { &before[0]["promoted_at"] } else { &before[0][member] };
        assert_eq!(&promoted[member], expected, "{member}");
    }
    assert_eq!((&promoted["state"], &promoted["activations"]), (&json!("active"), &json!(2)));
    collect(&store, greedy()).await.unwrap();
    assert_has(&store, &NEEDED).await;
}

#[tokio::test]
async fn a_version_in_an_unknown_state_is_shown_but_neither_served_nor_changed() {
    let backend = layout1(&["main"]);
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    let (at, state): (_, State) = (target("main@2"), "quarantined".parse().unwrap());
    assert_eq!(services.resolve.row(&at, AsOf::Now).await.unwrap().row.state, state);
    let unreadable = services.resolve.manifest(&at, AsOf::Now).await.unwrap_err();
    assert!(matches!(unreadable, ResolveError::UnknownState { number: 2, .. }), "{unreadable}");
    let before = peculiar(&store).await;
    let refused = [
        services.versions.promote(&at, Expect::Anything, &*ACTOR).await.unwrap_err(),
        services.versions.pin(&at, true, &*ACTOR).await.unwrap_err(),
        services.versions.retire(&at, "old".into(), &*ACTOR).await.unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, ChangeError::Rejected(Rejection::WrongState { number: 2, .. })), "{error}");
    }
    assert_eq!(peculiar(&store).await, before);
    let server = TestServer::on(backend.root(), |_| {}).await;
    assert_eq!(server.get("/versions/main@2").await.expect(200).json()["state"], "quarantined");
    assert_eq!(server.get("/versions/main@1").await.expect(200).json()["pinned"], true);
    server.get("/manifests/main@2").await.problem(404, "VERSION_UNKNOWN");
    let problem = server.post("/versions/main@2/promote", &json!(null)).await.problem(409, "VERSION_STATE");
    assert_eq!(problem["state"], "quarantined");
}

#[tokio::test]
async fn a_manifest_of_an_unknown_media_type_is_promoted_and_ends_a_run() {
    let backend = layout1(&["pictures"]);
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    let expected = row(&store, "pictures", 2).await;
    let receipt = services.versions.promote(&target("pictures@2"), Expect::Anything, &*ACTOR).await.unwrap();
    let promoted = serde_json::to_value(&receipt.row).unwrap();
    assert_eq!((&promoted["media_type"], &promoted["x-row"]), (&expected["media_type"], &expected["x-row"]));
    let before = copies(&store).await;
    collect(&store, greedy()).await.unwrap_err();
    assert_eq!(copies(&store).await, before, "nobody knows what it needs");
    let copy = FsBackend::quick();
    copy_store(&store, &copy.store()).await;
    assert_has(&copy.store(), &["picture.bin"]).await;
}

#[tokio::test]
async fn a_head_of_a_newer_format_closes_its_name_and_the_collector() {
    let backend = layout1(&["main"]);
    let store = backend.store();
    Services::over(&store).release("other", &Release::new("o1", 1)).await.unwrap();
    rewrite(&store, "main", |head| *head = json!({"format": 2, "all": "different"})).await;
    let error = Services::over(&store).heads.current(&name("main")).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Newer);
    assert!(error.to_string().contains("written by a newer larder"), "{error}");
    let before = copies(&store).await;
    let error = collect(&store, greedy()).await.unwrap_err();
    assert!(matches!(&error, CollectError::Store(error) if error.kind == StoreErrorKind::Newer), "{error}");
    assert_eq!(copies(&store).await, before);
    let findings = verify(&store).await;
    assert!(matches!(findings.as_slice(), [Finding::UnreadableName { .. }]), "{findings:?}");
    let (summary, _) = copy_store(&store, &FsBackend::quick().store()).await;
    assert!(!summary.finished, "a copy that may lack blobs is not opened");

    let server = TestServer::on(backend.root(), |_| {}).await;
    for path in ["/manifests/main", "/versions/main", "/refs/main/tool.txt"] {
        let problem = server.get(path).await.problem(503, "STORE_TOO_NEW");
        assert!(problem["detail"].as_str().unwrap().contains("newer larder"), "{problem}");
    }
    server.get("/manifests/other").await.expect(200);
}
