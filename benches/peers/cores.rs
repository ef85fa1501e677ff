//! Which core does what.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::thread::{CpuSet, sched_setaffinity};

/// Where processes may run.
#[derive(Debug, Clone)]
pub(crate) struct Cores {
    servers: Vec<usize>,
    load: Vec<usize>,
}

impl Cores {
    /// The first half of the cores for the servers, the other for the load generator; or all for both. This process
    /// counts as load.
    pub(crate) fn split(pin: bool) -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("a Linux /proc");
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("a list of cores");
        let range = |part: &str| {
            let number = |text: &str| text.trim().parse::<usize>().expect("the number of a core");
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            number(first)..=number(last)
        };
        let all: Vec<usize> = allowed.split(',').flat_map(range).collect();
        if !pin || all.len() < 2 {
            return Self { servers: all.clone(), load: all };
        }
        let (servers, load) = all.split_at(all.len() / 2);
        stay_on(load);
        Self { servers: servers.to_vec(), load: load.to_vec() }
    }

    /// How many cores each server has.
    pub(crate) fn of_servers(&self) -> usize {
        self.servers.len()
    }

    /// What it came to, for people.
    pub(crate) fn describe(&self) -> String {
        if self.servers == self.load {
            return format!("servers and load generator share the cores {}", list(&self.load));
        }
        format!("servers on the cores {}, the load generator on {}", list(&self.servers), list(&self.load))
    }

    /// A command on the cores of the servers.
    pub(crate) fn serve(&self, program: impl AsRef<OsStr>) -> Command {
        on(&self.servers, program)
    }

    /// A command on the cores of the load generator.
    pub(crate) fn load(&self, program: impl AsRef<OsStr>) -> Command {
        on(&self.load, program)
    }

    /// Does something whose processes belong to the servers.
    pub(crate) fn as_server<T>(&self, work: impl FnOnce() -> T) -> T {
        stay_on(&self.servers);
        let result = work();
        stay_on(&self.load);
        result
    }
}

/// A command that runs on these cores, in a process group of its own, and is told to end when this thread does.
fn on(cores: &[usize], program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "taskset", "--cpu-list", &list(cores)]).arg(program).process_group(0);
    command
}

fn stay_on(cores: &[usize]) {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    sched_setaffinity(None, &set).expect("cores that this process may use");
}

fn list(cores: &[usize]) -> String {
    cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
