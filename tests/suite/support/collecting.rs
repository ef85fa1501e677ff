//! Collectors to run, and stores whose objects grow old at once.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use larder::clock::SystemClock;
use larder::domain::policy::PolicyKeys;
use larder::domain::{Digest, LivePolicies, Policies, PolicyRule, Retention};
use larder::layout::{self, LayoutKey};
use larder::store::{Key, List};
use larder::upkeep::collect::{Report, Settings};
use larder::upkeep::verify::{Finding, Observer, Outcome, Totals};
use larder::upkeep::{Collect, CollectError, Verify};
use tokio_util::sync::CancellationToken;

use super::store::{FsBackend, Store};

/// Nothing stays but what is active or pinned.
pub const NOTHING: Retention = Retention {
    keep_last: 0,
    keep_for: SignedDuration::ZERO,
    staged_for: SignedDuration::ZERO,
    prepared_for: SignedDuration::ZERO,
};

/// A store that a server has been started on once.
pub fn marked() -> FsBackend {
    let backend = FsBackend::quick();
    backend.plant(&LayoutKey::Marker(1).key(), br#"{"layout": 1, "min_reader": 1, "min_writer": 1}"#);
    backend
}

/// Policies that say nothing but how long versions are kept, by pattern: without a tag as long as when they are staged.
pub fn retention(rules: &[(&str, Retention)]) -> LivePolicies {
    let rule = |(pattern, rules): &(&str, Retention)| PolicyRule {
        matches: vec![pattern.parse().expect("a pattern")],
        keys: PolicyKeys {
            keep_last: Some(rules.keep_last),
            keep_for: Some(rules.keep_for),
            staged_for: Some(rules.staged_for),
            untagged_for: Some(rules.staged_for),
            prepared_for: Some(rules.prepared_for),
            ..PolicyKeys::default()
        },
    };
    Policies::new(rules.iter().map(rule).collect()).into()
}

/// These rules for every name.
pub fn for_all(rules: Retention) -> LivePolicies {
    retention(&[("**", rules)])
}

/// Takes away all that may go, at once.
pub fn greedy() -> Settings {
    let (min_age, uploads_for) = (SignedDuration::ZERO, SignedDuration::ZERO);
    Settings { policies: for_all(NOTHING), min_age, uploads_for, ..Settings::default() }
}

/// Keeps every version for the default time, but no blob longer than it is needed.
pub fn patient() -> Settings {
    Settings { min_age: SignedDuration::ZERO, ..Settings::default() }
}

pub fn collector(store: &Store, settings: Settings) -> Collect {
    Collect::new(Arc::clone(store), Arc::new(SystemClock), settings)
}

/// One run.
pub async fn collect(store: &Store, settings: Settings) -> Result<Report, CollectError> {
    collector(store, settings).run(&CancellationToken::new()).await
}

/// The generations of blobs that have bytes.
pub async fn copies(store: &Store) -> BTreeSet<(Digest, u64)> {
    use futures_util::TryStreamExt as _;
    let mut found = BTreeSet::new();
    let prefix = layout::blobs();
    let mut listing = store.list(&prefix, List::default());
    while let Some(meta) = listing.try_next().await.expect("list") {
        if let Some(LayoutKey::Blob(digest, generation)) = LayoutKey::parse(&meta.key) {
            found.insert((digest, generation));
        }
    }
    found
}

/// All that a verification finds.
pub async fn findings(store: &Store) -> Vec<Finding> {
    #[derive(Default)]
    struct Findings(Vec<Finding>);
    impl Observer for Findings {
        fn finding(&mut self, finding: &Finding, _: &Outcome) {
            self.0.push(finding.clone());
        }

        fn verified(&mut self, _: &Key, _: &Totals) {}
    }
    let mut findings = Findings::default();
    let verify = Verify::new(store.clone(), Arc::new(SystemClock));
    verify.run(None, 1, &mut findings).await.expect("verify");
    findings.0
}

impl FsBackend {
    /// Makes all objects whose keys start with `prefix` older, by the store's own time stamps.
    pub fn age(&self, prefix: &str, by: Duration) {
        age_below(&self.root().join("objects"), "", prefix, by);
    }
}

fn age_below(root: &Path, key: &str, prefix: &str, by: Duration) {
    for entry in fs::read_dir(root.join(key)).expect("read a directory") {
        let entry = entry.expect("read an entry");
        let name = entry.file_name().into_string().expect("keys are text");
        let below = if key.is_empty() { name } else { format!("{key}/{name}") };
        if entry.file_type().expect("a kind").is_dir() {
            age_below(root, &below, prefix, by);
        } else if below.starts_with(prefix) {
            let file = fs::OpenOptions::new().write(true).open(entry.path()).expect("open an object");
            let modified = file.metadata().expect("look at it").modified().expect("a time stamp");
            file.set_modified(modified - by).expect("set its time stamp");
        }
    }
}
