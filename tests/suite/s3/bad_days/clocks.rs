//! A server whose clock is a day wrong, beside one whose clock is right.

use std::sync::Arc;

use jiff::SignedDuration;
use larder::clock::SystemClock;
use larder::upkeep::Collect;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::support::ceph::Ceph;
use crate::support::collecting::patient;
use crate::support::replicas::WrongBy;
use crate::support::services::{Services, log};
use crate::support::store::key;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// One collector run by a clock, with no minimum age.
async fn collect_by(store: &Store, clock: Arc<dyn larder::clock::Clock>) {
    let report = Collect::new(Arc::clone(store), clock, patient()).run(&CancellationToken::new()).await.unwrap();
    assert_eq!(report.totals.lost, 0, "{report:?}");
}

/// Publishes through both in turns, reads through both, and collects by both clocks, and whenever it likes.
async fn lose_nothing(store: &Store, wrong: SignedDuration) {
    let replicas = Replicas::new();
    let right = replicas.start(store).await;
    let other = replicas.with_clock(store, Arc::new(WrongBy(wrong)), |_| {}).await;
    for round in 0..6_u64 {
        let writer = if round % 2 == 0 { &right } else { &other };
        let bytes = format!("release {round}").into_bytes();
        let receipt = writer.publish("main", &[("f", &bytes), ("shared", b"shared")]).await;
        assert_eq!(receipt["version"], round + 1);
        if round % 3 == 0 {
            collect_by(store, Arc::new(WrongBy(wrong))).await;
        } else {
            collect_by(store, Arc::new(SystemClock)).await;
        }
        for reader in [&right, &other] {
            let fresh = reader.anonymous(Method::GET, "/manifests/main").header("cache-control", "no-cache");
            assert_eq!(send(fresh).await.expect(200).header("larder-version"), (round + 1).to_string());
            for bytes in [bytes.as_slice(), b"shared"] {
                assert_eq!(reader.get(&format!("/blobs/{}", Digest::of(bytes))).await.expect(200).body, bytes);
            }
        }
    }
    assert_sound(store, "main").await;
    let services = Services::over(store);
    let times: Vec<_> = log(&services, "main").await.iter().map(|head| head.time).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_clock_is_a_day_wrong_loses_nothing() {
    for wrong in [DAY, -DAY] {
        let model = S3Model::start().await;
        lose_nothing(&model.store().await, wrong).await;
        lose_nothing(&FsBackend::quick().store(), wrong).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn a_server_on_a_real_engine_whose_clock_is_a_day_wrong_loses_nothing() {
    let ceph = Ceph::start().await;
    for wrong in [DAY, -DAY] {
        lose_nothing(&ceph.store().await, wrong).await;
    }
}

/// A session is begun by one clock and completed by the other: it is not given up for being old.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_a_server_whose_clock_is_wrong_can_be_completed() {
    for wrong in [DAY / 2, -DAY / 2] {
        let model = S3Model::start().await;
        let store = model.store().await;
        let replicas = Replicas::new();
        let right = replicas.start(&store).await;
        let other = replicas.with_clock(&store, Arc::new(WrongBy(wrong)), |_| {}).await;
        let body = manifest(&[("f", b"bytes")]);
        let session = other.post("/sessions/main", &body).await.expect(201).json();
        right.put_blob(b"bytes").await;
        collect_by(&store, Arc::new(SystemClock)).await;
        collect_by(&store, Arc::new(WrongBy(wrong))).await;
        right.put(session["location"].as_str().unwrap(), "").await.expect(201);
        let fresh = other.anonymous(Method::GET, "/manifests/main").header("cache-control", "no-cache");
        send(fresh).await.expect(200);
        assert_sound(&store, "main").await;
    }
}

/// Signatures carry the time. The engine's own is in its answers.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_whose_time_is_another_is_talked_to_in_its_time() {
    for ahead in [DAY, -DAY] {
        let model = S3Model::start().await;
        let store = model.store_with(|settings| settings.timeouts.give_up = Duration::from_secs(2)).await;
        model.quirks(|quirks| quirks.ahead = ahead);
        let server = Replicas::new().start(&store).await;
        server.publish("main", &[("f", b"bytes")]).await;
        model.requests();
        for _ in 0..10 {
            assert!(store.head(&key("layout/1")).await.unwrap().is_some());
        }
        let requests: usize = model.requests().values().sum();
        assert_eq!(requests, 10, "it has learned the time once and for all");
        model.quirks(|quirks| quirks.ahead = SignedDuration::ZERO);
        server.get(&format!("/blobs/{}", Digest::of(b"bytes"))).await.expect(200);
    }
}
