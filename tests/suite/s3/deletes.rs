//! Deletion in batches, and engines that do it badly.

use larder::store::StoreErrorKind;

use crate::support::s3::{Fault, Op, S3Model};
use crate::support::store::*;

#[tokio::test(flavor = "multi_thread")]
async fn many_objects_are_deleted_with_few_requests() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let all: Vec<_> = (0..2_100).map(|at| key(&format!("a/{at}"))).collect();
    store.create_empty(&all).await.unwrap();
    assert_eq!(model.requests()[&Op::PutObject], 2_100);
    store.delete_all(&all[..2_099]).await.unwrap();
    let requests = model.requests();
    assert_eq!((requests.len(), requests[&Op::DeleteObjects]), (1, 3), "{requests:?}");
    assert_eq!(model.keys(), ["a/2099"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_deleted_is_an_error_that_names_it() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let all = ["a", "b", "c"].map(key);
    store.create_empty(&all).await.unwrap();
    model.quirks(|quirks| quirks.undeletable.extend([("b".to_owned(), ("AccessDenied", 9))]));
    let error = store.delete_all(&all).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied);
    assert!(error.to_string().contains("1 objects were not deleted, among them b"), "{error}");
    assert_eq!(model.keys(), ["b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_may_be_deleted_later_are_tried_again() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let all = ["a", "b", "c"].map(key);
    store.create_empty(&all).await.unwrap();
    model.quirks(|quirks| quirks.undeletable.extend([("b".to_owned(), ("InternalError", 2))]));
    model.fail(Op::DeleteObjects, 1, Fault::Answer(503, "SlowDown"));
    model.fail(Op::DeleteObjects, 2, Fault::LostReply);
    store.delete_all(&all).await.unwrap();
    assert!(model.keys().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_batches_is_asked_for_one_only_once() {
    let model = S3Model::start().await;
    model.quirks(|quirks| quirks.without_batches = true);
    let store = model.store().await;
    for _ in 0..2 {
        let all = ["a", "b", "c"].map(key);
        store.create_empty(&all).await.unwrap();
        store.delete_all(&all).await.unwrap();
        assert!(model.keys().is_empty());
    }
    let requests = model.requests();
    assert_eq!((requests[&Op::DeleteObjects], requests[&Op::DeleteObject]), (1, 6));
}
