//! Bodies that break off, and addresses that are handed over.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use larder::store::{PresignOptions, StoreErrorKind};

use crate::support::ceph::Ceph;
use crate::support::s3::{Fault, Op, S3Model};
use crate::support::store::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_taken_up_again() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let bytes = pattern(3 << 20);
    put(&store, "a", bytes.clone()).await;
    model.fail(Op::GetObject, 1, Fault::Truncate(1 << 20));
    model.fail(Op::GetObject, 2, Fault::Truncate(0));
    assert!(read(&store, "a").await.unwrap() == bytes);
    assert_eq!(model.requests()[&Op::GetObject], 3);

    model.heal();
    model.fail(Op::GetObject, 1, Fault::Truncate(1000));
    assert!(read_range(&store, "a", 5, 1 << 20).await == bytes.slice(5..1 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_again_and_again_ends_in_an_error() {
    let model = S3Model::start().await;
    let store = model.store().await;
    put(&store, "a", pattern(3 << 20)).await;
    model.fail_from(Op::GetObject, 1, Fault::Truncate(100));
    let object = store.get(&key("a"), None).await.unwrap().unwrap();
    let error = object.bytes(u64::MAX).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("at byte"), "{error}");
    assert!(model.requests()[&Op::GetObject] <= 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_object_is_never_taken_for_the_rest_of_a_body() {
    let model = S3Model::start().await;
    let store = model.store().await;
    put(&store, "a", pattern(3 << 20)).await;
    model.fail(Op::GetObject, 1, Fault::Truncate(1 << 20));
    let mut body = store.get(&key("a"), None).await.unwrap().unwrap().body;
    body.try_next().await.unwrap().expect("a first piece");
    model.plant("a", vec![b'x'; 3 << 20]);
    let rest = body.try_collect::<Vec<_>>().await;
    rest.expect_err("the two would be mixed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_progress_is_taken_up_again() {
    let model = S3Model::start().await;
    let store = model.store_with(|settings| settings.timeouts.attempt = Duration::from_millis(400)).await;
    let bytes = pattern(2 << 20);
    put(&store, "a", bytes.clone()).await;
    model.fail(Op::GetObject, 1, Fault::Stall(1 << 20));
    assert!(read(&store, "a").await.unwrap() == bytes);
}

/// Whoever has the address gets the object, as the type and under the name that we say.
async fn handed_over(store: &Store) {
    put(store, "a/b", "the bytes").await;
    let handover = PresignOptions {
        valid_for: Duration::from_secs(60),
        media_type: "application/x-thing; charset=utf-8".to_owned(),
        disposition: "attachment; filename=\"a b.tar.gz\"".to_owned(),
    };
    let address = store.presign(&key("a/b"), &handover).await.unwrap().expect("an address");
    let client = larder::client::http_client_builder().no_proxy().build().unwrap();
    let answer = client.get(&address).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], handover.media_type.as_str());
    assert_eq!(answer.headers()["content-disposition"], handover.disposition.as_str());
    assert_eq!(answer.bytes().await.unwrap(), "the bytes");
    let ranged = client.get(&address).header("range", "bytes=4-8").send().await.unwrap();
    assert_eq!((ranged.status().as_u16(), ranged.text().await.unwrap().as_str()), (206, "bytes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_can_be_handed_over() {
    handed_over(&S3Model::start().await.store().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn an_object_can_be_handed_over_by_a_real_engine() {
    let ceph = Ceph::start().await;
    handed_over(&ceph.store().await).await;
}
