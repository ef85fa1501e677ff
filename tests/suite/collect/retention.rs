//! Versions whose time is up.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use larder::clock::{Clock as _, SystemClock};
use larder::config::Config;
use larder::domain::attached::{AttachedHosts, HostRefusal, WantedHost};
use larder::domain::hosts::LiveHosts;
use larder::domain::site::HostName;
use larder::domain::{Expect, Rejection, Retention, State};
use larder::protocol::{HostLog, HostState};
use larder::service::ResolveError;
use larder::upkeep::Collect;
use larder::upkeep::collect::Settings;
use tokio_util::sync::CancellationToken;

use crate::support::collecting::*;
use crate::support::services::*;
use crate::support::store::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A process whose clock stood still so many days ago, so that the rows it writes say so.
fn days_ago(store: &Store, days: i64) -> Services {
    let services = Services::over(store);
    services.clock.advance(SignedDuration::from_hours(-24 * days));
    services
}

async fn states(store: &Store) -> Vec<(u64, State)> {
    Services::over(store).rows("main").await.iter().map(|row| (row.number, row.state)).collect()
}

fn keep_for(days: i64) -> Settings {
    let keep_for = SignedDuration::from_hours(24 * days);
    let rules = Retention { keep_last: 0, keep_for, staged_for: keep_for, prepared_for: keep_for };
    Settings { policies: for_all(rules), ..greedy() }
}

#[tokio::test]
async fn a_retired_version_answers_with_when_and_why_and_keeps_its_row() {
    let backend = marked();
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    for label in ["v1", "v2"] {
        services.release("main", &Release::new(label, 2)).await.unwrap();
    }
    let report = collect(&store, greedy()).await.unwrap();
    assert_eq!((report.totals.expired, report.totals.versions, report.totals.deleted.blobs), (1, 1, 3));
    // The process that served it all the time, with its memory, says the same as a new one.
    for services in [services, Services::over(&store)] {
        let ResolveError::Retired(row) = services.resolve.manifest(&target("main@1"), AsOf::Now).await.unwrap_err()
        else {
            panic!("not retired")
        };
        assert!(row.retired_at.is_some());
        assert_eq!(row.retired_because.as_deref(), Some("retention: archived longer ago than it is kept"));
        let file = "file-0.txt".parse().unwrap();
        assert!(matches!(
            services.resolve.file(&target("main@1"), &file, AsOf::Now).await.unwrap_err(),
            ResolveError::Retired(_)
        ));
        for rollback in ["main@1", "main@previous"] {
            let error = services.versions.promote(&target(rollback), Expect::Anything, &*ACTOR).await.unwrap_err();
            assert!(
                matches!(error, larder::protocol::ChangeError::Rejected(Rejection::Retired(_))),
                "{rollback}: {error:?}"
            );
        }
        let row = services.resolve.row(&target("main@1"), AsOf::Now).await.unwrap().row;
        assert_eq!((label(&row).as_str(), &row.created_by, row.summary.files), ("v1", &*ACTOR, 2));
    }
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"));
}

#[tokio::test]
async fn active_and_pinned_versions_stay_without_any_retention() {
    let backend = marked();
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    for label in ["v1", "v2", "v3", "v4"] {
        services.release("main", &Release::new(label, 2)).await.unwrap();
    }
    services.versions.pin(&target("main@2"), true, &*ACTOR).await.unwrap();
    services.versions.promote(&target("main@3"), Expect::Anything, &*ACTOR).await.unwrap();
    collect(&store, greedy()).await.unwrap();
    let expected = [(1, State::Retired), (2, State::Archived), (3, State::Active), (4, State::Retired)];
    assert_eq!(states(&store).await, expected);
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v3"));
    services.versions.promote(&target("main@2"), Expect::Anything, &*ACTOR).await.unwrap();
    services.versions.pin(&target("main@2"), false, &*ACTOR).await.unwrap();
    collect(&store, greedy()).await.unwrap();
    assert_eq!(states(&store).await[1..3], [(2, State::Active), (3, State::Retired)]);
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"));
}

/// Points a host at a version, or wherever else, as its verified owner.
async fn point(store: &Store, to: &str) {
    let (host, clock): (HostName, _) = ("shop.example.org".parse().unwrap(), Arc::new(SystemClock));
    let (now, target) = (clock.now(), target(to));
    let wanted = WantedHost { target, redirect_to: None, by: ACTOR.clone(), reason: None, challenge: "text".into() };
    let change = |hosts: &mut AttachedHosts, _: &HostState| {
        hosts.claim(&host, wanted.clone(), now, &|_| true)?;
        hosts.settle(&host, &["text".to_owned()], now);
        Ok::<_, HostRefusal>(true)
    };
    HostLog::new(Arc::clone(store) as _, clock, Duration::ZERO).change(change).await.unwrap();
}

#[tokio::test]
async fn a_version_stays_as_long_as_a_host_is_pointed_at_it() {
    let backend = marked();
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    for label in ["v1", "v2", "v3"] {
        services.release("main", &Release::new(label, 2)).await.unwrap();
    }
    services.release("other", &Release::new("v1", 2)).await.unwrap();
    point(&store, "main@1").await;
    collect(&store, greedy()).await.unwrap();
    let expected = [(1, State::Archived), (2, State::Retired), (3, State::Active)];
    assert_eq!(states(&store).await, expected);
    point(&store, "main@v1").await;
    collect(&store, greedy()).await.unwrap();
    assert_eq!(states(&store).await, expected);
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v3"));
    point(&store, "main").await;
    collect(&store, greedy()).await.unwrap();
    assert_eq!(states(&store).await[0], (1, State::Retired));
}

/// What a configuration has whose only site is this one.
fn site(name: &str) -> LiveHosts {
    let site = format!("id = 'shop'\nhosts = ['shop.example.org']\nname = '{name}'");
    let config = Config { sites: vec![toml::from_str(&site).unwrap()], ..Config::default() };
    config.hosts().into()
}

#[tokio::test]
async fn a_version_stays_as_long_as_the_configuration_has_a_host_for_it() {
    let backend = marked();
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    for label in ["v1", "v2", "v3"] {
        services.release("main", &Release::new(label, 2)).await.unwrap();
    }
    let hosts = site("main@v1");
    let settings = Settings { hosts: hosts.clone(), ..greedy() };
    collect(&store, settings.clone()).await.unwrap();
    let expected = [(1, State::Archived), (2, State::Retired), (3, State::Active)];
    assert_eq!(states(&store).await, expected);
    // As a reload of the configuration does it.
    hosts.replace((*site("main").current()).clone());
    collect(&store, settings).await.unwrap();
    assert_eq!(states(&store).await[0], (1, State::Retired));
}

#[tokio::test]
async fn the_stores_time_decides_and_not_what_hosts_wrote() {
    let backend = marked();
    let store = backend.store();
    // A host whose clock is 40 days late publishes twice.
    let late = days_ago(&store, 40);
    late.release("main", &Release::new("v1", 1)).await.unwrap();
    late.release("main", &Release::new("v2", 1)).await.unwrap();
    collect(&store, keep_for(30)).await.unwrap();
    assert_eq!(states(&store).await, [(1, State::Archived), (2, State::Active)], "the store knows better");
    backend.age("heads/", 29 * DAY);
    collect(&store, keep_for(30)).await.unwrap();
    assert_eq!(states(&store).await[0], (1, State::Archived));
    backend.age("heads/", 2 * DAY);
    collect(&store, keep_for(30)).await.unwrap();
    assert_eq!(states(&store).await[0], (1, State::Retired));
}

#[tokio::test]
async fn rows_from_the_future_grow_old_all_the_same() {
    let backend = marked();
    let store = backend.store();
    let early = days_ago(&store, -400);
    early.release("main", &Release::new("v1", 1)).await.unwrap();
    early.release("main", &Release::new("v2", 1)).await.unwrap();
    collect(&store, keep_for(30)).await.unwrap();
    assert_eq!(states(&store).await[0], (1, State::Archived));
    backend.age("heads/", 31 * DAY);
    collect(&store, keep_for(30)).await.unwrap();
    assert_eq!(states(&store).await[0], (1, State::Retired));
}

#[tokio::test]
async fn a_run_on_a_host_whose_clock_is_off_retires_nothing() {
    let backend = marked();
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    for label in ["v1", "v2"] {
        services.release("main", &Release::new(label, 1)).await.unwrap();
    }
    let orphan = bytes::Bytes::from("nobody needs this");
    services.upload(&orphan).await.unwrap();
    for minutes in [6, -6] {
        let off = Services::over(&store).clock;
        off.advance(SignedDuration::from_mins(minutes));
        let report = Collect::new(store.clone(), off, greedy()).run(&CancellationToken::new()).await.unwrap();
        assert_eq!(report.totals.expired, 0);
        assert!((report.clock_ahead_seconds - minutes * 60).abs() < 60, "{}", report.clock_ahead_seconds);
        assert_eq!(states(&store).await, [(1, State::Archived), (2, State::Active)]);
    }
    assert_eq!(stored(&store, larder::domain::Digest::of(&orphan), 0).await, None, "blobs have ages of their own");
}

#[tokio::test]
async fn staged_and_prepared_versions_have_times_of_their_own() {
    let backend = marked();
    let (store, services) = (backend.store(), days_ago(&backend.store(), 60));
    let (staged, prepared) = (Release::new("staged", 1), Release::new("prepared", 1));
    services.release("main", &Release::new("v1", 1)).await.unwrap();
    services.upload_all(&staged).await.unwrap();
    services.publish_only("main", &staged, stage()).await.unwrap();
    services.upload_all(&prepared).await.unwrap();
    services.publish.prepare(&name("main"), prepared.manifest(), &activate(), &*ACTOR).await.unwrap();
    backend.age("heads/", 10 * DAY);
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let rules = |staged, prepared| Settings {
        policies: for_all(Retention { staged_for: days(staged), prepared_for: days(prepared), ..NOTHING }),
        ..greedy()
    };
    collect(&store, rules(11, 11)).await.unwrap();
    assert_eq!(states(&store).await, [(1, State::Active), (2, State::Ready), (3, State::Prepared)]);
    collect(&store, rules(11, 9)).await.unwrap();
    assert_eq!(states(&store).await, [(1, State::Active), (2, State::Ready)], "the session was given up");
    let error = services.publish.commit(&name("main"), 3, activate(), &*ACTOR).await.unwrap_err();
    assert!(error.to_string().contains("no such version"), "{error}");
    assert_eq!(stored(&store, prepared.file(0), 0).await, None);
    collect(&store, rules(9, 9)).await.unwrap();
    assert_eq!(states(&store).await, [(1, State::Active), (2, State::Retired)]);
    assert_eq!(stored(&store, staged.file(0), 0).await, None);
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn each_name_has_the_rules_of_the_first_pattern_that_matches() {
    let backend = marked();
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    for of in ["nightly/a", "release/a", "other"] {
        for label in ["v1", "v2", "v3", "v4"] {
            services.release(of, &Release::new(format!("{of} {label}"), 1)).await.unwrap();
        }
    }
    let policies = retention(&[("nightly/*", NOTHING), ("release/**", Retention { keep_last: 3, ..NOTHING })]);
    collect(&store, Settings { policies, ..greedy() }).await.unwrap();
    for (of, kept) in [("nightly/a", 1), ("release/a", 3), ("other", 4)] {
        let rows = Services::over(&store).rows(of).await;
        assert_eq!(rows.iter().filter(|row| row.state.is_root()).count(), kept, "{of}");
    }
}

#[tokio::test]
async fn a_long_history_is_retired_in_one_head_and_read_no_more() {
    let backend = marked();
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    for at in 0..120 {
        services.release("main", &Release::new(format!("v{at}"), 1)).await.unwrap();
    }
    services.versions.pin(&target("main@7"), true, &*ACTOR).await.unwrap();
    let before = services.head("main").await.generation;
    let report = collect(&store, greedy()).await.unwrap();
    assert_eq!((report.totals.expired, report.totals.versions), (118, 2));
    assert_eq!(Services::over(&store).head("main").await.generation, before + 1);
    let left: Vec<u64> = states(&store).await.iter().filter(|(_, state)| state.is_root()).map(|row| row.0).collect();
    assert_eq!(left, [7, 120]);
    assert_eq!(states(&store).await.len(), 120, "every row is still there for the record");
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v119"));
    // Segments without roots are not read: losing one costs the record, but no run.
    let report = collect(&store, greedy()).await.unwrap();
    assert_eq!((report.totals.expired, report.totals.versions), (0, 2));
}
