//! The store of a schedule and the one who decides whose turn it is.
//!
//! Everybody's calls wait here. Whenever nobody can go on without an answer, one call is chosen, and what becomes of
//! it: so a schedule is a sequence of choices, and the seed makes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::{SignedDuration, Timestamp};
use larder::clock::ManualClock;
use larder::store::{Key, StoreError, StoreErrorKind};
use tokio_util::sync::CancellationToken;

use super::objects::{Entry, Objects};
use super::plan::{Choice, Fate, Late, Plan};
use super::random::Random;
use super::truth::Truth;

/// CollectorSchedule after which a schedule is taken for one that never ends.
const MAX_TURNS: usize = 100_000;

/// Where every schedule's time begins.
pub fn beginning() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a legal time")
}

/// What keys begin with that hold the id of a run.
const OF_RUNS: [&str; 2] = ["collector/runs/", "collector/seen/"];

/// A key without what is random in it: the ids of runs of the collector.
pub fn masked(key: &str) -> String {
    match (OF_RUNS.iter().find(|area| key.starts_with(**area)), key.split_once('-'), key.split_once('.')) {
        (Some(_), Some((second, _)), Some((_, part))) => format!("{second}-?.{part}"),
        _ => key.to_owned(),
    }
}

/// A text that may name such keys, without what is random in them.
fn masked_within(text: &str) -> String {
    OF_RUNS.iter().fold(text.to_owned(), |text, area| masked_of(&text, area))
}

fn masked_of(text: &str, area: &str) -> String {
    let mut parts = text.split(area);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (moment, rest) = part.split_once('-').unwrap_or((part, ""));
        let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_hexdigit());
        write!(masked, "{area}{moment}-?{rest}").expect("write to a text");
    }
    masked
}

/// Who calls: a process, and the client on whose behalf, if the task still knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Caller {
    pub process: usize,
    pub client: Option<usize>,
}

/// A call that has not been answered.
pub trait Pending: Send {
    /// Takes effect.
    fn apply(&mut self, store: &mut State);
    /// Tells the caller what came of it.
    fn answer(&mut self);
    /// Tells the caller that it failed.
    fn fail(&mut self, error: StoreError);
    /// Whether the caller no longer listens.
    fn is_abandoned(&self) -> bool;
}

struct Waiting {
    caller: Caller,
    op: &'static str,
    key: String,
    not_before: usize,
    call: Box<dyn Pending>,
}

impl Waiting {
    fn changes_something(&self) -> bool {
        matches!(self.op, "create" | "commit" | "copy" | "delete" | "write part" | "commit parts" | "abort parts")
    }
}

struct Process {
    name: String,
    dead: CancellationToken,
    clock: Arc<ManualClock>,
    calls: usize,
}

/// What calls act on.
pub struct State {
    pub objects: Objects,
    pub random: Random,
    pub truth: Truth,
    /// Objects that were deleted, for listings that still show them.
    pub ghosts: Vec<(Key, Entry, u64)>,
    /// How many bodies in a thousand break off.
    pub breaks: usize,
    wrong: Option<String>,
}

impl State {
    pub fn created(&mut self, key: &Key) {
        let check = self.truth.created(key, &self.objects);
        self.check(check);
    }

    pub fn delete(&mut self, key: &Key) {
        let Some(entry) = self.objects.delete(key) else { return };
        self.ghosts.push((key.clone(), entry, self.objects.changes));
        let check = self.truth.deleted(key, &self.objects);
        self.check(check);
    }

    pub fn check(&mut self, check: Result<(), String>) {
        if let Err(why) = check {
            self.wrong.get_or_insert(why);
        }
    }
}

struct Inner {
    store: State,
    plan: Plan,
    waiting: Vec<Waiting>,
    processes: Vec<Process>,
    requests: BTreeMap<usize, CancellationToken>,
    trace: Vec<String>,
    turns: usize,
    quiet: bool,
}

/// The store of a schedule.
pub struct World {
    inner: Mutex<Inner>,
    /// Something is wrong: the schedule need not go on.
    pub stop: CancellationToken,
}

impl World {
    pub fn new(seed: u64, plan: Plan) -> Arc<Self> {
        let store = State {
            objects: Objects::new(beginning()),
            random: Random::new(seed),
            truth: Truth::default(),
            ghosts: Vec::new(),
            breaks: 0,
            wrong: None,
        };
        let inner = Inner {
            store,
            plan,
            waiting: Vec::new(),
            processes: Vec::new(),
            requests: BTreeMap::new(),
            trace: Vec::new(),
            turns: 0,
            quiet: true,
        };
        Arc::new(Self { inner: Mutex::new(inner), stop: CancellationToken::new() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics with the world in its hands")
    }

    /// Whether calls are answered at once, as they come.
    pub fn set_quiet(&self, quiet: bool) {
        let mut inner = self.inner();
        inner.quiet = quiet;
        inner.store.breaks = if quiet { 0 } else { inner.plan.faults.breaks() };
    }

    /// Looks at the store, or changes it, beside all turns.
    pub fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.inner().store)
    }

    /// What went wrong, if anything did.
    pub fn wrong(&self) -> Option<String> {
        self.inner().store.wrong.clone()
    }

    /// Says that something is wrong.
    pub fn report(&self, why: String) {
        self.inner().store.check(Err(why));
        self.stop.cancel();
    }

    /// The calls in their order, with what became of each.
    pub fn trace(&self) -> Vec<String> {
        self.inner().trace.clone()
    }

    /// Says in the trace what somebody is about to do, or what came of it.
    pub fn note(&self, text: &str) {
        self.inner().trace.push(masked_within(text));
    }

    /// A new process, with its number, its end and its clock, which is wrong by `skew`.
    pub fn start(&self, name: &str, skew: SignedDuration) -> (usize, CancellationToken, Arc<ManualClock>) {
        let mut inner = self.inner();
        let (dead, number) = (CancellationToken::new(), inner.processes.len());
        let clock = Arc::new(ManualClock::new(inner.store.objects.now + skew));
        let process =
            Process { name: format!("{name}#{number}"), dead: dead.clone(), clock: Arc::clone(&clock), calls: 0 };
        inner.processes.push(process);
        (number, dead, clock)
    }

    /// How many calls a process made that were let go.
    pub fn calls(&self, process: usize) -> usize {
        self.inner().processes[process].calls
    }

    /// A new request of a client; it is over when the token is cancelled.
    pub fn begin_request(&self, client: usize) -> CancellationToken {
        let token = CancellationToken::new();
        self.inner().requests.insert(client, token.clone());
        token
    }

    /// Takes a call in. That of a dead process is dropped.
    pub fn wait(&self, caller: Caller, op: &'static str, key: &str, mut call: Box<dyn Pending>) {
        let mut inner = self.inner();
        if inner.processes[caller.process].dead.is_cancelled() {
            return;
        }
        if inner.quiet {
            call.apply(&mut inner.store);
            call.answer();
            return;
        }
        inner.waiting.push(Waiting { caller, op, key: key.to_owned(), not_before: 0, call });
    }

    /// Lets one call go: nobody can go on without.
    pub fn turn(&self) {
        let mut inner = self.inner();
        if inner.quiet || self.stop.is_cancelled() {
            return;
        }
        while !inner.turn() {}
        if inner.store.wrong.is_some() {
            self.stop.cancel();
        }
    }

    /// Lets every call whose caller is gone take effect, or not. Returns some of them, to take effect much later.
    pub fn settle(&self) -> Vec<Late> {
        let mut inner = self.inner();
        let (mut kept, waiting) = (Vec::new(), std::mem::take(&mut inner.waiting));
        for mut waiting in waiting {
            match inner.store.random.below(3) {
                0 => {}
                1 if waiting.changes_something() => {
                    waiting.call.apply(&mut inner.store);
                    inner.record(&waiting, "took effect late");
                }
                _ if waiting.op == "delete" => kept.push(Late(waiting.call)),
                _ => {}
            }
        }
        kept
    }
}

impl Inner {
    /// One choice. Whether somebody can go on now.
    fn turn(&mut self) -> bool {
        self.turns += 1;
        match self.choose() {
            _ if self.turns > MAX_TURNS => self.store.check(Err("this schedule never ends".into())),
            Some(at) => return self.go(at) || self.store.wrong.is_some(),
            None => self.store.check(Err("everybody waits, but for no call".into())),
        }
        true
    }

    /// The call that goes next, if any waits.
    fn choose(&mut self) -> Option<usize> {
        // Which of them came first may depend on the order of a map; the choice must not.
        self.waiting.sort_by(|a, b| (a.caller, a.op, &a.key).cmp(&(b.caller, b.op, &b.key)));
        let (turn, mut abandoned, mut ready, mut held) = (self.turns, Vec::new(), Vec::new(), None);
        for (at, waiting) in self.waiting.iter().enumerate() {
            if self.is_abandoned(waiting) {
                abandoned.push(at);
            } else if waiting.not_before <= turn {
                ready.push(at);
            } else if held.is_none_or(|other: usize| waiting.not_before < self.waiting[other].not_before) {
                held = Some(at);
            }
        }
        if !abandoned.is_empty() && self.store.random.chance(50) {
            return Some(self.store.random.pick(&abandoned));
        }
        if ready.is_empty() {
            return held;
        }
        let choice = |at: &usize| {
            let Waiting { caller, op, key, .. } = &self.waiting[*at];
            Choice { caller: *caller, op, key }
        };
        let choices: Vec<Choice<'_>> = ready.iter().map(choice).collect();
        Some(ready[self.plan.order.choose(&choices, &mut self.store.random)])
    }

    /// Whether nobody is there any more to hear the answer.
    fn is_abandoned(&self, waiting: &Waiting) -> bool {
        waiting.call.is_abandoned() || self.processes[waiting.caller.process].dead.is_cancelled()
    }

    /// Lets one call go. Whether somebody heard of it.
    fn go(&mut self, at: usize) -> bool {
        let mut waiting = self.waiting.remove(at);
        let tick = self.plan.tick(&mut self.store.random);
        self.store.objects.now += tick;
        for process in &self.processes {
            process.clock.advance(tick);
        }
        if self.is_abandoned(&waiting) {
            if waiting.changes_something() && self.store.random.chance(500) {
                waiting.call.apply(&mut self.store);
                self.record(&waiting, "took effect late");
            }
            return false;
        }
        let process = &mut self.processes[waiting.caller.process];
        process.calls += 1;
        let fate = self.plan.faults.fate(waiting.caller, process.calls, &mut self.store.random);
        self.meet(fate, waiting);
        !matches!(fate, Fate::Hold(_))
    }

    fn meet(&mut self, fate: Fate, mut waiting: Waiting) {
        let caller = waiting.caller;
        let unavailable = StoreError::new(StoreErrorKind::Unavailable, &waiting.key, "a fault of the schedule");
        if let Fate::Hold(turns) = fate {
            self.record(&waiting, "is held up");
            waiting.not_before = self.turns + turns;
            return self.waiting.push(waiting);
        }
        self.record(&waiting, fate.words());
        if fate.is_applied() {
            waiting.call.apply(&mut self.store);
        }
        match fate {
            Fate::Go | Fate::Hold(_) => waiting.call.answer(),
            Fate::Fail(_) => waiting.call.fail(unavailable),
            Fate::Crash(_) => self.crash(caller.process),
            Fate::Cancel(_) => match caller.client.and_then(|client| self.requests.get(&client)) {
                Some(request) => request.cancel(),
                // Nobody waits for this call alone.
                None => waiting.call.fail(unavailable),
            },
        }
        if fate.is_late() {
            self.waiting.push(waiting);
        }
    }

    fn crash(&mut self, process: usize) {
        self.processes[process].dead.cancel();
    }

    fn record(&mut self, waiting: &Waiting, what: &str) {
        let mut text = format!("{:>5} ", self.turns);
        let caller = waiting.caller;
        let client = caller.client.map(|client| format!(" for client {client}")).unwrap_or_default();
        let process = &self.processes[caller.process].name;
        write!(text, "{process}{client}: {} {} {what}", waiting.op, waiting.key).expect("write to a text");
        self.trace.push(text);
    }
}
