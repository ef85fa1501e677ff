//! What runs leave behind, and what a dry run tells.

use std::collections::BTreeSet;

use bytes::Bytes;
use jiff::SignedDuration;
use larder::domain::retention::Verdict;
use larder::domain::{Digest, RunId};
use larder::layout::{LayoutKey, RunPart};
use larder::upkeep::collect::{Entry, Fate, Outcome, RunSummary, Runs, Settings};
use tokio_util::sync::CancellationToken;

use crate::support::collecting::*;
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

/// Two versions of a name, of which one is over without retention, a staged one, and a blob that nobody needs.
async fn store() -> (FsBackend, Services) {
    let backend = marked();
    let services = Services::over(&backend.store());
    for label in ["v1", "v2"] {
        services.release("main", &Release::new(label, 2)).await.unwrap();
    }
    services.upload(&Bytes::from("orphan")).await.unwrap();
    (backend, services)
}

async fn plan(store: &Store, run: RunId) -> Vec<serde_json::Value> {
    let object = Runs::new(store.clone()).plan(run, 0).await.unwrap().expect("a plan");
    let text = object.bytes(1 << 20).await.unwrap();
    let text = std::str::from_utf8(&text).unwrap().to_owned();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn what_is_to_go_is_durable_before_anything_goes() {
    let (backend, _) = store().await;
    let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
    faulty.script(Rule::on(Op::Create).key(".condemned").nth(1).fail());
    let before = copies(&store).await;
    collect(&faulty.store(), greedy()).await.unwrap_err();
    assert_eq!(copies(&store).await, before);
    let Some(RunSummary::Ended(report)) = Runs::new(store.clone()).page(None, 1).await.unwrap().pop() else { panic!() };
    assert_eq!(report.outcome, Outcome::Failed);
    let lines = plan(&store, report.started.run).await;
    let planned: BTreeSet<String> =
        lines.iter().filter(|line| line["kind"] == "blob").map(|line| line["digest"].to_string()).collect();
    assert_eq!(planned.len(), 4, "two files, a manifest, and the orphan: {lines:?}");
    let orphan = lines.iter().find(|line| line["digest"] == Digest::of(b"orphan").to_string()).unwrap();
    assert_eq!((orphan["action"].as_str(), orphan["why"].as_str()), (Some("delete"), Some("unreferenced")));
    assert_eq!((orphan["generation"].as_u64(), orphan["size"].as_u64()), (Some(0), Some(6)));
    assert_eq!(
        lines[0],
        serde_json::json!({"kind": "version", "action": "retire", "name": "main", "version": 1, "why": "archive_expired"})
    );
}

#[tokio::test]
async fn a_dry_run_says_why_everything_goes_or_stays_and_changes_nothing() {
    let (backend, services) = store().await;
    let store = backend.store();
    services.versions.pin(&target("main@2"), true, &*ACTOR).await.unwrap();
    services.release("main", &Release::new("v3", 1)).await.unwrap();
    let keys = all_keys(&store).await;
    let (mut versions, mut blobs) = (Vec::new(), BTreeSet::new());
    let totals = collector(&store, greedy())
        .preview(&CancellationToken::new(), |entry| match entry {
            Entry::Version { name, version, verdict } => versions.push((name.to_string(), version, verdict)),
            Entry::Blob { digest, fate, needed_by, .. } => {
                let by = needed_by.map(|(name, version, _)| format!("{name}@{version}"));
                assert!(blobs.insert((digest, fate == Fate::Needed, by)));
            }
        })
        .await
        .unwrap();
    assert_eq!(all_keys(&store).await, keys, "nothing was made and nothing deleted");
    versions.sort_by_key(|(_, version, _)| *version);
    let verdicts: Vec<Verdict> = versions.iter().map(|(_, _, verdict)| *verdict).collect();
    assert_eq!(verdicts, [Verdict::ArchiveExpired, Verdict::Pinned, Verdict::Active]);
    let (v2, v3) = (Release::new("v2", 2), Release::new("v3", 1));
    for (digest, by) in [(v2.file(0), "main@2"), (v2.digest(), "main@2"), (v3.file(0), "main@3")] {
        assert!(blobs.contains(&(digest, true, Some(by.to_owned()))), "{blobs:?}");
    }
    // The run that follows deletes exactly what was said.
    let report = collect(&store, greedy()).await.unwrap();
    assert_eq!(report.totals.deleted, totals.unreferenced);
    let said: BTreeSet<Digest> = blobs.iter().filter(|(_, stays, _)| *stays).map(|(digest, ..)| *digest).collect();
    assert_eq!(copies(&store).await.into_iter().map(|(digest, _)| digest).collect::<BTreeSet<_>>(), said);
}

#[tokio::test]
async fn runs_are_listed_newest_first_and_old_ones_are_forgotten() {
    let (backend, _) = store().await;
    let store = backend.store();
    let runs = Runs::new(store.clone());
    assert_eq!(runs.page(None, 10).await.unwrap(), []);
    let mut expected = Vec::new();
    for age in [95 * 24, 80 * 24, 20 * 24] {
        let clock = Services::over(&store).clock;
        clock.advance(SignedDuration::from_hours(-age));
        let collect = larder::upkeep::Collect::new(store.clone(), clock, patient());
        expected.insert(0, collect.run(&CancellationToken::new()).await.unwrap().started.run);
    }
    let listed = |page: Vec<RunSummary>| page.iter().map(RunSummary::run).collect::<Vec<_>>();
    assert_eq!(listed(runs.page(None, 10).await.unwrap()), expected);
    assert_eq!(listed(runs.page(None, 2).await.unwrap()), expected[..2]);
    assert_eq!(listed(runs.page(Some(expected[0]), 10).await.unwrap()), expected[1..]);
    let newest = collect(&store, patient()).await.unwrap().started.run;
    assert_eq!(
        listed(runs.page(None, 10).await.unwrap()),
        [newest, expected[0], expected[1]],
        "90 days are remembered"
    );
    assert!(runs.summary(expected[2]).await.unwrap().is_none());
    assert!(all_keys(&store).await.iter().filter(|key| key.starts_with("collector/")).count() <= 7);
}

#[tokio::test]
async fn a_run_whose_process_died_is_listed_as_far_as_it_got() {
    let (backend, _) = store().await;
    let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
    let stall = faulty.stall(Rule::on(Op::Delete).nth(1));
    let run = tokio::spawn(async move { collect(&faulty.store(), greedy()).await });
    stall.reached().await;
    run.abort();
    let page = Runs::new(store.clone()).page(None, 10).await.unwrap();
    let [RunSummary::Begun(started)] = &page[..] else { panic!("{page:?}") };
    assert_eq!((started.larder.as_str(), started.min_age_seconds), (env!("CARGO_PKG_VERSION"), 0));
    assert!(!plan(&store, started.run).await.is_empty());
}

#[tokio::test]
async fn several_passes_leave_several_plans() {
    let (backend, services) = store().await;
    let store = backend.store();
    for at in 0..200 {
        services.upload(&Bytes::from(format!("orphan {at}"))).await.unwrap();
    }
    let settings = Settings { memory: 12 * 1024, ..greedy() };
    let report = collect(&store, settings).await.unwrap();
    let run = report.started.run;
    let parts = Runs::new(store.clone()).plans(run).await.unwrap();
    assert!(parts.len() > 1 && parts[0] == 0, "{parts:?}");
    let mut lines = 0;
    for first in parts {
        let object = store.get(&LayoutKey::Run(run, RunPart::Plan(first)).key(), None).await.unwrap().unwrap();
        let text = object.bytes(1 << 20).await.unwrap();
        lines += std::str::from_utf8(&text).unwrap().lines().filter(|line| line.contains("\"blob\"")).count();
    }
    assert_eq!(lines as u64, report.totals.deleted.blobs);
}
