//! A copy that breaks off anywhere, and the next one.

use larder::layout::marker::{self, LayoutError};
use larder::store::StoreErrorKind;

use super::*;
use crate::support::faulty::{FaultyStore, Op, Rule};

/// A small store with everything in it that a copy treats differently.
async fn small() -> FsBackend {
    let backend = FsBackend::quick();
    let store = backend.store();
    marker::open(&*store).await.expect("an empty store");
    let services = Services::over(&store);
    services.release("main", &Release::new("v1", 1)).await.unwrap();
    services.release("main", &Release::new("v2", 1)).await.unwrap();
    services.release("other", &Release::new("theirs", 1)).await.unwrap();
    condemn(&store, Digest::of(b"long gone"), 0).await;
    backend
}

/// Cuts a copy off at each call to one of the stores, with the last call made or not, and says how many calls there are.
async fn cut_off_at_each_call(of_target: bool, lose_reply: bool) -> usize {
    let from = small().await;
    let wanted = contents(&from.store()).await;
    for nth in 1.. {
        let to = FsBackend::quick();
        let (source, target) = (FaultyStore::over(&from.store()), FaultyStore::over(&to.store()));
        let cut = if of_target { &target } else { &source };
        if lose_reply {
            cut.script(Rule::any().nth(nth).lose_reply());
            cut.script(Rule::any().from(nth + 1).fail());
        } else {
            cut.script(Rule::any().from(nth).fail());
        }
        let (result, _) = copy_with(&source.store(), &target.store(), PLAIN).await;
        // As at the end of a process: what was under way is not gone on with.
        let cut_short = cut.total() >= nth;
        let opened = marker::check(&*to.store()).await;
        match &opened {
            Ok(_) => assert_eq!(contents(&to.store()).await, wanted, "opened after call {nth}"),
            Err(LayoutError::Unmarked | LayoutError::Unfinished) => assert!(result.is_err(), "call {nth}"),
            Err(error) => panic!("call {nth}: {error}"),
        }
        // Whatever heads there are refer to nothing that is missing.
        for of in ["main", "other"] {
            sound(&to.store(), of).await;
        }
        copied(&from.store(), &to.store()).await;
        assert_eq!(contents(&to.store()).await, wanted, "again after call {nth}");
        to.finish().await;
        if !cut_short {
            assert!(result.is_ok());
            return nth - 1;
        }
    }
    unreachable!("a copy has an end")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_cut_off_at_any_call_to_the_target_is_resumed() {
    let calls = cut_off_at_each_call(true, false).await;
    assert!(calls >= 40, "only {calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_last_reply_from_the_target_is_lost_is_resumed() {
    let calls = cut_off_at_each_call(true, true).await;
    assert!(calls >= 40, "only {calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_cut_off_at_any_call_to_the_source_is_resumed() {
    let calls = cut_off_at_each_call(false, false).await;
    assert!(calls >= 20, "only {calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_broke_off_cannot_be_opened_until_it_is_finished() {
    let (from, to) = (small().await, FsBackend::quick());
    copied(&from.store(), &to.store()).await;
    Services::over(&from.store()).release("main", &Release::new("v3", 2)).await.unwrap();
    let target = FaultyStore::over(&to.store());
    target.script(Rule::on(Op::Create).key("heads/").nth(2).fail());
    copy_with(&from.store(), &target.store(), PLAIN).await.0.unwrap_err();
    let refused = marker::open(&*to.store()).await.unwrap_err();
    assert!(matches!(refused, LayoutError::Unfinished), "{refused}");
    assert!(refused.to_string().contains("run it again"), "{refused}");
    copied(&from.store(), &to.store()).await;
    assert_eq!(sound(&to.store(), "main").await.as_deref(), Some("v3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_alone_does_not_end_a_copy_of_heads() {
    let (from, to) = (small().await, FsBackend::quick());
    let target = FaultyStore::over(&to.store());
    target.script(Rule::on(Op::Create).key("heads/").lose_reply());
    copied(&from.store(), &target.store()).await;
    assert_eq!(contents(&to.store()).await, contents(&from.store()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_full_or_refuses_ends_the_copy_with_that_reason() {
    for kind in [StoreErrorKind::Full, StoreErrorKind::Denied] {
        let (from, to) = (small().await, FsBackend::quick());
        let target = FaultyStore::over(&to.store());
        target.script(Rule::on(Op::Write).nth(2).fail_as(kind));
        let (result, told) = copy_with(&from.store(), &target.store(), PLAIN).await;
        assert!(matches!(&result, Err(CopyError::Store(error)) if error.kind == kind), "{result:?}");
        assert_eq!(told.findings, [], "that is no damage");
        to.finish().await;
    }
}
