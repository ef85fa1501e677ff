//! Copying a whole store: the copy is the same, or cannot be opened.

mod commands;
mod cut_off;
mod damage;
mod live;
mod targets;

use std::sync::Arc;

use bytes::Bytes;
use larder::clock::SystemClock;
use larder::domain::Digest;
use larder::layout::LayoutKey;
use larder::layout::marker;
use larder::store::Key;
use larder::upkeep::copy_store::{Copied, CopyError, CopyObserver, CopySettings, Summary};
use larder::upkeep::verify::{Finding, Observer, Outcome};
use larder::upkeep::{CopyStore, Verify};

use crate::support::s3::S3Model;
use crate::support::services::*;
use crate::support::store::*;

/// What a caller is told.
#[derive(Debug, Default)]
struct Told {
    findings: Vec<Finding>,
    passes: u32,
}

impl CopyObserver for Told {
    fn finding(&mut self, finding: &Finding) {
        self.findings.push(finding.clone());
    }

    fn pass(&mut self, number: u32, _: &Copied) {
        assert_eq!(number, self.passes + 1);
        self.passes = number;
    }
}

/// As the command does it when nothing is asked for.
const PLAIN: CopySettings = CopySettings { jobs: 4, verify: false, accept_damage: false };

async fn copy_with(from: &Store, to: &Store, settings: CopySettings) -> (Result<Summary, CopyError>, Told) {
    let copy = CopyStore::new(from.clone(), to.clone(), Arc::new(SystemClock), settings);
    let mut told = Told::default();
    let result = copy.run(&mut told).await;
    (result, told)
}

/// A copy that must be finished, with nothing to complain about.
async fn copied(from: &Store, to: &Store) -> Summary {
    let (result, told) = copy_with(from, to, PLAIN).await;
    let summary = result.expect("copy");
    assert_eq!(told.findings, []);
    assert!(summary.finished && summary.settled && summary.findings == 0, "{summary:?}");
    summary
}

/// A store as a server leaves it: two names, one with a history, a staged version, and rows that left the head.
async fn lived_in() -> FsBackend {
    let backend = FsBackend::quick();
    let store = backend.store();
    marker::open(&*store).await.expect("an empty store");
    let services = Services::over(&store);
    for label in ["v1", "v2", "v3"] {
        services.release("main", &Release::new(label, 3)).await.unwrap();
    }
    for number in 0..40 {
        services.release("team/Nightly", &Release::new(format!("n{number}"), 1)).await.unwrap();
    }
    let staged = Release::new("staged", 1);
    services.upload_all(&staged).await.unwrap();
    services.publish_only("main", &staged, stage()).await.unwrap();
    services.publish.prepare(&name("other"), Release::new("begun", 2).manifest(), &activate(), &*ACTOR).await.unwrap();
    backend
}

/// Every object that a copy must have, with its bytes.
async fn contents(store: &Store) -> Vec<(String, Bytes)> {
    let mut contents = Vec::new();
    for text in all_keys(store).await {
        match LayoutKey::parse(&key(&text)).expect("a key that is known") {
            LayoutKey::Seen(..)
            | LayoutKey::Run(..)
            | LayoutKey::SeenHeads(..)
            | LayoutKey::Probe(..)
            | LayoutKey::Upload(..) => {}
            _ => contents.push((text.clone(), read(store, &text).await.expect("an object that is listed"))),
        }
    }
    contents
}

/// Asserts that a store can be opened, and that nothing in it is lost or damaged.
async fn assert_well(store: &Store) {
    struct Alarm;
    impl Observer for Alarm {
        fn finding(&mut self, finding: &Finding, _: &Outcome) {
            panic!("{finding:?}");
        }
        fn verified(&mut self, _: &Key, _: &larder::upkeep::verify::Totals) {}
    }
    marker::check(&**store).await.expect("a store that can be opened");
    Verify::new(store.clone(), Arc::new(SystemClock)).run(None, 4, &mut Alarm).await.expect("verify");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_goes_to_a_bucket_and_back_and_is_the_same() {
    let (here, back, model) = (lived_in().await, FsBackend::quick(), S3Model::start().await);
    let bucket = model.store().await;
    let large = pattern(12 << 20);
    Services::over(&here.store()).upload(&large).await.unwrap();
    let there = copied(&here.store(), &bucket).await;
    assert_eq!((there.copied.names, there.copied.segments > 0, there.passes), (3, true, 2));
    assert_eq!(contents(&bucket).await, contents(&here.store()).await);
    assert_well(&bucket).await;
    assert_eq!(sound(&bucket, "main").await.as_deref(), Some("v3"));
    assert_eq!(copied(&bucket, &back.store()).await.copied, there.copied);
    assert_eq!(contents(&back.store()).await, contents(&here.store()).await);
    assert_well(&back.store()).await;
    assert_nothing_unfinished(&bucket).await;
    back.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_not_copied_again() {
    let (here, there) = (lived_in().await, FsBackend::quick());
    copied(&here.store(), &there.store()).await;
    let before = contents(&there.store()).await;
    let services = Services::over(&here.store());
    services.release("main", &Release::new("v4", 2)).await.unwrap();
    let again = copied(&here.store(), &there.store()).await;
    // Two files and a manifest; one head that protects them, one that activates them.
    assert_eq!((again.copied.blobs, again.copied.heads, again.copied.names), (3, 2, 0));
    assert_eq!(contents(&there.store()).await, contents(&here.store()).await);
    let nothing = copied(&here.store(), &there.store()).await;
    assert_eq!((nothing.copied, nothing.passes), (Copied::default(), 1));
    assert!(before.iter().all(|(text, _)| !text.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_can_be_served_and_published_to() {
    let (here, there) = (lived_in().await, FsBackend::quick());
    copied(&here.store(), &there.store()).await;
    let services = Services::over(&there.store());
    services.release("main", &Release::new("v4", 2)).await.unwrap();
    let begun = Release::new("begun", 2);
    services.upload_all(&begun).await.unwrap();
    services.publish.commit(&name("other"), 1, activate(), &*ACTOR).await.unwrap();
    assert_eq!(sound(&there.store(), "main").await.as_deref(), Some("v4"));
    assert_eq!(sound(&there.store(), "other").await.as_deref(), Some("begun"));
}

#[tokio::test(flavor = "multi_thread")]
async fn generations_and_tombstones_are_copied_but_doomed_bytes_only_where_there_are_no_others() {
    let (here, there) = (lived_in().await, FsBackend::quick());
    let (saved, alone) = (Release::new("v1", 3), Release::new("v2", 3));
    condemn(&here.store(), saved.file(0), 0).await;
    let bytes = saved.files[0].1.clone();
    here.store().create(&LayoutKey::Blob(saved.file(0), 1).key(), bytes).await.unwrap();
    condemn(&here.store(), alone.file(0), 0).await;
    let summary = copied(&here.store(), &there.store()).await;
    assert_eq!(summary.copied.tombstones, 2);
    let to = there.store();
    assert!(stored(&to, saved.file(0), 0).await.is_none() && stored(&to, saved.file(0), 1).await.is_some());
    assert!(stored(&to, alone.file(0), 0).await.is_some(), "a collector that died here left a version without bytes");
    for digest in [saved.file(0), alone.file(0)] {
        assert!(to.head(&LayoutKey::Condemned(digest, 0).key()).await.unwrap().is_some());
    }
    assert_well(&to).await;
}

fn flipped(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[0] ^= 1;
    bytes.into()
}

/// Puts other bytes under the key of a blob.
async fn damage(backend: &FsBackend, digest: Digest, bytes: &[u8]) {
    let key = LayoutKey::Blob(digest, 0).key();
    assert!(backend.store().head(&key).await.unwrap().is_some(), "nothing to damage");
    backend.plant(&key, bytes);
}
