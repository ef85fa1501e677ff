//! Objects in parts that outlive the process that began them, and large copies.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use larder::domain::Digest;
use larder::store::{Created, MIN_PART, Parts};

use crate::support::ceph::Ceph;
use crate::support::s3::{Fault, Op, S3Model};
use crate::support::services::{Services, UPLOAD_LIMITS, blob};
use crate::support::store::*;
use crate::support::uploading::{begin_upload, complete};

/// One case for both engines. It is given two stores, as if of two processes.
macro_rules! of_both {
    ($case:ident, |$one:ident, $other:ident| async $body:block) => {
        mod $case {
            use super::*;

            async fn case($one: Store, $other: Store) $body

            #[tokio::test(flavor = "multi_thread")]
            async fn s3() {
                let model = S3Model::start().await;
                case(model.store().await, model.store().await).await;
                model.finish().await;
            }

            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
            async fn ceph() {
                let ceph = Ceph::start().await;
                case(ceph.store().await, ceph.store().await).await;
                ceph.finish().await;
            }
        }
    };
}

const PART: usize = 5 << 20;

async fn unfinished(store: &Store) -> Vec<Parts> {
    store.unfinished().map_ok(|found| found.parts).try_collect().await.unwrap()
}

of_both!(parts_of_two_processes_make_one_object, |one, other| async {
    let bytes = pattern(2 * PART + 9);
    let parts = one.begin_parts(&key("a")).await.unwrap();
    assert!(parts.id.len() <= 1024 && parts.id.bytes().all(|b| b.is_ascii_graphic()), "{parts:?}");
    let first = one.write_part(&parts, 1, 0, bytes.slice(..PART)).await.unwrap().unwrap();
    assert!(first.tag.len() <= 256 && first.tag.bytes().all(|b| b.is_ascii_graphic()), "{first:?}");
    let second = other.write_part(&parts, 2, PART as u64, bytes.slice(PART..2 * PART)).await.unwrap().unwrap();
    let third = one.write_part(&parts, 3, 2 * PART as u64, bytes.slice(2 * PART..)).await.unwrap().unwrap();
    assert_absent(&one, "a").await;
    assert_eq!(unfinished(&other).await, std::slice::from_ref(&parts));
    let written = [first, second, third];
    assert_eq!(other.commit_parts(&parts, &written).await.unwrap(), Some(Created::New));
    assert!(read(&one, "a").await.unwrap() == bytes);
    assert!(unfinished(&one).await.is_empty());
});

of_both!(a_part_that_is_written_again_is_replaced_and_called_the_same, |one, other| async {
    let parts = one.begin_parts(&key("a")).await.unwrap();
    one.write_part(&parts, 1, 0, "other".into()).await.unwrap().unwrap();
    let first = one.write_part(&parts, 1, 0, "bytes".into()).await.unwrap().unwrap();
    let again = other.write_part(&parts, 1, 0, "bytes".into()).await.unwrap().unwrap();
    assert_eq!(first, again);
    assert_eq!(one.commit_parts(&parts, &[again]).await.unwrap(), Some(Created::New));
    assert_eq!(read(&one, "a").await.unwrap(), "bytes");
});

of_both!(a_part_that_was_not_written_so_makes_no_object, |one, other| async {
    let parts = one.begin_parts(&key("a")).await.unwrap();
    let first = one.write_part(&parts, 1, 0, "bytes".into()).await.unwrap().unwrap();
    one.write_part(&parts, 1, 0, "other".into()).await.unwrap().unwrap();
    assert_eq!(other.commit_parts(&parts, &[first]).await.unwrap(), None);
    assert_absent(&one, "a").await;
    one.abort_parts(&parts).await.unwrap();
});

of_both!(what_was_aborted_cannot_go_on, |one, other| async {
    let parts = one.begin_parts(&key("a")).await.unwrap();
    let first = one.write_part(&parts, 1, 0, "bytes".into()).await.unwrap().unwrap();
    other.abort_parts(&parts).await.unwrap();
    other.abort_parts(&parts).await.unwrap();
    assert_eq!(one.write_part(&parts, 2, 5, "more".into()).await.unwrap(), None);
    assert_eq!(one.commit_parts(&parts, &[first]).await.unwrap(), None);
    assert_absent(&one, "a").await;
    assert!(unfinished(&one).await.is_empty());
});

of_both!(parts_of_a_taken_key_are_given_up, |one, other| async {
    let parts = one.begin_parts(&key("a")).await.unwrap();
    let first = one.write_part(&parts, 1, 0, "late".into()).await.unwrap().unwrap();
    put(&other, "a", "early").await;
    assert_eq!(one.commit_parts(&parts, &[first]).await.unwrap(), Some(Created::AlreadyExists));
    assert_eq!(read(&one, "a").await.unwrap(), "early");
});

of_both!(no_parts_make_an_empty_object, |one, other| async {
    let parts = one.begin_parts(&key("a")).await.unwrap();
    assert_eq!(other.commit_parts(&parts, &[]).await.unwrap(), Some(Created::New));
    assert_eq!(read(&one, "a").await.unwrap(), "");
});

of_both!(all_that_is_unfinished_is_listed, |one, other| async {
    let mut begun = Vec::new();
    for name in ["a", "a", "b/c"] {
        begun.push(one.begin_parts(&key(name)).await.unwrap());
    }
    let mut found = unfinished(&other).await;
    found.sort_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
    begun.sort_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
    assert_eq!(found, begun);
    for parts in found {
        other.abort_parts(&parts).await.unwrap();
    }
});

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_unfinished_objects_make_one_listing() {
    let model = S3Model::start().await;
    let store = model.store().await;
    model.quirks(|quirks| quirks.page = 3);
    for at in 0..8 {
        store.begin_parts(&key(&format!("a/{}", at / 4))).await.unwrap();
    }
    assert_eq!(unfinished(&store).await.len(), 8);
    assert_eq!(model.requests()[&Op::ListUploads], 3);
}

/// Copies of what is larger than is copied at once.
async fn copied_in_parts(store: &Store) {
    for length in [PART + 1, 2 * PART, 2 * PART + 7] {
        let (from, to, bytes) = (format!("from/{length}"), format!("to/{length}"), pattern(length));
        upload(store, &from, std::slice::from_ref(&bytes)).await;
        assert_eq!(store.copy(&key(&from), &key(&to)).await.unwrap(), Some(Created::New));
        assert!(read(store, &to).await.unwrap() == bytes, "{length} bytes");
        assert_eq!(store.copy(&key(&from), &key(&to)).await.unwrap(), Some(Created::AlreadyExists));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_are_copied_in_parts() {
    let model = S3Model::start().await;
    copied_in_parts(&model.store_with(|settings| settings.copy_at_once = MIN_PART).await).await;
    let requests = model.requests();
    assert_eq!((requests.get(&Op::CopyObject), requests[&Op::UploadPartCopy]), (None, 7));
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn large_objects_are_copied_in_parts_by_a_real_engine() {
    let ceph = Ceph::start().await;
    copied_in_parts(&ceph.store_with(|settings| settings.copy_at_once = MIN_PART).await).await;
    ceph.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_parts_of_a_resumable_upload_are_stored_at_once_and_recorded_in_their_order() {
    let model = S3Model::start().await;
    model.quirks(|quirks| quirks.smallest_part = 1);
    let store = model.store().await;
    let services = Services::over(&store);
    model.fail_from(Op::UploadPart, 1, Fault::Slow(Duration::from_millis(100)));
    let bytes = pattern(20 * usize::try_from(UPLOAD_LIMITS.part_size).unwrap() + 7);
    let upload = begin_upload(&services, &bytes).await;
    complete(&services, upload, &bytes).await.unwrap();
    assert_eq!(model.most_at_once(Op::UploadPart), 4);
    let stored = blob(&services, Digest::of(&bytes)).await.unwrap().unwrap();
    assert!(stored == bytes);
    model.finish().await;
}
