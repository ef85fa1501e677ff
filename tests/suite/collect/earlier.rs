//! Files of versions that were active stay in reach for as long as the policy of the name says, and no longer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use larder::clock::{Clock as _, ManualClock, SystemClock};
use larder::domain::policy::PolicyKeys;
use larder::domain::retention::{EarlierFiles, Verdict};
use larder::domain::{Digest, Expect, LivePolicies, Policies, PolicyRule, State};
use larder::protocol::Heads;
use larder::service::EarlierFile;
use larder::upkeep::collect::{Entry, Settings};
use tokio_util::sync::CancellationToken;

use crate::support::collecting::*;
use crate::support::faulty::{FaultyStore, Op};
use crate::support::services::*;
use crate::support::store::*;

const HOUR: Duration = Duration::from_hours(1);

/// Nothing stays but what is active, or what readers may still ask for.
fn policies(versions: u64) -> LivePolicies {
    let keys = PolicyKeys {
        keep_last: Some(NOTHING.keep_last),
        keep_for: Some(NOTHING.keep_for),
        earlier_files: Some(EarlierFiles { window: SignedDuration::try_from(HOUR).unwrap(), versions }),
        ..PolicyKeys::default()
    };
    Policies::new(vec![PolicyRule { matches: vec!["**".parse().unwrap()], keys }]).into()
}

fn settings(versions: u64) -> Settings {
    Settings { policies: policies(versions), ..greedy() }
}

/// A process that serves earlier files. Its clock stands still.
fn serving(store: &Store, versions: u64, staleness: Duration) -> Services {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    Services::with_policies(store, clock, staleness, policies(versions))
}

/// A release of one file of its own and one that all have under the same name.
fn page(label: &str) -> Release {
    let files = vec![
        (format!("app-{label}.js"), format!("script of {label}").into()),
        ("index.html".to_owned(), format!("page of {label}").into()),
    ];
    Release { label: label.to_owned(), files }
}

async fn find(services: &Services, file: &str) -> Option<EarlierFile> {
    services.earlier.find(&name("main"), &file.parse().unwrap(), AsOf::Now).await.unwrap()
}

/// The version that answers for a file, after a look at its bytes; 0 is the active one.
async fn answers(services: &Services, file: &str) -> Option<u64> {
    let file_name = file.parse().unwrap();
    let (version, digest) = match services.resolve.file(&target("main"), &file_name, AsOf::Now).await {
        Ok((_, artifact)) => (0, artifact.blob.digest),
        Err(_) => find(services, file).await.map(|found| (found.row.number, found.artifact.blob.digest))?,
    };
    let bytes = blob(services, digest).await.unwrap().expect("the bytes of what is answered");
    assert_eq!(Digest::of(&bytes), digest);
    Some(version)
}

#[tokio::test]
async fn every_path_that_was_served_is_answered_within_the_window_and_collected_after_it() {
    let backend = marked();
    let (store, services) = (backend.store(), serving(&backend.store(), 20, Duration::ZERO));
    // So by what it writes, the window is over as soon as it begins. By the store's time it is not.
    services.clock.advance(SignedDuration::from_hours(-1));
    let paths = ["app-v1.js", "app-v2.js", "app-v3.js", "index.html"];
    for label in ["v1", "v2", "v3"] {
        services.release("main", &page(label)).await.unwrap();
        collect(&store, settings(20)).await.unwrap();
    }
    services.versions.promote(&target("main@1"), Expect::Anything, &*ACTOR).await.unwrap();
    collect(&store, settings(20)).await.unwrap();
    let mut found = BTreeMap::new();
    for path in paths {
        found.insert(path, answers(&services, path).await);
    }
    let expected = [("app-v1.js", 0), ("app-v2.js", 2), ("app-v3.js", 3), ("index.html", 0)];
    assert_eq!(found, expected.map(|(path, version)| (path, Some(version))).into(), "newer than the active one, too");
    backend.age("heads/", Duration::from_mins(59));
    collect(&store, settings(20)).await.unwrap();
    assert_eq!(answers(&services, "app-v3.js").await, Some(3));
    assert_eq!(findings(&store).await, []);
    // Who serves goes by what is written, whether or not a collector has been there.
    let late = serving(&store, 20, Duration::ZERO);
    for (path, version) in [("app-v1.js", Some(0)), ("app-v2.js", None), ("app-v3.js", None)] {
        assert_eq!(answers(&late, path).await, version, "{path}");
    }
    backend.age("heads/", Duration::from_mins(1));
    collect(&store, settings(20)).await.unwrap();
    let states: Vec<_> = services.rows("main").await.iter().map(|row| (row.number, row.state)).collect();
    assert_eq!(states, [(1, State::Active), (2, State::Retired), (3, State::Retired)]);
    assert_eq!(answers(&services, "app-v3.js").await, None);
    assert_eq!(stored(&store, page("v3").file(0), 0).await, None);
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn the_window_ends_at_its_last_nanosecond_and_counts_from_the_last_activation() {
    let backend = marked();
    let services = serving(&backend.store(), 20, Duration::from_hours(9));
    for label in ["v1", "v2"] {
        services.release("main", &page(label)).await.unwrap();
    }
    let tick = SignedDuration::from_nanos(1);
    let window = SignedDuration::try_from(HOUR).unwrap();
    let found = find(&services, "app-v1.js").await.expect("an earlier file");
    assert_eq!((found.row.number, found.generation, found.valid_for), (1, 4, HOUR));
    assert_eq!(found.artifact.blob.digest, page("v1").file(0));
    services.clock.advance(window - tick);
    assert_eq!(find(&services, "app-v1.js").await.map(|found| found.valid_for), Some(Duration::from_nanos(1)));
    services.clock.advance(tick);
    assert!(find(&services, "app-v1.js").await.is_none());
    // Active once more for a moment, and its window begins again.
    for version in ["main@1", "main@2"] {
        services.versions.promote(&target(version), Expect::Anything, &*ACTOR).await.unwrap();
    }
    assert_eq!(find(&services, "app-v1.js").await.map(|found| found.valid_for), Some(HOUR));
    services.release("main", &page("v3")).await.unwrap();
    services.clock.advance(window);
    assert!(find(&services, "app-v1.js").await.is_none());
}

#[tokio::test]
async fn only_the_last_versions_count_and_the_collector_says_for_which_it_keeps_them() {
    let backend = marked();
    let (store, services) = (backend.store(), serving(&backend.store(), 2, Duration::ZERO));
    for label in ["v1", "v2", "v3", "v4"] {
        services.release("main", &page(label)).await.unwrap();
    }
    services.upload_all(&page("staged")).await.unwrap();
    services.publish_only("main", &page("staged"), stage()).await.unwrap();
    let mut verdicts = BTreeMap::new();
    let note = |entry: Entry<'_>| {
        if let Entry::Version { version, verdict, .. } = entry {
            verdicts.insert(version, verdict);
        }
    };
    collector(&store, settings(2)).preview(&CancellationToken::new(), note).await.unwrap();
    let (kept, over) = (Verdict::EarlierFiles, Verdict::ArchiveExpired);
    assert_eq!(verdicts, [(1, over), (2, kept), (3, kept), (4, Verdict::Active), (5, Verdict::Staged)].into());
    for (path, version) in
        [("app-v1.js", None), ("app-v2.js", Some(2)), ("app-v3.js", Some(3)), ("app-staged.js", None), ("none", None)]
    {
        assert_eq!(answers(&services, path).await, version, "{path}");
    }
    collect(&store, settings(2)).await.unwrap();
    assert_eq!(services.rows("main").await[0].state, State::Retired);
    // By hand, at once; and what is gone makes no room for another.
    services.versions.retire(&target("main@3"), "wrong".into(), &*ACTOR).await.unwrap();
    assert_eq!(answers(&services, "app-v3.js").await, None);
    assert_eq!(answers(&services, "app-v2.js").await, Some(2));
    services.versions.withdraw(&name("main"), Expect::Anything, "all wrong".into(), &*ACTOR).await.unwrap();
    assert!(find(&services, "app-v2.js").await.is_none(), "a name that was withdrawn answers nothing");
}

#[tokio::test]
async fn who_asks_by_content_gets_what_the_active_version_has_no_more() {
    let backend = marked();
    let services = serving(&backend.store(), 20, Duration::ZERO);
    for label in ["v1", "v2"] {
        services.release("main", &page(label)).await.unwrap();
    }
    let by_content = async |directory: &str, release: &Release, at| {
        let found = services.earlier.find_content(&name("main"), directory, release.file(at), AsOf::Now).await.unwrap();
        found.map(|found| (found.row.number, found.artifact.name.to_string()))
    };
    assert_eq!(
        by_content("", &page("v1"), 1).await,
        Some((1, "index.html".to_owned())),
        "under a name that has moved on"
    );
    assert_eq!(by_content("", &page("v1"), 0).await, Some((1, "app-v1.js".to_owned())));
    assert_eq!(by_content("a", &page("v1"), 0).await, None);
    assert_eq!(by_content("", &page("v2"), 0).await, None, "of the active version");
    assert!(find(&services, "index.html").await.is_none(), "the active version has one");
}

#[tokio::test]
async fn a_version_that_was_collected_while_it_is_looked_for_is_resolved_again() {
    let backend = marked();
    let faulty = FaultyStore::over(&backend.store());
    // It accepts heads that are hours old.
    let reader = serving(&faulty.store(), 20, Duration::from_hours(9));
    let writer = Services::over(&backend.store());
    for label in ["v1", "v2", "v3"] {
        writer.release("main", &page(label)).await.unwrap();
    }
    reader.resolve.row(&target("main"), AsOf::Now).await.unwrap();
    writer.versions.retire(&target("main@1"), "test".into(), &*ACTOR).await.unwrap();
    collect(&backend.store(), patient()).await.unwrap();
    let find = async |path: &str, fresh| {
        let found = reader.earlier.find(&name("main"), &path.parse().unwrap(), fresh).await.unwrap();
        found.map(|found| (found.row.number, found.generation))
    };
    let newest = writer.head("main").await.generation;
    assert_eq!(find("app-v2.js", AsOf::Recent).await, Some((2, newest)), "the index is that of the newest head");
    assert_eq!(find("app-v1.js", AsOf::Recent).await, None);
}

#[tokio::test]
async fn a_damaged_version_takes_nothing_but_its_own_files_away() {
    let backend = marked();
    let (store, services) = (backend.store(), serving(&backend.store(), 20, Duration::ZERO));
    for label in ["v1", "v2", "v3"] {
        services.release("main", &page(label)).await.unwrap();
    }
    sweep(&store, page("v2").digest(), 0).await;
    let services = serving(&store, 20, Duration::ZERO);
    assert!(find(&services, "app-v2.js").await.is_none());
    assert_eq!(find(&services, "app-v1.js").await.map(|found| found.row.number), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_misses_build_one_index_and_later_ones_read_nothing() {
    let backend = marked();
    let faulty = FaultyStore::over(&backend.store());
    let services = serving(&faulty.store(), 20, Duration::from_hours(9));
    let writer = Services::over(&backend.store());
    for label in ["v1", "v2", "v3", "v4"] {
        writer.release("main", &page(label)).await.unwrap();
    }
    faulty.reset();
    let ask = async |file: String| {
        let found = services.earlier.find(&name("main"), &file.parse().unwrap(), AsOf::Recent).await.unwrap();
        found.map(|found| found.row.number)
    };
    let asked = (0..1000).map(|at| ask(if at % 2 == 0 { format!("none-{at}") } else { "app-v2.js".to_owned() }));
    let found = futures_util::future::join_all(asked).await;
    assert!(found.chunks(2).all(|pair| pair == [None, Some(2)]), "{found:?}");
    assert_eq!(faulty.calls(Op::Get), 5, "the head and four manifests: {}", faulty.breakdown());
    faulty.reset();
    assert_eq!((ask("none".into()).await, ask("app-v3.js".into()).await), (None, Some(3)));
    assert_eq!(faulty.total(), 0, "{}", faulty.breakdown());
}

async fn looks(heads: &Arc<Heads>, moment: tokio::time::Instant, callers: usize) -> u64 {
    let main = name("main");
    let looks = (0..callers).map(|_| heads.look(&main, AsOf::After(moment)));
    let heads = futures_util::future::join_all(looks).await;
    let generations: Vec<u64> = heads.into_iter().map(|head| head.unwrap().unwrap().generation).collect();
    assert!(generations.iter().all(|one| *one == generations[0]), "{generations:?}");
    generations[0]
}

#[tokio::test]
async fn looks_that_are_newer_than_their_requests_are_shared_and_far_between() {
    let backend = marked();
    let faulty = FaultyStore::over(&backend.store());
    let reader = serving(&faulty.store(), 20, Duration::from_hours(9));
    let writer = Services::over(&backend.store());
    writer.release("main", &page("v1")).await.unwrap();
    let first = writer.head("main").await.generation;
    assert_eq!(looks(&reader.heads, tokio::time::Instant::now(), 1).await, first);
    let began = tokio::time::Instant::now();
    for round in 1..=5 {
        writer.release("main", &page(&format!("round {round}"))).await.unwrap();
        let newest = writer.head("main").await.generation;
        faulty.reset();
        assert_eq!(
            looks(&reader.heads, tokio::time::Instant::now(), 100).await,
            newest,
            "never older than the request"
        );
        assert!(faulty.calls(Op::Get) <= 3, "two new heads, and none after them: {}", faulty.breakdown());
    }
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    faulty.reset();
    assert_eq!(reader.heads.look(&name("main"), AsOf::After(began)).await.unwrap().unwrap().generation, first + 10);
    assert_eq!(faulty.total(), 0, "a look that is newer than that was made already");
}
