//! Blobs that a version needs beyond its manifest: named by its row, or by its annex.

use larder::domain::manifest::Descriptor;
use larder::service::PublishError;
use larder::store::StoreErrorKind;
use larder::upkeep::CollectError;
use serde_json::json;

use super::*;
use crate::support::collecting::*;

fn described(bytes: &Bytes) -> Value {
    json!({"digest": Digest::of(bytes), "size": bytes.len()})
}

/// A store whose version 1 of `main` needs one blob by its row, two by its annex, one of them the same; and one blob that
/// nobody needs. The first two and the last are returned.
async fn needy() -> (FsBackend, [Digest; 2], Digest) {
    let backend = marked();
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    services.release("main", &Release::new("v1", 2)).await.unwrap();
    let blobs = ["row's", "annex's", "nobody's"].map(Bytes::from);
    for bytes in &blobs {
        services.upload(bytes).await.unwrap();
    }
    let [near, far, nobody] = &blobs;
    let annex = json!({"format": 1, "needs": [described(far), described(near)], "later": {"x": 1}});
    let annex = put_annex(&store, "main", &annex).await;
    rewrite(&store, "main", |head| {
        head["rows"][0]["needs"] = json!([described(near)]);
        head["rows"][0]["annex"] = annex;
    })
    .await;
    (backend, [Digest::of(near), Digest::of(far)], Digest::of(nobody))
}

async fn has(store: &Store, digest: Digest) -> bool {
    Services::over(store).blobs.stat(digest).await.unwrap().is_some()
}

/// Takes away all bytes of a blob.
async fn lose(store: &Store, digest: Digest) {
    for (found, generation) in copies(store).await {
        if found == digest {
            sweep(store, digest, generation).await;
        }
    }
}

#[tokio::test]
async fn a_collector_keeps_what_rows_and_annexes_need() {
    let (backend, [near, far], nobody) = needy().await;
    let store = backend.store();
    let report = collect(&store, greedy()).await.unwrap();
    assert_eq!((report.totals.deleted.blobs, report.totals.lost), (1, 0));
    assert!(has(&store, near).await && has(&store, far).await && !has(&store, nobody).await);
    assert_eq!(verify(&store).await, []);

    Services::over(&store).release("main", &Release::new("v2", 1)).await.unwrap();
    collect(&store, greedy()).await.unwrap();
    assert!(!has(&store, near).await && !has(&store, far).await, "they go with the version");
    let annexes = keys(&store, "segments/", None, None).await;
    assert_eq!(annexes.len(), 1, "its annex stays with the row");
}

#[tokio::test]
async fn doomed_bytes_that_only_an_annex_needs_are_saved() {
    let (backend, [near, far], _) = needy().await;
    let store = backend.store();
    for digest in [near, far] {
        condemn(&store, digest, 0).await;
    }
    let report = collect(&store, greedy()).await.unwrap();
    assert_eq!((report.totals.healed.blobs, report.totals.lost), (2, 0));
    assert!(copies(&store).await.is_superset(&[(near, 1), (far, 1)].into()));
}

#[tokio::test]
async fn verify_names_what_is_missing_beyond_the_manifest() {
    let (backend, [near, far], _) = needy().await;
    let store = backend.store();
    for digest in [near, far] {
        lose(&store, digest).await;
        let findings = verify(&store).await;
        let missing = |finding: &Finding| matches!(finding, Finding::BadReference { version: 1, blob, stored: None, .. } if blob.digest == digest);
        assert!(findings.iter().any(missing), "{findings:?}");
    }
    assert_eq!(verify(&store).await.len(), 2, "each once");
}

#[tokio::test]
async fn copy_store_copies_them_or_says_that_it_cannot() {
    let (backend, [near, far], _) = needy().await;
    let (store, whole, part) = (backend.store(), FsBackend::quick(), FsBackend::quick());
    let (summary, findings) = copy_store(&store, &whole.store()).await;
    assert!(summary.finished && findings.is_empty(), "{findings:?}");
    assert!(has(&whole.store(), near).await && has(&whole.store(), far).await);
    assert_eq!(verify(&whole.store()).await, []);
    lose(&store, far).await;
    let (summary, findings) = copy_store(&store, &part.store()).await;
    assert!(!summary.finished);
    assert!(matches!(findings.as_slice(), [Finding::BadReference { stored: None, .. }]), "{findings:?}");
}

#[tokio::test]
async fn an_annex_that_cannot_be_read_ends_a_run_and_is_a_finding() {
    let huge = json!({"format": 1, "needs": [], "filler": "x".repeat(1 << 20)});
    for (annex, part) in [
        (None, "it must exist, but does not"),
        (Some(json!({"format": 1, "needs": [{"digest": "md5:1", "size": 1}]})), "damaged"),
        (Some(json!(["not", "an", "object"])), "damaged"),
        (Some(json!({"format": 2, "needs": {"shape": "unknown"}})), "written by a newer larder"),
        (Some(huge), "segments/"),
    ] {
        let (backend, needed, nobody) = needy().await;
        let store = backend.store();
        let described = match &annex {
            Some(document) => put_annex(&store, "main", document).await,
            None => json!({"digest": Digest::of(b"lost"), "size": 4}),
        };
        rewrite(&store, "main", |head| head["rows"][0]["annex"] = described).await;
        let error = collect(&store, greedy()).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        let newer = matches!(&error, CollectError::Store(error) if error.kind == StoreErrorKind::Newer);
        assert_eq!(newer, part.contains("newer"), "{error}");
        assert!(has(&store, needed[0]).await && has(&store, needed[1]).await && has(&store, nobody).await);
        let findings = verify(&store).await;
        assert!(
            matches!(&findings[0], Finding::DamagedAnnex { version: 1, why, .. } if why.contains(part)),
            "{findings:?}"
        );
        assert_eq!(findings.len(), 1);
        let (summary, findings) = copy_store(&store, &FsBackend::quick().store()).await;
        assert!(!summary.finished && matches!(findings.as_slice(), [Finding::DamagedAnnex { .. }]), "{findings:?}");
    }
}

#[tokio::test]
async fn publishing_a_version_again_is_unchanged_only_if_nothing_that_it_needs_was_lost() {
    let (backend, [near, far], _) = needy().await;
    let store = backend.store();
    let release = Release::new("v1", 2);
    assert!(Services::over(&store).publish_only("main", &release, activate()).await.unwrap().unchanged);
    for digest in [near, far] {
        let bytes = stored(&store, digest, 0).await.unwrap();
        lose(&store, digest).await;
        let again = Services::over(&store).publish_only("other", &release, activate()).await.unwrap();
        assert!(!again.unchanged || again.name == name("other").into());
        let prepared =
            Services::over(&store).publish.prepare(&name("main"), release.manifest(), &stage(), &*ACTOR).await;
        let prepared = prepared.unwrap();
        assert!(matches!(&prepared, larder::service::publish::Prepared::Session(..)), "{prepared:?}");
        Services::over(&store).upload(&bytes).await.unwrap();
    }
}

#[tokio::test]
async fn a_session_is_complete_only_with_all_that_its_row_needs() {
    let backend = marked();
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    let release = Release::new("v1", 1);
    services.upload_all(&release).await.unwrap();
    services.publish.prepare(&name("main"), release.manifest(), &activate(), &*ACTOR).await.unwrap();
    let (near, far) = (Bytes::from("row's"), Bytes::from("annex's"));
    let annex = put_annex(&store, "main", &json!({"format": 1, "needs": [described(&far)]})).await;
    rewrite(&store, "main", |head| {
        head["rows"][0]["needs"] = json!([described(&near)]);
        head["rows"][0]["annex"] = annex;
    })
    .await;
    for bytes in [&near, &far] {
        let (_, missing) = services.publish.session(&name("main"), 1).await.unwrap();
        assert!(missing.contains(&Digest::of(bytes)), "{missing:?}");
        let refused = services.publish.commit(&name("main"), 1, activate(), &*ACTOR).await.unwrap_err();
        let named = |missing: &[Descriptor]| missing.iter().any(|blob| blob.digest == Digest::of(bytes));
        assert!(matches!(&refused, PublishError::Blobs { missing, .. } if named(missing)), "{refused:?}");
        // A collector meanwhile keeps what was uploaded already.
        services.upload(bytes).await.unwrap();
        collect(&store, patient()).await.unwrap();
    }
    services.publish.commit(&name("main"), 1, activate(), &*ACTOR).await.unwrap();
    assert_eq!(verify(&store).await, []);
}
