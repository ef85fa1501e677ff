//! Other processes: the test binary itself, running one of its tests with a job to do.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// What tells a child its job.
const JOB: &str = "LARDER_TEST_JOB";
const ROOT: &str = "LARDER_TEST_ROOT";
const NUMBER: &str = "LARDER_TEST_NUMBER";
/// What marks a line that a child says to its parent, among those of the test harness.
const MARK: &str = "child says: ";

/// What a child is to do.
#[derive(Debug, Clone)]
pub struct Job {
    pub name: String,
    /// The directory of the store.
    pub root: PathBuf,
    /// Which child, or at which step it dies.
    pub number: usize,
}

impl Job {
    /// The job of this process. `None` when it is no child.
    pub fn of_this_process() -> Option<Self> {
        let name = std::env::var(JOB).ok()?;
        let root = std::env::var(ROOT).expect("a job has a root").into();
        let number = std::env::var(NUMBER).expect("a job has a number").parse().expect("a number");
        Some(Self { name, root, number })
    }
}

/// Says a line to the parent.
#[expect(clippy::print_stdout, reason = "this is how a child talks to its parent")]
pub fn say(line: &str) {
    // The harness may have begun the line.
    println!("\n{MARK}{line}");
}

/// Waits for a line from the parent.
pub fn wait_for_parent() {
    std::io::stdin().lock().read_line(&mut String::new()).expect("read from the parent");
}

/// A child under way; killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    /// Starts this binary's test `test` with a job.
    pub fn start(test: &str, name: &str, root: &Path, number: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("the path of this binary"))
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(JOB, name)
            .env(ROOT, root)
            .env(NUMBER, number.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start a child");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, output }
    }

    /// Waits for the child's next line. `None` when it ended.
    pub fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.output.read_line(&mut line).expect("read from a child") == 0 {
                return None;
            }
            if let Some(said) = line.trim_end().strip_prefix(MARK) {
                return Some(said.to_owned());
            }
        }
    }

    /// Lets the child go on.
    pub fn tell(&mut self) {
        self.child.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("write to a child");
    }

    /// Pulls the plug.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill a child");
        self.child.wait().expect("wait for a child");
    }

    /// Waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        while self.hear().is_some() {}
        self.child.wait().expect("wait for a child")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has usually ended by now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
