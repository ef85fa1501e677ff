//! Processes, their time and their memory.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a process is asked for its memory.
const SAMPLE: Duration = Duration::from_millis(10);

/// What a process took.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// Wall time.
    pub seconds: f64,
    /// Most resident memory.
    pub mebibytes: u64,
    /// What it said, if that was to be kept.
    pub output: String,
}

/// Runs a process to its end, which must be a good one.
pub(crate) fn run(command: &mut Command, stdout: Stdio) -> Measured {
    let began = Instant::now();
    let mut child = command.stdout(stdout).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let ended = AtomicBool::new(false);
    let (output, seconds, kibibytes) = std::thread::scope(|scope| {
        let sampler = scope.spawn({
            let (id, ended) = (child.id(), &ended);
            move || watch(id, ended)
        });
        let (output, seconds) = wait(&mut child, began);
        ended.store(true, Ordering::Relaxed);
        (output, seconds, sampler.join().expect("a watcher of memory"))
    });
    Measured { seconds, mebibytes: kibibytes >> 10, output }
}

fn wait(child: &mut Child, began: Instant) -> (String, f64) {
    let mut output = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut output).expect("what it says");
    }
    let status = child.wait().expect("an end");
    let seconds = began.elapsed().as_secs_f64();
    let output = String::from_utf8_lossy(&output).into_owned();
    assert!(status.success(), "{status}: {output}");
    (output, seconds)
}

/// The high-water mark of a process as long as it lives, in KiB.
fn watch(id: u32, ended: &AtomicBool) -> u64 {
    let mut highest = 0;
    while !ended.load(Ordering::Relaxed) {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = mark.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        highest = number.unwrap_or(0).max(highest);
        std::thread::sleep(SAMPLE);
    }
    highest
}

/// The value that this share of `sorted` does not exceed.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a list of measurements"
    )]
    let at = (sorted.len() as f64 * share) as usize;
    sorted[at.min(sorted.len() - 1)]
}
