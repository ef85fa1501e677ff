//! Versions that are kept for their labels, and the label indexes of names with many versions.

use std::sync::Arc;

use larder::clock::SystemClock;
use larder::domain::policy::PolicyKeys;
use larder::domain::retention::Verdict;
use larder::domain::{LivePolicies, Policies, PolicyRule};
use larder::upkeep::CopyStore;
use larder::upkeep::collect::{Entry, Settings};
use larder::upkeep::copy_store::{Copied, CopyObserver, CopySettings};
use larder::upkeep::verify::Finding;
use tokio_util::sync::CancellationToken;

use crate::support::collecting::*;
use crate::support::services::*;
use crate::support::store::*;

/// Versions with enough rows for a merged segment, which has a label index.
const VERSIONS: u64 = 240;

/// Nothing stays but what is active, pinned or has one of these labels.
fn keep(labels: &[&str]) -> Settings {
    let keep_labels = Some(labels.iter().map(|label| label.parse().unwrap()).collect());
    let keys = PolicyKeys {
        keep_last: Some(NOTHING.keep_last),
        keep_for: Some(NOTHING.keep_for),
        keep_labels,
        ..PolicyKeys::default()
    };
    let rule = PolicyRule { matches: vec!["**".parse().unwrap()], keys };
    let policies: LivePolicies = Policies::new(vec![rule]).into();
    Settings { policies, ..greedy() }
}

struct Quiet;

impl CopyObserver for Quiet {
    fn finding(&mut self, finding: &Finding) {
        panic!("{finding:?}");
    }

    fn pass(&mut self, _: u32, _: &Copied) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_kept_for_their_labels_and_found_by_them_in_every_copy() {
    let backend = marked();
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    for number in 1..=VERSIONS {
        services.release("main", &Release::new(format!("v1.0.{number}"), 1)).await.unwrap();
    }
    let head = services.head("main").await;
    assert!(head.segments.iter().any(|segment| segment.labels.is_some()), "{:?}", head.segments);
    let settings = || keep(&["v1.0.7", "v1.0.20*"]);
    let mut kept = Vec::new();
    let note = |entry: Entry<'_>| {
        if let Entry::Version { version, verdict, .. } = entry
            && !verdict.is_over()
        {
            kept.push((version, verdict));
        }
    };
    collector(&store, settings()).preview(&CancellationToken::new(), note).await.unwrap();
    kept.sort_unstable_by_key(|(version, _)| *version);
    let numbers = [7, 20, 200, 201, 202, 203, 204, 205, 206, 207, 208, 209];
    let by_label = numbers.map(|number| (number, Verdict::KeepLabels));
    assert_eq!(kept, [&by_label[..], &[(VERSIONS, Verdict::Active)]].concat(), "what a dry run says");

    collect(&store, settings()).await.unwrap();
    assert_eq!(findings(&store).await, []);
    let copy = FsBackend::quick();
    let plain = CopySettings { jobs: 2, verify: true, accept_damage: false };
    CopyStore::new(store.clone(), copy.store(), Arc::new(SystemClock), plain).run(&mut Quiet).await.unwrap();
    for store in [store, copy.store()] {
        assert_eq!(findings(&store).await, []);
        let services = Services::over(&store);
        let found = async |selector: &str| {
            services.resolve.readable(&target(selector), AsOf::Now).await.map(|found| found.row.number).ok()
        };
        assert_eq!(found("main@v1.0.7").await, Some(7));
        assert_eq!(found("main@~1.0.200").await, Some(VERSIONS));
        assert_eq!(found("main@v1.0.8").await, None, "it was retired");
        services.versions.retire(&target("main@v1.0.209"), "test".into(), &*ACTOR).await.unwrap();
    }
}
