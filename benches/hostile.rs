//! What clients that mean harm can do to a server, and to those who use it beside them.
//!
//! `cargo bench --bench hostile` starts a fresh server for each attack, measures a bystander without and with the
//! attack, and prints a table: resident memory of the process, latencies of the bystander, and how many of the attack's
//! connections the server still held at the end. Then it runs all attacks at once beside a publisher and a reader, and
//! fails if either loses anything.
//!
//! Arguments: `--seconds 20` for each attack, `--together 300` seconds for all at once (0 leaves it out), `--only NAME`,
//! `--large 64MiB` for the blob that slow readers want, `--larder PATH` to measure another build, `--quick` for a short run
//! with a tenth of the attackers that shows that it works.
//! The attackers come from 127.0.0.1, the bystanders from 127.0.0.2.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

#[path = "hostile/attacks.rs"]
mod attacks;
#[path = "hostile/bystander.rs"]
mod bystander;
#[path = "hostile/connection.rs"]
mod connection;
#[path = "hostile/http2.rs"]
mod http2;
mod support;
#[path = "hostile/together.rs"]
mod together;
#[path = "hostile/victim.rs"]
mod victim;

use std::sync::Arc;
use std::time::Duration;

use attacks::{ATTACKS, Attack};
use bystander::Latencies;
use connection::Attackers;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::argument;
use tokio::time::sleep;
use victim::Victim;

/// How long the memory of a server has to fall after an attack.
const AFTER: Duration = Duration::from_secs(5);

/// One line of the table.
struct Row {
    idle_mib: u64,
    peak_mib: u64,
    after_mib: u64,
    without: Latencies,
    with: Latencies,
    /// Connections that the server held at the end.
    held: usize,
    /// Connections that the attackers tried to hold.
    wanted: usize,
}

fn main() {
    raise_open_files();
    let quick = std::env::args().any(|argument| argument == "--quick");
    let seconds = |name, long, short| {
        let text = argument(name, if quick { short } else { long });
        Duration::from_secs(text.parse().expect("a number of seconds"))
    };
    let (each, together) = (seconds("seconds", "20", "2"), seconds("together", "300", "5"));
    let after = if quick { AFTER / 10 } else { AFTER };
    let one_of = if quick { 10 } else { 1 };
    let only = argument("only", "");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    println!(
        "| Attack | Memory idle, MiB | Highest | After | Bystander p50, ms | p99 | Without: p50 | p99 | Failed | Held |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for attack in ATTACKS.iter().filter(|attack| only.is_empty() || attack.name == only) {
        let row = runtime.block_on(measure(attack, one_of, (each, after)));
        print(attack, &row);
    }
    if !together.is_zero() && only.is_empty() {
        runtime.block_on(together::run(together, one_of));
    }
}

async fn measure(attack: &Attack, one_of: usize, (time, after): (Duration, Duration)) -> Row {
    let victim = Arc::new(Victim::start().await);
    let without = bystander::watch(&victim, attack.beside, time / 2).await;
    let idle_mib = victim.resident_mib();
    let attackers = Attackers::new(one_of);
    (attack.begin)(&victim, &attackers);
    // The attack needs a moment to take its places; what happens meanwhile counts as well.
    let (with, peak_mib) = victim.highest_mib(bystander::watch(&victim, attack.beside, time)).await;
    let (held, wanted) = (victim.held(), attackers.wanted());
    attackers.end();
    sleep(after).await;
    Row { idle_mib, peak_mib, after_mib: victim.resident_mib(), without, with, held, wanted }
}

fn print(attack: &Attack, row: &Row) {
    let milliseconds = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    let cells = [
        attack.description.to_owned(),
        row.idle_mib.to_string(),
        row.peak_mib.to_string(),
        row.after_mib.to_string(),
        milliseconds(row.with.p50()),
        milliseconds(row.with.p99()),
        milliseconds(row.without.p50()),
        milliseconds(row.without.p99()),
        format!("{} of {}", row.with.failed, row.with.requests()),
        format!("{} of {}", row.held, row.wanted),
    ];
    println!("| {} |", cells.join(" | "));
}

/// The attackers alone need thousands of sockets; the server inherits the limit.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("open files");
}
