//! Schedules that were found to lose something, step by step.

use std::collections::VecDeque;

use jiff::SignedDuration;
use larder::domain::Digest;
use larder::layout::{self, marker};

use super::collectors::{Collector, Kind};
use super::plan::{Order, Plan, Step};
use super::process::Process;
use super::runs::{drive_world, end, tell};
use super::world::World;
use crate::support::services::{Release, activate, condemn};

/// A release of one file whose manifest sorts before it among the blobs.
fn release() -> Release {
    let mut releases = (0..).map(|at| Release::new(format!("r{at}"), 1));
    releases.find(|release| release.digest().bytes() < release.file(0).bytes()).expect("one of the first few")
}

fn of(digest: Digest) -> String {
    layout::blob(&digest).to_string()
}

/// The numbers of the processes, in the order in which they are started.
const PUBLISHER: usize = 1;
const HEALER: usize = 2;
const SWEEPER: usize = 3;

/// A manifest moves from generation 1 to 2 while a collector looks for it: the listing began before the new generation
/// was there, and comes to the old one when it is gone. It must not take the manifest for one that was never stored.
fn script(release: &Release) -> VecDeque<Step> {
    let (manifest, file) = (of(release.digest()), of(release.file(0)));
    let until = |process, op, key: &str, after| Step { process, until: (op, key.to_owned()), after };
    VecDeque::from([
        // Both collectors mark before there is a version.
        until(HEALER, "list", "blobs/", 0),
        // This one finds that nobody needs the file.
        until(SWEEPER, "create", &file, 0),
        // The publisher stores the manifest, prepares, and finds the file in order.
        until(PUBLISHER, "create", "heads/", 1),
        // The manifest is condemned, and needed after all.
        until(HEALER, "copy", &manifest, 0),
        // The file is condemned. Now for the second look at what is needed: the first page of the listing.
        until(SWEEPER, "list", &manifest, 1),
        // The manifest moves; the file would be healed next.
        until(HEALER, "list", &file, 0),
        // The rest of the listing, and the sweep.
        until(SWEEPER, "create", ".report", 0),
        // The publisher commits.
        until(PUBLISHER, "none", "", 0),
    ])
}

#[test]
fn a_manifest_that_moves_while_it_is_looked_for_still_protects_its_blobs() {
    let release = release();
    // The seed decides how long the pages of listings are, and what they show of that which comes and goes.
    for seed in 0..64 {
        let order = Order::Script(script(&release));
        let world = World::new(seed, Plan { order, ..Plan::calm() });
        let ended = drive_world(&world, async {
            tell(&world, std::slice::from_ref(&release));
            let first = Process::start(&world, "first", SignedDuration::ZERO);
            marker::open(&*first.store).await.unwrap();
            first.services.upload_all(&release).await.unwrap();
            condemn(&first.store, release.digest(), 0).await;
            let [publisher, healer, sweeper] =
                ["publisher", "healer", "sweeper"].map(|name| Process::start(&world, name, SignedDuration::ZERO));
            let collector = Collector::quiet(Kind::Real);
            world.set_quiet(false);
            let (receipt, _, _) = tokio::join!(
                publisher.services.publish_only("main", &release, activate()),
                collector.run(&healer),
                collector.run(&sweeper),
            );
            receipt.expect("nothing went wrong");
            end(&world, &[], &release, &collector).await;
        });
        if let Err(why) = ended {
            panic!("{}\nseed {seed}: {why}", world.trace().join("\n"));
        }
    }
}
