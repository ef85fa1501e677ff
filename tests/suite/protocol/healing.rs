//! Stored bytes that were lost or damaged, and uploads that mend them.

use std::time::Duration;

use bytes::Bytes;
use larder::domain::Digest;
use larder::layout::LayoutKey;
use larder::protocol::BlobError;
use larder::service::PublishError;
use larder::store::Created;

use crate::support::faulty::{FaultyStore, Rule};
use crate::support::services::*;
use crate::support::store::*;

/// A store that lost the second half of a blob.
async fn truncated(bytes: &Bytes) -> (FsBackend, Store) {
    let backend = FsBackend::quick();
    let store = backend.store();
    let key = LayoutKey::Blob(Digest::of(bytes), 0).key();
    store.create(&key, bytes.slice(..bytes.len() / 2)).await.unwrap();
    (backend, store)
}

#[tokio::test]
async fn a_truncated_blob_is_healed_by_uploading_it_again() {
    let bytes = pattern(1000);
    let (_backend, store) = truncated(&bytes).await;
    let services = Services::over(&store);
    assert_eq!(services.upload(&bytes).await.unwrap(), Some(Created::New));
    assert_eq!(blob(&services, Digest::of(&bytes)).await.unwrap().unwrap(), bytes);
    assert_eq!(stored(&store, Digest::of(&bytes), 0).await, None, "the damaged bytes are gone");
    assert_eq!(services.upload(&bytes).await.unwrap(), None, "nothing more to heal");
}

#[tokio::test]
async fn a_heal_cut_off_anywhere_is_completed_by_the_next_upload() {
    let bytes = pattern(1000);
    for nth in 1.. {
        let (_backend, store) = truncated(&bytes).await;
        let faulty = FaultyStore::over(&store);
        faulty.script(Rule::any().from(nth).fail());
        let cut_off = Services::over(&faulty.store()).upload(&bytes).await.is_err();
        let next = Services::over(&store);
        next.upload(&bytes).await.unwrap();
        assert!(blob(&next, Digest::of(&bytes)).await.unwrap().unwrap() == bytes, "after call {nth}");
        let stat = next.blobs.stat(Digest::of(&bytes)).await.unwrap().unwrap();
        assert_eq!(stat.size, 1000, "after call {nth}");
        if !cut_off {
            assert!(nth >= 6, "a heal makes at least six calls");
            break;
        }
    }
}

#[tokio::test]
async fn a_wrong_length_announced_for_a_sound_blob_changes_nothing() {
    let backend = FsBackend::quick();
    let (store, bytes) = (backend.store(), pattern(1000));
    let (services, digest) = (Services::over(&store), Digest::of(&bytes));
    services.upload(&bytes).await.unwrap();
    for announced in [999, 1001] {
        let larder::protocol::BlobIntake::Upload(mut upload) =
            services.blobs.begin(digest, Some(announced)).await.unwrap()
        else {
            panic!("the length differs")
        };
        let written = upload.write(bytes.clone()).await;
        let ended = if written.is_ok() { services.blobs.finish(*upload).await.map(|_| ()) } else { written };
        assert!(matches!(ended, Err(BlobError::SizeMismatch { .. })), "{ended:?}");
    }
    assert_eq!(blob(&services, digest).await.unwrap().unwrap(), bytes);
    assert_eq!(all_keys(&store).await, [LayoutKey::Blob(digest, 0).key().to_string()]);
    backend.finish().await;
}

#[tokio::test]
async fn bytes_of_another_digest_leave_nothing() {
    let backend = FsBackend::quick();
    let services = Services::over(&backend.store());
    let digest = Digest::of(b"what was promised");
    let larder::protocol::BlobIntake::Upload(mut upload) = services.blobs.begin(digest, None).await.unwrap() else {
        panic!("nothing is stored")
    };
    upload.write("what arrived".into()).await.unwrap();
    let error = services.blobs.finish(*upload).await.unwrap_err();
    let actual = Digest::of(b"what arrived");
    assert!(
        matches!(error, BlobError::DigestMismatch { expected, actual: got } if (expected, got) == (digest, actual))
    );
    assert!(all_keys(&backend.store()).await.is_empty());
    backend.finish().await;
}

#[tokio::test]
async fn a_truncated_file_is_reported_when_it_is_published() {
    let backend = FsBackend::quick();
    let (store, release) = (backend.store(), Release::new("v1", 2));
    let (_, bytes) = &release.files[0];
    store.create(&LayoutKey::Blob(release.file(0), 0).key(), bytes.slice(..3)).await.unwrap();
    let services = Services::over(&store);
    services.upload(&release.files[1].1).await.unwrap();
    let error = services.publish_only("main", &release, activate()).await.unwrap_err();
    let PublishError::Blobs { missing, wrong_size, .. } = error else { panic!("{error}") };
    assert!(missing.is_empty());
    assert_eq!(
        wrong_size.iter().map(|(blob, actual)| (blob.digest, *actual)).collect::<Vec<_>>(),
        [(release.file(0), 3)]
    );
    services.release("main", &release).await.unwrap();
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn a_truncated_manifest_is_healed_by_publishing_it_again() {
    let backend = FsBackend::quick();
    let (store, release) = (backend.store(), Release::new("v1", 2));
    let key = LayoutKey::Blob(release.digest(), 0).key();
    store.create(&key, release.manifest().slice(..10)).await.unwrap();
    let services = Services::over(&store);
    // A publish that goes round in circles must not hang the whole run.
    let published = tokio::time::timeout(Duration::from_secs(20), services.release("main", &release)).await;
    published.expect("the publish ends").unwrap();
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn a_damaged_manifest_is_reported_and_never_served() {
    let backend = FsBackend::quick();
    let (store, release) = (backend.store(), Release::new("v1", 2));
    Services::over(&store).release("main", &release).await.unwrap();
    let key = LayoutKey::Blob(release.digest(), 0).key();
    store.delete(&key).await.unwrap();
    let damaged = String::from_utf8(release.manifest().to_vec()).unwrap().replace("file-0", "file-9");
    store.create(&key, damaged.into()).await.unwrap();
    let read = Services::over(&store).resolve.manifest(&target("main"), AsOf::Now).await;
    let Err(larder::service::ResolveError::Store(error)) = read else { panic!("served") };
    assert_eq!(error.kind, larder::store::StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn bytes_that_are_doomed_for_being_damaged_are_not_rescued() {
    let release = Release::new("v1", 1);
    let (_backend, store) = truncated(&release.files[0].1).await;
    condemn(&store, release.file(0), 0).await;
    let services = Services::over(&store);
    let refused = services.publish_only("main", &release, activate()).await.unwrap_err();
    assert!(matches!(&refused, PublishError::Blobs { missing, .. } if missing.len() == 1), "{refused}");
    assert_eq!(stored(&store, release.file(0), 1).await, None, "the damage was copied");
    services.release("main", &release).await.unwrap();
    assert_eq!(stored(&store, release.file(0), 1).await.unwrap(), release.files[0].1);
}
