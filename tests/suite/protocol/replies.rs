//! Single failures: a call that was not made, and a call whose reply was lost.

use larder::domain::State;
use larder::service::PublishError;
use larder::store::StoreErrorKind;

use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

/// The key part of all heads of the name used here.
pub const HEADS: &str = "heads/main@/";

/// A store in which `main` has a first version, and a script over it.
pub async fn with_first_version() -> (FsBackend, FaultyStore) {
    let backend = FsBackend::quick();
    Services::over(&backend.store()).release("main", &Release::new("v1", 2)).await.unwrap();
    let faulty = FaultyStore::over(&backend.store());
    (backend, faulty)
}

/// Labels and states of all versions, oldest first.
pub async fn history(store: &Store) -> Vec<(String, State)> {
    let rows = Services::over(store).rows("main").await;
    rows.iter().filter(|row| row.state != State::Aborted).map(|row| (label(row), row.state)).collect()
}

#[tokio::test]
async fn a_lost_reply_to_the_commit_is_recognised_as_ours() {
    let (backend, faulty) = with_first_version().await;
    faulty.script(Rule::on(Op::Create).key(HEADS).nth(2).lose_reply());
    let receipt = Services::over(&faulty.store()).release("main", &Release::new("v2", 2)).await.unwrap();
    assert_eq!((receipt.row.number, receipt.unchanged), (2, false));
    assert_eq!(history(&backend.store()).await, [("v1".into(), State::Archived), ("v2".into(), State::Active)]);
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v2"));
    assert_eq!(receipt.generation, 4, "prepared and committed once each");
}

#[tokio::test]
async fn lost_replies_to_all_heads_still_make_one_version() {
    let (backend, faulty) = with_first_version().await;
    faulty.script(Rule::on(Op::Create).key(HEADS).lose_reply());
    let receipt = Services::over(&faulty.store()).release("main", &Release::new("v2", 2)).await.unwrap();
    assert_eq!((receipt.row.number, receipt.generation), (2, 4));
    assert_eq!(history(&backend.store()).await.len(), 2);
}

#[tokio::test]
async fn a_lost_reply_to_the_first_publish_of_a_name_makes_one_version() {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    faulty.script(Rule::on(Op::Create).key(HEADS).lose_reply());
    Services::over(&faulty.store()).release("main", &Release::new("v1", 2)).await.unwrap();
    assert_eq!(history(&backend.store()).await, [("v1".into(), State::Active)]);
}

#[tokio::test]
async fn a_lost_reply_is_not_mistaken_for_ours_when_somebody_else_won() {
    let (backend, faulty) = with_first_version().await;
    let rival = Services::over(&backend.store());
    faulty.script(Rule::on(Op::Create).key(HEADS).nth(2).run(move || {
        let rival = rival.clone();
        async move {
            rival.release("main", &Release::new("rival", 2)).await.unwrap();
        }
    }));
    faulty.script(Rule::on(Op::Create).key(HEADS).nth(2).lose_reply());
    let receipt = Services::over(&faulty.store()).release("main", &Release::new("ours", 2)).await.unwrap();
    let expected = [("v1", State::Archived), ("ours", State::Active), ("rival", State::Archived)];
    assert_eq!(history(&backend.store()).await, expected.map(|(label, state)| (label.to_owned(), state)));
    assert_eq!(receipt.previous, Some(3), "the rival's version was active before ours");
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("ours"));
}

#[tokio::test]
async fn a_head_that_may_have_been_made_is_reported_and_settled_by_a_retry() {
    let (backend, faulty) = with_first_version().await;
    faulty.script(Rule::on(Op::Create).key(HEADS).nth(2).lose_reply());
    let (services, release) = (Services::over(&faulty.store()), Release::new("v2", 2));
    services.upload_all(&release).await.unwrap();
    // Neither can the store be asked what became of it.
    faulty.script(Rule::on(Op::Create).key(HEADS).nth(2).run({
        let faulty = faulty.clone();
        move || {
            let faulty = faulty.clone();
            async move { faulty.script(Rule::on(Op::Get).key(HEADS).nth(1).fail()) }
        }
    }));
    let error = services.publish_only("main", &release, activate()).await.unwrap_err();
    assert!(is_unavailable(&error), "{error:?}");
    let retried = services.publish_only("main", &release, activate()).await.unwrap();
    assert!(retried.unchanged && retried.row.number == 2, "{retried:?}");
    assert_eq!(history(&backend.store()).await.len(), 2);
}

pub fn is_unavailable(error: &PublishError) -> bool {
    use larder::protocol::ChangeError::Store;
    matches!(error, PublishError::Change(Store(error)) if error.kind == StoreErrorKind::Unavailable)
}

/// Publishes a second version while one call after the other fails.
async fn fail_each_call(fail: impl Fn(Rule) -> Rule) -> usize {
    for nth in 1.. {
        let (backend, faulty) = with_first_version().await;
        faulty.script(fail(Rule::any().nth(nth)));
        let (services, release) = (Services::over(&faulty.store()), Release::new("v2", 2));
        let published = services.release("main", &release).await;
        if faulty.total() < nth {
            assert_eq!(published.unwrap().row.number, 2);
            return nth - 1;
        }
        let active = sound(&backend.store(), "main").await;
        if let Err(error) = &published {
            assert!(is_unavailable(error), "call {nth}: {error:?}");
            assert_eq!(active.as_deref(), Some("v1"), "the publish failed at call {nth}");
            let left = history(&backend.store()).await;
            assert_eq!(left, [("v1".into(), State::Active)], "given up after call {nth}");
        } else {
            assert_eq!(active.as_deref(), Some("v2"), "the publish survived call {nth}");
        }
        services.release("main", &release).await.unwrap();
        assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v2"), "after call {nth}");
        assert_eq!(history(&backend.store()).await.len(), 2, "published once, after call {nth}");
    }
    unreachable!("a publish makes so many calls and no more");
}

#[tokio::test]
async fn a_publish_that_fails_at_any_one_call_leaves_the_name_as_it_was() {
    let calls = fail_each_call(Rule::fail).await;
    assert!(calls >= 20, "only {calls} calls");
}

#[tokio::test]
async fn a_publish_that_loses_any_one_reply_happens_once_or_not_at_all() {
    let calls = fail_each_call(Rule::lose_reply).await;
    assert!(calls >= 20, "only {calls} calls");
}

#[tokio::test]
async fn a_first_publish_that_failed_leaves_a_name_that_can_be_published_to() {
    for nth in 1.. {
        let backend = FsBackend::quick();
        let faulty = FaultyStore::over(&backend.store());
        faulty.script(Rule::any().nth(nth).fail());
        let (services, release) = (Services::over(&faulty.store()), Release::new("v1", 1));
        let published = services.release("main", &release).await;
        if faulty.total() < nth {
            published.unwrap();
            break;
        }
        let expected = published.is_ok().then_some("v1");
        assert_eq!(sound(&backend.store(), "main").await.as_deref(), expected, "call {nth}");
        services.release("main", &release).await.unwrap();
        assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v1"), "call {nth}");
        assert!(all_keys(&backend.store()).await.contains(&"names/main@".to_owned()), "the name is listed");
    }
}

#[tokio::test]
async fn a_session_that_is_asked_for_again_survives_a_failure_of_the_store() {
    let backend = FsBackend::quick();
    let release = Release::new("v1", 2);
    let services = Services::over(&backend.store());
    services.publish.prepare(&name("main"), release.manifest(), &activate(), &*ACTOR).await.unwrap();
    let faulty = FaultyStore::over(&backend.store());
    let file = format!("blobs/sha256/{}", &release.file(1).hex()[..2]);
    faulty.script(Rule::on(Op::List).key(&file).fail());
    let again = Services::over(&faulty.store());
    again.publish.prepare(&name("main"), release.manifest(), &activate(), &*ACTOR).await.unwrap_err();
    let (row, missing) = services.publish.session(&name("main"), 1).await.unwrap();
    assert_eq!((row.state, missing.len()), (State::Prepared, 2));
}

#[tokio::test]
async fn a_name_is_marked_after_its_first_head_so_that_a_mark_proves_that_there_were_heads() {
    let (backend, mark) = (FsBackend::quick(), format!("names/{}@", name("main")));
    let faulty = FaultyStore::over(&backend.store());
    faulty.script(Rule::on(Op::Create).key(HEADS).fail());
    let services = Services::over(&faulty.store());
    services.release("main", &Release::new("v1", 1)).await.unwrap_err();
    assert!(!all_keys(&backend.store()).await.contains(&mark), "no head, no mark");
    let faulty = FaultyStore::over(&backend.store());
    faulty.script(Rule::on(Op::Create).key("names/").fail());
    Services::over(&faulty.store()).release("main", &Release::new("v1", 1)).await.unwrap_err();
    assert_eq!(
        (all_keys(&backend.store()).await.contains(&mark), sound(&backend.store(), "main").await),
        (false, None)
    );
    Services::over(&backend.store()).release("main", &Release::new("v1", 1)).await.unwrap();
    assert!(all_keys(&backend.store()).await.contains(&mark), "whoever publishes next makes up for it");
}

#[tokio::test]
async fn what_another_process_did_is_made_durable_before_it_is_answered_as_done() {
    let (backend, faulty) = with_first_version().await;
    let release = Release::new("v2", 1);
    Services::over(&backend.store()).release("main", &release).await.unwrap();
    // Its head may not have survived yet. Whoever says that all is done must have made sure.
    faulty.script(Rule::on(Op::Persist).key("heads/main@/").fail());
    let (publish, promote) = (Services::over(&faulty.store()), Services::over(&faulty.store()));
    assert!(publish.publish_only("main", &release, activate()).await.is_err());
    let again = promote.versions.promote(&target("main@2"), larder::domain::Expect::Anything, &*ACTOR).await;
    assert!(again.is_err(), "promoting what is active already");
    faulty.reset();
}
