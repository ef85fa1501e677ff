//! Publishers do not look at what the active version has, and notice all the same when bytes of that were discarded.

use std::sync::Arc;

use bytes::Bytes;
use larder::clock::SystemClock;
use larder::domain::Digest;
use larder::layout::{LayoutKey, marker};
use larder::service::PublishError;
use larder::store::StoreError;
use larder::upkeep::Verify;
use larder::upkeep::verify::HealOptions;

use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

/// Files of each release: so many that publishers make use of earlier looks.
const FILES: usize = 20;
/// The file that is damaged.
const DAMAGED: usize = 3;

fn first() -> Release {
    Release::new("v1", FILES)
}

/// The same with another first file.
fn changed(label: &str) -> Release {
    let mut next = Release { label: label.into(), ..first() };
    next.files[0].1 = Bytes::from(format!("changed for {label}"));
    next
}

/// A store with a version that `process` has published, of which a file is damaged since, with as many bytes.
async fn damaged() -> (FsBackend, Services) {
    let backend = FsBackend::quick();
    marker::open(&*backend.store()).await.unwrap();
    let process = Services::over(&backend.store());
    process.release("main", &first()).await.unwrap();
    let (digest, bytes) = (first().file(DAMAGED), first().files[DAMAGED].1.clone());
    let flipped: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
    backend.plant(&LayoutKey::Blob(digest, 0).key(), &flipped);
    (backend, process)
}

/// What `larder verify --discard-damaged` does, in a process of its own.
async fn discard(store: &Store) -> Result<(), StoreError> {
    let healing = HealOptions { source: None, discard_damaged: true };
    let verify = Verify::new(store.clone(), Arc::new(SystemClock)).healing(healing);
    verify.run(None, 2, &mut Nobody).await.map(drop)
}

struct Nobody;

impl larder::upkeep::verify::Observer for Nobody {
    fn finding(&mut self, _: &larder::upkeep::verify::Finding, _: &larder::upkeep::verify::Outcome) {}

    fn verified(&mut self, _: &larder::store::Key, _: &larder::upkeep::verify::Totals) {}
}

/// Publishes a version that follows the active one: the digests that are reported missing, none if it succeeds.
async fn publish(process: &Services, label: &str) -> Vec<Digest> {
    let release = changed(label);
    process.upload(&release.files[0].1).await.unwrap();
    match process.publish_only("main", &release, activate()).await {
        Ok(_) => Vec::new(),
        Err(PublishError::Blobs { missing, .. }) => missing.iter().map(|blob| blob.digest).collect(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn what_was_discarded_is_asked_for_by_every_server() {
    let (backend, process) = damaged().await;
    let other = Services::over(&backend.store());
    assert_eq!(publish(&other, "v2").await, [], "only readers notice damage of that kind");
    assert_eq!(publish(&other, "v3").await, []);
    discard(&backend.store()).await.unwrap();
    for (process, label) in [(&other, "v4"), (&process, "v5")] {
        assert_eq!(publish(process, label).await, [first().file(DAMAGED)]);
    }
    process.upload(&first().files[DAMAGED].1).await.unwrap();
    assert_eq!(publish(&other, "v6").await, []);
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v6"));
}

#[tokio::test]
async fn a_session_that_was_prepared_before_a_discard_asks_for_what_was_discarded() {
    let (backend, process) = damaged().await;
    let release = changed("v2");
    let session = process.publish.prepare(&name("main"), release.manifest(), &activate(), &*ACTOR).await.unwrap();
    let larder::service::publish::Prepared::Session(session, missing) = session else { panic!("nothing is the same") };
    assert_eq!(missing, [release.file(0)]);
    process.upload(&release.files[0].1).await.unwrap();
    discard(&backend.store()).await.unwrap();
    let error = process.publish.commit(&name("main"), session.row.number, activate(), &*ACTOR).await.unwrap_err();
    let PublishError::Blobs { missing, .. } = error else { panic!("{error}") };
    assert_eq!(missing.iter().map(|blob| blob.digest).collect::<Vec<_>>(), [first().file(DAMAGED)]);
}

/// A disk lost it, or somebody deleted it by hand.
#[tokio::test]
async fn what_a_reader_missed_is_asked_for() {
    let backend = FsBackend::quick();
    marker::open(&*backend.store()).await.unwrap();
    let process = Services::over(&backend.store());
    process.release("main", &first()).await.unwrap();
    let lost = first().file(DAMAGED);
    sweep(&backend.store(), lost, 0).await;
    assert_eq!(publish(&process, "v2").await, [], "nobody has noticed");
    assert_eq!(blob(&process, lost).await.unwrap(), None);
    for label in ["v3", "v4"] {
        assert_eq!(publish(&process, label).await, [lost]);
    }
    process.upload(&first().files[DAMAGED].1).await.unwrap();
    assert_eq!(publish(&process, "v5").await, []);
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v5"));
}

/// A discard dies before any of its calls, or its reply is lost; or somebody publishes in its middle.
#[tokio::test]
async fn a_discard_that_dies_anywhere_leaves_nothing_unnoticed() {
    for lose_reply in [false, true] {
        for op in [Op::List, Op::Create, Op::Delete] {
            for nth in 1.. {
                let (backend, process) = damaged().await;
                let faulty = FaultyStore::over(&backend.store());
                let rule = Rule::on(op).from(nth);
                faulty.script(if lose_reply { rule.lose_reply() } else { rule.fail() });
                let died = discard(&faulty.store()).await.is_err();
                assert_noticed(&backend.store(), &process, "v2").await;
                if !died {
                    break;
                }
                // Whoever takes it up later counts it again.
                discard(&backend.store()).await.unwrap();
                assert_noticed(&backend.store(), &process, "v3").await;
            }
        }
    }
}

/// A publish is told what is missing if anything is.
async fn assert_noticed(store: &Store, process: &Services, label: &str) {
    let is_there = Services::over(store).blobs.stat(first().file(DAMAGED)).await.unwrap().is_some();
    let missing = publish(process, label).await;
    assert_eq!(missing.is_empty(), is_there, "{label}: {missing:?}");
}

#[tokio::test]
async fn discards_at_the_same_time_are_all_counted() {
    let (backend, process) = damaged().await;
    let faulty = FaultyStore::over(&backend.store());
    let (store, before) = (backend.store(), process.blobs.discards().await.unwrap());
    // Another one counts between the look at the count and the next number.
    faulty.script(Rule::on(Op::Create).key("tmp/discards/").nth(1).run(move || {
        let store = store.clone();
        async move { put(&store, "tmp/discards/@/z998", Bytes::new()).await }
    }));
    discard(&faulty.store()).await.unwrap();
    assert_eq!((before, process.blobs.discards().await.unwrap()), (0, 2));
    assert_eq!(publish(&process, "v2").await, [first().file(DAMAGED)]);
}
