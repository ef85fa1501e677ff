//! A format whose manifests name other manifests, known to these tests only.

use std::sync::Arc;

use bytes::Bytes;
use jiff::SignedDuration;
use larder::clock::SystemClock;
use larder::domain::manifest::{Child, Descriptor, Format, Kind, Limits, ReadError, SiteSettings};
use larder::domain::{Digest, Manifest, ManifestError};
use larder::protocol::{Blobs, Heads, Manifests};
use larder::service::publish::Prepared;
use larder::service::{Publish, PublishError, PublishLimits};
use larder::upkeep::CollectError;
use larder::upkeep::collect::{Report, Settings};
use larder::upkeep::verify::Finding;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::findings_in;
use crate::support::collecting::{collector, copies, greedy, marked, patient};
use crate::support::services::*;
use crate::support::store::*;

const TREE: &str = "application/x-tree";
static TREES: &[Format] = &[Format { media_types: &[TREE], read, check }];

#[derive(Serialize, Deserialize)]
struct Tree {
    blobs: Vec<Descriptor>,
    children: Vec<Descriptor>,
}

fn read(bytes: &[u8]) -> Result<Manifest, ReadError> {
    let tree: Tree = serde_json::from_slice(bytes).map_err(|error| ReadError::Malformed(error.to_string()))?;
    let child = |blob| Child { blob, media_type: Some(TREE.into()) };
    Ok(Manifest {
        media_type: TREE.into(),
        label: None,
        kind: Kind::from("tree"),
        entrypoint: None,
        site: SiteSettings::default(),
        files: Vec::new(),
        source: None,
        blobs: tree.blobs,
        children: tree.children.into_iter().map(child).collect(),
        subject: None,
    })
}

fn check(bytes: &[u8], _: Limits) -> Result<(), ManifestError> {
    read(bytes).map(|_| ()).map_err(|error| ManifestError::Malformed(error.to_string()))
}

fn descriptor(bytes: &Bytes) -> Descriptor {
    Descriptor { digest: Digest::of(bytes), size: bytes.len() as u64 }
}

fn tree(blobs: &[&Bytes], children: &[&Bytes]) -> Bytes {
    let list = |all: &[&Bytes]| all.iter().map(|bytes| descriptor(bytes)).collect();
    serde_json::to_vec(&Tree { blobs: list(blobs), children: list(children) }).unwrap().into()
}

/// A root that names two branches, both of which name the same twig, which names a leaf.
struct Forest {
    leaf: Bytes,
    twig: Bytes,
    branches: [Bytes; 2],
    root: Bytes,
}

impl Forest {
    fn new() -> Self {
        let (leaf, bark) = (Bytes::from("leaf"), Bytes::from("bark"));
        let twig = tree(&[&leaf], &[]);
        let branches = [tree(&[], &[&twig]), tree(&[&bark], &[&twig])];
        let root = tree(&[&bark], &[&branches[0], &branches[1]]);
        Self { leaf, twig, branches, root }
    }

    /// All that must be uploaded, the root aside.
    fn below(&self) -> [Bytes; 5] {
        let [one, two] = self.branches.clone();
        [Bytes::from("bark"), one, two, self.twig.clone(), self.leaf.clone()]
    }
}

/// A publisher who knows trees.
fn publisher(store: &Store) -> Publish {
    let clock = Arc::new(SystemClock);
    let heads = Arc::new(Heads::new(Arc::clone(store) as _, clock.clone()));
    let blobs = Arc::new(Blobs::new(Arc::clone(store) as _, clock, SignedDuration::from_hours(12)));
    let manifests = Arc::new(Manifests::with_formats(Arc::clone(&blobs), TREES));
    Publish::new(heads, blobs, manifests, PublishLimits { manifest_bytes: 1 << 20, artifacts: 100 })
}

async fn run(store: &Store, settings: Settings) -> Result<Report, CollectError> {
    collector(store, settings).with_formats(TREES).run(&CancellationToken::new()).await
}

/// A store with the forest under `forest`, and an orphan.
async fn planted() -> (FsBackend, Services, Forest) {
    let (backend, forest) = (marked(), Forest::new());
    let services = Services::over(&backend.store());
    for bytes in forest.below() {
        services.upload(&bytes).await.unwrap();
    }
    let publish = publisher(&backend.store());
    publish.publish(&name("forest"), forest.root.clone(), activate(), &*ACTOR).await.unwrap();
    services.upload(&Bytes::from("orphan")).await.unwrap();
    (backend, services, forest)
}

#[tokio::test]
async fn a_publish_names_what_is_missing_at_any_depth() {
    let (backend, forest) = (marked(), Forest::new());
    let services = Services::over(&backend.store());
    let publish = publisher(&backend.store());
    // What lies below a manifest that is missing is not known yet.
    let steps: [(&Bytes, &[&Bytes]); 5] = [
        (&forest.below()[0], &[&forest.branches[0], &forest.branches[1]]),
        (&forest.branches[0], &[&forest.branches[1], &forest.twig]),
        (&forest.branches[1], &[&forest.twig]),
        (&forest.twig, &[&forest.leaf]),
        (&forest.leaf, &[]),
    ];
    for (uploaded, wanted) in steps {
        services.upload(uploaded).await.unwrap();
        let result = publish.publish(&name("forest"), forest.root.clone(), activate(), &*ACTOR).await;
        let missing = match result {
            Err(PublishError::Blobs { missing, .. }) => missing.into_iter().map(|blob| blob.digest).collect(),
            Err(error) => panic!("{error}"),
            Ok(_) => Vec::new(),
        };
        assert_eq!(missing, wanted.iter().map(|bytes| Digest::of(bytes)).collect::<Vec<_>>());
    }
    let again = publish.publish(&name("forest"), forest.root.clone(), activate(), &*ACTOR).await.unwrap();
    assert!(again.unchanged);
    // A leaf that was lost is noticed by the next publish of the same.
    sweep(&backend.store(), Digest::of(&forest.leaf), 0).await;
    let lost = publish.publish(&name("forest"), forest.root.clone(), activate(), &*ACTOR).await;
    assert!(matches!(lost, Err(PublishError::Blobs { missing, .. }) if missing[0].digest == Digest::of(&forest.leaf)));
}

#[tokio::test]
async fn a_collector_keeps_what_children_need() {
    let (backend, _, forest) = planted().await;
    let report = run(&backend.store(), greedy()).await.unwrap();
    assert_eq!(report.totals.deleted.blobs, 1, "the orphan");
    let left = copies(&backend.store()).await;
    for bytes in forest.below().iter().chain([&forest.root]) {
        assert!(left.contains(&(Digest::of(bytes), 0)), "{bytes:?}");
    }
    assert_eq!(findings_in(&backend.store(), TREES).await, []);
}

#[tokio::test]
async fn a_lost_child_ends_a_run_and_is_found() {
    let (backend, _, forest) = planted().await;
    let store = backend.store();
    sweep(&store, Digest::of(&forest.leaf), 0).await;
    let found = findings_in(&store, TREES).await;
    assert!(
        matches!(&found[..], [Finding::BadReference { blob, .. }] if *blob == descriptor(&forest.leaf)),
        "{found:?}"
    );
    sweep(&store, Digest::of(&forest.twig), 0).await;
    let found = findings_in(&store, TREES).await;
    assert!(matches!(&found[..], [Finding::DamagedManifest { .. }]), "{found:?}");
    let before = copies(&store).await;
    let error = run(&store, greedy()).await.unwrap_err();
    let twig = Digest::of(&forest.twig);
    assert!(matches!(&error, CollectError::LostManifest { digest, .. } if *digest == twig), "{error}");
    assert_eq!(copies(&store).await, before);
}

#[tokio::test]
async fn a_session_whose_children_are_still_to_come_keeps_what_is_there() {
    let (backend, forest) = (marked(), Forest::new());
    let (store, publish) = (backend.store(), publisher(&backend.store()));
    let services = Services::over(&store);
    let [bark, one, two, twig, leaf] = forest.below();
    for bytes in [&bark, &one, &leaf] {
        services.upload(bytes).await.unwrap();
    }
    let prepared = publish.prepare(&name("forest"), forest.root.clone(), &activate(), &*ACTOR).await.unwrap();
    let Prepared::Session(receipt, missing) = prepared else { panic!("{prepared:?}") };
    assert_eq!(missing, [Digest::of(&two), Digest::of(&twig)]);
    run(&store, patient()).await.unwrap();
    let left = copies(&store).await;
    for kept in [&forest.root, &bark, &one] {
        assert!(left.contains(&(Digest::of(kept), 0)), "{kept:?}");
    }
    // Nobody knew that the leaf would be needed: the session says so once it knows.
    for bytes in [&two, &twig] {
        services.upload(bytes).await.unwrap();
    }
    let (_, missing) = publish.session(&name("forest"), receipt.row.number).await.unwrap();
    assert_eq!(missing, [Digest::of(&leaf)]);
    services.upload(&leaf).await.unwrap();
    publish.commit(&name("forest"), receipt.row.number, activate(), &*ACTOR).await.unwrap();
    run(&store, greedy()).await.unwrap();
    assert_eq!(findings_in(&store, TREES).await, []);
}

#[tokio::test]
async fn condemned_bytes_below_a_child_are_replaced() {
    let (backend, _, forest) = planted().await;
    let store = backend.store();
    let leaf = Digest::of(&forest.leaf);
    condemn(&store, leaf, 0).await;
    let report = run(&store, greedy()).await.unwrap();
    assert_eq!(report.totals.healed.blobs, 1);
    assert_eq!(stored(&store, leaf, 1).await.as_deref(), Some(&b"leaf"[..]));
    assert_eq!(stored(&store, leaf, 0).await, None);
}
