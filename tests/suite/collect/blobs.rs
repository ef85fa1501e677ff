//! Bytes that nobody needs, and those that somebody does.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use jiff::SignedDuration;
use larder::domain::Digest;
use larder::layout::LayoutKey;
use larder::store::Created;
use larder::upkeep::collect::Settings;
use tokio_util::sync::CancellationToken;

use crate::support::collecting::*;
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

const HOUR: Duration = Duration::from_secs(3600);

/// A store with a release, and a blob that no version needs.
async fn with_orphan() -> (FsBackend, Services, Release, Digest) {
    let backend = marked();
    let services = Services::over(&backend.store());
    let release = Release::new("v1", 3);
    services.release("main", &release).await.unwrap();
    let orphan = Bytes::from("nobody needs this");
    services.upload(&orphan).await.unwrap();
    (backend, services, release, Digest::of(&orphan))
}

#[tokio::test]
async fn what_no_version_needs_goes_and_everything_else_stays() {
    let (backend, _, release, orphan) = with_orphan().await;
    let store = backend.store();
    let report = collect(&store, patient()).await.unwrap();
    let left: BTreeSet<Digest> = copies(&store).await.into_iter().map(|(digest, _)| digest).collect();
    let needed = (0..3).map(|at| release.file(at)).chain([release.digest()]).collect::<BTreeSet<_>>();
    assert_eq!(left, needed);
    assert_eq!((report.totals.deleted.blobs, report.totals.deleted.bytes), (1, 17));
    assert_eq!((report.totals.needed.blobs, report.totals.names, report.totals.versions), (4, 1, 1));
    let tombstone = LayoutKey::Condemned(orphan, 0).key();
    assert!(store.head(&tombstone).await.unwrap().is_some(), "tombstones stay for ever");
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn a_second_run_finds_nothing_to_do_and_deletes_nothing() {
    let (backend, _, _, _) = with_orphan().await;
    let store = backend.store();
    collect(&store, greedy()).await.unwrap();
    let faulty = FaultyStore::over(&store);
    let report = collect(&faulty.store(), greedy()).await.unwrap();
    assert_eq!(report.totals.deleted.blobs, 0);
    assert_eq!((faulty.calls(Op::Delete), faulty.calls(Op::Copy), faulty.calls(Op::Begin)), (0, 0, 0));
    assert_eq!(faulty.calls(Op::Create), 2, "that it began, and its report");
}

#[tokio::test]
async fn collected_bytes_can_be_uploaded_and_published_again() {
    let (backend, services, _, orphan) = with_orphan().await;
    let store = backend.store();
    collect(&store, patient()).await.unwrap();
    let bytes = Bytes::from("nobody needs this");
    assert_eq!(services.blobs.missing(vec![orphan]).await.unwrap(), [orphan]);
    assert_eq!(services.upload(&bytes).await.unwrap(), Some(Created::New));
    assert_eq!(stored(&store, orphan, 1).await.unwrap(), bytes, "never under the number that was condemned");
    let release = Release { label: "v2".into(), files: vec![("again.txt".into(), bytes)] };
    services.publish_only("main", &release, activate()).await.unwrap();
    collect(&store, greedy()).await.unwrap();
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"));
}

#[tokio::test]
async fn bytes_younger_than_the_minimum_age_stay() {
    let (backend, _, _, orphan) = with_orphan().await;
    let store = backend.store();
    let settings = || Settings { min_age: SignedDuration::from_hours(24), ..Settings::default() };
    backend.age("blobs/", 23 * HOUR);
    let report = collect(&store, settings()).await.unwrap();
    assert_eq!((report.totals.young.blobs, report.totals.deleted.blobs), (1, 0));
    backend.age("blobs/", 2 * HOUR);
    collect(&store, settings()).await.unwrap();
    assert_eq!(stored(&store, orphan, 0).await, None);
}

#[tokio::test]
async fn an_upload_that_found_its_blob_there_makes_it_young_again() {
    let (backend, services, _, orphan) = with_orphan().await;
    let store = backend.store();
    let settings = || Settings { min_age: SignedDuration::from_hours(24), ..Settings::default() };
    backend.age("blobs/", 30 * HOUR);
    assert_eq!(services.upload(&Bytes::from("nobody needs this")).await.unwrap(), None, "there already");
    let report = collect(&store, settings()).await.unwrap();
    assert_eq!(report.totals.young.blobs, 1, "its pipeline has yet to publish");
    let hints = async || all_keys(&store).await.iter().filter(|key| key.contains(".seen-")).count();
    assert_eq!(hints().await, 1);
    // An older hint says nothing beside a newer one, nor does any once the bytes are gone.
    put(&store, LayoutKey::Seen(orphan, 0, 1000).key().as_str(), "").await;
    collect(&store, settings()).await.unwrap();
    assert_eq!(hints().await, 1);
    collect(&store, greedy()).await.unwrap();
    assert_eq!(stored(&store, orphan, 0).await, None);
    collect(&store, greedy()).await.unwrap();
    assert_eq!(hints().await, 0);
}

#[tokio::test]
async fn needed_bytes_that_are_condemned_get_a_copy_before_they_go() {
    let (backend, _, release, _) = with_orphan().await;
    let store = backend.store();
    for digest in [release.file(0), release.digest()] {
        condemn(&store, digest, 0).await;
    }
    let report = collect(&store, greedy()).await.unwrap();
    assert_eq!((report.totals.healed.blobs, report.totals.lost), (2, 0));
    for digest in [release.file(0), release.digest()] {
        assert!(stored(&store, digest, 0).await.is_none() && stored(&store, digest, 1).await.is_some());
    }
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn needed_bytes_that_were_rescued_already_lose_only_their_condemned_copy() {
    let (backend, _, release, _) = with_orphan().await;
    let (store, digest) = (backend.store(), release.file(0));
    store.create(&LayoutKey::Blob(digest, 1).key(), release.files[0].1.clone()).await.unwrap();
    condemn(&store, digest, 0).await;
    let report = collect(&store, greedy()).await.unwrap();
    assert_eq!(report.totals.healed.blobs, 1);
    assert!(stored(&store, digest, 0).await.is_none() && stored(&store, digest, 1).await.is_some());
    assert_eq!(stored(&store, digest, 2).await, None);
}

#[tokio::test]
async fn what_a_dead_collector_condemned_is_swept_by_the_next() {
    let (backend, services, _, orphan) = with_orphan().await;
    let store = backend.store();
    condemn(&store, orphan, 0).await;
    // An upload that was under way lands in a generation that was condemned meanwhile.
    let late = Bytes::from("late");
    let digest = Digest::of(&late);
    condemn(&store, digest, 0).await;
    store.create(&LayoutKey::Blob(digest, 0).key(), late).await.unwrap();
    let report = collect(&store, Settings { min_age: SignedDuration::from_hours(1), ..greedy() }).await.unwrap();
    assert_eq!((report.totals.condemned.blobs, report.totals.deleted.blobs), (2, 2), "whatever their age");
    assert_eq!(services.blobs.missing(vec![orphan, digest]).await.unwrap(), [orphan, digest]);
}

#[tokio::test]
async fn a_needed_blob_without_sound_bytes_is_reported_and_left_as_it_is() {
    let (backend, _, release, _) = with_orphan().await;
    let (store, digest) = (backend.store(), release.file(0));
    sweep(&store, digest, 0).await;
    store.create(&LayoutKey::Blob(digest, 0).key(), "short".into()).await.unwrap();
    condemn(&store, digest, 0).await;
    let report = collect(&store, greedy()).await.unwrap();
    assert_eq!((report.totals.lost, report.totals.healed.blobs), (1, 0));
    assert_eq!(stored(&store, digest, 0).await.unwrap(), "short", "perhaps somebody can still use it");
}

#[tokio::test]
async fn a_store_whose_digests_do_not_fit_is_gone_through_in_passes() {
    let (backend, services, _, _) = with_orphan().await;
    let store = backend.store();
    let (mut needed, mut orphans) = (Vec::new(), Vec::new());
    for at in 0..40 {
        let release = Release::new(format!("r{at}"), 5);
        services.release(&format!("name-{at}"), &release).await.unwrap();
        needed.push(release);
        orphans.push(Bytes::from(format!("orphan {at}")));
        services.upload(&orphans[at]).await.unwrap();
    }
    // Room for 100 digests and 100 candidates; there are 244 and 41.
    let small = || Settings { memory: 2 * 100 * 48 + 8 * 1024, ..greedy() };
    let report = collect(&store, small()).await.unwrap();
    assert_eq!((report.totals.needed.blobs, report.totals.deleted.blobs), (244, 41));
    assert_eq!((report.totals.names, report.totals.versions), (41, 41));
    for at in 0..40 {
        assert!(sound(&store, &format!("name-{at}")).await.is_some());
    }
    let tiny = Settings { memory: 48, ..greedy() };
    let error = collect(&store, tiny).await.unwrap_err();
    assert!(error.to_string().contains("collector.memory"), "{error}");
}

#[tokio::test]
async fn a_run_that_is_asked_to_stop_stops_between_keys_and_the_next_one_goes_on() {
    let (backend, services, _, _) = with_orphan().await;
    let store = backend.store();
    for at in 0..600 {
        let bytes = Bytes::from(format!("orphan {at}"));
        backend.plant(&LayoutKey::Blob(Digest::of(&bytes), 0).key(), &bytes);
    }
    let (faulty, stop) = (FaultyStore::over(&store), CancellationToken::new());
    let asked = stop.clone();
    faulty.script(Rule::on(Op::Delete).nth(100).run(move || {
        asked.cancel();
        std::future::ready(())
    }));
    let error = collector(&faulty.store(), greedy()).run(&stop).await.unwrap_err();
    assert_eq!(error.to_string(), "asked to stop");
    let left = copies(&store).await.len();
    assert!((5..600).contains(&left), "{left} of 605 are left");
    let report = collect(&store, greedy()).await.unwrap();
    assert_eq!(report.totals.deleted.blobs, left as u64 - 4);
    assert_eq!(report.totals.unreferenced.blobs, 0, "they were condemned by the run that stopped");
    drop(services);
}

#[tokio::test]
async fn publishing_goes_on_while_a_run_is_stuck() {
    let (backend, services, _, _) = with_orphan().await;
    let store = backend.store();
    let faulty = FaultyStore::over(&store);
    let stall = faulty.stall(Rule::on(Op::Delete).nth(1));
    let run = tokio::spawn(async move { collect(&faulty.store(), greedy()).await });
    stall.reached().await;
    for at in 2..6 {
        services.release("main", &Release::new(format!("v{at}"), 3)).await.unwrap();
    }
    stall.release();
    run.await.unwrap().unwrap();
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v5"));
}
