//! Streamed objects: invisible until they are committed, whatever becomes of them.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use larder::store::{Created, Upload};
use tokio::sync::Barrier;

use crate::support::store::*;

/// An upload one of whose writes was cancelled before it was over.
async fn with_cancelled_write(store: &Store, text: &str) -> Box<dyn Upload> {
    let bytes = pattern(64 * CHUNK);
    for _ in 0..100 {
        let mut upload = begin(store, text, &[bytes.slice(..CHUNK)]).await;
        // A write that is over at its first look is no use; the upload is dropped and another one tried.
        if upload.write(bytes.clone()).now_or_never().is_none() {
            return upload;
        }
    }
    panic!("every write was over before it could be cancelled");
}

contract!(nothing_is_visible_before_the_commit, |store| async {
    let upload = begin(&store, "a/b", &[pattern(CHUNK), pattern(3)]).await;
    assert_absent(&store, "a/b").await;
    assert!(all_keys(&store).await.is_empty());
    assert_eq!(upload.commit().await.unwrap(), Created::New);
    assert_eq!(all_keys(&store).await, ["a/b"]);
});

contract!(uploads_of_every_size_are_read_back_whole, |store| async {
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 1, 5 * 1024 * 1024 + 3] {
        let (name, bytes) = (format!("size/{length}"), pattern(length));
        assert_eq!(upload(&store, &name, std::slice::from_ref(&bytes)).await, Created::New);
        assert_eq!(store.head(&key(&name)).await.unwrap().unwrap().size, length as u64);
        assert!(read(&store, &name).await.unwrap() == bytes, "{length} bytes");
    }
});

contract!(pieces_of_every_size_are_put_together_in_order, |store| async {
    let bytes = pattern(3 * CHUNK);
    for piece in [1000, CHUNK - 1, CHUNK, CHUNK + 1] {
        let chunks: Vec<Bytes> = bytes.chunks(piece).map(Bytes::copy_from_slice).collect();
        let name = format!("pieces/{piece}");
        upload(&store, &name, &chunks).await;
        assert!(read(&store, &name).await.unwrap() == bytes, "in pieces of {piece}");
    }
});

contract!(an_upload_without_a_write_makes_an_empty_object, |store| async {
    assert_eq!(upload(&store, "empty", &[]).await, Created::New);
    assert_eq!(read(&store, "empty").await.unwrap(), "");
});

contract!(an_aborted_upload_leaves_nothing_and_its_key_free, |store| async {
    begin(&store, "a", &[pattern(CHUNK + 1)]).await.abort().await;
    assert_absent(&store, "a").await;
    assert_eq!(upload(&store, "a", &["other".into()]).await, Created::New);
    assert_eq!(read(&store, "a").await.unwrap(), "other");
});

contract!(an_upload_dropped_before_its_first_write_leaves_nothing, |store| async {
    drop(begin(&store, "a", &[]).await);
    assert_absent(&store, "a").await;
    put(&store, "a", "free").await;
});

contract!(an_upload_dropped_after_a_write_leaves_nothing, |store| async {
    drop(begin(&store, "a", &[pattern(CHUNK), pattern(1)]).await);
    assert_absent(&store, "a").await;
    put(&store, "a", "free").await;
});

contract!(an_upload_dropped_during_a_write_leaves_nothing, |store| async {
    drop(with_cancelled_write(&store, "a").await);
    assert_absent(&store, "a").await;
    put(&store, "a", "free").await;
});

contract!(an_upload_with_a_cancelled_write_cannot_be_committed, |store| async {
    let mut upload = with_cancelled_write(&store, "a").await;
    assert!(upload.write("more".into()).await.is_err(), "only an abort may follow");
    upload.commit().await.expect_err("bytes may be missing in the middle");
    assert_absent(&store, "a").await;
    put(&store, "a", "free").await;
});

contract!(an_upload_with_a_cancelled_write_can_be_aborted, |store| async {
    with_cancelled_write(&store, "a").await.abort().await;
    assert_absent(&store, "a").await;
});

contract!(a_cancelled_commit_leaves_nothing_or_all_of_it, |store| async {
    let bytes = pattern(2 * CHUNK);
    for round in 0..20 {
        let name = format!("cancelled/{round}");
        drop(begin(&store, &name, std::slice::from_ref(&bytes)).await.commit().now_or_never());
        for _ in 0..3 {
            let found = read(&store, &name).await;
            assert!(found.is_none_or(|found| found == bytes), "round {round}");
        }
        create(&store, &name, bytes.clone()).await;
        assert!(read(&store, &name).await.unwrap() == bytes, "round {round}");
    }
});

contract!(an_upload_to_a_taken_key_keeps_the_old_bytes, |store| async {
    put(&store, "a", "old").await;
    assert_eq!(upload(&store, "a", &["new".into()]).await, Created::AlreadyExists);
    assert_eq!(read(&store, "a").await.unwrap(), "old");
});

contract!(a_key_taken_during_an_upload_keeps_the_faster_bytes, |store| async {
    let slow = begin(&store, "a", &["slow".into()]).await;
    put(&store, "a", "fast").await;
    assert_eq!(slow.commit().await.unwrap(), Created::AlreadyExists);
    assert_eq!(read(&store, "a").await.unwrap(), "fast");
});

contract!(uploads_to_one_key_do_not_mix, |store| async {
    let mut one = begin(&store, "a", &["1".into()]).await;
    let mut two = begin(&store, "a", &["2".into()]).await;
    one.write("1".into()).await.unwrap();
    two.write("2".into()).await.unwrap();
    drop(one);
    assert_eq!(two.commit().await.unwrap(), Created::New);
    assert_eq!(read(&store, "a").await.unwrap(), "22");
});

contract!(racing_commits_have_one_winner_whose_bytes_stay, |store| async {
    const TASKS: usize = 16;
    for round in 0..10 {
        let (name, start) = (format!("race/{round}"), Arc::new(Barrier::new(TASKS)));
        let racers = (0..TASKS).map(|racer| {
            let (store, name, start) = (Arc::clone(&store), name.clone(), Arc::clone(&start));
            tokio::spawn(async move {
                // Every other one is a plain create: both compete for the same key.
                let bytes = Bytes::from(format!("racer {racer}"));
                let upload =
                    if racer % 2 == 0 { Some(begin(&store, &name, std::slice::from_ref(&bytes)).await) } else { None };
                start.wait().await;
                let created = match upload {
                    Some(upload) => upload.commit().await.unwrap(),
                    None => create(&store, &name, bytes.clone()).await,
                };
                (created == Created::New).then_some(bytes)
            })
        });
        let winners: Vec<Bytes> = join_all(racers).await.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(read(&store, &name).await.unwrap(), winners[0]);
    }
});
