//! Larder on a directory beside what its users would otherwise run, in one run on one machine: nginx with static files,
//! docker-registry with its filesystem driver, on request the OCI registry Angos and an S3 engine read directly.
//!
//! `cargo bench --bench peers` gets what is missing from the Debian packages `nginx` and `docker-registry`, without
//! installing them; starts everything on loopback; makes sure that all answer the same bytes; measures in turn (A B C A
//! B C); and prints medians, how Larder compares, and whether it reaches its goals. It takes about 45 minutes and 25 GiB
//! of disk. An answer that is not what it should be ends the run, and whatever was started ends with it.
//!
//! Everything behind `--` is optional: `--only HEAD,image`, the loads with one of these in their names; `--connections
//! 1,16,256`; `--rounds 5`; `--seconds 3` for each read load in each round; `--blobs 100000` in the store that Larder is
//! started on, of which ten times as many are the goal but take half an hour to make on a slow disk; `--json FILE` and
//! `--svg FILE`, the results for programs and as a plot; `--wrk`, sites read by the program `wrk`; `--quick`, a smoke run with small sizes, whose figures mean
//! nothing; `--engine`, Ceph's object gateway as a peer, which has to be installed and takes half a minute to start, with its
//! disk in `--place /dev/shm`; `--angos PROGRAM`, a release binary of Angos; `--no-pin`; `--discard`.
//!
//! The servers have the first half of the cores, the load generator the other, unless `--no-pin` lets them share: then
//! each takes from the other, and only the CPU times can be compared. The load generator is a process of its own; where
//! it takes nearly all of its cores (column `client`) it is what was measured. With `--discard` it leaves the bodies
//! that it reads in the kernel, which no real client does, but which shows what the servers can. For docker-registry
//! and Angos it does what a client would do for a publish, but is spared the hashing; for Larder that is the command
//! `larder publish`. Nginx publishes nothing. Where all peers are asked for the same manifest, it is an image manifest
//! and one of Larder's at once. For a ref, which Larder answers with a redirect and nobody else has, nginx serves a
//! file as long as the whole redirect. All files that are read are in the page cache.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a benchmark prints what the wall clock says"
)]

#[expect(dead_code, reason = "other benchmarks use the rest of it")]
mod support;

#[path = "peers/bucket.rs"]
mod bucket;
#[path = "peers/cores.rs"]
mod cores;
#[expect(dead_code, reason = "other benchmarks use the rest of it")]
#[path = "bucket/engine.rs"]
mod engine;
#[path = "peers/fixtures.rs"]
mod fixtures;
#[path = "peers/goals.rs"]
mod goals;
#[path = "peers/install.rs"]
mod install;
#[path = "peers/launch.rs"]
mod launch;
#[path = "peers/load.rs"]
mod load;
#[path = "peers/machine.rs"]
mod machine;
#[path = "peers/options.rs"]
mod options;
#[expect(dead_code, reason = "other benchmarks use the rest of it")]
#[path = "collect/plant.rs"]
mod plant;
#[path = "peers/process.rs"]
mod process;
#[path = "peers/reads.rs"]
mod reads;
#[path = "peers/results.rs"]
mod results;
#[path = "peers/servers.rs"]
mod servers;
#[path = "peers/sites.rs"]
mod sites;
#[path = "peers/starts.rs"]
mod starts;
#[path = "peers/svg.rs"]
mod svg;
#[path = "peers/table.rs"]
mod table;
#[path = "peers/writes.rs"]
mod writes;
#[path = "peers/wrk.rs"]
mod wrk;

use std::fs;
use std::path::Path;

use serde_json::json;

use cores::Cores;
use fixtures::{Fixtures, Maker};
use install::Programs;
use load::plan::Until;
use machine::Setting;
use options::{Options, flag};
use reads::Requests;
use results::{Results, Who, Work, measure};
use servers::{Kind, Peer};
use sites::Sites;
use starts::Starts;
use support::directory;
use writes::Writes;

/// Part of a read load's time that goes before it and does not count.
const WARM_UP: f64 = 0.2;

fn main() {
    if flag("load") {
        return println!("{}", load::run());
    }
    if flag("floor") {
        return println!("{}", writes::run_floor());
    }
    let options = Options::read();
    let sizes = options.sizes();
    let wanted: Vec<Work> = Work::ALL.into_iter().filter(|work| options.wants(&work.name(&sizes))).collect();
    assert!(!wanted.is_empty(), "no load has {:?} in its name", options.only);
    let programs = Programs::install(options.angos.as_deref());
    let cores = Cores::split(options.pin);
    let directory = directory();
    let setting = Setting::find(&options, &cores, &programs, directory.path());
    println!("{}", setting.text());
    let bench = Bench { options, cores, programs };
    let results = bench.run(&wanted, directory.path());
    bench.print(&results, &setting);
}

struct Bench {
    options: Options,
    cores: Cores,
    programs: Programs,
}

impl Bench {
    /// Measures these loads, in a directory.
    fn run(&self, wanted: &[Work], directory: &Path) -> Results {
        let (mut maker, mut results) = (Maker::new(), Results::default());
        let (of_sites, wanted): (Vec<Work>, Vec<Work>) = wanted.iter().partition(|work| work.is_of_sites());
        if !of_sites.is_empty() {
            self.sites(&of_sites, directory, &mut maker, &mut results);
        }
        if wanted.is_empty() {
            return results;
        }
        let peers = self.start(directory, &mut maker);
        for work in wanted.iter().filter(|work| Work::READS.contains(work)) {
            for connections in &self.options.connections {
                self.each_round(*work, |_| self.read(*work, *connections, &peers, &mut results));
            }
        }
        let writes = Writes { cores: &self.cores, sizes: self.options.sizes(), directory, peers: &peers };
        let is_start = |work: &Work| matches!(work, Work::StartAndAnswer | Work::StartAndRead);
        for work in wanted.iter().filter(|work| !Work::READS.contains(work) && !is_start(work)) {
            self.each_round(*work, |_| writes.round(*work, &mut maker, &mut results));
        }
        if wanted.iter().any(is_start) {
            let mut starts = Starts::plant(&self.programs, &self.cores, directory, self.options.sizes().blobs);
            let others = peers.iter().filter(|(peer, _)| !matches!(peer.kind, Kind::Larder | Kind::Engine));
            starts.others = others.map(|(peer, _)| (peer.kind, peer.root.clone())).collect();
            for work in wanted.iter().filter(|work| is_start(work)) {
                self.each_round(*work, |_| starts.round(*work, &mut results));
            }
        }
        results
    }

    /// Measures loads of sites.
    fn sites(&self, wanted: &[Work], directory: &Path, maker: &mut Maker, results: &mut Results) {
        let (options, sizes) = (&self.options, self.options.sizes());
        let started = Sites::start(&self.programs, &self.cores, sizes, directory, maker);
        let started = started.with(options.bodies, options.wrk);
        let until = Until::Time { warm_up: WARM_UP * options.seconds, seconds: options.seconds };
        for work in wanted {
            if *work == Work::PublishSite {
                self.each_round(*work, |_| started.publishes(maker, results));
                continue;
            }
            for connections in &self.options.connections {
                self.each_round(*work, |_| started.read(*work, *connections, until, results));
            }
        }
    }

    fn each_round(&self, work: Work, mut round: impl FnMut(usize)) {
        eprintln!("{}", work.name(&self.options.sizes()));
        (0..self.options.rounds).for_each(&mut round);
    }

    /// Starts all peers, gives them the same things to serve, and makes sure that they serve the same bytes.
    fn start(&self, directory: &Path, maker: &mut Maker) -> Vec<(Peer, Requests)> {
        let fixtures = Fixtures::new(maker, &self.options.sizes());
        let mut kinds = vec![Kind::Larder, Kind::Nginx, Kind::Registry];
        kinds.extend(self.options.angos.as_ref().map(|_| Kind::Angos));
        kinds.extend(self.options.engine.then_some(Kind::Engine));
        let (mut first, mut peers) = (None, Vec::new());
        for kind in kinds {
            let peer = match kind {
                Kind::Engine => Peer::engine(&self.cores),
                _ => Peer::start(kind, &self.programs, &self.cores, &directory.join(kind.name())),
            };
            reads::plant(&peer, &self.cores, maker, &fixtures);
            if let (Kind::Nginx, Some(proof)) = (kind, &first) {
                reads::plant_ref(&peer, proof);
            }
            let (mut requests, proof) = Requests::prove(&peer, &self.cores, &fixtures, first.as_ref());
            first.get_or_insert(proof);
            requests.bodies = self.options.bodies;
            peers.push((peer, requests));
        }
        process::settle_disk(directory);
        peers
    }

    /// One round of a load that reads.
    fn read(&self, work: Work, connections: usize, peers: &[(Peer, Requests)], results: &mut Results) {
        let seconds = self.options.seconds;
        let until = Until::Time { warm_up: WARM_UP * seconds, seconds };
        for (peer, requests) in peers {
            if let Some(plan) = requests.of(work, connections, until, peer) {
                let sample = measure(work, &peer.process, &self.cores, &plan);
                results.add(work, Some(connections), Who::Peer(peer.kind), sample);
            }
        }
    }

    fn print(&self, results: &Results, setting: &Setting) {
        let sizes = self.options.sizes();
        let goals = goals::goals(results, |work| work.name(&sizes));
        let mut kinds = Vec::new();
        for row in &results.rows {
            if let Who::Peer(kind) = row.who
                && !kinds.contains(&kind)
            {
                kinds.push(kind);
            }
        }
        println!("{}\n{}\n", table::table(results, &sizes), table::LEGEND);
        println!("{}\n{}", table::durability(&kinds), table::goals(&goals));
        let goal = |goal: &goals::Goal| {
            json!({
                "goal": goal.what, "reached": goal.reached, "bound": goal.bound, "at_least": goal.at_least,
                "met": goal.is_met(),
            })
        };
        let durability = kinds.iter().map(|kind| (kind.name().to_owned(), json!(kind.durability())));
        let document = json!({
            "setting": setting.json(), "rows": results.json(&sizes),
            "durability": durability.collect::<serde_json::Value>(),
            "goals": goals.iter().map(goal).collect::<Vec<_>>(),
        });
        let text = serde_json::to_string_pretty(&document).expect("results are JSON");
        let plot = svg::plot(results, &sizes, &setting.caption());
        for (path, text) in [(&self.options.json, text + "\n"), (&self.options.svg, plot)] {
            if let Some(path) = path {
                fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
        }
    }
}
