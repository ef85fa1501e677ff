//! Writers of one name at the same time.

use futures_util::future::join_all;
use larder::domain::{Expect, Rejection, Selector, State};
use larder::protocol::ChangeError;
use larder::service::publish::Prepared;
use larder::service::{PublishError, Receipt};

use super::replies::{HEADS, history, with_first_version};
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

fn rejection(result: Result<Receipt, PublishError>) -> Option<Rejection> {
    match result {
        Ok(_) => None,
        Err(PublishError::Change(ChangeError::Rejected(rejection))) => Some(rejection),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_publishers_without_a_condition_both_make_their_version() {
    for _ in 0..10 {
        let (backend, _) = with_first_version().await;
        let (left, right) = (Services::over(&backend.store()), Services::over(&backend.store()));
        let (a, b) = (Release::new("a", 2), Release::new("b", 2));
        let (one, two) = tokio::join!(left.release("main", &a), right.release("main", &b));
        let mut numbers = [one.unwrap().row.number, two.unwrap().row.number];
        numbers.sort_unstable();
        assert_eq!(numbers, [2, 3]);
        let states: Vec<State> = history(&backend.store()).await.into_iter().map(|(_, state)| state).collect();
        assert_eq!(states.iter().filter(|state| **state == State::Active).count(), 1);
        assert_eq!(states.iter().filter(|state| **state == State::Archived).count(), 2);
        assert!(sound(&backend.store(), "main").await.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_publishers_over_the_same_version_one_fails_its_condition() {
    for _ in 0..10 {
        let (backend, _) = with_first_version().await;
        let first = Release::new("v1", 2).digest();
        let publishers = ["a", "b"].map(|label| {
            let (services, release) = (Services::over(&backend.store()), Release::new(label, 2));
            async move {
                services.upload_all(&release).await.unwrap();
                (label, services.publish_only("main", &release, activate_over(first)).await)
            }
        });
        let ends = join_all(publishers).await;
        let winner = ends.iter().find(|(_, end)| end.is_ok()).expect("one succeeds").0;
        let lost: Vec<Rejection> = ends.into_iter().filter_map(|(_, end)| rejection(end)).collect();
        let current = Some(Release::new(winner, 2).digest());
        assert_eq!(lost, [Rejection::Precondition { current }], "the loser is told what is active");
        assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some(winner));
        assert_eq!(history(&backend.store()).await.len(), 2, "the loser's version is given up");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_creators_of_a_name_one_fails_its_condition() {
    let backend = FsBackend::quick();
    let publishers = ["a", "b"].map(|label| {
        let (services, release) = (Services::over(&backend.store()), Release::new(label, 2));
        let wish = larder::service::publish::PublishOptions { activate: true, expect: Expect::Nothing };
        async move {
            services.upload_all(&release).await.unwrap();
            services.publish_only("main", &release, wish).await
        }
    });
    let ends = join_all(publishers).await;
    assert_eq!(ends.iter().filter(|end| end.is_ok()).count(), 1);
    assert_eq!(ends.into_iter().filter_map(rejection).count(), 1);
    assert_eq!(history(&backend.store()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_publishers_of_one_name_all_make_their_version() {
    const PUBLISHERS: usize = 50;
    let backend = FsBackend::quick();
    let (shared, store) = (Services::over(&backend.store()), backend.store());
    let publishers = (0..PUBLISHERS).map(|at| {
        // Some share a process, some have one of their own.
        let services = if at % 2 == 0 { shared.clone() } else { Services::over(&store) };
        tokio::spawn(async move { services.release("main", &Release::new(format!("p{at}"), 1)).await })
    });
    let mut numbers: Vec<u64> =
        join_all(publishers).await.into_iter().map(|end| end.unwrap().unwrap().row.number).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=PUBLISHERS as u64), "{numbers:?}");
    assert!(sound(&store, "main").await.is_some());
    let services = Services::over(&store);
    assert_eq!(services.head("main").await.generation, 2 * PUBLISHERS as u64, "two heads each, without gaps");
    let rows = services.rows("main").await;
    assert!(rows.iter().map(|row| row.number).eq(1..=PUBLISHERS as u64));
    assert_eq!(rows.iter().filter(|row| row.state == State::Active).count(), 1);
    assert!(rows.iter().all(|row| row.state.is_complete()));
}

/// Publishes `v2` while `meanwhile` happens between its preparation and its commit.
async fn publish_with<F>(
    meanwhile: impl Fn(Services) -> F + Send + Sync + 'static,
) -> (FsBackend, Result<Receipt, PublishError>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (backend, faulty) = with_first_version().await;
    let rival = Services::over(&backend.store());
    faulty.script(Rule::on(Op::Create).key(HEADS).nth(2).run(move || meanwhile(rival.clone())));
    let published = Services::over(&faulty.store()).release("main", &Release::new("v2", 2)).await;
    (backend, published)
}

#[tokio::test]
async fn a_publish_that_another_overtakes_goes_on_top_of_it() {
    let (backend, published) = publish_with(|rival| async move {
        rival.release("main", &Release::new("v3", 2)).await.unwrap();
    })
    .await;
    let receipt = published.unwrap();
    assert_eq!((receipt.row.number, receipt.previous), (2, Some(3)));
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v2"));
}

#[tokio::test]
async fn a_promotion_during_a_publish_is_kept_as_the_previous_version() {
    let backend = FsBackend::quick();
    let services = Services::over(&backend.store());
    for label in ["v1", "v2"] {
        services.release("main", &Release::new(label, 2)).await.unwrap();
    }
    let faulty = FaultyStore::over(&backend.store());
    faulty.script(Rule::on(Op::Create).key(HEADS).nth(2).run(move || {
        let services = services.clone();
        async move {
            services.versions.promote(&target("main@1"), Expect::Anything, &*ACTOR).await.unwrap();
        }
    }));
    let receipt = Services::over(&faulty.store()).release("main", &Release::new("v3", 2)).await.unwrap();
    assert_eq!((receipt.row.number, receipt.previous), (3, Some(1)));
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v3"));
}

#[tokio::test]
async fn a_deletion_during_a_publish_makes_it_fail() {
    let (backend, published) = publish_with(|rival| async move {
        rival.versions.delete(&name("main"), Expect::Anything, "gone".into(), &*ACTOR).await.unwrap();
    })
    .await;
    assert_eq!(rejection(published), Some(Rejection::NoSuchVersion));
    assert_eq!(sound(&backend.store(), "main").await, None, "nothing is active");
    let receipt = Services::over(&backend.store()).release("main", &Release::new("v3", 2)).await.unwrap();
    assert_eq!(receipt.row.number, 3, "the number of the failed publish is not used again");
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v3"));
}

#[tokio::test]
async fn a_stalled_commit_lands_on_what_happened_meanwhile() {
    let (backend, faulty) = with_first_version().await;
    let stall = faulty.stall(Rule::on(Op::Create).key(HEADS).nth(2));
    let slow = Services::over(&faulty.store());
    let publishing = tokio::spawn(async move { slow.release("main", &Release::new("slow", 2)).await });
    stall.reached().await;
    let quick = Services::over(&backend.store());
    for label in ["q1", "q2", "q3"] {
        quick.release("main", &Release::new(label, 2)).await.unwrap();
    }
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("q3"));
    stall.release();
    let receipt = publishing.await.unwrap().unwrap();
    assert_eq!((receipt.row.number, receipt.previous), (2, Some(5)));
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("slow"));
}

#[tokio::test]
async fn an_aborted_session_cannot_be_committed_and_its_number_is_not_used_again() {
    let (backend, _) = with_first_version().await;
    let (services, release) = (Services::over(&backend.store()), Release::new("v2", 2));
    let Prepared::Session(receipt, missing) =
        services.publish.prepare(&name("main"), release.manifest(), &activate(), &*ACTOR).await.unwrap()
    else {
        panic!("nothing is uploaded yet")
    };
    assert_eq!((receipt.row.number, missing.len()), (2, 2));
    services.upload_all(&release).await.unwrap();
    services.publish.abort(&name("main"), 2, &*ACTOR).await.unwrap();
    let committed = services.publish.commit(&name("main"), 2, activate(), &*ACTOR).await;
    assert_eq!(rejection(committed), Some(Rejection::NoSuchVersion));
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v1"));
    assert_eq!(services.release("main", &release).await.unwrap().row.number, 3);
}

#[tokio::test]
async fn a_session_committed_twice_at_once_is_committed_once() {
    let (backend, _) = with_first_version().await;
    let (services, release) = (Services::over(&backend.store()), Release::new("v2", 2));
    services.publish.prepare(&name("main"), release.manifest(), &activate(), &*ACTOR).await.unwrap();
    services.upload_all(&release).await.unwrap();
    let other = Services::over(&backend.store());
    let main = name("main");
    let (one, two) = tokio::join!(
        services.publish.commit(&main, 2, activate(), &*ACTOR),
        other.publish.commit(&main, 2, activate(), &*ACTOR)
    );
    let unchanged = [one.unwrap().unchanged, two.unwrap().unchanged];
    assert_eq!(unchanged.iter().filter(|unchanged| **unchanged).count(), 1, "{unchanged:?}");
    assert_eq!(services.head("main").await.generation, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_promotions_leave_one_active_version_and_a_sound_log() {
    let backend = FsBackend::quick();
    let services = Services::over(&backend.store());
    for label in ["v1", "v2", "v3", "v4"] {
        services.release("main", &Release::new(label, 1)).await.unwrap();
    }
    let store = backend.store();
    let promotions = (0..24_u64).map(|at| {
        let services = Services::over(&store);
        let mut to = target("main@1");
        to.selector = Selector::Number(at % 4 + 1);
        tokio::spawn(async move { services.versions.promote(&to, Expect::Anything, &*ACTOR).await })
    });
    for end in join_all(promotions).await {
        end.unwrap().unwrap();
    }
    assert!(sound(&backend.store(), "main").await.is_some());
    assert_eq!(history(&backend.store()).await.len(), 4);
}

#[tokio::test]
async fn servers_that_start_at_once_on_an_empty_store_all_start() {
    use larder::layout::marker;
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    let other = backend.store();
    // Between the first look for a marker and the look whether there is anything at all.
    faulty.script(Rule::on(Op::List).nth(2).run(move || {
        let other = other.clone();
        async move { assert_eq!(marker::open(&*other).await.unwrap().layout, marker::CURRENT) }
    }));
    assert_eq!(marker::open(&*faulty.store()).await.unwrap().layout, marker::CURRENT);
}
