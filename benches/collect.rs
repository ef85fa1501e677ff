//! The collector on large stores, beside the garbage collection of docker-registry in the same run.
//!
//! `cargo bench --bench collect` makes stores of 10,000, 100,000 and 1,000,000 blobs of 1 KiB (`--size`), half of which
//! no version refers to, and prints how long `larder collect` takes and what it holds in memory: for the first run,
//! which deletes that half, and for a second one that finds nothing to do. It also prints how long the deletes alone
//! take. Then it publishes small releases through a server on the largest store, without and with a run of the collector
//! beside it, and prints what that does to their latency.
//!
//! The comparison needs docker-registry (on Debian: `apt-get install docker-registry`), on the path or named with
//! `-- --registry PROGRAM`. Other arguments: `--blobs 10000,100000`, `--only collect` (or `publish`), `--rounds 3` of
//! publishing, `--quiet 20` seconds of it without a collector, `--pause 0` seconds before each measurement. A million
//! blobs need 25 GiB of disk and five million inodes.
//!
//! An ext4 without a journal scans over inodes that were deleted in the last minutes whenever it makes a file. On such a
//! file system only a fresh start, and `--pause 70`, keep one measurement out of the next.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a benchmark prints what the wall clock says"
)]

mod support;

#[path = "collect/floor.rs"]
mod floor;
#[path = "collect/measure.rs"]
mod measure;
#[path = "collect/plant.rs"]
mod plant;
#[path = "collect/publishes.rs"]
mod publishes;
#[path = "collect/registry.rs"]
mod registry;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use measure::{Measured, run};
use plant::{Larder, Noise, Planted, plant};
use publishes::{Latencies, Publisher, describe, reports};
use registry::Registry;
use support::{LARDER, QUIET, Server, argument, directory, size_argument};

/// The server collects what is older than an hour as soon as it has started.
const OWN_RUNS: [(&str, &str); 2] = [("LARDER__COLLECTOR__INTERVAL", "10s"), ("LARDER__COLLECTOR__MIN_AGE", "1h")];

fn main() {
    let sizes: Vec<u64> = argument("blobs", "10000,100000,1000000")
        .split(',')
        .map(|size| size.parse().expect("--blobs takes numbers, with commas between them"))
        .collect();
    let only = argument("only", "");
    let directory = directory();
    if only != "publish" {
        collect(directory.path(), &sizes);
    }
    if only != "collect" {
        let largest = sizes.iter().max().expect("--blobs names a size");
        publish(directory.path(), *largest);
    }
}

/// The stores of one size.
struct Stores {
    larder: PathBuf,
    registry: Option<PathBuf>,
    /// A second one of Larder's, for the deletes alone.
    raw: PathBuf,
    planted: Planted,
}

fn collect(directory: &Path, sizes: &[u64]) {
    let program = find_registry();
    if program.is_none() {
        println!(
            "no docker-registry: the comparison is left out. To get it: apt-get install docker-registry (Debian), or \
             name the program with --registry"
        );
    }
    // All stores first: deleting in one must not disturb making the next.
    let stores: Vec<Stores> = sizes.iter().map(|size| make(directory, *size, program.is_some())).collect();
    settle();
    println!("half of all blobs deleted, then nothing to do; us: microseconds for each blob of the store");
    let mut smallest = None;
    for stores in &stores {
        let [first, second] = collect_larder(stores);
        let cost = micros(&first, stores);
        let growth = cost / *smallest.get_or_insert(cost);
        println!(
            "{:9} blobs  larder    {}  {growth:5.2} x the cost of the smallest store",
            stores.planted.blobs,
            line(&first, &second, stores)
        );
        if let (Some(program), Some(root)) = (&program, &stores.registry) {
            let [theirs, again] = collect_registry(program, root, &stores.planted);
            println!(
                "{:15}  registry  {}  {:5.1} x and {:.1} x larder's time",
                "",
                line(&theirs, &again, stores),
                theirs.seconds / first.seconds,
                again.seconds / second.seconds
            );
        }
        let floor = floor::delete(&stores.raw, &stores.planted);
        println!(
            "{:15}  deletes   {floor:7.2} s, by 16 threads that know the files: larder's time is {:.1} x that",
            "",
            first.seconds / floor
        );
        settle();
    }
    for store in stores {
        fs::remove_dir_all(store.larder).expect("a store to remove");
        fs::remove_dir_all(store.raw).expect("a store to remove");
        store.registry.into_iter().for_each(|root| fs::remove_dir_all(root).expect("a store to remove"));
    }
}

fn make(directory: &Path, blobs: u64, with_registry: bool) -> Stores {
    let larder = directory.join(format!("larder-{blobs}"));
    let planted = plant(&mut Larder::new(&larder), blobs, noise(1));
    if blobs <= 10_000 {
        run(Command::new(LARDER).arg("verify").arg("--data").arg(&larder), Stdio::null());
    }
    let registry = with_registry.then(|| {
        let root = directory.join(format!("registry-{blobs}"));
        plant(&mut Registry::new(&root), blobs, noise(1));
        root
    });
    let raw = directory.join(format!("raw-{blobs}"));
    plant(&mut Larder::new(&raw), blobs, noise(1));
    Stores { larder, registry, raw, planted }
}

fn collect_larder(stores: &Stores) -> [Measured; 2] {
    let first = run(&mut collector(&stores.larder, "0s"), Stdio::piped());
    let report: serde_json::Value = serde_json::from_str(&first.output).expect("a report in JSON");
    let unneeded = stores.planted.blobs - stores.planted.kept.len() as u64;
    assert_eq!(report["totals"]["deleted"]["blobs"], unneeded, "{report}");
    assert!(plant::stored(&stores.larder) == stores.planted.kept, "exactly the blobs that no version needs are gone");
    settle();
    let second = run(&mut collector(&stores.larder, "0s"), Stdio::piped());
    settle();
    [first, second]
}

fn collect_registry(program: &Path, root: &Path, planted: &Planted) -> [Measured; 2] {
    let collection = || run(registry::collection(program, root).stderr(Stdio::null()), Stdio::null());
    let first = collection();
    let kept = registry::stored(root);
    assert_eq!(kept.len(), planted.kept.len(), "the registry keeps as many");
    settle();
    let second = collection();
    settle();
    [first, second]
}

fn line(first: &Measured, second: &Measured, stores: &Stores) -> String {
    let (micros, seconds, again) = (micros(first, stores), first.seconds, second.seconds);
    let memory = first.mebibytes.max(second.mebibytes);
    format!("{seconds:7.2} s  {micros:6.1} us  then {again:6.2} s  {memory:4} MiB")
}

fn micros(measured: &Measured, stores: &Stores) -> f64 {
    measured.seconds * 1e6 / stores.planted.blobs as f64
}

/// One run of the collector as a process of its own.
fn collector(data: &Path, min_age: &str) -> Command {
    let mut command = Command::new(LARDER);
    command.args(["collect", "--once", "--json", "--min-age", min_age, "--data"]).arg(data);
    command.env("LARDER__LOG__FILTER", "warn");
    command
}

/// The program of `--registry`, or the one on the path.
fn find_registry() -> Option<PathBuf> {
    let named = argument("registry", "docker-registry");
    let works = Command::new(&named).arg("--version").stdout(Stdio::null()).status();
    works.is_ok_and(|status| status.success()).then(|| named.into())
}

fn publish(directory: &Path, blobs: u64) {
    let rounds: u64 = argument("rounds", "3").parse().expect("a number of rounds");
    let quiet = Duration::from_secs(argument("quiet", "20").parse().expect("a number of seconds"));
    let data = directory.join("publish");
    let mut shelf = Larder::new(&data);
    let planted = plant(&mut shelf, blobs, noise(1));
    let unneeded = planted.blobs - planted.kept.len() as u64;
    let (mut without, mut beside, mut within, mut memory) = (Latencies::new(), Latencies::new(), Latencies::new(), 0);
    for round in 1..=rounds {
        let seed = 10 * round;
        if round > 1 {
            plant::litter(&mut shelf, unneeded, &mut noise(seed));
        }
        settle();
        let mut publisher = Publisher::new(Server::start_with(&data, &[QUIET]), noise(seed + 1));
        without.extend(publisher.publish_for(quiet));
        beside.extend(publisher.publish_beside(&mut collector(&data, "1h")));
        drop(publisher);
        plant::litter(&mut shelf, unneeded, &mut noise(seed + 2));
        settle();
        let earlier = reports(&data);
        // The run begins within a second of the server's start, so about when the client has warmed up.
        let mut publisher = Publisher::new(Server::start_with(&data, &OWN_RUNS), noise(seed + 3));
        within.extend(publisher.publish_until_report(&data, earlier));
        memory = memory.max(publisher.server_memory());
    }
    println!("releases of two small files, published one after the other to a store of {} blobs", planted.blobs);
    let (text, normal) = describe(without);
    println!("  without a collector      {text}");
    for (what, latencies) in [("beside `larder collect`", beside), ("beside the server's run", within)] {
        let (text, tail) = describe(latencies);
        println!("  {what}  {text}  {:5.2} x the p99 without", tail / normal);
    }
    println!("  the server with its own run held {memory} MiB at its highest");
    fs::remove_dir_all(data).expect("a store to remove");
}

/// Blobs of the size that is measured; others for each seed.
fn noise(seed: u64) -> Noise {
    Noise::new(seed, size_argument("size", "1KiB"))
}

/// Lets the disk come to rest, so that one measurement does not pay for the one before.
fn settle() {
    rustix::fs::sync();
    std::thread::sleep(Duration::from_secs(argument("pause", "0").parse().expect("a number of seconds")));
}
