//! Answers that get lost after the request had its effect.

use std::time::Duration;

use larder::store::{Created, StoreErrorKind};

use crate::support::s3::{Fault, Op, S3Model};
use crate::support::store::*;

/// Both ways in which an effect can be without an answer.
const LOST: [Fault; 2] = [Fault::LostReply, Fault::LateError];

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_answer_was_lost_is_known_to_be_ours() {
    let model = S3Model::start().await;
    let store = model.store().await;
    for (round, fault) in LOST.into_iter().enumerate() {
        model.fail(Op::PutObject, 1, fault);
        put(&store, &format!("a/{round}"), "bytes").await;
        let requests = model.requests();
        assert_eq!((requests[&Op::PutObject], requests[&Op::Look]), (2, 1), "tried again, then looked at");
        model.heal();
    }
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_bytes_of_another_writer_are_not_taken_for_ours() {
    let model = S3Model::start().await;
    let (store, other) = (model.store().await, model.store().await);
    put(&other, "a", "bytes").await;
    model.plant("b", "bytes");
    for name in ["a", "b"] {
        model.fail(Op::PutObject, 1, Fault::Reset);
        assert_eq!(create(&store, name, "bytes").await, Created::AlreadyExists, "{name}");
        model.heal();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_taken_from_the_start_costs_one_request() {
    let model = S3Model::start().await;
    let store = model.store().await;
    put(&store, "a", "bytes").await;
    model.requests();
    assert_eq!(create(&store, "a", "bytes").await, Created::AlreadyExists);
    assert_eq!(model.requests().values().sum::<usize>(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_was_lost_is_known_to_be_ours() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let bytes = pattern(12 << 20);
    for (round, fault) in LOST.into_iter().enumerate() {
        model.fail(Op::CompleteMultipart, 1, fault);
        let name = format!("a/{round}");
        assert_eq!(upload(&store, &name, std::slice::from_ref(&bytes)).await, Created::New);
        assert!(read(&store, &name).await.unwrap() == bytes);
        model.heal();
    }
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_parts_whose_answer_was_lost_is_told_new() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let parts = store.begin_parts(&key("a")).await.unwrap();
    let part = store.write_part(&parts, 1, 0, "bytes".into()).await.unwrap().unwrap();
    model.fail(Op::CompleteMultipart, 1, Fault::LostReply);
    assert_eq!(store.commit_parts(&parts, &[part]).await.unwrap(), Some(Created::New));
    assert_eq!(read(&store, "a").await.unwrap(), "bytes");
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_answer_was_lost_is_told_new() {
    let model = S3Model::start().await;
    let store = model.store().await;
    put(&store, "from", "bytes").await;
    model.fail(Op::CopyObject, 1, Fault::LostReply);
    assert_eq!(store.copy(&key("from"), &key("to")).await.unwrap(), Some(Created::New));
    assert_eq!(read(&store, "to").await.unwrap(), "bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_whose_answer_was_lost_is_sent_again() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let bytes = pattern(12 << 20);
    model.fail(Op::UploadPart, 2, Fault::LostReply);
    assert_eq!(upload(&store, "a", std::slice::from_ref(&bytes)).await, Created::New);
    assert!(read(&store, "a").await.unwrap() == bytes);
    assert_eq!(model.requests()[&Op::UploadPart], 4);
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost_for_ever_end_in_an_error_and_perhaps_an_object() {
    let model = S3Model::start().await;
    let store = model.store_with(|settings| settings.patience.give_up = Duration::from_millis(500)).await;
    model.fail_from(Op::PutObject, 1, Fault::LostReply);
    let error = store.create(&key("a"), "bytes".into()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert_eq!(read(&store, "a").await.unwrap(), "bytes", "whoever is told of an error reads it back");
}
