//! Where a store may not be copied to, or from.

use larder::layout::marker::LayoutError;

use super::*;

/// Asserts that a copy is refused, and that the target is as it was.
async fn refused(from: &FsBackend, to: &FsBackend) -> CopyError {
    let before = all_keys(&to.store()).await;
    let error = copy_with(&from.store(), &to.store(), PLAIN).await.0.unwrap_err();
    assert_eq!(all_keys(&to.store()).await, before);
    error
}

#[tokio::test]
async fn a_place_that_holds_something_else_is_refused() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    put(&to.store(), "holiday/photos", "beach").await;
    assert!(matches!(refused(&from, &to).await, CopyError::NotEmpty));
}

#[tokio::test]
async fn a_store_with_another_name_is_refused() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    marker::open(&*to.store()).await.unwrap();
    Services::over(&to.store()).release("theirs", &Release::new("v1", 1)).await.unwrap();
    let error = refused(&from, &to).await;
    assert!(matches!(&error, CopyError::Diverged { name: of, .. } if *of == name("theirs").into()), "{error}");
}

#[tokio::test]
async fn a_store_with_another_history_of_the_same_name_is_refused() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    marker::open(&*to.store()).await.unwrap();
    Services::over(&to.store()).release("main", &Release::new("v1", 3)).await.unwrap();
    let error = refused(&from, &to).await;
    assert!(error.to_string().contains("history of main"), "{error}");
}

#[tokio::test]
async fn a_copy_that_was_published_to_is_refused() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    copied(&from.store(), &to.store()).await;
    Services::over(&to.store()).release("main", &Release::new("v4", 1)).await.unwrap();
    assert!(matches!(refused(&from, &to).await, CopyError::Diverged { .. }));
    // Also when both went on.
    Services::over(&from.store()).release("main", &Release::new("v5", 1)).await.unwrap();
    assert!(matches!(refused(&from, &to).await, CopyError::Diverged { .. }));
}

#[tokio::test]
async fn an_empty_store_that_a_server_made_is_filled() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    marker::open(&*to.store()).await.unwrap();
    copied(&from.store(), &to.store()).await;
    assert_eq!(contents(&to.store()).await, contents(&from.store()).await);
}

#[tokio::test]
async fn what_is_no_finished_store_is_not_copied() {
    let (empty, to) = (FsBackend::quick(), FsBackend::quick());
    let refused_as = |error| match error {
        CopyError::From(why) => why,
        other => panic!("{other}"),
    };
    assert!(matches!(refused_as(refused(&empty, &to).await), LayoutError::Unmarked));
    let half = lived_in().await;
    marker::begin_copy(&*half.store()).await.unwrap();
    assert!(matches!(refused_as(refused(&half, &to).await), LayoutError::Unfinished));
    let newer = lived_in().await;
    put(&newer.store(), "layout/2", r#"{"layout":2,"min_reader":2,"min_writer":2}"#).await;
    assert!(matches!(refused_as(refused(&newer, &to).await), LayoutError::TooNew { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_of_running_processes_are_left_behind() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    let store = from.store();
    let digest = Release::new("v1", 3).file(0);
    store.create(&LayoutKey::Seen(digest, 0, 480_000).key(), Bytes::new()).await.unwrap();
    store.create(&LayoutKey::Probe(7, 1).key(), Bytes::new()).await.unwrap();
    let run = larder::domain::RunId { millisecond: 1, random: 2 };
    store.create(&LayoutKey::Run(run, larder::layout::RunPart::Started).key(), Bytes::from("{}")).await.unwrap();
    copied(&store, &to.store()).await;
    let left = ["collector/", "probe/", "uploads/", ".seen-", "copying"];
    let keys = all_keys(&to.store()).await;
    assert!(keys.iter().all(|key| left.iter().all(|part| !key.contains(part))), "{keys:#?}");
}
