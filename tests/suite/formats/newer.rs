//! A version whose manifest has a media type that this binary does not know.

use bytes::Bytes;
use larder::domain::manifest::Kind;
use larder::domain::{Change, Digest, Expect, State, Summary};
use larder::store::StoreErrorKind;
use larder::upkeep::verify::Finding;
use serde_json::json;

use super::findings;
use crate::support::collecting::{collect, copies, greedy, marked};
use crate::support::server::TestServer;
use crate::support::services::*;
use crate::support::store::*;

const DOCUMENT: &[u8] = b"\x00 nothing that is JSON \xff";

/// A store in which a newer binary has published twice under `next`, beside a release under `main`.
async fn store() -> (FsBackend, Services) {
    let backend = marked();
    let services = Services::over(&backend.store());
    services.release("main", &Release::new("v1", 2)).await.unwrap();
    for bytes in [Bytes::from_static(DOCUMENT), Bytes::from_static(b"another")] {
        let manifest = services.blobs.put(bytes).await.unwrap();
        let media_type = Some("application/x-future".into());
        let kind = Kind::from("catalog");
        let summary = Summary {
            label_cut: false,
            manifest,
            media_type,
            label: None,
            kind,
            files: 0,
            total_bytes: 0,
            entrypoint: None,
            source: None,
            subject: None,
            pushed_as: None,
        };
        let change = Change::Prepare { summary, expect: Expect::Anything, from: None, annex: None };
        let number = services.heads.change(&name("next"), &change, &*ACTOR).await.unwrap().row.unwrap().number;
        let change = Change::Commit { number, activate: true, expect: Expect::Anything };
        services.heads.change(&name("next"), &change, &*ACTOR).await.unwrap();
    }
    services.upload(&Bytes::from("orphan")).await.unwrap();
    (backend, services)
}

#[tokio::test]
async fn it_is_listed_promoted_and_served_verbatim() {
    let (backend, services) = store().await;
    let data = tempfile::TempDir::new().unwrap();
    let clock = std::sync::Arc::new(larder::clock::SystemClock);
    let server = TestServer::over(data.path(), backend.store(), clock, |_| {}).await;
    let answer = server.get("/manifests/next@1").await.expect(200);
    assert_eq!(answer.header("etag"), format!("\"{}\"", Digest::of(DOCUMENT)));
    assert_eq!(answer.body, DOCUMENT);
    let row = server.get("/versions/next@1").await.expect(200).json();
    assert_eq!((&row["kind"], &row["state"]), (&json!("catalog"), &json!("archived")));
    server.post("/versions/next@1/promote", &json!(null)).await.expect(200);
    let row = services.head("next").await.active().unwrap().clone();
    assert_eq!((row.number, row.state), (1, State::Active));
    assert_eq!(row.summary.media_type.as_deref(), Some("application/x-future"), "it is kept through the change");
    assert_eq!(server.get("/manifests").await.json()["manifests"].as_array().unwrap().len(), 2);
    // What is inside takes a newer binary.
    let problem = server.get("/refs/next/file").await.problem(503, "STORE_TOO_NEW");
    assert!(problem["detail"].as_str().unwrap().contains("newer"), "{problem}");
    server.post("/versions/next@1/copy", &json!({"to": "copy"})).await.problem(503, "STORE_TOO_NEW");
}

#[tokio::test]
async fn a_collector_ends_its_run() {
    let (backend, _) = store().await;
    let before = copies(&backend.store()).await;
    let error = collect(&backend.store(), greedy()).await.unwrap_err().to_string();
    assert!(error.contains("application/x-future") && error.contains("newer larder"), "{error}");
    assert_eq!(copies(&backend.store()).await, before);
}

#[tokio::test]
async fn a_verification_says_that_it_cannot_be_followed() {
    let (backend, services) = store().await;
    let found = findings(&backend.store()).await;
    assert_eq!(found.len(), 2, "{found:?}");
    for finding in found {
        assert!(matches!(&finding, Finding::UnknownFormat { name, .. } if name.as_str() == "next"), "{finding:?}");
    }
    let error = services.resolve.file(&target("next"), &"a".parse().unwrap(), AsOf::Now).await.unwrap_err();
    let larder::service::ResolveError::Store(error) = error else { panic!("{error}") };
    assert_eq!(error.kind, StoreErrorKind::Newer);
}
