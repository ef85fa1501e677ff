//! A process that is cut off from its store at any call, and those that come after it.

use larder::domain::{Expect, State};

use super::replies::history;
use crate::support::faulty::{FaultyStore, Rule};
use crate::support::services::*;
use crate::support::store::*;

/// How a process ends at its n-th call.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The call is not made any more.
    Before,
    /// The call is made, but nobody hears of it.
    After,
}

impl End {
    fn script(self, faulty: &FaultyStore, nth: usize) {
        match self {
            Self::Before => faulty.script(Rule::any().from(nth).fail()),
            Self::After => {
                faulty.script(Rule::any().nth(nth).lose_reply());
                faulty.script(Rule::any().from(nth + 1).fail());
            }
        }
    }
}

/// A store with two versions of `main`, `v2` active, and `other` with one.
async fn prepared() -> (FsBackend, FaultyStore) {
    let backend = FsBackend::quick();
    let services = Services::over(&backend.store());
    for label in ["v1", "v2"] {
        services.release("main", &Release::new(label, 2)).await.unwrap();
    }
    services.release("other", &Release::new("theirs", 2)).await.unwrap();
    let faulty = FaultyStore::over(&backend.store());
    (backend, faulty)
}

/// Cuts `work` off at each of its calls, both ways. Afterwards `main` shows `old` or `new`, complete, and can be
/// published to; a repetition of `work` by a new process succeeds or finds it done.
async fn cut_off_at_each_call<W>(work: W, old: Option<&str>, new: Option<&str>) -> usize
where
    W: AsyncFn(&Services) -> bool,
{
    let mut calls = 0;
    for end in [End::Before, End::After] {
        for nth in 1.. {
            let (backend, faulty) = prepared().await;
            end.script(&faulty, nth);
            let done = work(&Services::over(&faulty.store())).await;
            let active = sound(&backend.store(), "main").await;
            assert!(active.as_deref() == old || active.as_deref() == new, "{active:?} after call {nth}, {end:?}");
            assert!(!done || active.as_deref() == new, "done, but {active:?} is active after call {nth}, {end:?}");
            assert_eq!(sound(&backend.store(), "other").await.as_deref(), Some("theirs"));
            let next = Services::over(&backend.store());
            assert!(work(&next).await || active.as_deref() == new, "again after call {nth}, {end:?}");
            assert_eq!(sound(&backend.store(), "main").await.as_deref(), new, "again after call {nth}, {end:?}");
            next.release("main", &Release::new("next", 2)).await.unwrap();
            assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("next"));
            if faulty.total() < nth {
                assert!(done);
                calls = nth - 1;
                break;
            }
        }
    }
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_cut_off_anywhere_shows_the_old_version_or_the_new_one() {
    let publish = async |services: &Services| services.release("main", &Release::new("v3", 2)).await.is_ok();
    let calls = cut_off_at_each_call(publish, Some("v2"), Some("v3")).await;
    assert!(calls >= 20, "only {calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_cut_off_anywhere_shows_the_old_version_or_the_new_one() {
    let promote = async |services: &Services| {
        services.versions.promote(&target("main@1"), Expect::Anything, &*ACTOR).await.is_ok()
    };
    let calls = cut_off_at_each_call(promote, Some("v2"), Some("v1")).await;
    assert!(calls >= 3, "only {calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_cut_off_anywhere_shows_the_old_version_or_the_new_one() {
    let copy = async |services: &Services| {
        services.versions.copy(&target("other"), &name("main"), activate(), &*ACTOR).await.is_ok()
    };
    let calls = cut_off_at_each_call(copy, Some("v2"), Some("theirs")).await;
    assert!(calls >= 10, "only {calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_cut_off_anywhere_happened_or_did_not() {
    let delete = async |services: &Services| {
        services.versions.delete(&name("main"), Expect::Anything, "test".into(), &*ACTOR).await.is_ok()
    };
    let calls = cut_off_at_each_call(delete, Some("v2"), None).await;
    assert!(calls >= 3, "only {calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_cut_off_anywhere_is_there_or_not() {
    for end in [End::Before, End::After] {
        for nth in 1..20 {
            let (backend, faulty) = prepared().await;
            end.script(&faulty, nth);
            let pinned = Services::over(&faulty.store()).versions.pin(&target("main@1"), true, &*ACTOR).await.is_ok();
            let services = Services::over(&backend.store());
            let row = services.resolve.row(&target("main@1"), AsOf::Now).await.unwrap().row;
            assert!(row.is_pinned() || !pinned, "call {nth}, {end:?}");
            services.versions.pin(&target("main@1"), true, &*ACTOR).await.unwrap();
            let refused = services.versions.retire(&target("main@1"), "old".into(), &*ACTOR).await;
            refused.expect_err("a pinned version stays");
            sound(&backend.store(), "main").await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_the_process_that_prepared_it() {
    let (backend, _) = prepared().await;
    let release = Release::new("v3", 2);
    let first = Services::over(&backend.store());
    first.publish.prepare(&name("main"), release.manifest(), &activate(), &*ACTOR).await.unwrap();
    drop(first);
    let second = Services::over(&backend.store());
    let (row, missing) = second.publish.session(&name("main"), 3).await.unwrap();
    assert_eq!((row.state, missing.len()), (State::Prepared, 2));
    second.upload_all(&release).await.unwrap();
    drop(second);
    let third = Services::over(&backend.store());
    third.publish.commit(&name("main"), 3, activate(), &*ACTOR).await.unwrap();
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v3"));
    assert_eq!(history(&backend.store()).await.len(), 3);
}
