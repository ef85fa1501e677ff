//! Hidden logs: for everything that keeps data they are like any other, for users they are not there.

use std::sync::Arc;

use larder::clock::SystemClock;
use larder::domain::head::Change;
use larder::domain::manifest::Descriptor;
use larder::domain::{Expect, LogName, PinOwner, Selector, Summary};
use larder::layout::{LayoutKey, marker};
use larder::service::Names;
use larder::upkeep::collect::Settings;
use larder::upkeep::copy_store::{Copied, CopyError, CopyObserver, CopySettings};
use larder::upkeep::verify::{Finding, Observer, Outcome, Totals};
use larder::upkeep::{CollectError, CopyStore, Verify};

use crate::support::collecting::*;
use crate::support::services::*;
use crate::support::store::*;

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

fn hidden() -> LogName {
    "team/Main/@untagged/9f".parse().unwrap()
}

fn release() -> Release {
    Release::new("hidden", 2)
}

/// A store with a name, and a hidden log that belongs to it and has one version, staged.
async fn planted() -> (FsBackend, Store) {
    let backend = FsBackend::quick();
    let store = backend.store();
    marker::open(&*store).await.unwrap();
    let services = Services::over(&store);
    services.release("team/Main", &Release::new("v1", 2)).await.unwrap();
    services.upload_all(&release()).await.unwrap();
    let bytes = release().manifest();
    services.upload(&bytes).await.unwrap();
    let manifest = larder::domain::manifest::release::read(&bytes).unwrap();
    let descriptor = Descriptor { digest: release().digest(), size: bytes.len() as u64 };
    let prepare = Change::Prepare {
        summary: Summary::of(&manifest, descriptor),
        expect: Expect::Anything,
        from: None,
        annex: None,
    };
    let number = services.heads.change(&hidden(), &prepare, &*ACTOR).await.unwrap().row.unwrap().number;
    let commit = Change::Commit { number, activate: true, expect: Expect::Anything };
    services.heads.change(&hidden(), &commit, &*ACTOR).await.unwrap();
    (backend, store)
}

async fn has_all(store: &Store) -> bool {
    let digests = vec![release().file(0), release().file(1), release().digest()];
    Services::over(store).blobs.missing(digests).await.unwrap().is_empty()
}

async fn verified(store: &Store) -> (Vec<Finding>, Totals) {
    let mut told = Told::default();
    let totals = Verify::new(Arc::clone(store) as _, Arc::new(SystemClock)).run(None, 2, &mut told).await.unwrap();
    (told.0, totals)
}

async fn copied(from: &Store, to: &Store) -> (Result<bool, CopyError>, Vec<Finding>) {
    let settings = CopySettings { jobs: 2, verify: false, accept_damage: false };
    let copy = CopyStore::new(Arc::clone(from) as _, Arc::clone(to) as _, Arc::new(SystemClock), settings);
    let mut told = Told::default();
    (copy.run(&mut told).await.map(|summary| summary.finished), told.0)
}

#[tokio::test]
async fn a_collector_keeps_what_a_hidden_log_needs_and_is_closed_when_it_cannot_be_read() {
    let (backend, store) = planted().await;
    let report = collect(&store, greedy()).await.unwrap();
    assert_eq!((report.totals.names, report.totals.versions), (2, 2));
    assert!(has_all(&store).await);
    let newest = Services::over(&store).heads.current(&hidden()).await.unwrap().unwrap().generation;
    backend.plant(&LayoutKey::Head(hidden(), newest).key(), b"{");
    let refused = collect(&store, greedy()).await.unwrap_err();
    assert!(refused.to_string().contains("heads/team/main!1/@untagged/9f@/"), "{refused}");
    assert!(has_all(&store).await);
}

#[tokio::test]
async fn a_hidden_log_that_is_lost_ends_a_run() {
    let (backend, store) = planted().await;
    collect(&store, greedy()).await.unwrap();
    let heads = backend.root().join("objects/heads/team/main!1/@untagged");
    std::fs::rename(&heads, backend.root().join("away")).unwrap();
    let refused = collect(&store, greedy()).await.unwrap_err();
    assert!(matches!(refused, CollectError::LostHead { .. } | CollectError::NoHeads { .. }), "{refused}");
}

#[tokio::test]
async fn the_policies_of_the_name_that_it_belongs_to_apply() {
    let (_backend, store) = planted().await;
    let services = Services::over(&store);
    // Another version becomes active, so that the first one may go.
    let summary = services.rows("team/Main").await[0].summary.clone();
    let prepare = Change::Prepare { summary, expect: Expect::Anything, from: None, annex: None };
    let number = services.heads.change(&hidden(), &prepare, &*ACTOR).await.unwrap().row.unwrap().number;
    let commit = Change::Commit { number, activate: true, expect: Expect::Anything };
    services.heads.change(&hidden(), &commit, &*ACTOR).await.unwrap();
    for (pattern, expired) in [("team/Main/*/*", 0), ("team/main", 0), ("team/Main", 1)] {
        let settings = Settings { policies: retention(&[(pattern, NOTHING)]), ..patient() };
        assert_eq!(collect(&store, settings).await.unwrap().totals.expired, expired, "{pattern}");
    }
    assert!(!has_all(&store).await, "what the first version needed is gone");
}

#[tokio::test]
async fn verify_follows_a_hidden_log() {
    let (_backend, store) = planted().await;
    let (findings, totals) = verified(&store).await;
    assert_eq!((findings, totals.names, totals.versions), (Vec::new(), 2, 2));
    sweep(&store, release().file(1), 0).await;
    let (findings, _) = verified(&store).await;
    let Some(Finding::BadReference { name, version: 1, blob, .. }) = findings.first() else { panic!("{findings:?}") };
    assert_eq!((name, blob.digest), (&hidden(), release().file(1)));
    store.delete(&LayoutKey::Name(hidden()).key()).await.unwrap();
    let (findings, _) = verified(&store).await;
    assert_eq!(findings, [Finding::UnlistedName { name: hidden() }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_store_takes_a_hidden_log_along_and_follows_and_compares_it() {
    let ((_from, from), to) = (planted().await, FsBackend::quick());
    assert!(matches!(copied(&from, &to.store()).await, (Ok(true), findings) if findings.is_empty()));
    assert_eq!(all_keys(&from).await, all_keys(&to.store()).await);
    assert!(has_all(&to.store()).await);
    let pin = Change::Pin { selector: Selector::Number(1), pinned: true, owner: PinOwner::User, force: false };
    Services::over(&to.store()).heads.change(&hidden(), &pin, &*ACTOR).await.unwrap();
    let (diverged, _) = copied(&from, &to.store()).await;
    assert!(matches!(diverged, Err(CopyError::Diverged { name, .. }) if name == hidden()));
    sweep(&from, release().file(1), 0).await;
    let (result, findings) = copied(&from, &FsBackend::quick().store()).await;
    assert!(!result.unwrap(), "a copy in which a hidden log lacks a blob is not finished");
    assert!(matches!(&findings[..], [Finding::BadReference { name, .. }] if *name == hidden()), "{findings:?}");
}

#[tokio::test]
async fn users_are_shown_no_hidden_log() {
    let (_backend, store) = planted().await;
    let services = Services::over(&store);
    services.release("team/next", &Release::new("v1", 1)).await.unwrap();
    let names = Names::new(Arc::clone(&store) as _, Arc::clone(&services.heads));
    for prefix in ["", "team/", "team/Main"] {
        let page = names.page(prefix, None, 100, |_| true).await.unwrap();
        let shown: Vec<&str> = page.heads.iter().map(|head| head.name.as_str()).collect();
        let expected: &[&str] = if prefix == "team/Main" { &["team/Main"] } else { &["team/Main", "team/next"] };
        assert_eq!(shown, expected, "below {prefix:?}");
    }
    let first = names.page("", None, 1, |_| true).await.unwrap();
    let rest = names.page("", first.next.as_ref(), 1, |_| true).await.unwrap();
    assert_eq!((first.heads[0].name.as_str(), rest.heads[0].name.as_str()), ("team/Main", "team/next"));
    for text in ["team/Main/@untagged/9f", "team/Main/@untagged/9f@1"] {
        assert!(text.parse::<larder::domain::Target>().is_err(), "{text}");
    }
}
