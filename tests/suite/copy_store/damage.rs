//! What is lost or damaged in the store that is copied, or in the copy.

use larder::layout::marker::{self, LayoutError};

use super::*;

fn findings_about(told: &Told, digest: Digest) -> usize {
    let hex = digest.hex().clone();
    told.findings.iter().filter(|finding| format!("{finding:?}").contains(&hex)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_without_their_digest_are_reported_and_not_copied() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    let release = Release::new("v3", 3);
    damage(&from, release.file(1), &flipped(&release.files[1].1)).await;
    let (result, told) = copy_with(&from.store(), &to.store(), PLAIN).await;
    let summary = result.unwrap();
    assert!(summary.settled && !summary.finished, "{summary:?}");
    let kinds: Vec<_> =
        told.findings.iter().map(|found| format!("{found:?}").split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["DamagedBlob", "BadReference"], "{told:?}");
    assert!(stored(&to.store(), release.file(1), 0).await.is_none());
    let refused = marker::check(&*to.store()).await.unwrap_err();
    assert!(matches!(refused, LayoutError::Unfinished), "{refused}");
    to.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_finished_once_the_damage_is_healed() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    let release = Release::new("v3", 3);
    damage(&from, release.file(1), b"short").await;
    assert!(!copy_with(&from.store(), &to.store(), PLAIN).await.0.unwrap().finished);
    from.plant(&LayoutKey::Blob(release.file(1), 0).key(), &release.files[1].1);
    let summary = copied(&from.store(), &to.store()).await;
    assert_eq!((summary.copied.blobs, summary.copied.heads), (1, 0));
    assert_eq!(contents(&to.store()).await, contents(&from.store()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_is_accepted_does_not_keep_a_copy_from_being_finished() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    let release = Release::new("v3", 3);
    sweep(&from.store(), release.file(2), 0).await;
    let accepting = CopySettings { accept_damage: true, ..PLAIN };
    let (result, told) = copy_with(&from.store(), &to.store(), accepting).await;
    let summary = result.unwrap();
    assert!(summary.finished && summary.findings == 1, "{summary:?}");
    assert_eq!(findings_about(&told, release.file(2)), 1, "{told:?}");
    marker::check(&*to.store()).await.unwrap();
    assert_eq!(contents(&to.store()).await, contents(&from.store()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bytes_that_no_version_needs_are_reported_but_hinder_nothing() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    let bytes = Bytes::from_static(b"nobody needs this");
    Services::over(&from.store()).upload(&bytes).await.unwrap();
    damage(&from, Digest::of(&bytes), b"nobody needs that").await;
    let (result, told) = copy_with(&from.store(), &to.store(), PLAIN).await;
    assert!(result.unwrap().finished);
    assert_eq!((told.findings.len(), findings_about(&told, Digest::of(&bytes))), (1, 1), "{told:?}");
    assert_well(&to.store()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_head_is_named() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    from.store().delete(&LayoutKey::Head(name("main").into(), 2).key()).await.unwrap();
    from.plant(&LayoutKey::Head(name("main").into(), 3).key(), b"{");
    let (result, told) = copy_with(&from.store(), &to.store(), PLAIN).await;
    assert!(result.unwrap().finished, "{told:?}");
    let damaged: Vec<u64> = told
        .findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::DamagedHead { generation, .. } => Some(*generation),
            _ => None,
        })
        .collect();
    assert_eq!((damaged, told.findings.len()), (vec![2, 3], 2), "{told:?}");
    assert_eq!(contents(&to.store()).await, contents(&from.store()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_newest_head_is_damaged_is_not_finished() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    let newest = Services::over(&from.store()).head("main").await.generation;
    from.plant(&LayoutKey::Head(name("main").into(), newest).key(), b"{}");
    let (result, told) = copy_with(&from.store(), &to.store(), PLAIN).await;
    assert!(!result.unwrap().finished);
    assert!(told.findings.iter().any(|finding| matches!(finding, Finding::UnreadableName { .. })), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_in_the_copy_is_replaced_when_it_is_read_again() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    copied(&from.store(), &to.store()).await;
    let release = Release::new("v2", 3);
    damage(&to, release.file(0), &flipped(&release.files[0].1)).await;
    damage(&to, release.file(1), b"of another size").await;
    // The size tells the second one alone.
    assert_eq!(copied(&from.store(), &to.store()).await.copied.blobs, 1);
    let (result, told) = copy_with(&from.store(), &to.store(), CopySettings { verify: true, ..PLAIN }).await;
    let summary = result.unwrap();
    assert_eq!((summary.copied.blobs, summary.finished, told.findings.len()), (1, true, 0), "{told:?}");
    assert_well(&to.store()).await;
    assert_eq!(contents(&to.store()).await, contents(&from.store()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_bytes_of_the_copy_survive_damage_where_they_came_from() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    copied(&from.store(), &to.store()).await;
    let release = Release::new("v2", 3);
    damage(&from, release.file(0), b"of another size").await;
    let (result, told) = copy_with(&from.store(), &to.store(), PLAIN).await;
    assert!(result.unwrap().finished);
    assert_eq!(findings_about(&told, release.file(0)), 1, "{told:?}");
    assert_eq!(stored(&to.store(), release.file(0), 0).await.as_ref(), Some(&release.files[0].1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_object_is_reported_and_the_rest_is_copied() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    let release = Release::new("v3", 3);
    let objects = from.root().join("objects");
    let blob = objects.join(LayoutKey::Blob(release.file(1), 0).key().as_str());
    std::fs::rename(&blob, from.root().join("elsewhere")).unwrap();
    for link in [&blob, &objects.join("names/link@")] {
        std::os::unix::fs::symlink(from.root().join("elsewhere"), link).unwrap();
    }
    let (result, told) = copy_with(&from.store(), &to.store(), PLAIN).await;
    let summary = result.unwrap();
    assert!(summary.settled && !summary.finished, "{summary:?}");
    let mut kinds: Vec<_> =
        told.findings.iter().map(|found| format!("{found:?}").split(' ').next().unwrap().to_owned()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["BadReference", "UnknownKey", "UnknownKey"], "{told:?}");
    assert!(stored(&to.store(), release.file(1), 0).await.is_none());
    assert!(stored(&to.store(), release.file(2), 0).await.is_some());
    to.finish().await;
}
