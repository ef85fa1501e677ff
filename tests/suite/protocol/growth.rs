//! Names with many versions: rows that left the head are found as if they had not.

use futures_util::TryStreamExt as _;
use larder::domain::head::{FAN_OUT, INLINE_MAX, MAX_HEAD};
use larder::domain::{Expect, Rejection, Selector, State, Target};
use larder::layout;
use larder::protocol::ChangeError;
use larder::service::ResolveError;
use larder::store::List;

use crate::support::faulty::FaultyStore;
use crate::support::services::*;
use crate::support::store::*;

const VERSIONS: u64 = 300;

fn numbered(number: u64) -> Target {
    Target { name: name("main"), selector: Selector::Number(number), explicit: true }
}

fn release(number: u64) -> Release {
    Release::new(format!("v{number}"), 1)
}

/// A name with many versions, as a new process finds it.
async fn grown() -> (FsBackend, Services) {
    let backend = FsBackend::quick();
    let services = Services::over(&backend.store());
    for number in 1..=VERSIONS {
        assert_eq!(services.release("main", &release(number)).await.unwrap().row.number, number);
    }
    let fresh = Services::over(&backend.store());
    (backend, fresh)
}

async fn labels_by_page(services: &Services, limit: usize) -> Vec<u64> {
    let (mut numbers, mut before) = (Vec::new(), None);
    loop {
        let page = services.versions.history(&name("main"), (before, limit), AsOf::Now).await.unwrap().unwrap();
        assert!(page.rows.len() == limit || page.next.is_none(), "only the last page may be short");
        assert!(page.rows.iter().all(|row| label(row) == format!("v{}", row.number)));
        numbers.extend(page.rows.iter().map(|row| row.number));
        before = page.next;
        if before.is_none() {
            return numbers;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_and_lookups_reach_every_version() {
    let (_backend, services) = grown().await;
    for limit in [1, 37, 100, 300, 1000] {
        assert!(labels_by_page(&services, limit).await.into_iter().eq((1..=VERSIONS).rev()), "pages of {limit}");
    }
    for number in 1..=VERSIONS {
        let found = services.resolve.readable(&numbered(number), AsOf::Now).await.unwrap().row;
        let state = if number == VERSIONS { State::Active } else { State::Archived };
        assert_eq!((label(&found), found.state), (format!("v{number}"), state));
        let by_digest = Target { selector: Selector::Manifest(release(number).digest()), ..numbered(1) };
        assert_eq!(services.resolve.readable(&by_digest, AsOf::Now).await.unwrap().row.number, number);
    }
    for number in [0, VERSIONS + 1, u64::MAX] {
        let found = services.resolve.readable(&numbered(number), AsOf::Now).await;
        assert!(matches!(found, Err(ResolveError::NoSuchVersion(_))), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_stay_small_and_segments_few() {
    let (backend, services) = grown().await;
    let listing = backend.store();
    let sizes: Vec<u64> = listing
        .list(&layout::heads(&name("main")), List::default())
        .map_ok(|meta| meta.size)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(sizes.len() as u64, 2 * VERSIONS);
    assert!(sizes.iter().all(|size| *size <= MAX_HEAD as u64), "the largest head has {:?} bytes", sizes.iter().max());
    let heads = log(&services, "main").await;
    let most = heads.iter().map(|head| head.segments.len()).max().unwrap();
    assert!(most < 2 * FAN_OUT, "{most} segments");
    let newest = heads.last().unwrap();
    assert!(newest.segments.iter().any(|segment| segment.tier > 0), "segments were merged: {:?}", newest.segments);
    let rows: u64 = newest.segments.iter().map(|segment| segment.rows).sum();
    assert_eq!(rows + newest.rows.len() as u64, VERSIONS, "no row is kept twice without need");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hundredth_publish_costs_what_the_first_one_did() {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    let services = Services::over(&faulty.store());
    let mut costs = Vec::new();
    for number in 1..=150 {
        faulty.reset();
        services.release("main", &release(number)).await.unwrap();
        costs.push(faulty.total());
    }
    let (second, most) = (costs[1], *costs.iter().max().unwrap());
    let median = {
        let mut sorted = costs.clone();
        sorted.sort_unstable();
        sorted[75]
    };
    assert_eq!(median, second, "{costs:?}");
    assert!(most <= second + 3, "a publish that spills writes a segment or two more: {costs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_and_retirements_of_rows_that_left_the_head_hold() {
    let (backend, services) = grown().await;
    services.versions.pin(&numbered(5), true, &*ACTOR).await.unwrap();
    services.versions.retire(&numbered(6), "too old".into(), &*ACTOR).await.unwrap();
    // They come back into the head and leave it again.
    for number in VERSIONS + 1..=VERSIONS + 60 {
        services.release("main", &release(number)).await.unwrap();
    }
    let fresh = Services::over(&backend.store());
    assert!(fresh.head("main").await.inline(5).is_none(), "it left the head again");
    assert!(fresh.resolve.row(&numbered(5), AsOf::Now).await.unwrap().row.is_pinned());
    assert!(!fresh.resolve.row(&numbered(4), AsOf::Now).await.unwrap().row.is_pinned());
    let retired = fresh.resolve.readable(&numbered(6), AsOf::Now).await;
    assert!(matches!(&retired, Err(ResolveError::Retired(row)) if row.number == 6), "{retired:?}");
    let rows = fresh.rows("main").await;
    assert!(rows.iter().map(|row| row.number).eq(1..=VERSIONS + 60), "each version once");
    assert_eq!(rows.iter().filter(|row| row.is_pinned()).map(|row| row.number).collect::<Vec<_>>(), [5]);
    let retired = rows.iter().filter(|row| row.state == State::Retired);
    assert_eq!(retired.map(|row| row.number).collect::<Vec<_>>(), [6]);
    assert!(labels_by_page(&fresh, 50).await.into_iter().eq((1..=VERSIONS + 60).rev()));
    let refused = fresh.versions.retire(&numbered(5), "no".into(), &*ACTOR).await;
    assert!(matches!(refused, Err(ChangeError::Rejected(Rejection::Pinned(5)))), "{refused:?}");
    assert!(sound(&backend.store(), "main").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_left_the_head_can_be_promoted() {
    let (backend, services) = grown().await;
    let receipt = services.versions.promote(&numbered(2), Expect::Anything, &*ACTOR).await.unwrap();
    assert_eq!(receipt.previous, Some(VERSIONS));
    let fresh = Services::over(&backend.store());
    assert_eq!(fresh.active("main").await.as_deref(), Some("v2"));
    for number in VERSIONS + 1..=VERSIONS + 40 {
        services.release("main", &release(number)).await.unwrap();
    }
    let fresh = Services::over(&backend.store());
    assert_eq!(fresh.resolve.row(&numbered(2), AsOf::Now).await.unwrap().row.state, State::Archived);
    assert_eq!(fresh.rows("main").await.iter().filter(|row| row.state == State::Active).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_name_with_many_versions_retires_them_all() {
    let (backend, services) = grown().await;
    let main = name("main");
    services.versions.pin(&numbered(5), true, &*ACTOR).await.unwrap();
    let refused = services.versions.delete(&main, Expect::Anything, "gone".into(), &*ACTOR).await;
    assert!(matches!(refused, Err(ChangeError::Rejected(Rejection::Pinned(5)))), "{refused:?}");
    services.versions.pin(&numbered(5), false, &*ACTOR).await.unwrap();
    services.versions.delete(&main, Expect::Anything, "gone".into(), &*ACTOR).await.unwrap();
    let fresh = Services::over(&backend.store());
    let rows = fresh.rows("main").await;
    assert!(rows.iter().map(|row| row.number).eq(1..=VERSIONS));
    assert!(rows.iter().all(|row| row.state == State::Retired && row.retired_because.as_deref() == Some("gone")));
    for number in [1, 150, VERSIONS] {
        assert!(
            matches!(fresh.resolve.readable(&numbered(number), AsOf::Now).await, Err(ResolveError::Retired(_))),
            "{number}"
        );
    }
    assert!(matches!(fresh.resolve.readable(&target("main"), AsOf::Now).await, Err(ResolveError::Deleted { .. })));
    assert_eq!(fresh.release("main", &release(VERSIONS + 1)).await.unwrap().row.number, VERSIONS + 1);
    assert!(labels_by_page(&fresh, 70).await.into_iter().eq((1..=VERSIONS + 1).rev()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spill_cut_off_at_any_call_loses_no_row() {
    use crate::support::faulty::Rule;
    let backend = FsBackend::quick();
    let services = Services::over(&backend.store());
    for number in 1..=INLINE_MAX as u64 {
        services.release("main", &release(number)).await.unwrap();
    }
    // The head is full: each publish that gets as far as preparing makes it spill, sooner or later.
    let mut cut_off = 0;
    for (nth, next) in (1..30).zip(INLINE_MAX as u64 + 1..) {
        let faulty = FaultyStore::over(&backend.store());
        faulty.script(Rule::any().from(nth).fail());
        let before = services.rows("main").await.iter().filter(|row| row.state.is_complete()).count();
        let published = Services::over(&faulty.store()).release("main", &release(next)).await;
        cut_off += usize::from(published.is_err());
        sound(&backend.store(), "main").await.unwrap();
        let after = services.rows("main").await.iter().filter(|row| row.state.is_complete()).count();
        assert_eq!(after, before + usize::from(published.is_ok()), "cut off at call {nth}");
    }
    assert!(cut_off >= 8, "only {cut_off} publishes were cut off");
    let keys = keys(&backend.store(), "segments/main@/", None, None).await;
    assert!(!keys.is_empty(), "the head spilled");
}
