//! The system calls of the filesystem backend, counted, failed, or cut off by the death of the process.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use larder::store::fs::{Step, Steps};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

/// Fails one step.
#[derive(Debug, Default)]
pub struct FaultySteps {
    plan: Mutex<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    taken: Vec<Step>,
    fail: Option<(usize, Errno)>,
}

impl FaultySteps {
    /// Fails the `nth` step (from 1) with `errno`, and lets all others happen.
    pub fn fail_at(nth: usize, errno: Errno) -> Arc<Self> {
        Arc::new(Self { plan: Mutex::new(Plan { taken: Vec::new(), fail: Some((nth, errno)) }) })
    }

    /// Lets everything happen until [`FaultySteps::fail_next`].
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Fails the `nth` step from now on.
    pub fn fail_next(&self, nth: usize, errno: Errno) {
        let mut plan = self.plan.lock().unwrap();
        plan.fail = Some((plan.taken.len() + nth, errno));
    }

    /// All steps so far, the failed one among them.
    pub fn taken(&self) -> Vec<Step> {
        self.plan.lock().unwrap().taken.clone()
    }

    /// The step that failed, and those before it. `None` when none did.
    pub fn failed(&self) -> Option<(Step, Vec<Step>)> {
        let plan = self.plan.lock().unwrap();
        let (nth, _) = plan.fail?;
        Some((*plan.taken.get(nth - 1)?, plan.taken[..nth - 1].to_vec()))
    }
}

impl Steps for FaultySteps {
    fn before(&self, step: Step) -> io::Result<()> {
        let mut plan = self.plan.lock().unwrap();
        plan.taken.push(step);
        match plan.fail {
            Some((nth, errno)) if nth == plan.taken.len() => Err(errno.into()),
            _ => Ok(()),
        }
    }
}

/// Ends the process with SIGKILL at its `nth` step (from 1), if it gets that far.
#[derive(Debug)]
pub struct KillAt {
    nth: usize,
    taken: AtomicUsize,
}

impl KillAt {
    pub fn nth(nth: usize) -> Arc<Self> {
        Arc::new(Self { nth, taken: AtomicUsize::new(0) })
    }
}

impl Steps for KillAt {
    fn before(&self, _: Step) -> io::Result<()> {
        if self.taken.fetch_add(1, Ordering::SeqCst) + 1 == self.nth {
            kill_process(getpid(), Signal::KILL)?;
        }
        Ok(())
    }
}
