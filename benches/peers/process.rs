//! Processes, their CPU time and their memory. None outlives the benchmark.

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::cores::Cores;
use super::load::plan::{Plan, Report};

/// A server that takes next to no CPU time for so long rests.
const REST: Duration = Duration::from_millis(50);
/// CPU time that counts as none, in seconds: one tick.
const NEXT_TO_NONE: f64 = 0.0101;
/// Most rests that are waited for.
const SETTLING: usize = 200;

/// A program as it is to be started.
pub(crate) struct Launch {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub variables: Vec<(String, String)>,
    /// Where what it says goes.
    pub log: PathBuf,
}

/// A server and its workers. Killed when dropped, if it was started here.
pub(crate) struct Process {
    child: Option<Child>,
    others: Vec<u32>,
    log: PathBuf,
}

impl Process {
    /// Starts a server on its cores.
    pub(crate) fn start(cores: &Cores, launch: &Launch) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(&launch.log).expect("a log");
        let mut command = cores.serve(&launch.program);
        command.args(&launch.arguments).envs(launch.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let child = spawn(&mut command);
        Self { child: Some(child), others: Vec::new(), log: launch.log.clone() }
    }

    /// Processes that somebody else has started and will end.
    pub(crate) fn of_others(ids: Vec<u32>) -> Self {
        Self { child: None, others: ids, log: PathBuf::new() }
    }

    fn members(&self) -> Vec<u32> {
        self.child.as_ref().map_or_else(|| self.others.clone(), |child| group(child.id()))
    }

    /// CPU time so far, of the server and its workers, in seconds of one core.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.members().into_iter().map(cpu_seconds).sum()
    }

    /// The sum of the high-water marks of resident memory of the server and its workers, in KiB. It counts pages that
    /// they share once for each.
    pub(crate) fn memory(&self) -> u64 {
        self.members().into_iter().map(|id| status(id, "VmHWM:")).sum()
    }

    /// Sets the high-water marks to what is resident now.
    pub(crate) fn forget_memory(&self) {
        for id in self.members() {
            // Without the right to do it the marks stay, and what is printed is too high.
            let _ = fs::write(format!("/proc/{id}/clear_refs"), "5");
        }
    }

    /// Waits until the server rests: it may still be busy with requests whose connections are gone.
    pub(crate) fn settle(&self) {
        let mut before = self.cpu_seconds();
        for _ in 0..SETTLING {
            thread::sleep(REST);
            let now = self.cpu_seconds();
            if now - before <= NEXT_TO_NONE {
                return;
            }
            before = now;
        }
    }

    /// Ends the benchmark if the server has ended.
    pub(crate) fn assert_alive(&mut self) {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("a child"));
        if let Some(status) = ended {
            panic!("a server ended, {status}: {}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.as_mut().into_iter().for_each(end);
    }
}

fn spawn(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}: util-linux belongs to every Debian"))
}

/// Ends a group at once.
fn end(child: &mut Child) {
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.wait();
}

/// The processes of a group.
fn group(leader: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("a Linux /proc");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| stat(*id).is_some_and(|fields| fields[2] == leader.to_string())).collect()
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

/// This program in another part: it is told what to do on its standard input. Killed when dropped.
pub(crate) struct Helper {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Helper {
    /// Starts the load generator.
    pub(crate) fn load(cores: &Cores, plan: &Plan) -> Self {
        let command = cores.load(std::env::current_exe().expect("this program"));
        Self::start(command, "--load", &serde_json::to_string(plan).expect("a plan is JSON"))
    }

    /// Starts a part of this program and tells it one line.
    pub(crate) fn start(mut command: Command, part: &str, line: &str) -> Self {
        let mut child = spawn(command.arg(part).stdin(Stdio::piped()).stdout(Stdio::piped()));
        let mut stdin = child.stdin.take().expect("piped");
        // If it has ended already, it says why.
        let _ = stdin.write_all(format!("{line}\n").as_bytes());
        Self { child, stdin: Some(stdin) }
    }

    /// Waits for its end, or brings that about if only being told ends it.
    pub(crate) fn finish<T: serde::de::DeserializeOwned>(mut self) -> T {
        drop(self.stdin.take());
        let mut text = String::new();
        let mut stdout = self.child.stdout.take().expect("piped");
        stdout.read_to_string(&mut text).expect("a report");
        let status = self.child.wait().expect("a child");
        assert!(status.success(), "a part of the benchmark failed; its last words are above");
        serde_json::from_str(&text).expect("a report in JSON")
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Makes all requests of a plan.
pub(crate) fn carry_out(cores: &Cores, plan: &Plan) -> Report {
    Helper::load(cores, plan).finish()
}

/// Runs a command to its end, which must be a good one.
pub(crate) fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Lets the disk come to rest, so that one measurement does not pay for the one before.
pub(crate) fn settle_disk(directory: &Path) {
    let directory = fs::File::open(directory).expect("a directory");
    rustix::fs::syncfs(directory).expect("a file system that syncs");
}
