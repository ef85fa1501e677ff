//! Collectors that meet each other, and stores that they must not trust: R9, R11, R12.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use larder::layout::LayoutKey;
use larder::service::publish::Prepared;
use larder::upkeep::collect::{CollectError, Outcome, Report, RunSummary, Runs};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    End, assert_only, at_every_call, collect, collector, end_of, keep_nothing, stored_blobs, try_collect, v1, v2,
    with_releases,
};
use crate::support::faulty::{FaultyStore, Op, Rule, Stall};
use crate::support::services::*;
use crate::support::store::*;

/// Where a run can be stopped: before its first marking, its planning, its plan, its first tombstone, its second marking,
/// before the heads are made durable, before its first delete, and before its report.
const STEPS: [(Op, &str, usize); 8] = [
    (Op::List, "heads/", 1),
    (Op::List, "blobs/", 1),
    (Op::Begin, ".plan-", 1),
    (Op::Create, ".condemned", 1),
    (Op::List, "heads/", 2),
    (Op::Persist, "heads/", 1),
    (Op::Delete, "blobs/", 1),
    (Op::Create, ".report", 1),
];

/// A run that was stopped somewhere, or that had nothing to do there and ended.
struct Stopped {
    run: JoinHandle<Result<Report, CollectError>>,
    stall: Stall,
}

impl Stopped {
    async fn at((op, key, nth): (Op, &str, usize), store: &Store) -> Self {
        let faulty = FaultyStore::over(store);
        let stall = faulty.stall(Rule::on(op).key(key).nth(nth));
        let collector = collector(&faulty.store(), keep_nothing());
        let run = tokio::spawn(async move { collector.run(&CancellationToken::new()).await });
        tokio::select! {
            () = stall.reached() => {}
            () = async { while !run.is_finished() { tokio::task::yield_now().await } } => {}
        }
        Self { run, stall }
    }

    /// Lets it go on to its end.
    async fn finish(self) {
        self.stall.release();
        let report = self.run.await.unwrap().expect("a run that completes");
        assert_eq!(report.totals.lost, 0, "{report:?}");
    }
}

/// A store with a version that was retired, and none that will be.
async fn with_garbage() -> FsBackend {
    let backend = with_releases(&[v1(), v2()]).await;
    let services = Services::over(&backend.store());
    services.versions.retire(&target("main@1"), "a test".into(), &*ACTOR).await.unwrap();
    backend
}

/// R9. Who suffers: everybody, when two collectors undo each other's care. Here two of them are stopped at each pair of
/// their steps while the release that they take away is published again, and go on in this or that order.
#[tokio::test(flavor = "multi_thread")]
async fn r09_two_collectors_stall_at_every_pair_of_steps() {
    let pairs = (0..STEPS.len()).flat_map(|one| (0..STEPS.len()).map(move |two| (one, two)));
    for (first, second) in pairs {
        let (one, two) = (STEPS[first], STEPS[second]);
        let backend = with_garbage().await;
        let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
        let left = Stopped::at(one, &store).await;
        // The publish begins between the two collectors, and is committed after one of them has ended.
        let committing = faulty.stall(Rule::on(Op::Create).key("heads/").nth(2));
        let slow = Services::over(&faulty.store());
        let publishing = tokio::spawn(async move { slow.release("main", &v1()).await });
        committing.reached().await;
        let right = Stopped::at(two, &store).await;
        let (sooner, later) = if (first + second) % 2 == 0 { (left, right) } else { (right, left) };
        sooner.finish().await;
        committing.release();
        assert_eq!(end_of(publishing.await.unwrap()), End::Done, "{one:?} {two:?}");
        later.finish().await;
        assert_eq!(super::readers::served(&store, "main").await, "v1", "{one:?} {two:?}");
        assert_only(&store, &[v1()]).await;
        assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"), "{one:?} {two:?}");
    }
}

/// R9, at every point: a whole run before any call of another.
#[tokio::test(flavor = "multi_thread")]
async fn r09_a_collector_runs_before_any_call_of_another() {
    let other = |store: Store| -> BoxFuture<'static, ()> { Box::pin(async move { drop(collect(&store).await) }) };
    let run = async |store: Store| collect(&store).await;
    at_every_call([v1(), v2()], run, other, async |store, report, nth| {
        assert_eq!(report.totals.lost, 0, "before call {nth}");
        assert_eq!(sound(store, "main").await.as_deref(), Some("v2"), "before call {nth}");
        assert_only(store, &[v2()]).await;
    })
    .await;
}

/// R9, for alarms. One collector has deleted what a session needs before it began; to another the session shows that they
/// are needed after all. Nothing is lost: the session's client is told what to send.
#[tokio::test(flavor = "multi_thread")]
async fn r09_what_another_collector_took_before_a_session_began_is_not_called_lost() {
    let backend = with_releases(&[v1()]).await;
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    services.upload_all(&v2()).await.unwrap();
    let slow = Stopped::at((Op::List, "heads/", 2), &store).await;
    assert_eq!(collect(&store).await.totals.deleted.blobs, 2);
    services.publish.prepare(&name("main"), v2().manifest(), &activate(), &*ACTOR).await.unwrap();
    slow.finish().await;
    services.upload_all(&v2()).await.unwrap();
    services.publish.commit(&name("main"), 2, activate(), &*ACTOR).await.unwrap();
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"));
}

/// The commit of a session does not look again for what was there when it was prepared: a run that began before, and
/// condemns it after, sees the session when it marks again.
#[tokio::test]
async fn a_session_keeps_what_was_there_from_a_run_that_stalls_before_its_tombstones() {
    for committed_first in [true, false] {
        let backend = with_releases(&[v1()]).await;
        let (store, services) = (backend.store(), Services::over(&backend.store()));
        services.upload_all(&v2()).await.unwrap();
        let slow = Stopped::at((Op::Create, ".condemned", 1), &store).await;
        let session = services.publish.prepare(&name("main"), v2().manifest(), &activate(), &*ACTOR).await.unwrap();
        assert!(matches!(session, Prepared::Session(_, missing) if missing.is_empty()), "all are there");
        let commit = async || services.publish.commit(&name("main"), 2, activate(), &*ACTOR).await.unwrap();
        if committed_first {
            commit().await;
            slow.finish().await;
        } else {
            slow.finish().await;
            commit().await;
        }
        assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"));
    }
}

/// Asserts that a run ends in an error that says this, deletes nothing, and says the same in its report.
async fn assert_refuses(store: &Store, faulty: &FaultyStore, says: &str) {
    let before = stored_blobs(store).await;
    let error = try_collect(&faulty.store()).await.expect_err(says).to_string();
    assert!(error.contains(says), "{error:?} does not say {says:?}");
    assert_eq!(stored_blobs(store).await, before, "{error}");
    let runs = Runs::new(store.clone()).page(None, 1).await.unwrap();
    if let [RunSummary::Ended(report)] = &runs[..] {
        assert_eq!((report.outcome, report.error.as_deref()), (Outcome::Failed, Some(&*error)));
        assert_eq!(report.totals.deleted.blobs, 0);
    } else {
        panic!("{runs:?}")
    }
}

/// Fails, or breaks off, the `nth` call of a kind. `None` when a run makes fewer of them, else whether it failed.
async fn run_in_doubt(op: Op, key: &str, nth: usize, breaks_off: bool) -> Option<bool> {
    let backend = with_releases(&[v1(), v2()]).await;
    let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
    let rule = || Rule::on(op).key(key).nth(nth);
    let reached = Arc::new(AtomicBool::new(false));
    let mark = Arc::clone(&reached);
    faulty.script(rule().run(move || {
        mark.store(true, Ordering::SeqCst);
        std::future::ready(())
    }));
    faulty.script(if breaks_off { rule().lose_reply() } else { rule().fail() });
    let before = stored_blobs(&store).await;
    let error = try_collect(&faulty.store()).await.err();
    let (reached, failed) = (reached.load(Ordering::SeqCst), error.is_some());
    // A listing may break off behind what it was asked for.
    assert!(failed || breaks_off || !reached, "{op:?} of {key} {nth} failed, and yet the run completed");
    if let Some(error) = error {
        assert!(error.to_string().contains(key), "{error}");
        assert_eq!(stored_blobs(&store).await, before, "{error}");
    }
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"));
    assert_only(&store, &[v2()]).await;
    reached.then_some(failed)
}

/// R11. Who suffers: whoever's releases were on the page of the listing that failed. Larder takes no listing for complete
/// that was cut short and no failed read for absence: the run ends and deletes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn r11_a_run_that_cannot_list_or_read_deletes_nothing() {
    // What a run lists, gets and asks for before its first delete.
    let calls =
        [(Op::List, "heads/"), (Op::List, "blobs/"), (Op::Get, "heads/"), (Op::Get, "blobs/"), (Op::Head, "heads/")];
    for (op, key) in calls {
        for breaks_off in [false, true] {
            let mut failures = 0;
            for nth in 1.. {
                match run_in_doubt(op, key, nth, breaks_off).await {
                    Some(failed) => failures += usize::from(failed),
                    None => break,
                }
            }
            assert!(failures > 0, "no {op:?} of {key} ends a run");
        }
    }
}

/// R11, for damage: what cannot be understood may be a reference, so nothing goes until a person has looked.
#[tokio::test(flavor = "multi_thread")]
async fn r11_a_run_that_finds_damage_says_where_and_deletes_nothing() {
    let head = LayoutKey::Head(name("main").into(), 4).key();
    let manifest = LayoutKey::Blob(v2().digest(), 0).key();
    let other = v2().manifest().to_vec();
    let flipped = String::from_utf8(other.clone()).unwrap().replace("file-0", "file-9");
    let damages: [(&larder::store::Key, &[u8], &str); 5] = [
        (&head, b"{", "heads/main@/"),
        (&head, b"", "heads/main@/"),
        (&head, br#"{"format": 2}"#, "heads/main@/"),
        (&manifest, flipped.as_bytes(), manifest.as_str()),
        (&manifest, &other[..10], manifest.as_str()),
    ];
    for (key, bytes, says) in damages {
        let backend = with_releases(&[v1(), v2()]).await;
        backend.store().delete(key).await.unwrap();
        backend.plant(key, bytes);
        assert_refuses(&backend.store(), &FaultyStore::over(&backend.store()), says).await;
    }
    let backend = with_releases(&[v1(), v2()]).await;
    backend.store().delete(&manifest).await.unwrap();
    assert_refuses(&backend.store(), &FaultyStore::over(&backend.store()), "main@2").await;
    // No head at all is no reason to delete everything.
    let backend = with_releases(&[v1(), v2()]).await;
    for generation in 1..=4 {
        backend.store().delete(&LayoutKey::Head(name("main").into(), generation).key()).await.unwrap();
    }
    backend.age("names/", std::time::Duration::from_secs(600));
    assert_refuses(&backend.store(), &FaultyStore::over(&backend.store()), "main has no heads").await;
}

/// R11, for strangers: an object that this version does not know may be a reference of a later one.
#[tokio::test(flavor = "multi_thread")]
async fn r11_a_run_that_finds_an_unknown_key_says_which_and_deletes_nothing() {
    let blob = LayoutKey::Blob(v2().file(0), 0).key();
    let odd = [format!("{blob}.strange"), format!("{blob}0.condemned.twice"), blob.as_str().replace(".0", ".00")];
    let elsewhere = [
        "audit/1",
        "strange",
        "zzz/strange",
        "blobs/strange",
        "blobs/md5/00/00/strange",
        "blobs/sha256/strange",
        "blobs/sha256/00/strange",
        "blobs/sha256/ff/ff/strange",
        "blobs/zzz",
        "heads/strange",
        "heads/main/strange",
        "heads/main/@/18/446/744/073/709/551/614",
        "heads/main/@x/0/strange@/z998",
        "heads/main@/0",
        "heads/other/@/strange",
        "heads/other@/z99",
        "names/0",
        "segments/strange",
        "collector/0",
    ];
    for strange in odd.iter().map(String::as_str).chain(elsewhere) {
        let backend = with_releases(&[v1(), v2()]).await;
        put(&backend.store(), strange, "").await;
        assert_refuses(&backend.store(), &FaultyStore::over(&backend.store()), strange).await;
    }
}

/// R12. Who suffers: whoever was told "stored" and finds nothing after a crash. Any call that makes something durable may
/// fail here; then nothing is acknowledged, or it is all there.
#[tokio::test(flavor = "multi_thread")]
async fn r12_nothing_is_acknowledged_that_was_not_made_durable() {
    for (op, sent_before) in [(Op::Commit, false), (Op::Create, false), (Op::Persist, false), (Op::Persist, true)] {
        for nth in 1.. {
            let backend = with_releases(&[v1()]).await;
            let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
            if sent_before {
                // By another process, which may still be in the middle of making them durable.
                Services::over(&store).upload_all(&v2()).await.unwrap();
            }
            faulty.script(Rule::on(op).nth(nth).fail());
            let result = Services::over(&faulty.store()).release("main", &v2()).await;
            if faulty.calls(op) < nth {
                assert!(result.is_ok() && nth > 1, "{op:?} {nth}");
                break;
            }
            if result.is_ok() {
                let lacks = keys(&store, "aux/members/", None, None).await.len() < 2;
                assert!(lacks && op == Op::Create, "{op:?} {nth} failed, and yet it was acknowledged");
                // Only the index lacks an entry, which proves nothing by itself.
                assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"), "{op:?} {nth}");
                continue;
            }
            assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"), "{op:?} {nth}");
            assert_eq!(end_of(Services::over(&store).release("main", &v2()).await), End::Done);
            assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"), "{op:?} {nth}");
        }
    }
}

/// R12, for deletes: a head that a crash takes back must not have cost the bytes that its predecessor needs.
#[tokio::test]
async fn r12_nothing_is_deleted_before_the_heads_that_allow_it_are_durable() {
    for (op, key) in [(Op::Commit, ".plan-"), (Op::Create, ".condemned"), (Op::Persist, "heads/main@/")] {
        let backend = with_garbage().await;
        let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
        faulty.script(Rule::on(op).key(key).fail());
        assert_refuses(&store, &faulty, key).await;
        assert_eq!(faulty.calls(Op::Delete), 0, "{op:?} of {key}");
        assert_only(&store, &[v2()]).await;
    }
}
