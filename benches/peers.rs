//! Larder beside what its users would otherwise run: nginx and docker-registry.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a benchmark prints what the wall clock says"
)]

#[expect(dead_code, reason = "other benchmarks use the rest of it")]
mod support;

#[path = "peers/fixtures.rs"]
mod fixtures;
#[path = "peers/install.rs"]
mod install;
#[path = "peers/load.rs"]
mod load;
#[path = "peers/process.rs"]
mod process;
#[path = "peers/reads.rs"]
mod reads;
#[path = "peers/servers.rs"]
mod servers;

use fixtures::{Fixtures, Maker};
use install::Programs;
use load::plan::Until;
use process::{Cores, Load};
use reads::{Read, Requests};
use servers::{Kind, Peer};
use support::{argument, directory};

fn main() {
    let flag = |name: &str| std::env::args().any(|argument| argument == name);
    if flag("--load") {
        println!("{}", load::run());
        return;
    }
    let quick = flag("--quick");
    let cores = Cores::split(!flag("--no-pin"));
    println!("{}", cores.describe());
    let rounds: usize = argument("rounds", if quick { "1" } else { "5" }).parse().expect("a number of rounds");
    let seconds: f64 = argument("seconds", if quick { "0.2" } else { "3" }).parse().expect("a number of seconds");
    let only = argument("only", "");
    let connections = argument("connections", "1,16,256");
    let programs = Programs::install();
    println!("nginx {}, docker-registry {}", programs.nginx.version, programs.registry.version);
    let directory = directory();
    let (mut maker, mut peers, mut first) = (Maker::new(), Vec::new(), None);
    let fixtures = Fixtures::new(&mut maker, quick);
    for kind in [Kind::Larder, Kind::Nginx, Kind::Registry] {
        let peer = Peer::start(kind, &programs, &cores, &directory.path().join(kind.name()));
        reads::plant(&peer, &cores, &maker, &fixtures);
        if let (Kind::Nginx, Some(proof)) = (kind, &first) {
            reads::plant_ref(&peer, proof);
        }
        let (requests, proof) = Requests::prove(&peer, &cores, &fixtures, first.as_ref());
        first.get_or_insert(proof);
        peers.push((peer, requests));
    }
    for read in Read::ALL.into_iter().filter(|read| read.name().contains(&only)) {
        for connections in connections.split(',').map(|number| number.parse().expect("a number of connections")) {
            for round in 0..rounds {
                for (peer, requests) in &peers {
                    let until = Until::Time { warm_up: seconds / 6.0, seconds };
                    let Some(plan) = requests.of(read, connections, until, peer) else { continue };
                    peer.process.forget_memory();
                    let before = peer.process.cpu_seconds();
                    let report = Load::start(&cores, &plan).finish();
                    let cpu = peer.process.cpu_seconds() - before;
                    peer.process.settle();
                    let latency = report.latency.map_or((0.0, 0.0), |latency| (latency.p50, latency.p99));
                    println!(
                        "{:26} {connections:4} round {round} {:9} {:9.0} /s {:9.1} MiB/s  p50 {:9.1} us p99 {:9.1} us  {:7.2} us/req {:7.3} s/GiB {:4} MiB  client {:3.0} %",
                        read.name(),
                        peer.kind.name(),
                        report.exchanges as f64 / report.seconds,
                        report.bytes as f64 / report.seconds / f64::from(1 << 20),
                        latency.0,
                        latency.1,
                        cpu * 1e6 / report.all_exchanges as f64,
                        cpu * f64::from(1 << 30) / report.all_bytes as f64,
                        peer.process.memory() >> 10,
                        100.0 * report.cpu_seconds / report.all_seconds,
                    );
                }
            }
        }
    }
}
