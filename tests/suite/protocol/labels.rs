//! Selecting by label under a name with ten thousand versions: what it finds, and how many objects it reads.

use larder::domain::head::MAX_HEAD;
use larder::domain::{Digest, Head, State, VersionRow};
use larder::layout::LayoutKey;
use larder::service::ResolveError;

use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

const VERSIONS: u64 = 10_000;
/// Rows that are added to a head at a time: as many as it spills when it is full.
const AT_ONCE: u64 = 24;

/// The label of a version: a hundred minor versions with a hundred patches each; every tenth is a prerelease.
fn label_of(number: u64) -> String {
    let (minor, patch) = ((number - 1) / 100, (number - 1) % 100);
    if number.is_multiple_of(10) { format!("v1.{minor}.{patch}-rc.1") } else { format!("v1.{minor}.{patch}") }
}

/// A name with so many versions, made by the rules by which heads grow, a few versions at a time.
pub async fn grown(backend: &FsBackend, versions: u64) {
    let services = Services::over(&backend.store());
    services.release("main", &Release::new(label_of(1), 1)).await.unwrap();
    grow(&services, backend, versions).await;
}

async fn grow(services: &Services, backend: &FsBackend, versions: u64) {
    let first = services.resolve.readable(&target("main@1"), AsOf::Now).await.unwrap().row;
    while services.head("main").await.next_version <= versions {
        let mut head = Head::clone(&*services.head("main").await);
        head.generation += 1;
        for number in head.next_version..=(head.next_version + AT_ONCE - 1).min(versions) {
            let mut row = VersionRow { number, generation: head.generation, state: State::Archived, ..first.clone() };
            row.archived_at = Some(head.time);
            row.summary.label = Some(label_of(number));
            row.summary.manifest.digest = Digest::of(&number.to_be_bytes());
            head.rows.push(row);
            head.next_version = number + 1;
        }
        let key = LayoutKey::Head(name("main").into(), head.generation).key();
        backend.plant(&key, &serde_json::to_vec(&head).unwrap());
        // A real change, so that the head spills.
        let pinned = services.head("main").await.rows.iter().any(|row| row.number == 1 && row.is_pinned());
        services.versions.pin(&target("main@1"), !pinned, &*ACTOR).await.unwrap();
    }
}

async fn selected(services: &Services, selector: &str) -> Option<u64> {
    match services.resolve.readable(&target(&format!("main@{selector}")), AsOf::Now).await {
        Ok(found) => Some(found.row.number),
        Err(ResolveError::NoSuchLabel { .. }) => None,
        Err(error) => panic!("{selector}: {error}"),
    }
}

/// What each selector finds among the ten thousand, and how many objects are read for it by a process that knows nothing,
/// after one listing, and by one that answered another selector before. `docs/releases.md` shows the numbers.
const COSTS: [(&str, Option<u64>, usize, usize); 10] = [
    ("active", Some(1), 1, 1),
    ("9999", Some(9_999), 1, 1),
    ("4711", Some(4711), 2, 2),
    ("v1.47.10", Some(4711), 13, 2),
    ("v1.46", Some(4699), 13, 2),
    ("v1", Some(9_999), 12, 1),
    ("~1.20.3", Some(2_099), 13, 2),
    ("stable", Some(9_999), 12, 1),
    ("newest", Some(10_000), 12, 1),
    ("v3", None, 12, 1),
];

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the numbers are worth reading")]
async fn ten_thousand_versions_are_selected_from_by_reading_a_few_objects() {
    let backend = FsBackend::quick();
    grown(&backend, VERSIONS).await;
    let head = Services::over(&backend.store()).head("main").await;
    let size = serde_json::to_vec(&*head).unwrap().len();
    println!("{} segments; the head has {size} bytes", head.segments.len());
    assert!(size <= MAX_HEAD, "{size}");
    let (most_cold, most_warm) = (COSTS.map(|row| row.2).into_iter().max(), COSTS.map(|row| row.3).into_iter().max());
    let stated = format!("| {} | {} |", most_cold.unwrap(), most_warm.unwrap());
    assert!(include_str!("../../../docs/releases.md").contains(&stated), "{stated}");
    for (selector, expected, cold, warm) in COSTS {
        let faulty = FaultyStore::over(&backend.store());
        let fresh = Services::over(&faulty.store());
        assert_eq!(selected(&fresh, selector).await, expected, "{selector}");
        let (gets, lists) = (faulty.calls(Op::Get), faulty.calls(Op::List));
        let known = Services::over(&faulty.store());
        // Another selector, so that only what all selectors share is known.
        selected(&known, "v1.99").await;
        faulty.reset();
        assert_eq!(selected(&known, selector).await, expected, "{selector}");
        println!("{selector}: {gets} objects and {lists} listings cold, {} warm", faulty.total());
        assert_eq!((gets, lists, faulty.total()), (cold, 1, warm), "{selector}: {}", faulty.breakdown());
        let repeated = {
            faulty.reset();
            selected(&known, selector).await;
            faulty.total()
        };
        assert_eq!(repeated, 1, "{selector}: nothing but whether there is a newer head");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_changed_after_they_left_the_head_are_found_as_they_are_now() {
    let backend = FsBackend::quick();
    grown(&backend, 2_000).await;
    let services = Services::over(&backend.store());
    assert_eq!(selected(&services, "v1.9").await, Some(999));
    services.versions.retire(&target("main@999"), "broken".into(), &*ACTOR).await.unwrap();
    services.versions.retire(&target("main@v1.9.97"), "broken".into(), &*ACTOR).await.unwrap();
    for shadowed in [false, true] {
        if shadowed {
            // Their rows leave the head again, for a segment that shadows the older one.
            grow(&services, &backend, 2_400).await;
        }
        let fresh = Services::over(&backend.store());
        assert_eq!(fresh.head("main").await.inline(999).is_none(), shadowed);
        for services in [&services, &fresh] {
            assert_eq!(selected(services, "v1.9").await, Some(997));
            let gone = services.resolve.readable(&target("main@v1.9.98"), AsOf::Now).await;
            assert!(matches!(&gone, Err(ResolveError::Retired(row)) if row.number == 999), "{gone:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_index_that_is_lost_or_damaged_is_replaced_by_the_rows() {
    let backend = FsBackend::quick();
    grown(&backend, 400).await;
    let indexed: Vec<Digest> = {
        let head = Services::over(&backend.store()).head("main").await;
        head.segments.iter().filter_map(|segment| segment.labels.map(|labels| labels.digest)).collect()
    };
    assert_eq!(indexed.len(), 2, "both merged segments");
    let file =
        |digest| backend.root().join(format!("objects/{}", LayoutKey::Segment(name("main").into(), digest).key()));
    std::fs::remove_file(file(indexed[0])).unwrap();
    std::fs::write(file(indexed[1]), b"{}").unwrap();
    let services = Services::over(&backend.store());
    assert_eq!(selected(&services, "v1.0.4").await, Some(5));
    assert_eq!(selected(&services, "stable").await, Some(399));
    // A store that fails is another matter: its answer would be a guess.
    let faulty = FaultyStore::over(&backend.store());
    let fresh = Services::over(&faulty.store());
    faulty.script(Rule::on(Op::Get).key("segments/").fail());
    assert!(matches!(fresh.resolve.readable(&target("main@stable"), AsOf::Now).await, Err(ResolveError::Store(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_of_a_binary_that_knew_no_labels_are_read_once() {
    let backend = FsBackend::quick();
    grown(&backend, 2_000).await;
    let services = Services::over(&backend.store());
    let mut head = Head::clone(&*services.head("main").await);
    head.generation += 1;
    head.segments.iter_mut().for_each(|segment| segment.labels = None);
    backend.plant(&LayoutKey::Head(name("main").into(), head.generation).key(), &serde_json::to_vec(&head).unwrap());
    let faulty = FaultyStore::over(&backend.store());
    let fresh = Services::over(&faulty.store());
    assert_eq!(selected(&fresh, "v1.9").await, Some(999));
    assert_eq!(faulty.calls(Op::Get), 1 + head.segments.len(), "{}", faulty.breakdown());
    faulty.reset();
    assert_eq!(selected(&fresh, "v1.8").await, Some(899));
    assert_eq!(faulty.total(), 1, "{}", faulty.breakdown());
}
