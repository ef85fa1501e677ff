//! What is tried again, what is not, and for how long.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use larder::store::{Created, List, ObjectStore as _, S3Store, StoreErrorKind};
use tokio::time::Instant;

use crate::support::s3::{Conditions, Fault, Op, S3Model};
use crate::support::store::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let faults = [
        Fault::Answer(409, "ConditionalRequestConflict"),
        Fault::Answer(429, "TooManyRequests"),
        Fault::Answer(500, "InternalError"),
        Fault::Answer(502, ""),
        Fault::Answer(503, "SlowDown"),
        Fault::Answer(403, "RequestTimeTooSkewed"),
        Fault::Reset,
    ];
    for (round, fault) in faults.into_iter().enumerate() {
        model.fail(Op::PutObject, 1, fault);
        model.fail(Op::PutObject, 2, fault);
        put(&store, &format!("a/{round}"), "bytes").await;
        assert_eq!(model.requests()[&Op::PutObject], 3, "{fault:?}");
        model.heal();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_asks_to_be_left_alone_is_left_alone() {
    let model = S3Model::start().await;
    let store = model.store().await;
    model.fail(Op::PutObject, 1, Fault::Busy(2));
    let began = Instant::now();
    put(&store, "a", "bytes").await;
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_may_say_until_when_it_is_to_be_left_alone() {
    let model = S3Model::start().await;
    let store = model.store().await;
    model.fail(Op::PutObject, 1, Fault::BusyUntil(3));
    let began = Instant::now();
    put(&store, "a", "bytes").await;
    // Dates have no fractions of seconds.
    assert!(began.elapsed() >= Duration::from_millis(1_900), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_comes_after_the_status_is_a_failure() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let bytes = pattern(6 << 20);
    model.fail(Op::CompleteMultipart, 1, Fault::Answer(200, "InternalError"));
    model.fail(Op::CopyObject, 1, Fault::Answer(200, "InternalError"));
    assert_eq!(upload(&store, "a", std::slice::from_ref(&bytes)).await, Created::New);
    assert_eq!(store.copy(&key("a"), &key("b")).await.unwrap(), Some(Created::New));
    assert!(read(&store, "b").await.unwrap() == bytes);
    let requests = model.requests();
    assert_eq!((requests[&Op::CompleteMultipart], requests[&Op::CopyObject]), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_asks_for_more_time_than_there_is_ends_the_call_at_once() {
    let model = S3Model::start().await;
    let store = model.store().await;
    model.fail(Op::PutObject, 1, Fault::Busy(3600));
    let began = Instant::now();
    let error = store.create(&key("a"), "bytes".into()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_must_mend_is_not_tried_again() {
    let model = S3Model::start().await;
    let store = model.store().await;
    for (fault, kind) in [
        (Fault::Answer(403, "AccessDenied"), StoreErrorKind::Denied),
        (Fault::Answer(403, "InvalidAccessKeyId"), StoreErrorKind::Denied),
        (Fault::Answer(401, ""), StoreErrorKind::Denied),
        (Fault::Answer(400, "ExpiredToken"), StoreErrorKind::Denied),
        (Fault::Answer(301, "PermanentRedirect"), StoreErrorKind::Denied),
        (Fault::Answer(403, "QuotaExceeded"), StoreErrorKind::Full),
        (Fault::Answer(507, "XMinioStorageFull"), StoreErrorKind::Full),
        (Fault::Answer(400, "InvalidArgument"), StoreErrorKind::Internal),
    ] {
        model.fail(Op::PutObject, 1, fault);
        let error = store.create(&key("a"), "bytes".into()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{fault:?}: {error}");
        assert_eq!(model.requests()[&Op::PutObject], 1, "{fault:?}");
        model.heal();
    }
    assert_absent(&store, "a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_without_an_answer_ends_and_another_begins() {
    let model = S3Model::start().await;
    let store = model.store_with(|settings| settings.timeouts.attempt = Duration::from_millis(300)).await;
    model.fail(Op::PutObject, 1, Fault::Slow(Duration::from_secs(3)));
    let began = Instant::now();
    put(&store, "a", "bytes").await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_slow_all_the_time_is_usable() {
    let model = S3Model::start().await;
    let store = model.store().await;
    model.fail_from(Op::PutObject, 1, Fault::Slow(Duration::from_secs(2)));
    model.fail_from(Op::GetObject, 1, Fault::Slow(Duration::from_secs(2)));
    put(&store, "a", "bytes").await;
    assert_eq!(read(&store, "a").await.unwrap(), "bytes");
    assert_eq!(model.requests()[&Op::PutObject], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_gone_ends_every_call_in_time() {
    let model = S3Model::start().await;
    let mut settings = model.settings();
    settings.timeouts.give_up = Duration::from_secs(1);
    // Nobody listens on port 1.
    settings.endpoint = Some("http://127.0.0.1:1".to_owned());
    let store = S3Store::connect(settings).await.unwrap();
    let began = Instant::now();
    assert_eq!(store.head(&key("a")).await.unwrap_err().kind, StoreErrorKind::Unavailable);
    assert_eq!(store.get(&key("a"), None).await.unwrap_err().kind, StoreErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_gone_is_not_taken_for_an_empty_one() {
    let model = S3Model::start().await;
    let store = model.store().await;
    put(&store, "a", "bytes").await;
    model.quirks(|quirks| quirks.without_bucket = true);
    let prefix = "".parse().unwrap();
    let errors = [
        store.head(&key("a")).await.unwrap_err(),
        store.get(&key("a"), None).await.unwrap_err(),
        store.create(&key("b"), "bytes".into()).await.unwrap_err(),
        store.copy(&key("a"), &key("b")).await.unwrap_err(),
        store.delete(&key("a")).await.unwrap_err(),
        store.list(&prefix, List::default()).try_next().await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("store.bucket"), "says what to do: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_refuses_conditions_is_for_a_single_writer() {
    let model = S3Model::start().await;
    model.quirks(|quirks| quirks.conditions = Conditions::Refused);
    let store = model.store().await;
    let error = store.create(&key("a"), "bytes".into()).await.unwrap_err();
    assert!(error.to_string().contains("store.single_writer"), "{error}");
    let alone = model.store_with(|settings| settings.single_writer = true).await;
    put(&alone, "a", "first").await;
    assert_eq!(create(&alone, "a", "second").await, Created::AlreadyExists);
    assert_eq!(read(&alone, "a").await.unwrap(), "first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_writer_has_one_winner_for_a_key_whatever_the_engine_does() {
    let model = S3Model::start().await;
    model.quirks(|quirks| quirks.conditions = Conditions::Ignored);
    let store = model.store_with(|settings| settings.single_writer = true).await;
    for round in 0..5 {
        let name = format!("race/{round}");
        let racers = (0..16).map(|racer| create(&store, &name, format!("racer {racer}")));
        let ends = futures_util::future::join_all(racers).await;
        let winners: Vec<usize> = (0..16).filter(|racer| ends[*racer] == Created::New).collect();
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(read(&store, &name).await.unwrap(), format!("racer {}", winners[0]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_while_three_of_ten_requests_fail() {
    for seed in [7, 1_000_003, 88_172_645_463_325_252] {
        let model = S3Model::start().await;
        let store = model.store_with(|settings| settings.timeouts.give_up = Duration::from_secs(60)).await;
        model.fail_percent(30, seed);
        let large = pattern(12 << 20);
        assert_eq!(upload(&store, "large", std::slice::from_ref(&large)).await, Created::New);
        for at in 0..30 {
            put(&store, &format!("small/{at:02}"), format!("bytes {at}")).await;
        }
        assert_eq!(create(&store, "small/07", "bytes 7").await, Created::AlreadyExists);
        assert_eq!(store.copy(&key("large"), &key("copy")).await.unwrap(), Some(Created::New));
        let gone: Vec<_> = (0..30).filter(|at| at % 3 == 0).map(|at| key(&format!("small/{at:02}"))).collect();
        store.delete_all(&gone).await.unwrap();
        let left = (0..30).filter(|at| at % 3 != 0).map(|at| format!("small/{at:02}"));
        assert_eq!(keys(&store, "small/", None, None).await, left.collect::<Vec<_>>());
        // Every answer breaks off after little, or comes whole: the model is hard on large bodies.
        let range = read_range(&store, "large", 5 << 20, (5 << 20) + 900).await;
        assert_eq!(range, large.slice(5 << 20..(5 << 20) + 900));
        model.heal();
        assert!(read(&store, "copy").await.unwrap() == large);
        model.finish().await;
    }
}
