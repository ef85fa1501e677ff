//! Stores that a newer larder wrote to: what this one does not know is kept, and what it cannot judge is left alone.

mod frozen;
mod hidden;
mod needs;

use std::sync::Arc;

use bytes::Bytes;
use larder::clock::SystemClock;
use larder::domain::Digest;
use larder::layout::LayoutKey;
use larder::store::{Created, Key};
use larder::upkeep::copy_store::{Copied, CopyObserver, CopySettings, Summary};
use larder::upkeep::verify::{Finding, Observer, Outcome, Totals};
use larder::upkeep::{CopyStore, Verify};
use serde_json::Value;

use crate::support::services::*;
use crate::support::store::*;

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Observer for Findings {
    fn finding(&mut self, finding: &Finding, _: &Outcome) {
        self.0.push(finding.clone());
    }

    fn verified(&mut self, _: &Key, _: &Totals) {}
}

impl CopyObserver for Findings {
    fn finding(&mut self, finding: &Finding) {
        self.0.push(finding.clone());
    }

    fn pass(&mut self, _: u32, _: &Copied) {}
}

/// What `larder verify` finds.
async fn verify(store: &Store) -> Vec<Finding> {
    let mut findings = Findings::default();
    Verify::new(Arc::clone(store) as _, Arc::new(SystemClock)).run(None, 2, &mut findings).await.expect("verify");
    findings.0
}

/// What `larder copy-store` does and finds.
async fn copy_store(from: &Store, to: &Store) -> (Summary, Vec<Finding>) {
    let settings = CopySettings { jobs: 2, verify: false, accept_damage: false };
    let copy = CopyStore::new(Arc::clone(from) as _, Arc::clone(to) as _, Arc::new(SystemClock), settings);
    let mut findings = Findings::default();
    let summary = copy.run(&mut findings).await.expect("copy");
    (summary, findings.0)
}

/// Creates the next head of a name as a newer larder would: the newest one, changed.
async fn rewrite(store: &Store, of: &str, change: impl FnOnce(&mut Value)) {
    let head = Services::over(store).head(of).await;
    let mut document = serde_json::to_value(&*head).expect("a head is JSON");
    document["generation"] = (head.generation + 1).into();
    document["operation"]["id"] = "f".repeat(32).into();
    change(&mut document);
    let key = LayoutKey::Head(name(of).into(), head.generation + 1).key();
    assert_eq!(store.create(&key, document.to_string().into()).await.expect("create a head"), Created::New);
}

/// Stores a document under the segment key of a name, as annexes are, and returns what a row says of it.
async fn put_annex(store: &Store, of: &str, document: &Value) -> Value {
    let bytes = Bytes::from(document.to_string());
    let digest = Digest::of(&bytes);
    store.create(&LayoutKey::Segment(name(of).into(), digest).key(), bytes.clone()).await.expect("store an annex");
    serde_json::json!({"digest": digest, "size": bytes.len()})
}
