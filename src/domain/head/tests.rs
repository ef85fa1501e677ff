use super::super::manifest::{Descriptor, Kind};
use super::super::version::Summary;
use super::super::{Expect, PinOwner, Selector};
use super::*;

mod away;
mod catalogs;
mod conditions;
mod drafts;
mod format;
mod immutable;
mod labels;
mod sequences;
mod signatures;
mod warnings;

fn name() -> LogName {
    "main".parse().unwrap()
}

fn summary(seed: u64) -> Summary {
    let manifest = Descriptor { digest: Digest::of(&seed.to_le_bytes()), size: 100 };
    Summary {
        manifest,
        media_type: None,
        label: None,
        label_cut: false,
        kind: Kind::Files,
        files: 1,
        total_bytes: 1,
        entrypoint: None,
        source: None,
        subject: None,
        pushed_as: None,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn prepare(seed: u64) -> Change {
    Change::Prepare { summary: summary(seed), from: None, annex: None, expect: Expect::Anything }
}

fn commit(number: u64) -> Change {
    Change::Commit { number, activate: true, expect: Expect::Anything }
}

fn stage(number: u64) -> Change {
    Change::Commit { number, activate: false, expect: Expect::Anything }
}

fn promote(number: u64) -> Change {
    Change::Promote { selector: Selector::Number(number), expect: Expect::Anything }
}

fn pin(number: u64, pinned: bool) -> Change {
    Change::Pin { selector: Selector::Number(number), pinned, owner: PinOwner::User, force: false }
}

fn retire(number: u64) -> Change {
    Change::Retire { selector: Selector::Number(number), reason: "old".into() }
}

fn expire(number: u64, generation: u64) -> Change {
    Change::Expire { due: vec![Due { number, generation, reason: "late".into() }] }
}

fn delete() -> Change {
    Change::Delete { expect: Expect::Anything, reason: "gone".into() }
}

/// A name and the rows spilled from its head, stored as the service stores them.
#[derive(Debug, Default)]
struct Log {
    head: Option<Head>,
    spilled: Vec<VersionRow>,
    now: i64,
    tags: Tags,
}

impl Log {
    /// Applies these changes to a new name, none of which may be rejected.
    fn of(changes: impl IntoIterator<Item = Change>) -> Self {
        let mut log = Self::default();
        for change in changes {
            log.make(&change).unwrap();
        }
        log
    }

    /// All rows by ascending number; a row in the head shadows its spilled copy.
    fn everything(&self) -> Vec<VersionRow> {
        let inline = self.head.iter().flat_map(|head| head.rows.iter());
        let mut all = self.spilled.clone();
        for row in inline {
            all.retain(|other| other.number != row.number);
            all.push(row.clone());
        }
        all.sort_by_key(|row| row.number);
        all
    }

    fn row(&self, number: u64) -> Option<VersionRow> {
        self.everything().into_iter().find(|row| row.number == number)
    }

    fn state(&self, number: u64) -> Option<State> {
        self.row(number).map(|row| row.state)
    }

    fn pick(&self, selector: &Selector) -> Option<VersionRow> {
        let head = self.head.as_ref()?;
        match selector {
            Selector::Active => head.active().cloned(),
            Selector::Previous => self.row(head.previous?),
            Selector::Number(number) => self.row(*number),
            _ => panic!("not used here"),
        }
    }

    fn outcome(&self, change: &Change) -> Result<Outcome, Rejection> {
        let row = change.selector().and_then(|selector| self.pick(&selector));
        let everything = match change {
            Change::Delete { .. } => self.everything(),
            Change::Expire { due } => due.iter().filter_map(|due| self.row(due.number)).collect(),
            _ => Vec::new(),
        };
        let operation = Operation::new("id".into(), change.action(), Subject::admin());
        let instead = self.pick(&Selector::Previous).filter(|row| row.state.is_complete() && row.yanked.is_none());
        let base = Judgement::new(operation, at(self.now));
        let judgement = Judgement { row, instead, everything, tags: self.tags, ..base };
        Head::next(self.head.as_ref(), &name(), change, judgement)
    }

    /// Applies a change, and returns whether it had an effect.
    fn make(&mut self, change: &Change) -> Result<bool, Rejection> {
        let Outcome::Next { mut head, spill, .. } = self.outcome(change)? else { return Ok(false) };
        if head.segments.is_empty() {
            // A deletion moves all rows back into the head before it spills them.
            self.spilled.clear();
        }
        for row in spill {
            self.spilled.retain(|other| other.number != row.number);
            head.segments.push(segment(row.number));
            self.spilled.push(row);
        }
        self.head = Some(*head);
        Ok(true)
    }

    fn head(&self) -> &Head {
        self.head.as_ref().unwrap()
    }
}

/// A segment of one row: just enough for a head to know that the row was spilled.
fn segment(number: u64) -> SegmentRef {
    let other = Carried::default();
    SegmentRef { digest: Digest::of(b""), first: number, last: number, rows: 1, tier: 0, roots: 1, labels: None, other }
}

fn rejected(log: &mut Log, change: &Change) -> Rejection {
    let before = log.head.clone();
    let rejection = log.make(change).expect_err("refused");
    assert_eq!(log.head, before);
    rejection
}

#[test]
fn a_version_goes_through_its_states() {
    let mut log = Log::of([prepare(1)]);
    assert_eq!((log.state(1), log.head().active()), (Some(State::Prepared), None));
    log.make(&stage(1)).unwrap();
    assert_eq!((log.state(1), log.head().active()), (Some(State::Ready), None));
    log.make(&promote(1)).unwrap();
    assert_eq!(log.state(1), Some(State::Active));
    log.make(&prepare(2)).unwrap();
    log.make(&commit(2)).unwrap();
    assert_eq!((log.state(1), log.state(2)), (Some(State::Archived), Some(State::Active)));
    log.make(&retire(1)).unwrap();
    assert_eq!(log.state(1), Some(State::Retired));
}

#[test]
fn rows_are_dated_by_what_happened_to_them() {
    let mut log = Log::default();
    for (now, change) in [prepare(1), commit(1), prepare(2), commit(2), promote(1), retire(2)].into_iter().enumerate() {
        log.now = i64::try_from(now).unwrap();
        log.make(&change).unwrap();
    }
    let (one, two) = (log.row(1).unwrap(), log.row(2).unwrap());
    assert_eq!((one.first_active_at(), one.activations), (Some(at(1)), 2));
    assert_eq!((two.first_active_at(), two.activations), (Some(at(3)), 1));
    assert_eq!((one.promoted_by, two.retired_by.clone()), (Some(Subject::admin()), Some(Subject::admin())));
    assert_eq!((one.prepared_at, one.published_at, one.promoted_at), (at(0), Some(at(1)), Some(at(4))));
    assert_eq!(one.archived_at, None, "it is active again");
    assert_eq!((two.published_at, two.archived_at, two.retired_at), (Some(at(3)), Some(at(4)), Some(at(5))));
    assert_eq!(two.retired_because.as_deref(), Some("old"));
}

#[test]
fn previous_is_what_was_active_immediately_before() {
    let mut log = Log::of([prepare(1), commit(1)]);
    assert_eq!(log.head().previous, None);
    for (change, previous) in [(prepare(2), None), (commit(2), Some(1)), (promote(1), Some(2)), (promote(1), Some(2))] {
        log.make(&change).unwrap();
        assert_eq!(log.head().previous, previous, "{change:?}");
    }
}

#[test]
fn what_is_already_so_is_not_written_again() {
    let mut log = Log::of([prepare(1), commit(1), prepare(2), stage(2), pin(2, true), prepare(3), commit(3)]);
    for change in [commit(1), stage(1), stage(2), promote(3), commit(3), pin(2, true), pin(1, false)] {
        assert_eq!(log.make(&change), Ok(false), "{change:?}");
    }
    log.make(&retire(1)).unwrap();
    assert_eq!(log.make(&retire(1)), Ok(false));
}

#[test]
fn each_state_refuses_what_it_does_not_allow() {
    use Rejection::{NoSuchVersion, Pinned};
    let setup = [prepare(1), commit(1), prepare(2), stage(2), prepare(3), prepare(4), stage(4), retire(4)];
    let mut log = Log::of(setup);
    log.make(&pin(1, true)).unwrap();
    let wrong = |number, state| Rejection::WrongState { number, state };
    for (change, expected) in [
        (Change::Abort { number: 1 }, wrong(1, State::Active)),
        (Change::Abort { number: 2 }, wrong(2, State::Ready)),
        (commit(2), wrong(2, State::Ready)),
        (promote(3), wrong(3, State::Prepared)),
        (pin(3, true), wrong(3, State::Prepared)),
        (retire(3), wrong(3, State::Prepared)),
        (retire(1), Pinned(1)),
        (delete(), Pinned(1)),
        (commit(9), NoSuchVersion),
        (promote(9), NoSuchVersion),
        (retire(9), NoSuchVersion),
        (Change::Abort { number: 9 }, NoSuchVersion),
    ] {
        assert_eq!(rejected(&mut log, &change), expected, "{change:?}");
    }
    log.make(&pin(1, false)).unwrap();
    assert_eq!(rejected(&mut log, &retire(1)), wrong(1, State::Active), "what readers get is not retired");
    for change in [commit(4), promote(4), pin(4, true), Change::Abort { number: 4 }] {
        assert!(matches!(rejected(&mut log, &change), Rejection::Retired(row) if row.number == 4), "{change:?}");
    }
}

#[test]
fn a_name_that_never_existed_refuses_everything_but_a_first_version() {
    let mut log = Log::default();
    for change in [commit(1), promote(1), pin(1, true), retire(1), Change::Abort { number: 1 }, delete()] {
        assert_eq!(log.make(&change), Err(Rejection::NoSuchVersion), "{change:?}");
    }
    let update = Change::Prepare { summary: summary(1), from: None, annex: None, expect: Expect::Something };
    assert_eq!(log.make(&update), Err(Rejection::Precondition { current: None }));
    assert_eq!(log.make(&prepare(1)), Ok(true));
    assert_eq!(log.head().generation, 1);
}

#[test]
fn an_aborted_version_disappears_and_its_number_is_not_used_again() {
    let mut log = Log::of([prepare(1), Change::Abort { number: 1 }]);
    assert!(log.everything().is_empty());
    for change in [commit(1), promote(1), Change::Abort { number: 1 }] {
        assert_eq!(rejected(&mut log, &change), Rejection::NoSuchVersion, "{change:?}");
    }
    log.make(&prepare(2)).unwrap();
    assert_eq!(log.head().rows.iter().map(|row| row.number).collect::<Vec<_>>(), [2]);
}

#[test]
fn an_aborted_version_that_had_left_the_head_does_not_come_back() {
    let mut log = Log::of((1..=40).map(prepare));
    assert!(log.head().inline(1).is_none(), "it was spilled");
    log.make(&Change::Abort { number: 1 }).unwrap();
    assert_eq!(log.state(1), Some(State::Aborted));
    assert_eq!(rejected(&mut log, &commit(1)), Rejection::NoSuchVersion);
    for seed in 41..=120 {
        log.make(&prepare(seed)).unwrap();
    }
    assert_eq!(log.state(1), Some(State::Aborted), "when it is spilled again, too");
}

#[test]
fn a_deletion_retires_or_aborts_every_version_wherever_it_is() {
    let mut log = Log::default();
    for number in 1..=60 {
        log.make(&prepare(number)).unwrap();
        match number % 3 {
            0 => log.make(&commit(number)).unwrap(),
            1 => log.make(&stage(number)).unwrap(),
            _ => true,
        };
    }
    assert!(!log.spilled.is_empty());
    log.make(&delete()).unwrap();
    for row in log.everything() {
        let expected = if row.number % 3 == 2 { State::Aborted } else { State::Retired };
        assert_eq!(row.state, expected, "{}", row.number);
    }
    let head = log.head();
    assert_eq!((head.active(), head.previous), (None, None));
    assert_eq!(head.deleted.as_ref().map(|deletion| deletion.reason.as_str()), Some("gone"));
    assert!(matches!(rejected(&mut log, &delete()), Rejection::Deleted(_)), "there is nothing left");
    log.make(&prepare(61)).unwrap();
    assert!(log.head().deleted.is_some(), "a version that is not complete does not bring the name back");
    log.make(&commit(61)).unwrap();
    assert_eq!((log.head().deleted.as_ref(), log.state(61)), (None, Some(State::Active)));
}

#[test]
fn a_clock_that_goes_backwards_does_not_turn_back_the_log() {
    let mut log = Log { now: 100, ..Log::default() };
    log.make(&prepare(1)).unwrap();
    log.now = 0;
    log.make(&commit(1)).unwrap();
    assert_eq!((log.head().time, log.row(1).unwrap().published_at), (at(100), Some(at(100))));
    log.now = 101;
    log.make(&pin(1, true)).unwrap();
    assert_eq!(log.head().time, at(101));
}

#[test]
fn a_full_head_spills_its_oldest_rows_and_keeps_the_active_one() {
    let mut log = Log::of([prepare(1), commit(1)]);
    for number in 2..=INLINE_MAX as u64 {
        log.make(&prepare(number)).unwrap();
        log.make(&stage(number)).unwrap();
    }
    assert!(log.spilled.is_empty() && log.head().rows.len() == INLINE_MAX);
    log.make(&prepare(33)).unwrap();
    let inline: Vec<u64> = log.head().rows.iter().map(|row| row.number).collect();
    assert_eq!(inline, [1, 26, 27, 28, 29, 30, 31, 32, 33]);
    assert_eq!(log.spilled.iter().map(|row| row.number).collect::<Vec<_>>(), (2..=25).collect::<Vec<_>>());
}

#[test]
fn an_expiry_takes_only_what_has_not_changed_since() {
    let mut log = Log::of([prepare(1), commit(1), prepare(2), commit(2), prepare(3), stage(3), prepare(4)]);
    let generation = |log: &Log, number| log.row(number).unwrap().generation;
    let (archived, active, staged) = (generation(&log, 1), generation(&log, 2), generation(&log, 3));
    log.make(&pin(3, true)).unwrap();
    for (number, generation) in [(1, archived - 1), (2, active), (3, staged), (3, staged + 2), (9, 1)] {
        assert_eq!(log.make(&expire(number, generation)), Ok(false), "{number} of generation {generation}");
    }
    assert_eq!(log.make(&expire(1, archived)), Ok(true));
    assert_eq!(log.row(1).unwrap().retired_because.as_deref(), Some("late"));
    assert_eq!(log.make(&expire(4, 7)), Ok(true));
    assert_eq!(log.row(4), None, "given up");
    assert_eq!(rejected(&mut log, &commit(4)), Rejection::NoSuchVersion, "whoever stalled cannot bring it back");
}

#[test]
fn a_head_says_what_made_it() {
    let mut log = Log::of([prepare(1), commit(1)]);
    for (change, action, version) in [
        (prepare(2), Action::Prepare, Some(2)),
        (stage(2), Action::Publish, Some(2)),
        (pin(1, true), Action::Pin, Some(1)),
        (pin(1, false), Action::Unpin, Some(1)),
        (promote(2), Action::Promote, Some(2)),
        (retire(1), Action::Retire, Some(1)),
        (prepare(3), Action::Prepare, Some(3)),
        (Change::Abort { number: 3 }, Action::Abort, Some(3)),
        (pin(2, true), Action::Pin, Some(2)),
        (prepare(4), Action::Prepare, Some(4)),
        (expire(4, 12), Action::Expire, None),
        (pin(2, false), Action::Unpin, Some(2)),
        (delete(), Action::Delete, None),
    ] {
        log.make(&change).unwrap();
        let operation = &log.head().operation;
        assert_eq!((operation.action, operation.version), (action, version));
    }
    assert_eq!(log.head().operation.reason.as_deref(), Some("gone"));
}
