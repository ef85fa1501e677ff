//! Which requests go wrong, and how.

use std::sync::Mutex;
use std::time::Duration;

use super::Op;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answered with this status and code, without effect.
    Answer(u16, &'static str),
    /// Answered 503 without effect, with so many seconds of `Retry-After`.
    Busy(u64),
    /// The same, but `Retry-After` is a date so many seconds from now.
    BusyUntil(u64),
    /// The connection is closed, without effect.
    Reset,
    /// It has its effect, but the connection is closed before the answer.
    LostReply,
    /// It has its effect, and is answered 500.
    LateError,
    /// It has its effect, so much later.
    Slow(Duration),
    /// The body of the request is another one when it arrives.
    Damage,
    /// The body of the answer ends after so many bytes, and the connection with it.
    Truncate(usize),
    /// The body of the answer stops after so many bytes, and nothing happens any more.
    Stall(usize),
}

#[derive(Debug)]
struct Rule {
    op: Op,
    first: usize,
    last: usize,
    fault: Fault,
    seen: usize,
}

#[derive(Debug, Default)]
pub(super) struct Script {
    rules: Mutex<Vec<Rule>>,
    /// What happens to every request that no rule is about.
    always: Mutex<Option<Fault>>,
    /// How many of a hundred go wrong, and the state of the generator.
    storm: Mutex<Option<(u64, u64)>>,
}

impl Script {
    pub(super) fn add(&self, op: Op, first: usize, last: usize, fault: Fault) {
        self.rules.lock().unwrap().push(Rule { op, first, last, fault, seen: 0 });
    }

    pub(super) fn always(&self, fault: Fault) {
        *self.always.lock().unwrap() = Some(fault);
    }

    pub(super) fn storm(&self, percent: u64, seed: u64) {
        *self.storm.lock().unwrap() = Some((percent, seed | 1));
    }

    pub(super) fn clear(&self) {
        self.rules.lock().unwrap().clear();
        *self.always.lock().unwrap() = None;
        *self.storm.lock().unwrap() = None;
    }

    pub(super) fn fault(&self, op: Op) -> Option<Fault> {
        let mut found = None;
        for rule in self.rules.lock().unwrap().iter_mut().filter(|rule| rule.op == op) {
            rule.seen += 1;
            if (rule.first..=rule.last).contains(&rule.seen) {
                found = found.or(Some(rule.fault));
            }
        }
        found.or(*self.always.lock().unwrap()).or_else(|| self.of_storm())
    }

    fn of_storm(&self) -> Option<Fault> {
        let mut storm = self.storm.lock().unwrap();
        let (percent, state) = storm.as_mut()?;
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        let faults = [
            Fault::Reset,
            Fault::LostReply,
            Fault::LateError,
            Fault::Answer(500, "InternalError"),
            Fault::Answer(503, "SlowDown"),
            Fault::Answer(429, "TooManyRequests"),
            Fault::Truncate(1000),
        ];
        let (draw, which) = (*state % 100, (*state / 100) % faults.len() as u64);
        (draw < *percent).then(|| faults[usize::try_from(which).unwrap()])
    }
}
