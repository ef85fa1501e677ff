//! Copying while servers publish and collectors run.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use larder::service::PublishError;

use super::*;
use crate::support::collecting::{collect, greedy};
use crate::support::faulty::{FaultyStore, Op, Rule};

/// Has something happen at the `nth` call of a kind to the copy.
fn meanwhile<F: Future<Output = ()> + Send + 'static>(
    to: &FsBackend,
    rule: Rule,
    happen: impl Fn() -> F + Send + Sync + 'static,
) -> Store {
    let target = FaultyStore::over(&to.store());
    target.script(rule.run(happen));
    target.store()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_meanwhile_comes_with_a_later_pass() {
    // Before the first blob, between blobs and heads, and between two heads of the name.
    for rule in [
        Rule::on(Op::Begin).nth(1),
        Rule::on(Op::Create).key("heads/main@/").nth(1),
        Rule::on(Op::Create).key("heads/main@/").nth(4),
    ] {
        let (from, to) = (lived_in().await, FsBackend::quick());
        let store = from.store();
        let target = meanwhile(&to, rule, move || {
            let services = Services::over(&store);
            async move { drop(services.release("main", &Release::new("late", 2)).await.unwrap()) }
        });
        let summary = copied(&from.store(), &target).await;
        assert!(summary.passes >= 2, "{summary:?}");
        assert_eq!(sound(&to.store(), "main").await.as_deref(), Some("late"));
        assert_eq!(contents(&to.store()).await, contents(&from.store()).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_never_comes_before_what_it_refers_to() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    let (store, seen) = (from.store(), Arc::new(AtomicUsize::new(0)));
    let number = Arc::new(AtomicUsize::new(0));
    let target = FaultyStore::over(&to.store());
    // A new release in each pass, after the newest heads were noted.
    let pending = Arc::new(AtomicBool::new(false));
    let pass = Arc::clone(&pending);
    target.script(Rule::on(Op::List).key("heads/").run(move || {
        pass.store(true, Ordering::SeqCst);
        async {}
    }));
    target.script(Rule::on(Op::Begin).run(move || {
        let (services, due) = (Services::over(&store), pending.swap(false, Ordering::SeqCst));
        let release = Release::new(format!("b{}", number.fetch_add(1, Ordering::SeqCst)), 2);
        async move {
            if due {
                services.release("busy", &release).await.unwrap();
            }
        }
    }));
    let (there, looks) = (to.store(), Arc::clone(&seen));
    target.script(Rule::on(Op::Create).key("heads/").run(move || {
        let (there, looks) = (Arc::clone(&there), Arc::clone(&looks));
        async move {
            for of in ["main", "busy"] {
                sound(&there, of).await;
            }
            looks.fetch_add(1, Ordering::SeqCst);
        }
    }));
    // One at a time, so that no log grows while it is looked at.
    let (result, told) = copy_with(&from.store(), &target.store(), CopySettings { jobs: 1, ..PLAIN }).await;
    let summary = result.unwrap();
    assert!(!summary.settled && summary.finished, "{summary:?}");
    assert_eq!((told.findings.len(), told.passes), (0, 10));
    assert!(seen.load(Ordering::SeqCst) > 100, "{seen:?}");
    assert_well(&to.store()).await;
    copied(&from.store(), &to.store()).await;
    assert_eq!(contents(&to.store()).await, contents(&from.store()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_collector_takes_meanwhile_is_not_missed() {
    // Before the first blob, in the middle of them, and when heads are created that still show the versions.
    for rule in [Rule::on(Op::Begin).nth(1), Rule::on(Op::Begin).nth(20), Rule::on(Op::Create).key("heads/").nth(1)] {
        let (from, to) = (lived_in().await, FsBackend::quick());
        let store = from.store();
        let target = meanwhile(&to, rule, move || {
            let store = Arc::clone(&store);
            async move {
                let services = Services::over(&store);
                for version in ["main@1", "main@2"] {
                    services.versions.retire(&target_of(version), "old".into(), &*ACTOR).await.unwrap();
                }
                let report = collect(&store, greedy()).await.unwrap();
                assert!(report.totals.deleted.blobs > 0);
            }
        });
        copied(&from.store(), &target).await;
        assert_well(&to.store()).await;
        assert_eq!(sound(&to.store(), "main").await.as_deref(), Some("v3"));
        // What it copied before that nobody needs any more goes with the copy's own collector.
        collect(&to.store(), greedy()).await.unwrap();
        collect(&from.store(), greedy()).await.unwrap();
        assert_eq!(contents(&to.store()).await, contents(&from.store()).await);
    }
}

fn target_of(text: &str) -> larder::domain::Target {
    target(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_that_never_rest_do_not_make_a_copy_unsound() {
    let (from, to) = (lived_in().await, FsBackend::quick());
    let store = from.store();
    let publisher = tokio::spawn(async move {
        let services = Services::over(&store);
        for number in 0.. {
            let released: Result<_, PublishError> =
                services.release("busy", &Release::new(format!("b{number}"), 2)).await;
            released.unwrap();
        }
    });
    let (result, told) = copy_with(&from.store(), &to.store(), PLAIN).await;
    assert!(result.unwrap().finished);
    assert_eq!(told.findings, []);
    assert_well(&to.store()).await;
    publisher.abort();
    let _ = publisher.await;
    copied(&from.store(), &to.store()).await;
    assert_eq!(contents(&to.store()).await, contents(&from.store()).await);
    sound(&to.store(), "busy").await.unwrap();
}
