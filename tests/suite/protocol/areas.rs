//! `aux/` and `tmp/`: what other versions of larder keep there disturbs nothing, and makes nothing needed.

use std::sync::Arc;

use bytes::Bytes;
use larder::clock::SystemClock;
use larder::layout::marker;
use larder::upkeep::copy_store::{Copied, CopyObserver, CopySettings, Summary};
use larder::upkeep::verify::{Finding, Observer, Outcome, Totals};
use larder::upkeep::{CopyStore, Verify};

use crate::support::collecting::*;
use crate::support::services::*;
use crate::support::store::*;

/// Keys with their bytes, of areas that this version knows nothing of.
fn facts() -> [(&'static str, Bytes); 9] {
    [
        ("aux/webhooks/@/z998", Bytes::from_static(b"{\"a.example\": \"main\"}")),
        ("aux/keys/@/z998", Bytes::from_static(b"secret")),
        ("aux/members/ab/abcdef/main@1", Bytes::new()),
        ("aux/stats/large", pattern(5 << 20)),
        ("aux/odd", Bytes::from_static(b"not below any area")),
        ("aux/UPPER/x!@", Bytes::from_static(b"no area that is known")),
        ("tmp/jti/0123", Bytes::new()),
        ("tmp/incoming/9f", Bytes::from_static(b"half a blob")),
        ("tmp/.DS_Store", Bytes::from_static(b"?")),
    ]
}

async fn with_facts() -> (FsBackend, Store) {
    let backend = FsBackend::quick();
    let store = backend.store();
    marker::open(&*store).await.unwrap();
    let services = Services::over(&store);
    for label in ["v1", "v2"] {
        services.release("main", &Release::new(label, 1)).await.unwrap();
    }
    for (text, bytes) in facts() {
        put(&store, text, bytes).await;
    }
    (backend, store)
}

#[derive(Debug, Default)]
struct Told(Vec<Finding>);

impl Observer for Told {
    fn finding(&mut self, finding: &Finding, _: &Outcome) {
        self.0.push(finding.clone());
    }

    fn verified(&mut self, _: &larder::store::Key, _: &Totals) {}
}

impl CopyObserver for Told {
    fn finding(&mut self, finding: &Finding) {
        self.0.push(finding.clone());
    }

    fn pass(&mut self, _: u32, _: &Copied) {}
}

async fn copy(from: &Store, to: &Store, verify: bool) -> Result<Summary, String> {
    let settings = CopySettings { jobs: 2, verify, accept_damage: false };
    let mut told = Told::default();
    let copy = CopyStore::new(Arc::clone(from) as _, Arc::clone(to) as _, Arc::new(SystemClock), settings);
    let summary = copy.run(&mut told).await.map_err(|error| error.to_string())?;
    assert_eq!(told.0, []);
    Ok(summary)
}

#[tokio::test]
async fn a_collector_runs_and_leaves_them_alone() {
    let (_backend, store) = with_facts().await;
    let report = collect(&store, greedy()).await.unwrap();
    assert!(report.totals.expired == 1, "v1 goes as ever");
    for (text, bytes) in facts() {
        assert_eq!(read(&store, text).await, Some(bytes), "{text}");
    }
}

#[tokio::test]
async fn verify_finds_nothing_wrong_with_them() {
    let (_backend, store) = with_facts().await;
    let mut told = Told::default();
    Verify::new(Arc::clone(&store) as _, Arc::new(SystemClock)).run(None, 2, &mut told).await.unwrap();
    assert_eq!(told.0, []);
    put(&store, "auxiliary/x", "").await;
    Verify::new(Arc::clone(&store) as _, Arc::new(SystemClock)).run(None, 2, &mut told).await.unwrap();
    assert_eq!(told.0, [Finding::UnknownKey { key: "auxiliary/x".into() }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_the_facts_but_neither_secrets_nor_what_is_temporary() {
    let ((_from, from), backend) = (with_facts().await, FsBackend::quick());
    let to = backend.store();
    let summary = copy(&from, &to, false).await.unwrap();
    assert!(summary.finished && summary.settled);
    assert_eq!(summary.copied.aux, 7, "and where each of the two manifests is found");
    for (text, bytes) in facts() {
        let is_copied = text.starts_with("aux/") && !text.starts_with("aux/keys/");
        assert_eq!(read(&to, text).await, is_copied.then_some(bytes), "{text}");
    }
    put(&from, "aux/hosts/@/z997", "{}").await;
    assert_eq!(copy(&from, &to, false).await.unwrap().copied, Copied { aux: 1, ..Copied::default() });
    assert_eq!(copy(&from, &to, true).await.unwrap().copied, Copied::default(), "all of it is the same");
    backend.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_that_the_copy_has_otherwise_is_not_overwritten() {
    let ((_from, from), backend) = (with_facts().await, FsBackend::quick());
    let to = backend.store();
    copy(&from, &to, false).await.unwrap();
    // Somebody used the copy.
    put(&to, "aux/hosts/@/z997", "of the copy").await;
    put(&from, "aux/hosts/@/z997", "of FROM").await;
    let refused = copy(&from, &to, false).await.unwrap_err();
    assert!(refused.contains("aux/hosts/@/z997") && refused.contains("was used"), "{refused}");
    assert_eq!(read(&to, "aux/hosts/@/z997").await, Some("of the copy".into()));
    // Of the same size: told apart when it is read.
    from.delete(&key("aux/hosts/@/z997")).await.unwrap();
    put(&from, "aux/hosts/@/z997", "of THE copy").await;
    copy(&from, &to, false).await.unwrap();
    assert!(copy(&from, &to, true).await.unwrap_err().contains("was used"));
    backend.finish().await;
}
