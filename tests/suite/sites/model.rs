//! A site as a model: whatever happens to a name in whatever order, what a page that somebody has open loads is there for
//! as long as the guide says, and what was taken away is gone.
//!
//! Two servers over one store, each up to a second behind the other, a collector that keeps nothing but what is promised,
//! and a clock that jumps. One after the other, versions are published, staged, promoted, taken back, retired and
//! collected, the name is withdrawn, deleted and published to again, and time passes. During each of these steps and after
//! it, visitors, pages and programs ask both servers for paths that some version has, and each answer has to be the one
//! that [`oracle`] gives for the state of the name before or after the step. A server that is behind may only be so in what
//! it shows, never in what it denies. Of each answer with bytes, the tag is their digest.
//!
//! A seed makes the steps and the questions. `LARDER_SITES=200 cargo test --test suite sites::model` takes more of them;
//! `LARDER_SEED=…` repeats one.

mod builds;
mod oracle;
mod steps;
mod world;

use futures_util::stream::{self, StreamExt as _};
use world::{Counts, World};

/// Steps of one seed.
const STEPS: usize = 24;
/// Seeds that are tried without being asked for, each with other limits.
const SEEDS: u64 = 8;
/// Seeds at the same time: most of the time is waiting for the next look at a name.
const AT_ONCE: usize = 8;

/// Drives one seed to its end. An error has the steps that led to it.
async fn drive(seed: u64) -> Result<Counts, String> {
    let mut world = World::new(seed).await;
    let mut outcome = Ok(());
    for _ in 0..STEPS {
        outcome = steps::step(&mut world).await;
        if outcome.is_err() {
            break;
        }
    }
    if outcome.is_ok() {
        outcome = world.finish().await;
    }
    let again = format!("again: LARDER_SEED={seed} cargo test --test suite sites::model");
    match outcome {
        Ok(()) => Ok(world.counts),
        Err(why) => Err(format!("{}\nseed {seed}: {why}\n{again}", world.trace.join("\n"))),
    }
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    match (number("LARDER_SEED"), number("LARDER_SITES")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(SEEDS),
    }
}

#[tokio::test]
async fn what_a_page_was_promised_is_there_and_what_was_taken_away_is_gone() {
    let seeds = seeds();
    let mut all = stream::iter(seeds.clone()).map(drive).buffer_unordered(AT_ONCE);
    let mut sum = Counts::default();
    while let Some(ended) = all.next().await {
        let Counts { earlier, absent, gone, behind } = ended.unwrap_or_else(|why| panic!("{why}"));
        sum = Counts {
            earlier: sum.earlier + earlier,
            absent: sum.absent + absent,
            gone: sum.gone + gone,
            behind: sum.behind + behind,
        };
    }
    eprintln!("seeds {seeds:?}: {sum:?}");
    let is_alive = sum.earlier > 100 && sum.absent > 100 && sum.gone > 50;
    assert!(is_alive || seeds.end - seeds.start < SEEDS, "too little happens: {sum:?}");
}
