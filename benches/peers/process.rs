//! Processes on the cores they are meant for, their CPU time and their memory. None outlives the benchmark.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::load::plan::{Plan, Report};

/// A server that takes no CPU time for so long rests.
const REST: Duration = Duration::from_millis(30);
/// Most rests that are waited for.
const SETTLING: usize = 300;

/// Where processes may run.
#[derive(Debug, Clone)]
pub(crate) struct Cores {
    servers: Vec<usize>,
    load: Vec<usize>,
}

impl Cores {
    /// The first half of the cores for the servers, the other for the load generator; or all for both.
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
}

fn list(cores: &[usize]) -> String {
    cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// A program as it is to be started.
pub(crate) struct Launch<'a> {
    pub program: &'a Path,
    pub arguments: Vec<OsString>,
    pub variables: Vec<(String, String)>,
    /// Where what it says goes.
    pub log: PathBuf,
}

/// A server and its workers. Killed when dropped, and ended when the benchmark is.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a server on its cores.
    pub(crate) fn start(cores: &Cores, launch: &Launch<'_>) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(&launch.log).expect("a log");
        let mut command = on(&cores.servers, launch.program);
        command.args(&launch.arguments).envs(launch.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let child = group(&mut command).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child }
    }

    /// CPU time so far, of the server and its workers, in seconds of one core.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        members(self.child.id()).into_iter().map(cpu_seconds).sum()
    }

    /// The sum of the high-water marks of resident memory of the server and its workers, in KiB. It counts pages that
    /// they share once for each.
    pub(crate) fn memory(&self) -> u64 {
        members(self.child.id()).into_iter().map(|id| status(id, "VmHWM:")).sum()
    }

    /// Waits until the server rests: it may still be busy with requests whose connections are gone.
    pub(crate) fn settle(&self) {
        let mut before = self.cpu_seconds();
        for _ in 0..SETTLING {
            thread::sleep(REST);
            let now = self.cpu_seconds();
            if now <= before {
                return;
            }
            before = now;
        }
    }

    /// Sets the high-water marks to what is resident now.
    pub(crate) fn forget_memory(&self) {
        for id in members(self.child.id()) {
            let _ = fs::write(format!("/proc/{id}/clear_refs"), "5");
        }
    }

    /// Ends the benchmark if the server has ended.
    pub(crate) fn assert_alive(&mut self, log: &Path) {
        if let Some(status) = self.child.try_wait().expect("a child") {
            panic!("a server ended, {status}: {}", fs::read_to_string(log).unwrap_or_default());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// A command that runs on these cores and is told to end when the benchmark does.
fn on(cores: &[usize], program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "taskset", "--cpu-list", &list(cores)]).arg(program);
    command
}

/// In a process group of its own, by which its workers are found.
fn group(command: &mut Command) -> &mut Command {
    std::os::unix::process::CommandExt::process_group(command, 0)
}

/// The processes of a group.
fn members(group: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("a Linux /proc");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| stat(*id).is_some_and(|fields| fields[2] == group.to_string())).collect()
}

/// What the kernel says of a process after its name; the first field is the state.
fn stat(id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// CPU time of a process so far, in user and system mode.
pub(crate) fn cpu_seconds(id: u32) -> f64 {
    let ticks = |fields: Vec<String>| {
        fields[11..13].iter().map(|field| field.parse::<f64>().expect("a number of ticks")).sum::<f64>()
    };
    stat(id).map_or(0.0, ticks) / rustix::param::clock_ticks_per_second() as f64
}

fn status(id: u32, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(key));
    value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// A run of the load generator. Killed when dropped.
pub(crate) struct Load {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Load {
    /// Starts it on its cores.
    pub(crate) fn start(cores: &Cores, plan: &Plan) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut command = on(&cores.load, program);
        command.arg("--load").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = group(&mut command).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdin = child.stdin.take().expect("piped");
        let mut text = serde_json::to_string(plan).expect("a plan is JSON");
        text.push('\n');
        stdin.write_all(text.as_bytes()).expect("the load generator reads its plan");
        Self { child, stdin: Some(stdin) }
    }

    /// Waits for its end, or brings that about if only being told ends it.
    pub(crate) fn finish(mut self) -> Report {
        drop(self.stdin.take());
        let mut text = String::new();
        let mut stdout = self.child.stdout.take().expect("piped");
        stdout.read_to_string(&mut text).expect("a report");
        let status = self.child.wait().expect("a child");
        assert!(status.success(), "the load generator failed; its last words are above");
        serde_json::from_str(&text).expect("a report in JSON")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
