//! Heads that earlier runs saw, or names that were published to, and that are not there any more. A store that lost them
//! looks like a sound one, so whoever collects has to remember.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use larder::layout::LayoutKey;
use larder::store::Key;
use larder::upkeep::collect::Settings;
use larder::upkeep::verify::Finding;
use larder::upkeep::{CollectError, HeadLoss};
use tokio_util::sync::CancellationToken;

use crate::support::collecting::*;
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

/// Two names, something to delete, and a run that has seen both.
async fn seen() -> (FsBackend, Services) {
    let backend = marked();
    let services = Services::over(&backend.store());
    for label in ["v1", "v2"] {
        services.release("main", &Release::new(label, 2)).await.unwrap();
    }
    services.release("other", &Release::new("o1", 2)).await.unwrap();
    collect(&backend.store(), patient()).await.unwrap();
    services.upload(&Bytes::from("orphan")).await.unwrap();
    (backend, services)
}

fn path(backend: &FsBackend, key: &Key) -> PathBuf {
    backend.root().join("objects").join(key.as_str())
}

/// Objects that were moved out of the store.
struct Moved(Vec<(PathBuf, PathBuf)>);

impl Moved {
    fn aside(backend: &FsBackend, keys: &[String]) -> Self {
        let aside = |key: &String| {
            let (from, to) = (backend.root().join("objects").join(key), backend.root().join(key.replace('/', "+")));
            std::fs::rename(&from, &to).unwrap();
            (from, to)
        };
        Self(keys.iter().map(aside).collect())
    }

    fn back(self) {
        for (from, to) in self.0 {
            std::fs::rename(to, from).unwrap();
        }
    }
}

async fn lists(store: &Store) -> Vec<String> {
    keys(store, "collector/seen/", None, None).await
}

/// The head that a run refuses to continue without. It deletes nothing and leaves what it was refused for.
async fn refused(store: &Store) -> (String, u64, HeadLoss) {
    let before = (copies(store).await, lists(store).await);
    let error = collect(store, greedy()).await.unwrap_err();
    assert_eq!((copies(store).await, lists(store).await), before, "{error}");
    let CollectError::LostHead { name, generation, loss } = error else { panic!("{error}") };
    (name.to_string(), generation, loss)
}

/// The lost heads that a verification finds.
async fn lost(store: &Store) -> Vec<(String, u64)> {
    let lost = findings(store).await.into_iter().filter_map(|finding| match finding {
        Finding::LostHead { name, generation, .. } => Some((name.to_string(), generation)),
        _ => None,
    });
    lost.collect()
}

/// A run that does what it should, now that all is well.
async fn recovers(store: &Store, of: &str, label: &str) {
    assert_eq!(findings(store).await, []);
    let report = collect(store, greedy()).await.unwrap();
    assert!(report.totals.deleted.blobs > 0, "{report:?}");
    assert_eq!(sound(store, of).await.as_deref(), Some(label));
    assert_eq!(lists(store).await.len(), 1);
}

#[tokio::test]
async fn a_name_that_is_gone_with_its_mark_ends_every_run_however_many_there_are() {
    let (backend, services) = seen().await;
    let store = backend.store();
    let generation = services.head("other").await.generation;
    let moved =
        Moved::aside(&backend, &["heads/other@".to_owned(), LayoutKey::Name(name("other").into()).key().to_string()]);
    for _ in 0..60 {
        assert_eq!(refused(&store).await, ("other".to_owned(), generation, HeadLoss::NoHeads));
    }
    assert_eq!(lost(&store).await, [("other".to_owned(), generation)]);
    moved.back();
    recovers(&store, "other", "o1").await;
}

#[tokio::test]
async fn a_name_that_is_gone_is_missed_although_others_were_added_and_no_report_is_left() {
    let (backend, services) = seen().await;
    let store = backend.store();
    let moved =
        Moved::aside(&backend, &["heads/other@".to_owned(), LayoutKey::Name(name("other").into()).key().to_string()]);
    for to in ["new", "newer"] {
        services.release(to, &Release::new(to, 1)).await.unwrap();
    }
    let reports: Vec<Key> = keys(&store, "collector/runs/", None, None).await.iter().map(|text| key(text)).collect();
    store.delete_all(&reports).await.unwrap();
    assert_eq!(refused(&store).await.0, "other");
    let preview = collector(&store, greedy()).preview(&CancellationToken::new(), |_| ()).await;
    assert!(matches!(preview, Err(CollectError::LostHead { .. })), "a dry run says so, too: {preview:?}");
    moved.back();
    recovers(&store, "other", "o1").await;
}

#[tokio::test]
async fn a_mark_without_heads_ends_a_run_even_if_no_run_has_ever_seen_the_name() {
    let (backend, services) = seen().await;
    let store = backend.store();
    for to in ["new", "newer"] {
        services.release(to, &Release::new(to, 1)).await.unwrap();
    }
    let moved = Moved::aside(&backend, &["heads/new@".to_owned()]);
    let before = copies(&store).await;
    let error = collect(&store, greedy()).await.unwrap_err();
    assert!(matches!(&error, CollectError::NoHeads { name, .. } if name.as_str() == "new"), "{error}");
    assert!(error.to_string().contains("remove that object") && error.to_string().contains("names/new@"), "{error}");
    assert_eq!(copies(&store).await, before);
    assert_eq!(findings(&store).await, [Finding::NoHeads { name: name("new").into() }]);
    moved.back();
    collect(&store, greedy()).await.unwrap();
}

#[tokio::test]
async fn a_name_whose_publisher_died_before_its_mark_is_listed_by_the_next_run() {
    let (backend, services) = seen().await;
    let store = backend.store();
    services.release("new", &Release::new("new", 1)).await.unwrap();
    let mark = LayoutKey::Name(name("new").into()).key();
    store.delete(&mark).await.unwrap();
    assert_eq!(findings(&store).await, [Finding::UnlistedName { name: name("new").into() }]);
    collector(&store, greedy()).preview(&CancellationToken::new(), |_| ()).await.unwrap();
    assert!(store.head(&mark).await.unwrap().is_none(), "a dry run changes nothing");
    collect(&store, greedy()).await.unwrap();
    assert!(store.head(&mark).await.unwrap().is_some());
    assert_eq!(findings(&store).await, []);
}

#[tokio::test]
async fn a_newest_head_that_is_gone_ends_every_run() {
    let (backend, services) = seen().await;
    let store = backend.store();
    let newest = services.head("main").await.generation;
    let moved = Moved::aside(&backend, &[LayoutKey::Head(name("main").into(), newest).key().to_string()]);
    for _ in 0..3 {
        let gone = HeadLoss::Gone { newest: newest - 1 };
        assert_eq!(refused(&store).await, ("main".to_owned(), newest, gone));
    }
    // Nor did any of them retire a version, which would have created a head in its place.
    assert_eq!(Services::over(&store).head("main").await.generation, newest - 1);
    assert_eq!(lost(&store).await, [("main".to_owned(), newest)]);
    moved.back();
    recovers(&store, "main", "v2").await;
}

#[tokio::test]
async fn a_head_that_was_created_in_the_place_of_a_lost_one_hides_nothing() {
    let (backend, services) = seen().await;
    let store = backend.store();
    let newest = services.head("main").await.generation;
    Moved::aside(&backend, &[LayoutKey::Head(name("main").into(), newest).key().to_string()]);
    let unaware = Services::over(&store);
    for label in ["v3", "v4"] {
        unaware.release("main", &Release::new(label, 1)).await.unwrap();
        assert_eq!(refused(&store).await, ("main".to_owned(), newest, HeadLoss::Replaced));
    }
    assert_eq!(lost(&store).await, [("main".to_owned(), newest)]);
}

#[tokio::test]
async fn a_head_that_is_gone_from_below_newer_ones_ends_a_run() {
    let (backend, services) = seen().await;
    let store = backend.store();
    let seen = services.head("main").await.generation;
    // A server that remembers the head creates the next one without it.
    Moved::aside(&backend, &[LayoutKey::Head(name("main").into(), seen).key().to_string()]);
    services.release("main", &Release::new("v3", 1)).await.unwrap();
    let newest = services.head("main").await.generation;
    assert_eq!(refused(&store).await, ("main".to_owned(), seen, HeadLoss::Gone { newest }));
}

#[tokio::test]
async fn a_store_that_was_taken_back_on_purpose_is_collected_once_the_lists_are_removed() {
    let (backend, services) = seen().await;
    let store = backend.store();
    let newest = services.head("main").await.generation;
    Moved::aside(&backend, &[LayoutKey::Head(name("main").into(), newest).key().to_string()]);
    refused(&store).await;
    for list in lists(&store).await {
        store.delete(&key(&list)).await.unwrap();
    }
    collect(&store, patient()).await.unwrap();
    assert_eq!((lists(&store).await.len(), lost(&store).await), (1, Vec::new()));
}

#[tokio::test]
async fn a_list_is_written_only_when_something_changed_and_takes_the_place_of_the_one_before() {
    let (backend, services) = seen().await;
    let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
    let first = lists(&store).await;
    assert_eq!(first.len(), 1);
    collect(&faulty.store(), patient()).await.unwrap();
    assert_eq!(lists(&store).await, first, "nothing has changed");
    services.release("main", &Release::new("v3", 1)).await.unwrap();
    collect(&store, Settings { memory: 12 * 1024, ..patient() }).await.expect("several passes");
    let second = lists(&store).await;
    assert!(second.len() == 1 && second != first, "{second:?}");
    // No age makes a run forget it.
    backend.age("collector/", Duration::from_secs(3600 * 24 * 400));
    collect(&store, Settings { reports_for: jiff::SignedDuration::ZERO, ..patient() }).await.unwrap();
    assert_eq!(lists(&store).await, second);
}

#[tokio::test]
async fn a_run_that_dies_before_it_has_replaced_a_list_leaves_two_and_both_count() {
    // A list of heads that a crash of the machine may still take back would be a lie.
    let deaths = [(Op::Persist, "heads/", 1), (Op::Commit, "collector/seen/", 1), (Op::Delete, "collector/seen/", 2)];
    for (op, of, left) in deaths {
        let (backend, services) = seen().await;
        let first = lists(&backend.store()).await;
        let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
        let main = services.head("main").await.generation;
        services.release("other", &Release::new("o2", 1)).await.unwrap();
        faulty.script(Rule::on(op).key(of).fail());
        collect(&faulty.store(), patient()).await.unwrap_err();
        let found = lists(&store).await;
        assert!(found.len() == left && found.contains(&first[0]), "{op:?}: {found:?}");
        let moved = Moved::aside(&backend, &[LayoutKey::Head(name("main").into(), main).key().to_string()]);
        assert_eq!(refused(&store).await.0, "main");
        assert_eq!(lost(&store).await.len(), 1, "once, however many lists have it");
        moved.back();
        recovers(&store, "other", "o2").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_overlaps_another_one_neither_takes_its_list_nor_is_misled_by_it() {
    let (backend, services) = seen().await;
    let (store, slow) = (backend.store(), FaultyStore::over(&backend.store()));
    services.release("other", &Release::new("o2", 1)).await.unwrap();
    let writing = slow.stall(Rule::on(Op::Begin).key("collector/seen/").nth(1));
    let run = collector(&slow.store(), patient());
    let running = tokio::spawn(async move { run.run(&CancellationToken::new()).await });
    writing.reached().await;
    services.release("main", &Release::new("v3", 1)).await.unwrap();
    collect(&store, patient()).await.unwrap();
    let newer = lists(&store).await;
    writing.release();
    running.await.unwrap().unwrap();
    // What the slow one leaves is older, and as true.
    let both = lists(&store).await;
    assert!(both.len() == 2 && newer.iter().all(|list| both.contains(list)), "{both:?}");
    let newest = services.head("main").await.generation;
    let moved = Moved::aside(&backend, &[LayoutKey::Head(name("main").into(), newest).key().to_string()]);
    assert_eq!(refused(&store).await.1, newest);
    moved.back();
    recovers(&store, "main", "v3").await;
}

#[tokio::test]
async fn a_list_that_is_replaced_while_it_is_read_is_looked_for_again() {
    let (backend, services) = seen().await;
    let (store, slow) = (backend.store(), FaultyStore::over(&backend.store()));
    services.release("other", &Release::new("o2", 1)).await.unwrap();
    let other = store.clone();
    slow.script(Rule::on(Op::Get).key("collector/seen/").nth(1).run(move || {
        let other = other.clone();
        async move { drop(collect(&other, patient()).await.unwrap()) }
    }));
    let newest = services.head("other").await.generation;
    let lost = LayoutKey::Head(name("other").into(), newest).key();
    // The newer list is the one that counts: it knows a head that is lost right after.
    let (from, to) = (path(&backend, &lost), backend.root().join("lost"));
    slow.script(Rule::on(Op::List).key("heads/").nth(1).run(move || {
        let (from, to) = (from.clone(), to.clone());
        async move { std::fs::rename(from, to).unwrap() }
    }));
    let error = collect(&slow.store(), greedy()).await.unwrap_err();
    assert!(matches!(error, CollectError::LostHead { generation, .. } if generation == newest), "{error}");
}

#[tokio::test]
async fn a_list_that_cannot_be_read_ends_a_run_and_is_named() {
    let (backend, _) = seen().await;
    let store = backend.store();
    let list = lists(&store).await.remove(0);
    let file = backend.root().join("objects").join(&list);
    let bytes = std::fs::read(&file).unwrap();
    let whole_lines = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for damaged in
        [&bytes[..bytes.len() - 5], &bytes[..whole_lines], b"", b"{\"format\":2,\"larder\":\"9\",\"names\":0}\n"]
    {
        std::fs::write(&file, damaged).unwrap();
        let before = copies(&store).await;
        let error = collect(&store, greedy()).await.unwrap_err();
        assert!(error.to_string().contains(&list), "{error}");
        assert_eq!(copies(&store).await, before);
        assert!(matches!(&findings(&store).await[..], [Finding::DamagedList { key, .. }] if *key == list));
    }
    std::fs::write(&file, &bytes).unwrap();
    put(&store, "collector/seen/.DS_Store", "").await;
    let error = collect(&store, greedy()).await.unwrap_err();
    assert!(error.to_string().contains("collector/seen/.DS_Store"), "{error}");
}
