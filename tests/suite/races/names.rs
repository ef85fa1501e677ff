//! Names that people and collectors change at the same time: R7, R8.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use larder::domain::{Expect, State};
use larder::protocol::ChangeError;
use larder::service::ResolveError;
use larder::service::versions::CopyError;

use super::{End, assert_only, at_every_call, collect, end_of, end_of_change, v1, v2};
use crate::support::services::*;
use crate::support::store::*;

/// The state of the first version.
async fn first(store: &Store) -> State {
    Services::over(store).rows("main").await[0].state
}

/// What a change comes to that a collector may have forestalled: made, or refused because the version is retired.
fn made<T>(result: Result<T, ChangeError>) -> bool {
    result.map_err(|error| assert_eq!(end_of_change(&error), End::Retired)).is_ok()
}

fn pin_first(store: &Store) -> impl Future<Output = Result<larder::service::Receipt, ChangeError>> + Send + use<> {
    let services = Services::over(store);
    async move { services.versions.pin(&target("main@1"), true, &*ACTOR).await }
}

/// Asserts that the first version is there for good if it was pinned, and retired for good if not.
async fn assert_kept_if(store: &Store, pinned: bool, at: &str) {
    let expected = if pinned { State::Archived } else { State::Retired };
    for _ in 0..2 {
        assert_eq!(first(store).await, expected, "{at}");
        assert_eq!(sound(store, "main").await.as_deref(), Some("v2"), "{at}");
        assert_only(store, if pinned { vec![v1(), v2()] } else { vec![v2()] }.iter()).await;
    }
}

/// R7. Who suffers: whoever pins an old version and finds it gone, because retention had decided already. Both go through
/// the head of the name: either the pin is there and the version stays, or the pin is refused.
#[tokio::test(flavor = "multi_thread")]
async fn r07_a_pin_comes_before_any_call_of_a_run() {
    let pins = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pins);
    let pin = move |store: Store| -> BoxFuture<'static, ()> {
        let counted = Arc::clone(&counted);
        Box::pin(async move {
            let pinned = made(pin_first(&store).await);
            counted.fetch_add(usize::from(pinned), Ordering::SeqCst);
        })
    };
    let before = AtomicUsize::new(0);
    let calls = at_every_call(
        [v1(), v2()],
        async |store| collect(&store).await,
        pin,
        async |store, report, nth| {
            let pinned = pins.load(Ordering::SeqCst) > before.load(Ordering::SeqCst);
            before.store(pins.load(Ordering::SeqCst), Ordering::SeqCst);
            assert_eq!(report.totals.expired, u64::from(!pinned), "before call {nth}");
            assert_kept_if(store, pinned, &format!("before call {nth}")).await;
        },
    );
    let calls = calls.await;
    let pins = pins.load(Ordering::SeqCst);
    assert!((5..calls / 2).contains(&pins), "{pins} of {calls} pins came in time");
}

/// R7, with a rollback in place of the pin: readers get the old version, whole, or the rollback is refused.
#[tokio::test(flavor = "multi_thread")]
async fn r07_a_rollback_comes_before_any_call_of_a_run() {
    let roll_back = |store: Store| -> BoxFuture<'static, ()> {
        Box::pin(async move {
            made(Services::over(&store).versions.promote(&target("main@1"), Expect::Anything, &*ACTOR).await);
        })
    };
    let run = async |store: Store| collect(&store).await;
    at_every_call([v1(), v2()], run, roll_back, async |store, _, nth| {
        let active = match first(store).await {
            State::Active => v1(),
            State::Retired => v2(),
            other => panic!("{other:?} before call {nth}"),
        };
        for _ in 0..2 {
            assert_eq!(sound(store, "main").await, Some(active.label.clone()), "before call {nth}");
            assert_only(store, [&active]).await;
        }
    })
    .await;
}

/// R7, the other way round: a whole run before any call that pinning makes.
#[tokio::test(flavor = "multi_thread")]
async fn r07_a_run_comes_before_any_call_of_a_pin() {
    let run = |store: Store| -> BoxFuture<'static, ()> { Box::pin(async move { drop(collect(&store).await) }) };
    let pin = async |store: Store| made(pin_first(&store).await);
    let calls = at_every_call([v1(), v2()], pin, run, async |store, pinned, nth| {
        assert_kept_if(store, pinned, &format!("before call {nth}")).await;
    });
    assert!(calls.await >= 4);
}

/// R7 for names: a version is copied to another name while the collector takes it from the first. The other name has all of
/// it or does not exist.
#[tokio::test(flavor = "multi_thread")]
async fn r07_a_run_comes_before_any_call_of_a_copy() {
    let run = |store: Store| -> BoxFuture<'static, ()> { Box::pin(async move { drop(collect(&store).await) }) };
    let copy = async |store: Store| {
        let services = Services::over(&store);
        services.versions.copy(&target("main@1"), &name("other"), activate(), &*ACTOR).await
    };
    let calls = at_every_call([v1(), v2()], copy, run, async |store, copied, nth| {
        let done = match copied {
            Err(CopyError::From(ResolveError::Retired(_))) => false,
            Err(CopyError::From(other)) => panic!("before call {nth}: {other}"),
            Err(CopyError::To(error)) => end_of(Err(error)) == End::Done,
            Ok(receipt) => end_of(Ok(receipt)) == End::Done,
        };
        let active = sound(store, "other").await;
        assert_eq!(active.as_deref(), done.then_some("v1"), "before call {nth}");
        assert_only(store, if done { vec![v1(), v2()] } else { vec![v2()] }.iter()).await;
        assert_eq!(sound(store, "other").await, active, "before call {nth}");
    });
    assert!(calls.await > 10);
}

/// R8. Who suffers: whoever publishes through one replica while another writes the same index, and whose release is in
/// neither afterwards. A head is created only if it is absent, so a replica that lost the race builds on the winner.
#[tokio::test(flavor = "multi_thread")]
async fn r08_two_replicas_publish_and_a_collector_retires_at_every_head() {
    let other = |store: Store| -> BoxFuture<'static, ()> {
        Box::pin(async move {
            Services::over(&store).release("main", &Release::new("theirs", 2)).await.unwrap();
            collect(&store).await;
        })
    };
    let ours = async |store: Store| end_of(Services::over(&store).release("main", &Release::new("ours", 2)).await);
    at_every_call([v1()], ours, other, async |store, end, nth| {
        let rows = Services::over(store).rows("main").await;
        let state_of = |wanted: &str| {
            let mut rows = rows.iter().filter(|row| row.state != State::Aborted && label(row) == wanted);
            rows.next().map(|row| row.state)
        };
        let expected = match end {
            End::Done if state_of("ours") == Some(State::Active) => "ours",
            // It committed first.
            End::Done => "theirs",
            End::Missing(_) | End::Busy => {
                assert_eq!(state_of("ours"), None, "before call {nth}: refused");
                "theirs"
            }
            other => panic!("{other:?} before call {nth}"),
        };
        assert!(state_of("theirs").is_some(), "before call {nth}: the other publish was acknowledged");
        assert!(end != End::Done || state_of("ours").is_some(), "before call {nth}: ours was acknowledged");
        assert_eq!(sound(store, "main").await.as_deref(), Some(expected), "before call {nth}");
        assert_only(store, [&Release::new(expected, 2)]).await;
    })
    .await;
}
