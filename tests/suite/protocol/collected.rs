//! Blobs that a collector is taking away while somebody needs them.

use larder::layout::LayoutKey;
use larder::service::PublishError;
use larder::store::Created;

use super::replies::{HEADS, with_first_version};
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

/// A script over a store that holds the files of `v2`, which is not published yet.
async fn uploaded() -> (FsBackend, FaultyStore, Release) {
    let (backend, faulty) = with_first_version().await;
    let release = Release::new("v2", 2);
    Services::over(&backend.store()).upload_all(&release).await.unwrap();
    (backend, faulty, release)
}

/// The name of a blob in keys.
fn stem(release: &Release) -> String {
    format!("{}.", release.file(0).hex())
}

fn missing(error: PublishError) -> Vec<larder::domain::Digest> {
    match error {
        PublishError::Blobs { missing, .. } => missing.into_iter().map(|blob| blob.digest).collect(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_condemned_blob_is_rescued_to_the_next_generation() {
    let (backend, faulty, release) = uploaded().await;
    let store = backend.store();
    condemn(&store, release.file(0), 0).await;
    Services::over(&faulty.store()).publish_only("main", &release, activate()).await.unwrap();
    assert_eq!(stored(&store, release.file(0), 1).await.unwrap(), release.files[0].1);
    assert_eq!(stored(&store, release.file(1), 1).await, None, "the other file is left alone");
    // The collector may do its worst at any later time.
    sweep(&store, release.file(0), 0).await;
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"));
}

#[tokio::test]
async fn a_blob_condemned_again_before_its_rescue_lands_goes_to_generation_two() {
    let (backend, faulty, release) = uploaded().await;
    let (store, doomed) = (backend.store(), release.file(0));
    condemn(&store, doomed, 0).await;
    let collector = backend.store();
    faulty.script(Rule::on(Op::Copy).key(stem(&release)).nth(1).run(move || {
        let collector = collector.clone();
        async move { condemn(&collector, doomed, 1).await }
    }));
    Services::over(&faulty.store()).publish_only("main", &release, activate()).await.unwrap();
    for generation in [0, 1] {
        sweep(&store, doomed, generation).await;
    }
    assert_eq!(stored(&store, doomed, 2).await.unwrap(), release.files[0].1);
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"));
}

#[tokio::test]
async fn a_blob_condemned_again_right_after_its_rescue_goes_to_generation_two() {
    let (backend, faulty, release) = uploaded().await;
    let (store, doomed) = (backend.store(), release.file(0));
    condemn(&store, doomed, 0).await;
    let collector = backend.store();
    // The first look finds the tombstone, the second one comes after the copy.
    faulty.script(Rule::on(Op::List).key(stem(&release)).nth(2).run(move || {
        let collector = collector.clone();
        async move {
            condemn(&collector, doomed, 1).await;
            sweep(&collector, doomed, 0).await;
        }
    }));
    Services::over(&faulty.store()).publish_only("main", &release, activate()).await.unwrap();
    assert_eq!(faulty.calls(Op::Copy), 2);
    sweep(&store, doomed, 1).await;
    assert_eq!(stored(&store, doomed, 2).await.unwrap(), release.files[0].1);
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"));
}

#[tokio::test]
async fn a_blob_condemned_after_it_was_looked_at_is_seen_by_that_collector() {
    // The handshake's other half: whoever condemns after the look sees the root when it marks again.
    let (backend, faulty, release) = uploaded().await;
    let services = Services::over(&backend.store());
    let seen = std::sync::Arc::new(std::sync::Mutex::new(None));
    let marked = std::sync::Arc::clone(&seen);
    let label = release.label.clone();
    faulty.script(Rule::on(Op::List).key(stem(&release)).run(move || {
        let (services, marked, label) = (services.clone(), std::sync::Arc::clone(&marked), label.clone());
        async move {
            let rows = services.rows("main").await;
            let root = rows.iter().any(|row| crate::support::services::label(row) == label && row.state.is_root());
            *marked.lock().unwrap() = Some(root);
        }
    }));
    Services::over(&faulty.store()).publish_only("main", &release, activate()).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), Some(true), "the version is a root before its blobs are relied on");
}

#[tokio::test]
async fn a_blob_that_is_condemned_for_ever_gives_up_and_publishes_nothing() {
    let (backend, faulty, release) = uploaded().await;
    let doomed = release.file(0);
    condemn(&backend.store(), doomed, 0).await;
    let (collector, next) = (backend.store(), std::sync::Arc::new(std::sync::atomic::AtomicU64::new(1)));
    faulty.script(Rule::on(Op::Copy).run(move || {
        let (collector, next) = (collector.clone(), std::sync::Arc::clone(&next));
        async move { condemn(&collector, doomed, next.fetch_add(1, std::sync::atomic::Ordering::SeqCst)).await }
    }));
    let error = Services::over(&faulty.store()).publish_only("main", &release, activate()).await.unwrap_err();
    assert!(super::replies::is_unavailable(&error), "{error:?}");
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn a_blob_whose_bytes_are_gone_is_listed_as_missing() {
    let (backend, faulty, release) = uploaded().await;
    let store = backend.store();
    condemn(&store, release.file(0), 0).await;
    sweep(&store, release.file(0), 0).await;
    let services = Services::over(&faulty.store());
    let error = services.publish_only("main", &release, activate()).await.unwrap_err();
    assert_eq!(missing(error), [release.file(0)]);
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
    services.release("main", &release).await.unwrap();
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"));
}

#[tokio::test]
async fn a_blob_swept_just_before_its_rescue_is_listed_as_missing() {
    let (backend, faulty, release) = uploaded().await;
    let doomed = release.file(0);
    condemn(&backend.store(), doomed, 0).await;
    let collector = backend.store();
    faulty.script(Rule::on(Op::Copy).nth(1).run(move || {
        let collector = collector.clone();
        async move { sweep(&collector, doomed, 0).await }
    }));
    let error = Services::over(&faulty.store()).publish_only("main", &release, activate()).await.unwrap_err();
    assert_eq!(missing(error), [doomed]);
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn every_missing_blob_is_listed_at_once() {
    let (backend, faulty) = with_first_version().await;
    let release = Release::new("v2", 30);
    let error = Services::over(&faulty.store()).publish_only("main", &release, activate()).await.unwrap_err();
    let expected: Vec<_> = (0..30).map(|at| release.file(at)).collect();
    assert_eq!(missing(error), expected, "in the order of the manifest");
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn an_upload_of_a_condemned_digest_goes_to_the_next_generation() {
    let (backend, _, release) = uploaded().await;
    let (store, bytes) = (backend.store(), &release.files[0].1);
    let services = Services::over(&store);
    assert_eq!(services.upload(bytes).await.unwrap(), None, "it is there, nothing to send");
    condemn(&store, release.file(0), 0).await;
    assert_eq!(services.blobs.missing(vec![release.file(0)]).await.unwrap(), [release.file(0)]);
    assert_eq!(services.upload(bytes).await.unwrap(), Some(Created::New));
    assert_eq!(stored(&store, release.file(0), 1).await.unwrap(), *bytes);
    assert_eq!(services.upload(bytes).await.unwrap(), None, "generation 1 may be relied on");
}

#[tokio::test]
async fn a_condemned_manifest_is_stored_anew() {
    let (backend, faulty, release) = uploaded().await;
    let (store, manifest) = (backend.store(), release.digest());
    store.create(&LayoutKey::Blob(manifest, 0).key(), release.manifest()).await.unwrap();
    condemn(&store, manifest, 0).await;
    Services::over(&faulty.store()).publish_only("main", &release, activate()).await.unwrap();
    sweep(&store, manifest, 0).await;
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"));
}

#[tokio::test]
async fn a_manifest_collected_between_its_upload_and_its_head_is_stored_anew() {
    let (backend, faulty, release) = uploaded().await;
    let (collector, manifest) = (backend.store(), release.digest());
    faulty.script(Rule::on(Op::Create).key(HEADS).nth(1).run(move || {
        let collector = collector.clone();
        async move {
            condemn(&collector, manifest, 0).await;
            sweep(&collector, manifest, 0).await;
        }
    }));
    Services::over(&faulty.store()).publish_only("main", &release, activate()).await.unwrap();
    assert_eq!(stored(&backend.store(), manifest, 1).await.unwrap(), release.manifest());
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v2"));
}

#[tokio::test]
async fn doomed_bytes_are_still_served_while_they_are_there() {
    let (backend, _, release) = uploaded().await;
    let (store, doomed) = (backend.store(), release.file(0));
    let services = Services::over(&store);
    condemn(&store, doomed, 0).await;
    assert_eq!(blob(&services, doomed).await.unwrap().unwrap(), release.files[0].1);
    sweep(&store, doomed, 0).await;
    assert_eq!(blob(&services, doomed).await.unwrap(), None);
    services.upload(&release.files[0].1).await.unwrap();
    assert_eq!(blob(&services, doomed).await.unwrap().unwrap(), release.files[0].1, "from generation 1");
    assert_eq!(services.blobs.stat(doomed).await.unwrap().unwrap().size, release.files[0].1.len() as u64);
}

#[tokio::test]
async fn a_blob_relied_on_after_half_the_minimum_age_is_made_young_again() {
    use jiff::SignedDuration;
    let (backend, _, release) = uploaded().await;
    let (services, digest) = (Services::over(&backend.store()), release.file(0));
    let hints = async || {
        let keys = all_keys(&backend.store()).await;
        keys.iter().filter(|key| key.contains(&digest.hex()) && key.contains(".seen-")).count()
    };
    services.clock.advance(SignedDuration::from_hours(11));
    services.upload(&release.files[0].1).await.unwrap();
    assert_eq!(hints().await, 0, "it is young");
    services.clock.advance(SignedDuration::from_hours(2));
    services.upload(&release.files[0].1).await.unwrap();
    services.blobs.missing(vec![digest]).await.unwrap();
    assert_eq!(hints().await, 1, "one hint is enough for a while");
}

#[tokio::test]
async fn a_key_that_is_not_a_blob_makes_nobody_upload_it_again_or_fail() {
    let (backend, _, release) = uploaded().await;
    let strange = format!("{}.strange", LayoutKey::Blob(release.file(0), 0).key());
    put(&backend.store(), &strange, "").await;
    let services = Services::over(&backend.store());
    assert_eq!(services.upload(&release.files[0].1).await.unwrap(), None, "it is there");
    services.publish_only("main", &release, activate()).await.unwrap();
    assert_eq!(sound(&backend.store(), "main").await, Some(release.label));
}

#[tokio::test]
async fn an_upload_that_took_too_long_does_not_end_in_bytes_that_are_doomed() {
    let backend = FsBackend::quick();
    let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
    let bytes = bytes::Bytes::from("slowly");
    let digest = larder::domain::Digest::of(&bytes);
    let collector = backend.store();
    // Somebody else's upload of the same digest was faster, and its bytes were collected meanwhile.
    faulty.script(Rule::on(Op::Commit).nth(1).run(move || {
        let collector = collector.clone();
        async move { condemn(&collector, digest, 0).await }
    }));
    assert_eq!(Services::over(&faulty.store()).upload(&bytes).await.unwrap(), Some(Created::New));
    sweep(&store, digest, 0).await;
    assert_eq!(stored(&store, digest, 1).await.unwrap(), bytes, "what was answered as stored is there to rely on");
}
