//! Heads as documents: their size, and what they preserve of documents by a newer Larder.

use serde_json::{Value, json};

use super::super::super::version::{MAX_REASON, MAX_ROW};
use super::*;

fn size(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).unwrap().len()
}

/// The row of version 1 after these changes, made by `by` at a time with the longest representation.
fn row_after(first: &Summary, by: &Subject, changes: &[Change]) -> VersionRow {
    let now: Timestamp = "2027-01-15T08:00:00.123456789Z".parse().unwrap();
    let prepare = Change::Prepare { summary: first.clone(), from: None, annex: None, expect: Expect::Anything };
    let mut head: Option<Head> = None;
    for change in std::iter::once(&prepare).chain(changes) {
        let row = change.selector().and_then(|selector| match selector {
            Selector::Number(number) => head.as_ref()?.inline(number).cloned(),
            _ => head.as_ref()?.active().cloned(),
        });
        let operation = Operation::new("id".into(), change.action(), by.clone());
        let judgement = Judgement { row, ..Judgement::new(operation, now) };
        let Outcome::Next { head: next, .. } = Head::next(head.as_ref(), &name(), change, judgement).unwrap() else {
            continue;
        };
        head = Some(*next);
    }
    head.unwrap().inline(1).unwrap().clone()
}

#[test]
fn a_head_is_read_back_as_it_was_written() {
    let mut log = Log::of((1..=40).map(prepare));
    for change in [commit(40), pin(40, true), stage(39), retire(39), Change::Abort { number: 3 }] {
        log.make(&change).unwrap();
        let text = serde_json::to_string(log.head()).unwrap();
        assert_eq!(serde_json::from_str::<Head>(&text).unwrap(), *log.head());
    }
}

#[test]
fn a_usual_row_is_small() {
    let first = Summary {
        label: Some("main:abc1234".into()),
        files: 12,
        total_bytes: 123_456_789,
        source: Some(Digest::of(b"source")),
        ..summary(1)
    };
    let by = Subject::token("release-pipeline").unwrap();
    let row = row_after(&first, &by, &[commit(1), prepare(2), commit(2)]);
    assert_eq!((row.state, row.activations), (State::Archived, 1));
    assert!(size(&row) < 600, "{} bytes: {}", size(&row), serde_json::to_string(&row).unwrap());
}

#[test]
fn the_largest_row_stays_within_its_bound() {
    let first = Summary {
        manifest: Descriptor { size: u64::MAX, ..summary(1).manifest },
        media_type: Some("m".repeat(255).into()),
        label: Some("🦀".repeat(200)),
        label_cut: true,
        files: u64::MAX,
        total_bytes: u64::MAX,
        source: Some(Digest::of(b"source")),
        ..summary(1)
    };
    let by = Subject::new(&"i".repeat(30), &"s".repeat(255)).unwrap();
    let reason = || "r".repeat(10 * MAX_REASON);
    let retire = Change::Retire { selector: Selector::Number(1), reason: reason() };
    let again = [commit(1), pin(1, true), prepare(2), commit(2), promote(1), promote(2), pin(1, false)];
    let yank = Change::Yank { selector: Selector::Number(1), reason: reason(), instead: Some(2), rollback: false };
    let row = row_after(&first, &by, &[again.as_slice(), &[yank, retire]].concat());
    assert_eq!((row.state, row.retired_because.as_ref().map(String::len)), (State::Retired, Some(MAX_REASON)));
    assert!(size(&row) < MAX_ROW, "{} bytes", size(&row));
    let pinned = row_after(&first, &by, &again[..6]);
    assert!(pinned.is_pinned() && size(&pinned) < MAX_ROW, "{} bytes", size(&pinned));
}

#[test]
fn pins_leave_room_for_what_must_always_be_possible() {
    let mut log = Log::of([prepare(1), commit(1)]);
    log.head.as_mut().unwrap().rows[0].session = Some("x".repeat(MAX_ROW / 2 + 500).into());
    assert_eq!(rejected(&mut log, &pin(1, true)), Rejection::PinsFull(1));
}

#[test]
fn a_head_spills_by_its_bytes_too() {
    let mut log = Log::default();
    for number in 1..=100 {
        let large = Summary { label: Some("🦀".repeat(200)), ..summary(number) };
        log.make(&Change::Prepare { summary: large, from: None, annex: None, expect: Expect::Anything }).unwrap();
        log.make(&commit(number)).unwrap();
        let head = log.head();
        // The references to the segments are not merged here, so they are left out.
        let bytes = size(&Head { segments: Vec::new(), ..head.clone() });
        assert!(bytes <= MAX_HEAD, "{bytes} bytes with {} rows", head.rows.len());
        assert_eq!(head.active().map(|row| row.number), Some(number));
    }
    assert!(log.spilled.len() > 80 && log.head().rows.len() > 1);
    assert!(log.everything().iter().map(|row| row.number).eq(1..=100), "no row is lost");
    log.make(&promote(1)).unwrap();
    assert!(log.head().inline(1).is_some() && log.head().inline(100).is_some());
}

/// A head with unknown members and words wherever they are allowed.
fn newer() -> Value {
    let mut log =
        Log::of([prepare(1), commit(1), prepare(2), stage(2), pin(2, true), prepare(3), stage(3), prepare(4)]);
    log.head.as_mut().unwrap().segments.push(segment(1));
    let mut head = serde_json::to_value(log.head()).unwrap();
    for pointer in ["", "/operation", "/rows/0", "/rows/1", "/rows/1/pins/0", "/activations/0", "/segments/0"] {
        head.pointer_mut(pointer).unwrap()["x-new"] = json!({"at": pointer, "list": [1, null, "x"]});
    }
    head["operation"]["action"] = json!("levitate");
    head["rows"][2]["state"] = json!("quarantined");
    head["deleted"] = json!({"at": "2027-01-15T08:00:00Z", "by": "token:ci", "reason": "r", "x-new": 1});
    head
}

fn log_of(head: &Value) -> Log {
    Log { head: Some(Head::parse(&serde_json::to_vec(head).unwrap()).unwrap()), ..Log::default() }
}

#[test]
fn what_a_newer_larder_wrote_is_read_and_written_as_it_is() {
    let head = newer();
    let log = log_of(&head);
    assert_eq!(serde_json::to_value(log.head()).unwrap(), head);
    assert_eq!(log.head().operation.action.to_string(), "levitate");
}

#[test]
fn unknown_members_live_through_every_change() {
    for change in [prepare(5), pin(2, false), pin(1, true), promote(2), retire(2), Change::Abort { number: 4 }] {
        let mut log = log_of(&newer());
        // A pinned version can be retired once it is unpinned.
        if change == retire(2) {
            log.make(&pin(2, false)).unwrap();
        }
        log.make(&change).unwrap();
        let (old, new) = (newer(), serde_json::to_value(log.head()).unwrap());
        for pointer in ["", "/rows/0", "/rows/1", "/segments/0", "/rows/2"] {
            assert_eq!(new.pointer(pointer).unwrap()["x-new"], old.pointer(pointer).unwrap()["x-new"], "{change:?}");
        }
        assert_eq!(new["operation"].get("x-new"), None, "that was about another operation");
        let oldest = new["activations"].as_array().unwrap().last().unwrap();
        assert_eq!(oldest["x-new"]["at"], json!("/activations/0"), "{change:?}");
        let pin = new["rows"][1]["pins"].get(0).map(|pin| pin["x-new"]["at"].clone());
        let unpinned = matches!(change, Change::Pin { pinned: false, .. } | Change::Retire { .. });
        assert_eq!(pin, (!unpinned).then(|| json!("/rows/1/pins/0")), "{change:?}");
    }
}

#[test]
fn a_version_in_an_unknown_state_cannot_be_changed() {
    let mut log = log_of(&newer());
    let state: State = "quarantined".parse().unwrap();
    let generation = log.row(3).unwrap().generation;
    let wrong = Rejection::WrongState { number: 3, state };
    let changes =
        [commit(3), stage(3), promote(3), pin(3, true), pin(3, false), retire(3), Change::Abort { number: 3 }];
    for change in changes {
        assert_eq!(rejected(&mut log, &change), wrong, "{change:?}");
    }
    assert_eq!(log.make(&expire(3, generation)), Ok(false));
    log.make(&pin(2, false)).unwrap();
    assert_eq!(rejected(&mut log, &delete()), wrong, "nor the whole name be deleted");
    assert_eq!(wrong.to_string(), "version 3 is quarantined");
}

#[test]
fn a_head_of_another_format_is_told_from_a_damaged_one() {
    let parse = |head: &Value| Head::parse(&serde_json::to_vec(head).unwrap()).unwrap_err();
    let mut head = newer();
    head["format"] = json!(2);
    assert_eq!(parse(&head), HeadError::Newer(2));
    assert_eq!(parse(&json!({"format": 7, "everything": "different"})), HeadError::Newer(7));
    for damaged in [json!({"format": 1}), json!({}), json!(null), json!({"format": "x"})] {
        assert!(matches!(parse(&damaged), HeadError::Malformed(_)), "{damaged}");
    }
}
