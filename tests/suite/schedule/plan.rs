//! How a schedule is made: whose turn comes next, and what becomes of calls.

use std::collections::{BTreeMap, VecDeque};

use jiff::SignedDuration;

use super::random::Random;
use super::world::{Caller, Pending};

/// When a call takes effect whose caller hears nothing good of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Never.
    Never,
    /// At once.
    Now,
    /// At any later time, or never.
    Late,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is made and answered.
    Go,
    /// It has to wait for so many turns of others.
    Hold(usize),
    /// It fails.
    Fail(Effect),
    /// The process dies.
    Crash(Effect),
    /// The client hangs up, and its request is dropped.
    Cancel(Effect),
}

impl Fate {
    fn effect(self) -> Effect {
        match self {
            Self::Go => Effect::Now,
            Self::Hold(_) => Effect::Never,
            Self::Fail(effect) | Self::Crash(effect) | Self::Cancel(effect) => effect,
        }
    }

    pub fn is_applied(self) -> bool {
        self.effect() == Effect::Now
    }

    pub fn is_late(self) -> bool {
        self.effect() == Effect::Late
    }

    /// For the trace.
    pub fn words(self) -> &'static str {
        match self {
            Self::Go => "",
            Self::Hold(_) => "is held up",
            Self::Fail(Effect::Never) => "FAILS",
            Self::Fail(Effect::Now) => "FAILS, but was made",
            Self::Fail(Effect::Late) => "FAILS, but may be made later",
            Self::Crash(Effect::Never) => "is not made: the process DIES",
            Self::Crash(Effect::Now) => "is made, and the process DIES",
            Self::Crash(Effect::Late) => "may be made later: the process DIES",
            Self::Cancel(Effect::Never) => "is not made: the client HANGS UP",
            Self::Cancel(Effect::Now) => "is made, but the client HANGS UP",
            Self::Cancel(Effect::Late) => "may be made later: the client HANGS UP",
        }
    }
}

/// A call whose caller is gone and that has not taken effect yet.
pub struct Late(pub Box<dyn Pending>);

/// Whose turn comes next.
#[derive(Debug, Clone)]
pub enum Order {
    /// Anybody's.
    Uniform,
    /// Mostly that of whoever had the last one.
    Bursts(Option<Caller>),
    /// That of whoever ranks highest; now and then the highest falls to the lowest rank.
    Ranks { ranks: BTreeMap<Caller, u64>, falls: usize, lowest: u64 },
    /// As this script says, and anybody's when it is at its end.
    Script(VecDeque<Step>),
}

/// Part of a script: a process goes on until it is about to make a call.
#[derive(Debug, Clone)]
pub struct Step {
    pub process: usize,
    /// The kind of call, and part of its key.
    pub until: (&'static str, String),
    /// How many such calls it makes before.
    pub after: usize,
}

/// A call that may go next.
pub struct Choice<'a> {
    pub caller: Caller,
    pub op: &'static str,
    pub key: &'a str,
}

impl Step {
    fn is_at_its_end(&mut self, choice: &Choice<'_>) -> bool {
        if choice.op != self.until.0 || !choice.key.contains(&self.until.1) {
            return false;
        }
        self.after = self.after.wrapping_sub(1);
        self.after == usize::MAX
    }
}

impl Order {
    pub fn any(random: &mut Random) -> Self {
        match random.below(3) {
            0 => Self::Uniform,
            1 => Self::Bursts(None),
            _ => Self::Ranks { ranks: BTreeMap::new(), falls: random.pick(&[5, 20, 60]), lowest: 1 << 32 },
        }
    }

    /// The index of the call that goes next.
    pub fn choose(&mut self, choices: &[Choice<'_>], random: &mut Random) -> usize {
        let anybody = random.below(choices.len());
        let callers: Vec<Caller> = choices.iter().map(|choice| choice.caller).collect();
        match self {
            Self::Script(steps) => {
                while let Some(step) = steps.front_mut() {
                    match callers.iter().position(|caller| caller.process == step.process) {
                        Some(at) if !step.is_at_its_end(&choices[at]) => return at,
                        _ => drop(steps.pop_front()),
                    }
                }
                anybody
            }
            Self::Uniform => anybody,
            Self::Bursts(last) => {
                let again = last.and_then(|last| callers.iter().position(|caller| *caller == last));
                let chosen = again.filter(|_| random.chance(900)).unwrap_or(anybody);
                *last = Some(callers[chosen]);
                chosen
            }
            Self::Ranks { ranks, falls, lowest } => {
                for caller in &callers {
                    ranks.entry(*caller).or_insert_with(|| (1 << 32) + random.next() % 1000);
                }
                let best = (0..callers.len()).max_by_key(|at| ranks[&callers[*at]]).expect("somebody waits");
                if random.chance(*falls) {
                    *lowest -= 1;
                    ranks.insert(callers[best], *lowest);
                }
                best
            }
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Faults {
    /// Anything, so many times in a thousand calls.
    Random { hold: usize, fail: usize, crash: usize, cancel: usize },
    /// This fate meets the n-th call of a process, and no other.
    Once { process: usize, nth: usize, fate: Fate },
}

impl Faults {
    pub fn any(random: &mut Random) -> Self {
        match random.below(4) {
            0 => Self::Random { hold: 0, fail: 0, crash: 0, cancel: 0 },
            1 => Self::Random { hold: 20, fail: 0, crash: 0, cancel: 0 },
            2 => Self::Random { hold: 10, fail: 8, crash: 5, cancel: 3 },
            _ => Self::Random { hold: 20, fail: 30, crash: 15, cancel: 15 },
        }
    }

    /// How many bodies in a thousand break off while they are read.
    pub fn breaks(&self) -> usize {
        if let Self::Random { fail, .. } = self { *fail } else { 0 }
    }

    pub fn fate(&self, caller: Caller, calls: usize, random: &mut Random) -> Fate {
        match *self {
            Self::Once { process, nth, fate } => {
                if (caller.process, calls) == (process, nth) {
                    fate
                } else {
                    Fate::Go
                }
            }
            Self::Random { hold, fail, crash, cancel } => {
                let dice = random.below(1000);
                let effect = random.pick(&[Effect::Never, Effect::Now, Effect::Late]);
                if dice < hold {
                    Fate::Hold(random.pick(&[10, 50, 200, 1000]))
                } else if dice < hold + fail {
                    Fate::Fail(effect)
                } else if dice < hold + fail + crash {
                    Fate::Crash(effect)
                } else if dice < hold + fail + crash + cancel {
                    Fate::Cancel(effect)
                } else {
                    Fate::Go
                }
            }
        }
    }
}

/// How a schedule is made.
#[derive(Debug, Clone)]
pub struct Plan {
    pub order: Order,
    pub faults: Faults,
    pub tick: SignedDuration,
}

impl Plan {
    pub fn any(random: &mut Random) -> Self {
        let tick = random.pick(&[1, 1000, 900_000]);
        Self { order: Order::any(random), faults: Faults::any(random), tick: SignedDuration::from_millis(tick) }
    }

    /// One without any fault.
    pub fn calm() -> Self {
        let faults = Faults::Random { hold: 0, fail: 0, crash: 0, cancel: 0 };
        Self { order: Order::Uniform, faults, tick: SignedDuration::from_millis(1) }
    }

    /// How much time passes until the next call. Never none: runs of the collector that begin in one moment are told
    /// apart by what is random, so a seed would not decide which comes first.
    pub fn tick(&self, random: &mut Random) -> SignedDuration {
        self.tick * i32::try_from(random.between(1, 4)).expect("at most four")
    }
}
