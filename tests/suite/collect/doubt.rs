//! Doubt keeps data: whatever is unreadable, unknown or unavailable ends a run, and nothing is deleted.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use larder::domain::Digest;
use larder::layout::LayoutKey;
use larder::upkeep::collect::{Outcome, RunSummary, Runs};

use crate::support::collecting::*;
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

/// A store with something to delete and something to retire.
async fn store() -> (FsBackend, Services) {
    let backend = marked();
    let services = Services::over(&backend.store());
    for label in ["v1", "v2"] {
        services.release("main", &Release::new(label, 2)).await.unwrap();
    }
    services.release("other", &Release::new("o1", 2)).await.unwrap();
    services.upload(&Bytes::from("orphan")).await.unwrap();
    (backend, services)
}

/// Asserts that a run on `store` fails with this in its message, leaves a report that says so, and deletes nothing.
async fn fails(store: &Store, part: &str) {
    let before = copies(store).await;
    let error = collect(store, greedy()).await.unwrap_err().to_string();
    assert!(error.contains(part), "{error}");
    assert_eq!(copies(store).await, before, "{part}");
    let newest = Runs::new(store.clone()).page(None, 1).await.unwrap().pop();
    let Some(RunSummary::Ended(report)) = newest else { panic!("no report: {newest:?}") };
    assert_eq!((report.outcome, report.error), (Outcome::Failed, Some(error)));
    assert_eq!(report.totals.deleted.blobs, 0);
}

fn file(backend: &FsBackend, key: &LayoutKey) -> std::path::PathBuf {
    backend.root().join("objects").join(key.key().as_str())
}

#[tokio::test]
async fn a_head_that_cannot_be_read() {
    let (backend, services) = store().await;
    let head = services.head("other").await.generation;
    std::fs::write(file(&backend, &LayoutKey::Head(name("other").into(), head)), "{\"format\": 1").unwrap();
    fails(&backend.store(), "heads/other@/").await;
}

#[tokio::test]
async fn a_manifest_that_is_gone_or_damaged() {
    let (backend, services) = store().await;
    let manifest = Release::new("o1", 2).digest();
    let path = file(&backend, &LayoutKey::Blob(manifest, 0));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    fails(&backend.store(), "the manifest").await;
    std::fs::write(&path, &bytes[1..]).unwrap();
    fails(&backend.store(), "do not have its digest").await;
    std::fs::write(&path, &bytes).unwrap();
    drop(services);
    collect(&backend.store(), greedy()).await.unwrap();
}

#[tokio::test]
async fn an_object_that_nobody_knows() {
    let (backend, _) = store().await;
    let hex = Digest::of(b"x").hex();
    for strange in [
        format!("blobs/sha256/zz/zz/{hex}.0"),
        "blobs/readme.txt".to_owned(),
        format!("blobs/sha512/ab/cd/{hex}.0"),
        format!("{}.tmp", LayoutKey::Blob(Digest::of(b"orphan"), 0).key()),
        "heads/.DS_Store".to_owned(),
        "indexes/main".to_owned(),
        "blobs/sha256/ab/.nfs0001".to_owned(),
    ] {
        put(&backend.store(), &strange, "").await;
        fails(&backend.store(), &strange).await;
        backend.store().delete(&key(&strange)).await.unwrap();
    }
    collect(&backend.store(), greedy()).await.unwrap();
}

#[tokio::test]
async fn heads_that_are_all_gone() {
    let (backend, _) = store().await;
    std::fs::rename(backend.root().join("objects/heads"), backend.root().join("heads")).unwrap();
    let before = copies(&backend.store()).await;
    fails(&backend.store(), "main has no heads").await;
    assert_eq!(copies(&backend.store()).await, before);
}

#[tokio::test]
async fn heads_of_some_names_that_are_gone_since_the_last_run() {
    let (backend, _) = store().await;
    collect(&backend.store(), patient()).await.unwrap();
    let (there, away) = (backend.root().join("objects/heads/other@"), backend.root().join("other"));
    std::fs::rename(&there, &away).unwrap();
    for _ in 0..3 {
        fails(&backend.store(), "of other, but there is no head of that name").await;
    }
    std::fs::rename(&away, &there).unwrap();
    collect(&backend.store(), greedy()).await.unwrap();
    assert_eq!(sound(&backend.store(), "other").await.as_deref(), Some("o1"));
}

#[tokio::test]
async fn a_name_whose_mark_is_gone_still_counts() {
    let (backend, _) = store().await;
    backend.store().delete(&LayoutKey::Name(name("other").into()).key()).await.unwrap();
    collect(&backend.store(), greedy()).await.unwrap();
    assert_eq!(sound(&backend.store(), "other").await.as_deref(), Some("o1"));
}

#[tokio::test]
async fn a_store_without_a_marker_or_with_a_newer_one() {
    let (backend, _) = store().await;
    let before = copies(&backend.store()).await;
    let marker = backend.root().join("objects/layout");
    std::fs::remove_file(marker.join("1")).unwrap();
    let error = collect(&backend.store(), greedy()).await.unwrap_err();
    assert!(error.to_string().contains("no layout marker"), "{error}");
    std::fs::write(marker.join("2"), "{\"layout\": 2, \"min_reader\": 1, \"min_writer\": 2}").unwrap();
    let error = collect(&backend.store(), greedy()).await.unwrap_err();
    assert!(error.to_string().contains("newer larder"), "{error}");
    assert_eq!(copies(&backend.store()).await, before);
}

#[tokio::test]
async fn any_call_that_fails_or_whose_reply_is_lost() {
    let calls = {
        let (backend, _) = store().await;
        let faulty = FaultyStore::over(&backend.store());
        collect(&faulty.store(), greedy()).await.unwrap();
        faulty.total()
    };
    assert!(calls > 20, "{calls}");
    for lost in [false, true] {
        for nth in 1..=calls {
            let (backend, _) = store().await;
            let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
            // A later run corrects the indexes of manifests.
            let of_index = Arc::new(Mutex::new(Vec::new()));
            for index in ["aux/members/", "aux/referrers/"] {
                let (counted, seen) = (faulty.clone(), Arc::clone(&of_index));
                faulty.script(Rule::any().key(index).run(move || {
                    seen.lock().unwrap().push(counted.total());
                    async {}
                }));
            }
            faulty.script(if lost { Rule::any().nth(nth).lose_reply() } else { Rule::any().nth(nth).fail() });
            // A lost reply may go unnoticed where the run looks again; a failure must not.
            let first = collect(&faulty.store(), greedy()).await;
            let is_of_index = of_index.lock().unwrap().contains(&nth);
            assert!(lost || first.is_err() || is_of_index, "call {nth} failed, but the run did not");
            for (of, label) in [("main", "v2"), ("other", "o1")] {
                assert_eq!(sound(&store, of).await.as_deref(), Some(label), "after call {nth}");
            }
            collect(&store, greedy()).await.unwrap();
            let left = copies(&store).await.len();
            assert_eq!(left, 6, "the next run deletes what the first one left, {nth} {lost}");
        }
    }
}

#[tokio::test]
async fn a_listing_that_breaks_off() {
    let (backend, _) = store().await;
    for prefix in ["heads/", "blobs/"] {
        let faulty = FaultyStore::over(&backend.store());
        faulty.script(Rule::on(Op::List).key(prefix).lose_reply());
        let before = copies(&backend.store()).await;
        let error = collect(&faulty.store(), greedy()).await.unwrap_err();
        assert!(error.to_string().contains("scripted"), "{error}");
        assert_eq!(copies(&backend.store()).await, before);
    }
}
