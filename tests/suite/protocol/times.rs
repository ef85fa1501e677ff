//! Time: which version was active when, whatever the host's clock did.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use larder::clock::ManualClock;
use larder::domain::{Expect, Selector, Target};
use larder::service::ResolveError;

use crate::support::faulty::{FaultyStore, Op};
use crate::support::services::*;
use crate::support::store::*;

fn start() -> Timestamp {
    "2026-05-14T12:00:00Z".parse().unwrap()
}

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// Services over a clock that a test moves.
fn timed() -> (FsBackend, Services) {
    let backend = FsBackend::quick();
    let services = Services::with_clock(&backend.store(), Arc::new(ManualClock::new(start())));
    (backend, services)
}

/// The label of what was active at a time.
async fn at(services: &Services, time: Timestamp) -> Option<String> {
    pick(services, Selector::At(time)).await
}

async fn pick(services: &Services, selector: Selector) -> Option<String> {
    let target = Target { name: name("main"), selector, explicit: true };
    match services.resolve.readable(&target, AsOf::Now).await {
        Ok(found) => Some(label(&found.row)),
        Err(ResolveError::NoSuchVersion(_)) => None,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_time_picks_what_was_active_then() {
    let (_backend, services) = timed();
    // One release an hour, so version n is active from n hours on.
    for version in 0..40 {
        services.release("main", &Release::new(format!("v{version}"), 1)).await.unwrap();
        services.clock.advance(hours(1));
    }
    for version in 0..40 {
        let (from, label) = (start() + hours(version), Some(format!("v{version}")));
        assert_eq!(at(&services, from).await, label, "at the very moment");
        assert_eq!(at(&services, from + SignedDuration::from_mins(59)).await, label);
    }
    assert_eq!(at(&services, start() + hours(1000)).await.as_deref(), Some("v39"));
    assert_eq!(at(&services, start() - SignedDuration::from_nanos(1)).await, None, "before there was anything");
}

#[tokio::test]
async fn a_time_is_found_without_reading_the_whole_log() {
    let (backend, services) = timed();
    for version in 0..64 {
        services.release("main", &Release::new(format!("v{version}"), 1)).await.unwrap();
        services.clock.advance(hours(1));
    }
    let faulty = FaultyStore::over(&backend.store());
    let reader = Services::over(&faulty.store());
    reader.head("main").await;
    faulty.reset();
    assert_eq!(at(&reader, start() + hours(10)).await.as_deref(), Some("v10"));
    assert!(faulty.calls(Op::Get) <= 12, "of 128 heads: {}", faulty.breakdown());
}

#[tokio::test]
async fn of_equal_times_the_last_change_counts() {
    let (_backend, services) = timed();
    for version in 0..5 {
        services.release("main", &Release::new(format!("v{version}"), 1)).await.unwrap();
    }
    assert_eq!(at(&services, start()).await.as_deref(), Some("v4"));
    assert_eq!(at(&services, start() - hours(1)).await, None);
    services.clock.advance(hours(1));
    for version in 5..8 {
        services.release("main", &Release::new(format!("v{version}"), 1)).await.unwrap();
    }
    assert_eq!(at(&services, start() + SignedDuration::from_mins(59)).await.as_deref(), Some("v4"));
    assert_eq!(at(&services, start() + hours(1)).await.as_deref(), Some("v7"));
}

#[tokio::test]
async fn a_clock_that_goes_backwards_does_not_rewrite_the_past() {
    let (backend, services) = timed();
    services.release("main", &Release::new("v1", 1)).await.unwrap();
    services.clock.advance(hours(2));
    services.release("main", &Release::new("v2", 1)).await.unwrap();
    services.clock.advance(hours(-30));
    services.release("main", &Release::new("v3", 1)).await.unwrap();
    let times: Vec<Timestamp> = log(&services, "main").await.iter().map(|head| head.time).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(at(&services, start() + hours(1)).await.as_deref(), Some("v1"), "as it was answered before");
    assert_eq!(at(&services, start() + hours(2)).await.as_deref(), Some("v3"));
    assert_eq!(at(&services, start() - hours(20)).await, None);
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v3"));
}

#[tokio::test]
async fn a_rollback_is_part_of_the_past_too() {
    let (_backend, services) = timed();
    for label in ["v1", "v2"] {
        services.release("main", &Release::new(label, 1)).await.unwrap();
        services.clock.advance(hours(1));
    }
    services.versions.promote(&target("main@previous"), Expect::Anything, &*ACTOR).await.unwrap();
    assert_eq!(at(&services, start() + hours(1)).await.as_deref(), Some("v2"));
    assert_eq!(at(&services, start() + hours(2)).await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn previous_is_what_was_active_before_and_rolls_back_and_forth() {
    let (_backend, services) = timed();
    services.release("main", &Release::new("v1", 1)).await.unwrap();
    assert_eq!(pick(&services, Selector::Previous).await, None, "nothing was active before");
    services.release("main", &Release::new("v2", 1)).await.unwrap();
    services.publish_only("main", &Release::new("v2", 1), stage()).await.unwrap();
    for (active, previous) in [("v1", "v2"), ("v2", "v1"), ("v1", "v2")] {
        services.versions.promote(&target("main@previous"), Expect::Anything, &*ACTOR).await.unwrap();
        assert_eq!(services.active("main").await.as_deref(), Some(active));
        assert_eq!(pick(&services, Selector::Previous).await.as_deref(), Some(previous));
    }
}

#[tokio::test]
async fn a_staged_version_is_neither_active_nor_previous() {
    let (_backend, services) = timed();
    services.release("main", &Release::new("v1", 1)).await.unwrap();
    let staged = Release::new("staged", 1);
    services.upload_all(&staged).await.unwrap();
    services.publish_only("main", &staged, stage()).await.unwrap();
    assert_eq!(services.active("main").await.as_deref(), Some("v1"));
    assert_eq!(pick(&services, Selector::Previous).await, None);
    assert_eq!(pick(&services, Selector::Number(2)).await.as_deref(), Some("staged"));
}

#[tokio::test]
async fn a_manifest_digest_picks_its_newest_version() {
    let (_backend, services) = timed();
    for label in ["same", "other", "same"] {
        services.release("main", &Release::new(label, 1)).await.unwrap();
    }
    let digest = Release::new("same", 1).digest();
    let target = Target { name: name("main"), selector: Selector::Manifest(digest), explicit: true };
    assert_eq!(services.resolve.readable(&target, AsOf::Now).await.unwrap().row.number, 3);
}
