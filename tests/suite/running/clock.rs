//! A server whose clock is off the store's.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use larder::clock::{Clock, ManualClock, SystemClock};
use reqwest::Method;

use crate::support::replicas::{Replicas, WrongBy};
use crate::support::server::{TestServer, manifest, send};
use crate::support::services::{Services, log};
use crate::support::store::*;

/// The active version of a name at a time, as a server says.
async fn at(server: &TestServer, time: Timestamp) -> String {
    let request = server.anonymous(Method::GET, &format!("/manifests/main@{time}"));
    send(request.header("cache-control", "no-cache")).await.expect(200).header("larder-version").to_owned()
}

#[tokio::test]
async fn a_clock_that_is_days_off_dates_no_head() {
    for wrong in [SignedDuration::from_hours(48), SignedDuration::from_hours(-48)] {
        let (backend, replicas) = (FsBackend::quick(), Replicas::new());
        let store = backend.store();
        let right = replicas.start(&store).await;
        right.publish("main", &[("f", b"one")]).await;
        let off = replicas.with_clock(&store, Arc::new(WrongBy(wrong)), |_| {}).await;
        let ready = off.get("/readyz").await.expect(200).text();
        assert!(ready.contains("clock") && ready.contains("172") && ready.starts_with("ready, but"), "{ready}");
        assert_eq!(right.get("/readyz").await.text(), "ready\n");
        off.put_blob(b"two").await;
        let refused = off.put("/manifests/main", manifest(&[("f", b"two")]).to_string()).await;
        let refused = refused.problem(503, "CLOCK_SKEW");
        assert!(refused["detail"].as_str().unwrap().contains("ahead of the store's"), "{refused}");
        send(off.request(Method::PUT, "/versions/main@1/pin")).await.problem(503, "CLOCK_SKEW");
        off.post("/sessions/main", &manifest(&[("f", b"two")])).await.problem(503, "CLOCK_SKEW");
        off.delete("/manifests/main").await.problem(503, "CLOCK_SKEW");
        // What changes nothing needs no date, and reading goes on.
        off.put("/manifests/main", manifest(&[("f", b"one")]).to_string()).await.expect(200);
        off.get("/manifests/main").await.expect(200);
        right.publish("main", &[("f", b"three")]).await;
        let now = SystemClock.now() + SignedDuration::from_secs(1);
        for server in [&right, &off] {
            assert_eq!(at(server, now).await, "2");
        }
        assert_eq!(all_keys(&store).await.iter().filter(|key| key.starts_with("probe/")).count(), 0);
    }
}

#[tokio::test]
async fn a_clock_that_is_minutes_off_is_corrected() {
    for wrong in [SignedDuration::from_mins(4), SignedDuration::from_mins(-4)] {
        let (backend, replicas) = (FsBackend::quick(), Replicas::new());
        let store = backend.store();
        let off = replicas.with_clock(&store, Arc::new(WrongBy(wrong)), |_| {}).await;
        assert_eq!(off.get("/readyz").await.expect(200).text(), "ready\n");
        off.publish("main", &[("f", b"one")]).await;
        for head in log(&Services::over(&store), "main").await {
            let ago = SystemClock.now().duration_since(head.time);
            assert!(ago.abs() < SignedDuration::from_secs(60), "{head:?}");
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_set_while_the_server_runs_counts_at_once() {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let (backend, replicas) = (FsBackend::quick(), Replicas::new());
    let server = replicas.with_clock(&backend.store(), Arc::clone(&clock) as Arc<dyn Clock>, |_| {}).await;
    server.publish("main", &[("f", b"one")]).await;
    clock.advance(SignedDuration::from_hours(1));
    server.put("/manifests/main", manifest(&[("g", b"one")]).to_string()).await.problem(503, "CLOCK_SKEW");
    assert!(server.get("/readyz").await.expect(200).text().contains("clock"));
    clock.advance(SignedDuration::from_hours(-1));
    server.put("/manifests/main", manifest(&[("g", b"one")]).to_string()).await.expect(201);
    assert_eq!(server.get("/readyz").await.expect(200).text(), "ready\n");
}
