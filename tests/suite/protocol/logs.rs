//! The log of states, of a kind that is no head, and what it answers once its beginning is gone.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use larder::clock::ManualClock;
use larder::domain::Selector;
use larder::layout::{self, AreaPath, LayoutKey};
use larder::protocol::log::{Log, LogState};
use larder::store::{Prefix, StoreErrorKind};
use serde::{Deserialize, Serialize};

use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

/// Settings as an area might keep them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Setting {
    generation: u64,
    time: Timestamp,
    attempt: String,
    value: u64,
}

impl LogState for Setting {
    type Log = str;

    const LIMIT: u64 = 1000;

    fn key(area: &str, generation: u64) -> LayoutKey {
        LayoutKey::Aux(AreaPath::of_state(area, generation).unwrap())
    }

    fn prefix(area: &str) -> Prefix {
        layout::states(area).unwrap()
    }

    fn generation_of(key: &LayoutKey) -> Option<u64> {
        if let LayoutKey::Aux(path) = key { path.generation() } else { None }
    }

    fn complaint(&self, _: &str, generation: u64) -> Option<String> {
        (self.generation != generation).then(|| format!("it says it is generation {}", self.generation))
    }

    fn log(&self) -> &'static str {
        "hosts"
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn time(&self) -> Timestamp {
        self.time
    }

    fn attempt(&self) -> &str {
        &self.attempt
    }
}

fn hour(hour: i64) -> Timestamp {
    "2026-05-14T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour)
}

fn setting(generation: u64, by: &str) -> Setting {
    let (attempt, time) = (format!("{by}-{generation}"), hour(i64::try_from(generation).unwrap()));
    Setting { generation, time, attempt, value: generation * 10 }
}

async fn filled(count: u64) -> (FsBackend, Log<Setting>) {
    let backend = FsBackend::quick();
    let log = Log::new(backend.store());
    for generation in 1..=count {
        assert!(log.create(&setting(generation, "a")).await.unwrap());
    }
    (backend, log)
}

#[tokio::test]
async fn states_are_created_found_and_walked() {
    let (backend, log) = filled(3).await;
    assert_eq!(log.newest("other").await.unwrap(), None);
    assert_eq!(log.newest("hosts").await.unwrap(), Some(setting(3, "a")));
    assert!(!log.create(&setting(3, "b")).await.unwrap(), "somebody else was faster");
    assert!(log.create(&setting(3, "a")).await.unwrap(), "it is one's own");
    assert_eq!(all_keys(&backend.store()).await, ["aux/hosts/@/z996", "aux/hosts/@/z997", "aux/hosts/@/z998"]);
    let mut seen = Vec::new();
    let note = |state: Setting, _| {
        seen.push(state.value);
        state.generation
    };
    assert!(log.walk("hosts", 1, 5, note).await.unwrap().is_some());
    assert_eq!(seen, [20, 30]);
    assert!(log.walk("hosts", 0, 3, |state, _| state.generation).await.unwrap().is_none(), "not at the end yet");
}

#[tokio::test]
async fn a_lost_reply_is_recognised_and_a_lost_race_too() {
    let (backend, _) = filled(1).await;
    for (rule, by, mine) in [
        (Rule::on(Op::Create).lose_reply(), "a", Some(true)),
        (Rule::on(Op::Create).fail(), "a", None),
        (Rule::on(Op::Create).fail(), "b", Some(false)),
    ] {
        backend.store().delete(&Setting::key("hosts", 2).key()).await.unwrap();
        if by == "b" {
            Log::new(backend.store()).create(&setting(2, "a")).await.unwrap();
        }
        let faulty = FaultyStore::over(&backend.store());
        faulty.script(rule);
        assert_eq!(Log::new(faulty.store()).create(&setting(2, by)).await.ok(), mine, "{by}");
        assert_eq!(faulty.calls(Op::Persist), usize::from(mine == Some(true)), "what was seen is made durable");
    }
}

#[tokio::test]
async fn what_is_no_state_is_corrupt() {
    let (backend, log) = filled(1).await;
    let oversized = format!("{{\"generation\": 2, \"attempt\": \"{}\"}}", "x".repeat(1000));
    for bytes in ["{", &serde_json::to_string(&setting(3, "a")).unwrap(), &oversized] {
        backend.plant(&Setting::key("hosts", 2).key(), bytes.as_bytes());
        assert_eq!(log.newest("hosts").await.unwrap_err().kind, StoreErrorKind::Corrupt, "{bytes}");
    }
    backend.store().delete(&Setting::key("hosts", 2).key()).await.unwrap();
    backend.plant(&key("aux/hosts/@/a"), b"");
    assert_eq!(log.newest("hosts").await.unwrap().unwrap().generation, 1, "what is no state of the log is passed over");
}

/// The value at a time; `Err` when it is gone.
async fn at(log: &Log<Setting>, time: Timestamp) -> Result<Option<u64>, StoreErrorKind> {
    let newest = log.newest("hosts").await.unwrap().unwrap();
    let found = log.at(&newest, time).await.map_err(|error| error.kind)?;
    Ok(found.map(|state| state.generation))
}

#[tokio::test]
async fn a_log_without_its_beginning_answers_what_it_still_can() {
    for gone in 0..40 {
        let (backend, log) = filled(40).await;
        for generation in 1..=gone {
            backend.store().delete(&Setting::key("hosts", generation).key()).await.unwrap();
        }
        for generation in 1..=40_u64 {
            let expected = if generation > gone { Ok(Some(generation)) } else { Err(StoreErrorKind::Corrupt) };
            assert_eq!(at(&log, hour(i64::try_from(generation).unwrap())).await, expected, "{gone} are gone");
        }
        let before_all = if gone == 0 { Ok(None) } else { Err(StoreErrorKind::Corrupt) };
        assert_eq!(at(&log, hour(0)).await, before_all, "{gone} are gone");
        assert!(log.create(&setting(41, "a")).await.unwrap());
    }
}

#[tokio::test]
async fn a_hole_in_a_log_is_never_taken_for_its_beginning() {
    for hole in 2..40_u64 {
        let (backend, log) = filled(40).await;
        backend.store().delete(&Setting::key("hosts", hole).key()).await.unwrap();
        for generation in 1..=40_u64 {
            // Either it says that something is missing, or it is right.
            let found = at(&log, hour(i64::try_from(generation).unwrap())).await;
            assert!(found == Err(StoreErrorKind::Corrupt) || found == Ok(Some(generation)), "{hole}: {found:?}");
            assert!(generation != hole || found.is_err(), "{hole}: {found:?}");
        }
    }
}

#[tokio::test]
async fn a_name_whose_first_heads_are_gone_is_read_and_changed_as_ever() {
    let backend = FsBackend::quick();
    let services = Services::with_clock(&backend.store(), Arc::new(ManualClock::new(hour(0))));
    for version in 0..20 {
        services.release("main", &Release::new(format!("v{version}"), 1)).await.unwrap();
        services.clock.advance(SignedDuration::from_hours(1));
    }
    for generation in 1..=12 {
        backend.store().delete(&LayoutKey::Head(name("main").into(), generation).key()).await.unwrap();
    }
    let fresh = Services::with_clock(&backend.store(), Arc::new(ManualClock::new(hour(20))));
    assert_eq!(fresh.active("main").await.as_deref(), Some("v19"));
    let head = fresh.head("main").await;
    for version in 7..20 {
        let row = fresh.heads.select(&head, Selector::At(hour(version))).await.unwrap();
        assert_eq!(row.map(|row| label(&row)), Some(format!("v{version}")));
    }
    fresh.heads.select(&head, Selector::At(hour(3))).await.unwrap_err();
    fresh.release("main", &Release::new("v20", 1)).await.unwrap();
    assert_eq!(fresh.active("main").await.as_deref(), Some("v20"));
}
