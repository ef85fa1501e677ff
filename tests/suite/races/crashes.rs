//! Collectors and publishers that die at any call: R10.

use super::{
    End, assert_only, collect, collect_impatiently, end_of, few_of_many, readers::served, stored_blobs, try_collect,
    v1, v2, with_releases,
};
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;

/// How a process dies at a call.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// Before the call was made.
    Before,
    /// After it was made.
    After,
}

/// Lets no call through from the `nth` on.
fn die(faulty: &FaultyStore, death: Death, nth: usize) {
    match death {
        Death::Before => faulty.script(Rule::any().from(nth).fail()),
        Death::After => {
            faulty.script(Rule::any().nth(nth).lose_reply());
            faulty.script(Rule::any().from(nth + 1).fail());
        }
    }
}

fn v3() -> Release {
    Release::new("v3", 2)
}

/// A run that dies at a call, after a publisher began to rely on what it was about to condemn. Returns whether it died, and
/// how many calls it made.
async fn collector_dies(death: Death, nth: usize) -> (bool, usize) {
    let backend = with_releases(&[v1(), v2()]).await;
    let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
    let services = Services::over(&store);
    services.upload_all(&v3()).await.unwrap();
    let (publisher, tasks) = (services.clone(), tokio_util::task::TaskTracker::new());
    let tracker = tasks.clone();
    faulty.script(Rule::on(Op::Create).key(".condemned").nth(1).run(move || {
        let publisher = publisher.clone();
        // In a task of its own, so that it does not die with the collector.
        let task = tracker.spawn(async move { publisher.publish_only("main", &v3(), activate()).await });
        async move { drop(task.await.unwrap().unwrap()) }
    }));
    die(&faulty, death, nth);
    let (survived, calls) = (try_collect(&faulty.store()).await.is_ok(), faulty.total());
    tasks.close();
    tasks.wait().await;
    let at = format!("{death:?} call {nth}");
    let active = served(&store, "main").await;
    assert!(["v2", "v3"].contains(&active.as_str()), "{active} is active, {at}");
    // Nobody need wait for the next run, and that clears up whatever is left.
    services.release("other", &v1()).await.unwrap();
    collect(&store).await;
    assert_eq!(sound(&store, "main").await.as_deref(), Some(active.as_str()), "{at}");
    assert_eq!(sound(&store, "other").await.as_deref(), Some("v1"), "{at}");
    assert_only(&store, &[v1(), if active == "v2" { v2() } else { v3() }]).await;
    (!survived, calls)
}

/// R10. Who suffers: whoever's version refers to bytes that a dead process deleted first, or whoever pays for bytes that a
/// dead process forgot. Metadata goes first and bytes last, and the next run goes on where the dead one stopped.
#[tokio::test(flavor = "multi_thread")]
async fn r10_a_collector_dies_at_any_call() {
    for death in [Death::Before, Death::After] {
        let (_, calls) = collector_dies(death, 10_000).await;
        for nth in few_of_many(calls) {
            let (died, _) = collector_dies(death, nth).await;
            assert!(died || nth > calls, "{death:?} call {nth}");
        }
        assert!(calls > 90, "a run makes only {calls} calls");
    }
}

/// A pipeline that dies at a call. `false` when it made fewer calls.
async fn publisher_dies(death: Death, nth: usize) -> bool {
    let backend = with_releases(&[v1()]).await;
    let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
    die(&faulty, death, nth);
    let survived = Services::over(&faulty.store()).release("main", &v2()).await.is_ok();
    let at = format!("{death:?} call {nth}");
    let active = sound(&store, "main").await.unwrap();
    assert!(active == "v2" || (active == "v1" && !survived), "{active} is active, {at}");
    // A version that is still prepared keeps its bytes, and no longer than it may take.
    let before = stored_blobs(&store).await;
    collect(&store).await;
    assert_eq!(sound(&store, "main").await.as_deref(), Some(active.as_str()), "{at}");
    let prepared = Services::over(&store).rows("main").await.iter().any(|row| row.state.is_root() && row.number == 2);
    assert!(!prepared || active == "v2" || stored_blobs(&store).await == before, "{at}");
    collect_impatiently(&store).await;
    assert_only(&store, &[if active == "v1" { v1() } else { v2() }]).await;
    assert_eq!(end_of(Services::over(&store).release("main", &v2()).await), End::Done, "{at}");
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"), "{at}");
    !survived
}

/// R10, for publishers.
#[tokio::test(flavor = "multi_thread")]
async fn r10_a_publisher_dies_at_any_call() {
    for death in [Death::Before, Death::After] {
        let mut calls = 0;
        while publisher_dies(death, calls + 1).await {
            calls += 1;
        }
        assert!(calls > 15, "a publish makes only {calls} calls");
    }
}
