//! What a server keeps of catalogs that anybody may ask for: some, and never more than a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use larder::domain::Digest;
use larder::domain::catalog::MAX_DOCUMENT;
use larder::service::Catalogs;
use larder::service::catalogs::CatalogReadError;
use serde_json::json;

use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

/// Services that go by heads as they were a minute ago, so that what is read is known to be read of blobs.
struct Place {
    _disk: FsBackend,
    faulty: FaultyStore,
    services: Services,
    catalogs: Catalogs,
    reads: Arc<AtomicUsize>,
}

impl Place {
    fn new() -> Self {
        let disk = FsBackend::quick();
        let faulty = FaultyStore::over(&disk.store());
        let clock = Services::over(&disk.store()).clock;
        let services = Services::with_staleness(&faulty.store(), clock, Duration::from_secs(600));
        let catalogs = services.catalogs(&faulty.store());
        let reads = Arc::<AtomicUsize>::default();
        Self { _disk: disk, faulty, services, catalogs, reads }
    }

    /// Publishes a document, which nobody has to have signed.
    async fn publish(&self, catalog: &str, document: &Bytes) {
        self.services.upload(document).await.unwrap();
        let file = json!({"name": "catalog.json", "blob": Digest::of(document), "size": document.len()});
        let manifest = Bytes::from(json!({ "artifacts": [file] }).to_string());
        let name = name(&format!("{catalog}/_catalog"));
        self.services.publish.publish(&name, manifest, activate(), &*ACTOR).await.unwrap();
        let (reads, hex) = (Arc::clone(&self.reads), Digest::of(document).hex());
        self.faulty.script(Rule::on(Op::Get).key(hex).run(move || {
            reads.fetch_add(1, Ordering::Relaxed);
            async {}
        }));
    }

    async fn read(&self, catalog: &str) -> Result<u64, CatalogReadError> {
        let active = self.catalogs.active(&catalog.parse().unwrap(), AsOf::Recent).await;
        active.map(|active| active.document.serial)
    }

    /// How many documents were read of the store since this was asked last.
    fn reads(&self) -> usize {
        self.reads.swap(0, Ordering::Relaxed)
    }
}

/// A document of this size.
fn document(catalog: &str, size: usize) -> Bytes {
    let of = |padding: usize| {
        let document = json!({
            "type": "larder-catalog/1", "name": catalog, "serial": 1, "issued": "2026-01-01T00:00:00Z",
            "expires": "2999-01-01T00:00:00Z", "releases": [], "x": "x".repeat(padding),
        });
        document.to_string()
    };
    let document = of(size - of(0).len());
    assert_eq!(document.len(), size);
    document.into()
}

#[tokio::test]
async fn documents_are_kept_up_to_a_bound_of_what_they_may_take() {
    const CATALOGS: usize = 12;
    let place = Place::new();
    let names: Vec<String> = (0..CATALOGS).map(|number| format!("c{number}.org")).collect();
    for name in &names {
        place.publish(name, &document(name, 1_000_000)).await;
        place.read(name).await.unwrap();
    }
    assert_eq!(place.reads(), CATALOGS);
    // The cache settles within moments, and when it is used.
    tokio::time::sleep(Duration::from_millis(700)).await;
    for name in [&names[CATALOGS - 1], &names[CATALOGS - 1]] {
        place.read(name).await.unwrap();
    }
    assert_eq!(place.reads(), 0, "the newest one is kept");
    for name in names.iter().rev() {
        place.read(name).await.unwrap();
    }
    // Each counts as 48 MB, of 192 MiB.
    assert_eq!(place.reads(), CATALOGS - 4);
}

#[tokio::test]
async fn the_largest_document_is_kept_too() {
    let place = Place::new();
    place.publish("large.org", &document("large.org", usize::try_from(MAX_DOCUMENT).unwrap())).await;
    for _ in 0..3 {
        place.read("large.org").await.unwrap();
    }
    assert_eq!(place.reads(), 1);
}

#[tokio::test]
async fn what_is_no_document_is_not_read_again() {
    let place = Place::new();
    place.publish("bad.org", &Bytes::from_static(b"no document")).await;
    for _ in 0..3 {
        let refused = place.read("bad.org").await.unwrap_err();
        assert!(matches!(refused, CatalogReadError::Unreadable { .. }), "{refused}");
    }
    assert_eq!(place.reads(), 1);
}

#[tokio::test]
async fn who_waits_for_a_turn_is_told_so_after_seconds() {
    let place = Place::new();
    for name in ["one.org", "two.org", "three.org"] {
        place.publish(name, &document(name, 1_000)).await;
        // So that only the documents are left to be read.
        place.services.resolve.manifest(&target(&format!("{name}/_catalog")), AsOf::Recent).await.unwrap();
    }
    place.reads();
    let hexes = ["one.org", "two.org"].map(|name| Digest::of(&document(name, 1_000)).hex());
    let stalls = hexes.map(|hex| place.faulty.stall(Rule::on(Op::Get).key(hex)));
    let place = Arc::new(place);
    let stalled: Vec<_> = ["one.org", "two.org"]
        .map(|name| {
            let place = Arc::clone(&place);
            tokio::spawn(async move { place.read(name).await })
        })
        .into();
    for stall in &stalls {
        stall.reached().await;
    }
    tokio::time::pause();
    let refused = place.read("three.org").await.unwrap_err();
    assert!(matches!(refused, CatalogReadError::Busy), "{refused}");
    tokio::time::resume();
    stalls.iter().for_each(crate::support::faulty::Stall::release);
    for reading in stalled {
        assert_eq!(reading.await.unwrap().unwrap(), 1);
    }
    assert_eq!(place.read("three.org").await.unwrap(), 1);
}
