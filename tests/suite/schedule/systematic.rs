//! A publisher and a collector at work on the same blobs, and either of them fails or dies at each of its calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::SignedDuration;
use larder::layout::marker;

use super::collectors::{Collector, Kind};
use super::plan::{Effect, Fate, Faults, Order, Plan};
use super::process::Process;
use super::runs::{drive_world, end, releases, tell};
use super::world::World;
use crate::support::services::{Release, condemn};

/// Who fails.
#[derive(Debug, Clone, Copy)]
enum Who {
    Publisher,
    Collector,
}

impl Who {
    /// The number of the process; the first one makes the scene.
    fn process(self) -> usize {
        match self {
            Self::Publisher => 1,
            Self::Collector => 2,
        }
    }
}

/// `main` has two versions, the older of which is to be retired. One file of the active version is condemned, as by a
/// collector that died. The files of the next release are there, and nobody needs some of them yet.
async fn scene(world: &Arc<World>, releases: &[Release]) {
    let first = Process::start(world, "first", SignedDuration::ZERO);
    marker::open(&*first.store).await.unwrap();
    for release in [&releases[3], &releases[0]] {
        first.services.release("main", release).await.unwrap();
    }
    first.services.upload_all(&releases[2]).await.unwrap();
    condemn(&first.store, releases[0].file(0), 0).await;
}

/// The n-th call of somebody, as far as it matters how it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nth {
    /// There is none.
    None,
    /// It reads, so there is nothing that may happen although it fails.
    Read,
    /// It changes something.
    Write,
}

/// Publishes and collects at once, with one fault, at this call.
fn play(who: Who, nth: usize, fate: Fate) -> Nth {
    let faults = Faults::Once { process: who.process(), nth, fate };
    let plan = Plan { order: Order::Bursts(None), faults, tick: SignedDuration::from_secs(1) };
    let world = World::new(nth as u64, plan);
    let ended = drive_world(&world, async {
        let releases = releases();
        tell(&world, &releases);
        scene(&world, &releases).await;
        let publisher = Process::start(&world, "publisher", SignedDuration::ZERO);
        let process = Process::start(&world, "collector", SignedDuration::ZERO);
        let (collector, publishing) = (Collector::strict(), publisher.clone());
        world.set_quiet(false);
        let (receipt, _) = tokio::join!(
            publishing.serve(&world, 0, publishing.services.release("main", &releases[2])),
            process.serve(&world, 1, collector.run(&process)),
        );
        let calls = world.calls(who.process());
        if calls < nth {
            receipt.expect("nothing happened to it").expect("nothing went wrong");
        }
        end(&world, &[], &releases[2], &Collector::quiet(Kind::Real)).await;
        let trace = world.trace();
        let failed = trace.iter().find(|line| line.contains(fate.words()));
        let writes = [": create ", ": commit ", ": copy ", ": delete "];
        match failed {
            _ if calls < nth => Nth::None,
            Some(call) if writes.iter().any(|op| call.contains(op)) => Nth::Write,
            _ => Nth::Read,
        }
    });
    ended.unwrap_or_else(|why| {
        panic!("{}\n{who:?}, call {nth}, {fate:?}: {why}", world.trace().join("\n"));
    })
}

/// Lets it fail at each of its calls, in every way.
fn fail_at_each_call(who: Who) -> usize {
    let (next, most) = (AtomicUsize::new(1), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    let call = play(who, nth, Fate::Fail(Effect::Never));
                    if call == Nth::None {
                        break;
                    }
                    play(who, nth, Fate::Crash(Effect::Never));
                    for effect in [Effect::Now, Effect::Late].into_iter().filter(|_| call == Nth::Write) {
                        play(who, nth, Fate::Fail(effect));
                        play(who, nth, Fate::Crash(effect));
                    }
                    most.fetch_max(nth, Ordering::Relaxed);
                }
            });
        }
    });
    most.into_inner()
}

#[test]
fn a_publisher_may_fail_at_any_call_beside_a_collector() {
    let calls = fail_at_each_call(Who::Publisher);
    assert!(calls >= 20, "only {calls} calls");
}

#[test]
fn a_collector_may_fail_at_any_call_beside_a_publisher() {
    let calls = fail_at_each_call(Who::Collector);
    assert!(calls >= 30, "only {calls} calls");
}
