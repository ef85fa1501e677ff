//! Streamed objects: how they are sent, how much memory they take, and that nothing is left of those that fail.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use larder::shares::Owner;
use larder::store::{Created, StoreErrorKind};
use tokio::time::{Instant, sleep};

use crate::support::ceph::Ceph;
use crate::support::s3::{Fault, Op, S3Model};
use crate::support::store::*;

const MIB: usize = 1 << 20;
/// What the stores of these tests send at once.
const PART: usize = 5 * MIB;

/// Waits until the model has no open upload.
async fn all_aborted(model: &S3Model) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while model.open_uploads() > 0 {
        assert!(Instant::now() < deadline, "{} uploads are open", model.open_uploads());
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fits_into_a_part_is_one_request() {
    let model = S3Model::start().await;
    let store = model.store().await;
    upload(&store, "a", &[pattern(PART - 1), pattern(1)]).await;
    let requests = model.requests();
    assert_eq!((requests.len(), requests[&Op::PutObject]), (1, 1), "{requests:?}");
    upload(&store, "b", &[pattern(PART), pattern(1)]).await;
    let requests = model.requests();
    assert_eq!((requests[&Op::CreateMultipart], requests[&Op::UploadPart]), (1, 2));
    assert_eq!((requests[&Op::Look], requests[&Op::CompleteMultipart]), (1, 1));
    assert_eq!(requests.len(), 4, "{requests:?}");
    assert_eq!(model.part_sizes("b"), [PART, 1]);
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_put_together_in_order_however_they_arrive() {
    let model = S3Model::start().await;
    let store = model.store().await;
    for nth in [1, 3] {
        model.fail(Op::UploadPart, nth, Fault::Slow(Duration::from_millis(300)));
    }
    let bytes = pattern(5 * PART + 17);
    let pieces: Vec<_> = bytes.chunks(700_001).map(|piece| bytes.slice_ref(piece)).collect();
    assert_eq!(upload(&store, "a", &pieces).await, Created::New);
    assert!(read(&store, "a").await.unwrap() == bytes);
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn a_real_engine_puts_parts_together() {
    let ceph = Ceph::start().await;
    let store = ceph.store_with(|settings| settings.part_size = PART as u64).await;
    let bytes = pattern(3 * PART + 17);
    assert_eq!(upload(&store, "a", std::slice::from_ref(&bytes)).await, Created::New);
    assert!(read(&store, "a").await.unwrap() == bytes);
    assert_eq!(upload(&store, "a", &[pattern(2 * PART)]).await, Created::AlreadyExists);
    drop(begin(&store, "b", &[pattern(2 * PART)]).await);
    begin(&store, "c", &[pattern(2 * PART)]).await.abort().await;
    assert_eq!(all_keys(&store).await, ["a"]);
    ceph.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_dropped_or_aborted_leaves_nothing_behind() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let bytes = [pattern(2 * PART + 1)];
    drop(begin(&store, "a", &bytes).await);
    all_aborted(&model).await;
    begin(&store, "a", &bytes).await.abort().await;
    assert_eq!(model.open_uploads(), 0, "an abort waits until it is over");
    assert!(model.keys().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_part_is_refused_fails_and_leaves_nothing_behind() {
    let model = S3Model::start().await;
    let store = model.store().await;
    model.fail(Op::UploadPart, 2, Fault::Answer(403, "AccessDenied"));
    let upload = begin(&store, "a", &[pattern(3 * PART)]).await;
    assert_eq!(upload.commit().await.unwrap_err().kind, StoreErrorKind::Denied);
    all_aborted(&model).await;
    assert!(model.keys().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cancelled_anywhere_leaves_nothing_behind() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let bytes = pattern(3 * PART);
    model.fail_from(Op::CreateMultipart, 1, Fault::Slow(Duration::from_millis(30)));
    model.fail_from(Op::UploadPart, 1, Fault::Slow(Duration::from_millis(30)));
    for millis in (1..200).step_by(12) {
        let whole = async { begin(&store, "a", std::slice::from_ref(&bytes)).await.commit().await };
        let ended = tokio::time::timeout(Duration::from_millis(millis), whole).await;
        if ended.is_ok() {
            break;
        }
    }
    // A request that is on its way has its effect before its upload is aborted.
    sleep(Duration::from_millis(200)).await;
    all_aborted(&model).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_takes_place_even_if_nobody_waits_for_it() {
    let model = S3Model::start().await;
    let store = model.store().await;
    put(&store, "a", "fast").await;
    model.fail_from(Op::AbortMultipart, 1, Fault::Slow(Duration::from_secs(1)));
    let slow = begin(&store, "a", &[pattern(2 * PART)]).await;
    let committing = tokio::spawn(slow.commit());
    // Its parts are given up because the key is taken.
    while !model.requests().contains_key(&Op::AbortMultipart) {
        assert!(!committing.is_finished());
        sleep(Duration::from_millis(5)).await;
    }
    committing.abort();
    all_aborted(&model).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_key_is_found_before_the_parts_become_an_object() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let slow = begin(&store, "a", &[pattern(2 * PART)]).await;
    put(&store, "a", "fast").await;
    assert_eq!(slow.commit().await.unwrap(), Created::AlreadyExists);
    assert_eq!(read(&store, "a").await.unwrap(), "fast");
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_commits_of_many_parts_have_one_winner_in_a_process() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let bytes = [pattern(2 * PART)];
    let uploads = join_all((0..3).map(|_| begin(&store, "a", &bytes))).await;
    let ends = join_all(uploads.into_iter().map(larder::store::Upload::commit)).await;
    let winners = ends.into_iter().filter(|end| *end.as_ref().unwrap() == Created::New).count();
    assert_eq!(winners, 1);
    model.finish().await;
}

/// How many of two processes that commit the same bytes in the same moment are told that theirs are new.
async fn winners_of_two_processes(model: &S3Model) -> usize {
    let bytes = [pattern(PART + 1)];
    let mut uploads = Vec::new();
    for _ in 0..2 {
        let store = model.s3_store(|_| {}).await;
        let store: Store = Arc::new(store);
        uploads.push(begin(&store, "a", &bytes).await);
    }
    // Both have looked before either completes.
    model.fail_from(Op::CompleteMultipart, 1, Fault::Slow(Duration::from_millis(300)));
    let ends = join_all(uploads.into_iter().map(larder::store::Upload::commit)).await;
    assert!(read(&model.store().await, "a").await.unwrap() == bytes[0]);
    ends.into_iter().filter(|end| *end.as_ref().unwrap() == Created::New).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_commit_the_same_bytes_at_once_may_both_be_told_new() {
    let model = S3Model::start().await;
    assert_eq!(winners_of_two_processes(&model).await, 2, "what the documentation says");
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_parts_are_under_way_than_configured() {
    let model = S3Model::start().await;
    let store = model.store_with(|settings| settings.parts_at_once = 2).await;
    model.fail_from(Op::UploadPart, 1, Fault::Slow(Duration::from_millis(100)));
    upload(&store, "a", &[pattern(6 * PART)]).await;
    assert_eq!(model.most_at_once(Op::UploadPart), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_share_the_memory_and_all_come_to_their_end() {
    let model = S3Model::start().await;
    // Three parts, a quarter being for the beginnings of uploads.
    let store = model.store_with(|settings| settings.memory = 20 * MIB as u64).await;
    model.fail_from(Op::UploadPart, 1, Fault::Slow(Duration::from_millis(20)));
    let bytes = pattern(3 * PART);
    let uploads = (0..12).map(|at| {
        let (store, bytes) = (Arc::clone(&store), bytes.clone());
        tokio::spawn(async move {
            let pieces: Vec<_> = bytes.chunks(100_000).map(|piece| bytes.slice_ref(piece)).collect();
            upload(&store, &format!("a/{at}"), &pieces).await
        })
    });
    for end in join_all(uploads).await {
        assert_eq!(end.unwrap(), Created::New);
    }
    assert!(model.most_at_once(Op::UploadPart) <= 3, "{}", model.most_at_once(Op::UploadPart));
    for at in [0, 11] {
        assert!(read(&store, &format!("a/{at}")).await.unwrap() == bytes);
    }
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_finds_no_memory_is_refused_after_a_while() {
    let model = S3Model::start().await;
    let timeouts = Duration::from_millis(500);
    let store = model
        .store_with(|settings| {
            settings.memory = 20 * MIB as u64;
            settings.timeouts.give_up = timeouts;
        })
        .await;
    let mut holders = Vec::new();
    for at in 0..3 {
        holders.push(begin(&store, &format!("a/{at}"), &[pattern(MIB)]).await);
    }
    let mut late = store.begin(&key("b")).await.unwrap();
    let began = Instant::now();
    let error = late.write(pattern(MIB)).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(began.elapsed() >= timeouts && error.to_string().contains("store.memory"), "{error}");
    // A small object needs no part.
    assert_eq!(upload(&store, "small", &["bytes".into()]).await, Created::New);
    holders.pop();
    assert_eq!(upload(&store, "b", &[pattern(MIB)]).await, Created::New);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_damaged_on_its_way_is_sent_again_where_nothing_else_protects_it() {
    let model = S3Model::start().await;
    let store = model.store().await;
    for (key, op, size) in [("small", Op::PutObject, 1000), ("parts", Op::UploadPart, PART + 1)] {
        model.fail(op, 1, Fault::Damage);
        assert_eq!(upload(&store, key, &[pattern(size)]).await, Created::New);
        assert_eq!(read(&store, key).await, Some(pattern(size)), "{key}");
    }
    // What TLS protects is not hashed once more.
    let store = model.store_with(|settings| settings.sign_bodies = Some(false)).await;
    for (key, op, size) in [("unsigned", Op::PutObject, 1000), ("unsigned-parts", Op::UploadPart, PART + 1)] {
        model.fail(op, 1, Fault::Damage);
        assert_eq!(upload(&store, key, &[pattern(size)]).await, Created::New);
        assert_ne!(read(&store, key).await, Some(pattern(size)), "{key}");
    }
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_uploads_of_one_owner_leave_memory_to_another() {
    let model = S3Model::start().await;
    let store = model.store_with(|settings| settings.memory = 20 * MIB as u64).await;
    // Each reaches for a whole part, and then nothing more comes.
    let stalled = (0..3).map(|at| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut upload = begin(&store, &format!("slow/{at}"), &[]).await;
            upload.set_owner(Owner::new("slow"));
            upload.write(pattern(MIB)).await.unwrap();
            while upload.relax().await.is_ok() {
                sleep(Duration::from_millis(100)).await;
            }
            upload.abort().await;
        })
    });
    let stalled: Vec<_> = stalled.collect();
    sleep(Duration::from_millis(500)).await;
    let mut other = store.begin(&key("other")).await.unwrap();
    other.set_owner(Owner::new("other"));
    other.write(pattern(2 * PART)).await.expect("memory, long before the wait for it ends");
    assert_eq!(other.commit().await.unwrap(), Created::New);
    assert!(stalled.iter().any(tokio::task::JoinHandle::is_finished), "one was asked to give way");
    stalled.iter().for_each(tokio::task::JoinHandle::abort);
}
