//! How old what a server says of a name may be, and what that saves.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use larder::clock::{Clock as _, ManualClock, SystemClock};

use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;

use crate::support::store::*;

/// Long enough that no slow machine outlasts it, short enough to wait for it.
const MOST: Duration = Duration::from_secs(2);

fn reader(store: &Store) -> Services {
    Services::with_staleness(store, Arc::new(ManualClock::new(SystemClock.now())), MOST)
}

async fn label_of(services: &Services, fresh: AsOf) -> String {
    label(&services.resolve.readable(&target("main"), fresh).await.expect("a version").row)
}

#[tokio::test]
async fn a_recent_answer_costs_nothing_and_one_look_when_it_is_too_old() {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    Services::over(&backend.store()).release("main", &Release::new("v1", 3)).await.unwrap();
    let reader = reader(&faulty.store());
    let (main, file) = (target("main"), "file-1.txt".parse().unwrap());
    reader.resolve.manifest(&main, AsOf::Recent).await.unwrap();
    faulty.reset();
    for _ in 0..100 {
        reader.resolve.manifest(&main, AsOf::Recent).await.unwrap();
        reader.resolve.file(&main, &file, AsOf::Recent).await.unwrap();
    }
    assert_eq!(faulty.total(), 0, "{}", faulty.breakdown());
    tokio::time::sleep(MOST).await;
    for _ in 0..100 {
        reader.resolve.manifest(&main, AsOf::Recent).await.unwrap();
    }
    assert!(faulty.calls(Op::Get) == 1 && faulty.total() == 1, "one look: {}", faulty.breakdown());
}

#[tokio::test]
async fn what_another_server_published_is_seen_in_time_and_at_once_by_those_who_insist() {
    let backend = FsBackend::quick();
    let (reader, writer) = (reader(&backend.store()), Services::over(&backend.store()));
    writer.release("main", &Release::new("v1", 1)).await.unwrap();
    assert_eq!(label_of(&reader, AsOf::Recent).await, "v1");
    writer.release("main", &Release::new("v2", 1)).await.unwrap();
    assert_eq!(label_of(&reader, AsOf::Now).await, "v2");
    assert_eq!(label_of(&reader, AsOf::Recent).await, "v2", "nobody goes back in time after that");
    writer.release("main", &Release::new("v3", 1)).await.unwrap();
    tokio::time::sleep(MOST).await;
    assert_eq!(label_of(&reader, AsOf::Recent).await, "v3");
}

#[tokio::test]
async fn ones_own_publish_is_seen_at_once() {
    let backend = FsBackend::quick();
    let services = reader(&backend.store());
    for version in 0..5 {
        let wanted = format!("v{version}");
        services.release("main", &Release::new(wanted.as_str(), 1)).await.unwrap();
        assert_eq!(label_of(&services, AsOf::Recent).await, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_goes_back_in_time_while_others_publish() {
    let backend = FsBackend::quick();
    let writer = Services::over(&backend.store());
    writer.release("main", &Release::new("v0", 1)).await.unwrap();
    let short = Duration::from_millis(2);
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let reader = Services::with_staleness(&backend.store(), clock, short);
    let publishing = async {
        for version in 1..100 {
            writer.release("main", &Release::new(format!("v{version}"), 1)).await.unwrap();
        }
    };
    let stop = tokio_util::sync::CancellationToken::new();
    let readers = (0..8).map(|at| {
        let (reader, stop) = (reader.clone(), stop.clone());
        tokio::spawn(async move {
            let mut newest = 0;
            let fresh = if at % 2 == 0 { AsOf::Recent } else { AsOf::Now };
            while !stop.is_cancelled() {
                let found = reader.resolve.readable(&target("main"), fresh).await.unwrap();
                assert!(found.generation >= newest, "generation {} after {newest}", found.generation);
                newest = found.generation;
            }
            newest
        })
    });
    let readers: Vec<_> = readers.collect();
    publishing.await;
    stop.cancel();
    for newest in join_all(readers).await {
        assert!(newest.unwrap() > 2, "it has read meanwhile");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_readers_of_a_cold_name_are_one_request_of_each_kind() {
    let backend = FsBackend::quick();
    Services::over(&backend.store()).release("main", &Release::new("v1", 3)).await.unwrap();
    let faulty = FaultyStore::over(&backend.store());
    let reader = reader(&faulty.store());
    let (main, file) = (target("main"), "file-1.txt".parse().unwrap());
    let found = join_all((0..1000).map(|_| reader.resolve.file(&main, &file, AsOf::Recent))).await;
    assert!(found.into_iter().all(|found| found.is_ok()));
    assert_eq!(faulty.calls(Op::List), 1, "the newest head: {}", faulty.breakdown());
    assert_eq!(faulty.calls(Op::Get), 2, "the head and the manifest: {}", faulty.breakdown());
}

#[tokio::test]
async fn a_failed_look_is_told_and_the_next_one_is_made() {
    let backend = FsBackend::quick();
    Services::over(&backend.store()).release("main", &Release::new("v1", 1)).await.unwrap();
    let faulty = FaultyStore::over(&backend.store());
    let reader = reader(&faulty.store());
    faulty.script(Rule::on(Op::List).nth(1).fail());
    let main = target("main");
    let (first, second) =
        tokio::join!(reader.resolve.readable(&main, AsOf::Recent), reader.resolve.readable(&main, AsOf::Recent));
    assert!(first.is_err() && second.is_err(), "both waited for the one look");
    reader.resolve.readable(&main, AsOf::Recent).await.unwrap();
}
