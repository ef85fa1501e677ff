//! Uploads that nobody goes on with.

use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use larder::domain::{Digest, UploadId};
use larder::layout::LayoutKey;
use larder::upkeep::CollectError;
use larder::upkeep::collect::Settings;
use tokio_util::sync::CancellationToken;

use crate::support::collecting::*;
use crate::support::s3::S3Model;
use crate::support::services::*;
use crate::support::store::*;
use crate::support::uploading::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Gives uploads up after a day.
fn daily() -> Settings {
    Settings { uploads_for: SignedDuration::from_hours(24), ..greedy() }
}

/// An upload in three parts, of which the first is there.
async fn with_upload() -> (FsBackend, Services, UploadId, Bytes) {
    let backend = marked();
    let services = Services::over(&backend.store());
    let bytes = pattern(2500);
    let upload = begin_upload(&services, &bytes).await;
    let id = upload.id;
    append(&services, upload, &bytes.slice(..1000)).await.unwrap();
    (backend, services, id, bytes)
}

#[tokio::test]
async fn an_upload_is_kept_as_long_as_somebody_goes_on_with_it() {
    let (backend, services, id, bytes) = with_upload().await;
    backend.age("uploads/", 23 * HOUR);
    let report = collect(&backend.store(), daily()).await.unwrap();
    assert_eq!((report.totals.uploads, unfinished(&backend.store()).await.len()), (0, 1));
    let upload = look(&services, id).await.unwrap();
    append(&services, upload, &bytes.slice(1000..2000)).await.unwrap();
    // Its beginning is older than a day now, but not the last part.
    backend.age("uploads/", 2 * HOUR);
    assert_eq!(collect(&backend.store(), daily()).await.unwrap().totals.uploads, 0);
    let upload = look(&services, id).await.unwrap();
    complete(&services, upload, &bytes).await.unwrap();
}

#[tokio::test]
async fn an_abandoned_upload_is_given_up_with_all_that_it_left() {
    let (backend, services, id, bytes) = with_upload().await;
    let store = backend.store();
    backend.age("uploads/", 25 * HOUR);
    let preview = collector(&store, daily()).preview(&CancellationToken::new(), |_| ()).await.unwrap();
    assert_eq!((preview.uploads, records(&store).await.len()), (1, 2), "a preview changes nothing");
    assert_eq!(collect(&store, daily()).await.unwrap().totals.uploads, 1);
    assert_eq!((records(&store).await.len(), unfinished(&store).await.len()), (0, 0));
    assert!(look(&services, id).await.is_none());
    assert_eq!(std::fs::read_dir(backend.root().join("parts")).unwrap().count(), 0);
    let again = begin_upload(&services, &bytes).await;
    complete(&services, again, &bytes).await.unwrap();
}

#[tokio::test]
async fn the_record_of_a_complete_upload_goes_and_its_blob_stays() {
    let (backend, services, id, bytes) = with_upload().await;
    let store = backend.store();
    let upload = look(&services, id).await.unwrap();
    complete(&services, upload, &bytes).await.unwrap();
    let release = Release { label: "v1".into(), files: vec![("large".into(), bytes)] };
    services.publish_only("main", &release, activate()).await.unwrap();
    collect(&store, daily()).await.unwrap();
    assert!(look(&services, id).await.unwrap().is_complete(), "a client that lost the answer can still ask");
    backend.age("uploads/", 25 * HOUR);
    let report = collect(&store, daily()).await.unwrap();
    assert_eq!((report.totals.uploads, report.totals.needed.blobs), (0, 2));
    assert_eq!(records(&store).await.len(), 0);
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
}

/// Makes all that is in the making look as if it was begun so long ago.
fn age_parts(backend: &FsBackend, by: Duration) {
    for entry in std::fs::read_dir(backend.root().join("parts")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let text = std::fs::read_to_string(&path).unwrap();
            let (first, rest) = text.split_once('\n').unwrap();
            let (key, begun) = first.split_once(' ').unwrap();
            let begun = begun.parse::<Timestamp>().unwrap() - by;
            std::fs::write(&path, format!("{key} {begun}\n{rest}")).unwrap();
        }
    }
}

#[tokio::test]
async fn what_is_in_the_making_without_an_upload_is_aborted_when_it_is_old() {
    let (backend, services, id, bytes) = with_upload().await;
    let store = backend.store();
    store.begin_parts(&LayoutKey::Blob(Digest::of(b"stray"), 0).key()).await.unwrap();
    age_parts(&backend, 23 * HOUR);
    assert_eq!(collect(&store, daily()).await.unwrap().totals.uploads, 0);
    assert_eq!(unfinished(&store).await.len(), 2);
    age_parts(&backend, 2 * HOUR);
    assert_eq!(collect(&store, daily()).await.unwrap().totals.uploads, 1);
    let upload = look(&services, id).await.unwrap();
    complete(&services, upload, &bytes).await.expect("an upload under way is nobody's stray");
}

#[tokio::test]
async fn what_a_dead_process_left_of_an_upload_that_it_was_giving_up_goes() {
    let (backend, services, id, _) = with_upload().await;
    let store = backend.store();
    store.delete(&LayoutKey::Upload(id, 0).key()).await.unwrap();
    assert!(look(&services, id).await.is_none());
    backend.age("uploads/", 25 * HOUR);
    collect(&store, daily()).await.unwrap();
    assert_eq!(records(&store).await.len(), 0);
}

#[tokio::test]
async fn an_upload_that_cannot_be_read_is_left_alone_with_all_that_is_in_the_making() {
    let (backend, _, id, _) = with_upload().await;
    let store = backend.store();
    let beginning = LayoutKey::Upload(id, 0).key();
    store.delete(&beginning).await.unwrap();
    put(&store, beginning.as_str(), r#"{"form":99}"#).await;
    assert_eq!(collect(&store, greedy()).await.unwrap().totals.uploads, 0);
    assert_eq!((records(&store).await.len(), unfinished(&store).await.len()), (2, 1));
}

#[tokio::test]
async fn a_strange_object_among_the_uploads_ends_the_run() {
    let (backend, _, _, _) = with_upload().await;
    put(&backend.store(), "uploads/strange", "").await;
    let error = collect(&backend.store(), greedy()).await.unwrap_err();
    assert!(matches!(error, CollectError::UnknownKey(_)), "{error}");
}

#[tokio::test]
async fn a_verification_finds_nothing_wrong_with_an_upload_under_way() {
    let (backend, _, _, _) = with_upload().await;
    assert_eq!(findings(&backend.store()).await, []);
}

/// A bucket holds what several applications have in the making, and does not tell whose it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_application_has_in_the_making_is_left_alone() {
    let model = S3Model::start().await;
    let store = model.store_with(|settings| settings.prefix = "shared".to_owned()).await;
    put(&store, LayoutKey::Marker(1).key().as_str(), r#"{"layout": 1, "min_reader": 1, "min_writer": 1}"#).await;
    let hex = Digest::of(b"x").hex();
    let foreign = [
        "notes/x".to_owned(),
        "blobs/readme".to_owned(),
        "layout/2".to_owned(),
        "heads/main/@/18/446/744/073/709/551/614".to_owned(),
        "names/main@".to_owned(),
        format!("blobs/sha256/zz/zz/{hex}.0"),
        format!("other/blobs/sha256/{}/{}/{hex}.0", &hex[..2], &hex[2..4]),
        format!("uploads/{}.99999", "ab".repeat(16)),
    ];
    for text in &foreign {
        store.begin_parts(&key(text)).await.unwrap();
    }
    let ours = LayoutKey::Blob(Digest::of(b"stray"), 0).key();
    store.begin_parts(&ours).await.unwrap();
    assert_eq!(collect(&store, greedy()).await.unwrap().totals.uploads, 1);
    let mut left: Vec<String> = unfinished(&store).await.iter().map(|found| found.parts.key.to_string()).collect();
    left.sort();
    let mut foreign = foreign.to_vec();
    foreign.sort();
    assert_eq!(left, foreign);
}
