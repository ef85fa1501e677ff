//! Stores that hold manifests which may not be published today.

use bytes::Bytes;
use larder::config;
use larder::domain::{Change, Digest, Expect, Origin};
use larder::layout::LayoutKey;
use larder::server;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::findings;
use crate::support::collecting::{collect, greedy};
use crate::support::process::ServerProcess;
use crate::support::server::TestServer;
use crate::support::services::*;
use crate::support::store::{Store, put};

/// The blob that every release here names.
const BLOB: &[u8] = b"the bytes of all files";

/// A manifest of the past.
struct Old {
    /// The name that it is published under.
    name: &'static str,
    bytes: Bytes,
    /// A file of it that can be served.
    file: &'static str,
    /// The status of publishing it today, and parts of the problems that are named.
    today: (u16, &'static [&'static str]),
}

fn artifact(name: &str) -> Value {
    json!({"name": name, "blob": Digest::of(BLOB), "size": BLOB.len()})
}

fn old(name: &'static str, document: &Value, file: &'static str, problems: &'static [&'static str]) -> Old {
    Old { name, bytes: document.to_string().into(), file, today: (422, problems) }
}

/// One of each kind of rule that may be added or relaxed.
fn past() -> Vec<Old> {
    let many: Vec<_> = (0..20_000).map(|at| artifact(&format!("f{at}"))).collect();
    let mut odd = artifact("a");
    odd["media_type"] = json!("odd\r\nfield: x");
    let mut variant = artifact("b");
    (variant["encoding"], variant["of"]) = (json!("dcb"), json!("none"));
    let (digest, size) = (Digest::of(BLOB), BLOB.len());
    let array = format!(r#"["v","files",null,[["a","{digest}",{size},null,null,null]],null,null,null]"#);
    let mut unread = json!({"artifacts": [artifact("a")], "notes": "?"}).to_string().into_bytes();
    unread.iter_mut().filter(|byte| **byte == b'?').for_each(|byte| *byte = 0xff);
    vec![
        old("kind", &json!({"kind": "catalog", "artifacts": [artifact("a")]}), "a", &["\"catalog\""]),
        old("tilde", &json!({"artifacts": [artifact("~a"), artifact("b/~")]}), "~a", &["[0].name", "[1].name"]),
        old("many", &json!({ "artifacts": many }), "f19999", &["20000 artifacts, the limit of this server is 10000"]),
        old("twice", &json!({"artifacts": [artifact("a"), artifact("a")]}), "a", &["more than once"]),
        old("site", &json!({"kind": "static", "artifacts": [artifact("a")]}), "a", &["entrypoint"]),
        old("type", &json!({ "artifacts": [odd] }), "a", &["media_type"]),
        old(
            "settings",
            &json!({"kind": "static", "entrypoint": "a", "site": "x", "artifacts": [artifact("a"), variant]}),
            "a",
            &["site: it is an object", "[1].encoding", "[1].of"],
        ),
        old(
            "all",
            &json!({"kind": "dynamic", "artifacts": [artifact("~"), artifact("b"), artifact("b")]}),
            "b",
            &["[0].name", "more than once", "`command` and `port`"],
        ),
        Old { name: "array", bytes: array.into(), file: "a", today: (400, &["expected", "object"]) },
        Old { name: "bytes", bytes: unread.into(), file: "a", today: (400, &["UTF-8"]) },
    ]
}

/// A directory with a store that an earlier release filled.
async fn plant() -> (TempDir, Store) {
    let directory = TempDir::new().unwrap();
    let store = server::open_store(&config::Store::Fs { path: directory.path().to_owned() }).await.unwrap();
    let marker = LayoutKey::Marker(1).key();
    put(&store, marker.as_str(), &br#"{"layout": 1, "min_reader": 1, "min_writer": 1}"#[..]).await;
    let services = Services::over(&store);
    services.upload(&Bytes::from_static(BLOB)).await.unwrap();
    for old in past() {
        let published = services
            .publish
            .republish(&name(old.name), old.bytes, (None, Origin::default(), None), activate(), &*ACTOR)
            .await;
        published.unwrap_or_else(|error| panic!("{}: {error}", old.name));
    }
    (directory, store)
}

#[tokio::test]
async fn they_are_served_and_copied_but_not_published_again() {
    let (directory, _) = plant().await;
    let server = TestServer::on(directory.path(), |_| {}).await;
    for Old { name, bytes, file, today: (status, problems) } in past() {
        assert!(server.get(&format!("/manifests/{name}")).await.expect(200).body == bytes, "{name}");
        let row = server.get(&format!("/versions/{name}@1")).await.expect(200).json();
        assert_eq!(row["manifest"], json!(Digest::of(&bytes)));
        let location = server.get(&format!("/refs/{name}@1/{file}")).await.expect(307).header("location").to_owned();
        assert_eq!(server.get(&location).await.expect(200).text().as_bytes(), BLOB, "{location}");
        let copy = server.post(&format!("/versions/{name}@1/copy"), &json!({"to": format!("copy/{name}")})).await;
        assert_eq!(copy.expect(201).json()["manifest"], row["manifest"], "{name}");
        let refused = server.put(&format!("/manifests/new/{name}"), bytes).await.problem(status, "MANIFEST_INVALID");
        for part in problems {
            assert!(refused["detail"].as_str().unwrap().contains(part), "{part} of {name} in {refused:#}");
        }
        if status == 422 {
            assert!(refused["problems"].as_array().unwrap().len() >= problems.len(), "{refused:#}");
        }
        server.get(&format!("/manifests/new/{name}")).await.expect(404);
    }
    let kind = server.get("/versions/kind@1").await.json()["kind"].clone();
    assert_eq!(kind, "catalog", "an unknown kind is shown as it is");
    assert_eq!(server.get("/versions/many@1").await.json()["artifact_manifest"]["files"], 20_000);
}

#[tokio::test]
async fn they_are_collected_and_verified_like_others() {
    let (_directory, store) = plant().await;
    let services = Services::over(&store);
    services.upload(&Bytes::from("orphan")).await.unwrap();
    let report = collect(&store, greedy()).await.unwrap();
    assert_eq!(report.totals.deleted.blobs, 1, "only what nobody names");
    assert_eq!(findings(&store).await, []);
    for old in past() {
        let (_, loaded) = services.resolve.manifest(&target(old.name), AsOf::Now).await.unwrap();
        assert_eq!(loaded.bytes, old.bytes);
    }
}

#[tokio::test]
async fn a_session_that_was_opened_under_older_rules_can_be_committed() {
    let (_directory, store) = plant().await;
    let services = Services::over(&store);
    let old = past().remove(0);
    let row = services.rows("kind").await.remove(0);
    let change = Change::Prepare { summary: row.summary, expect: Expect::Anything, from: None, annex: None };
    let number = services.heads.change(&name("open"), &change, &*ACTOR).await.unwrap().row.unwrap().number;
    let receipt = services.publish.commit(&name("open"), number, activate(), &*ACTOR).await.unwrap();
    assert_eq!(receipt.row.digest(), Digest::of(&old.bytes));
}

#[test]
fn the_command_line_fetches_them_and_refuses_to_publish_them() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (directory, store) = runtime.block_on(plant());
    drop(store);
    let server = ServerProcess::on(directory.path());
    let output = TempDir::new().unwrap();
    for Old { name, bytes, file, today: (_, problems) } in past().into_iter().filter(|old| old.name != "many") {
        server.larder(&format!("fetch {name} {file} --output {name}")).within(&output).ok();
        assert_eq!(std::fs::read(output.path().join(name).join(file)).unwrap(), BLOB, "{name}");
        let refused = server.larder("publish new --manifest -").input(bytes).exits(1);
        for part in problems {
            assert!(refused.stderr.contains(part), "{part} of {name} in {}", refused.stderr);
        }
    }
    server.larder("fetch twice --output all").within(&output).ok();
    let row = server.larder("versions kind@1 --json").ok().json();
    assert_eq!(row["kind"], "catalog");
    assert_eq!(server.larder("versions kind --json").ok().json()["versions"][0]["kind"], "catalog");
}
