//! An index is pushed, its children by digest and itself by a tag, beside a collector that retires what is untagged, and
//! either of them fails or dies at each of its calls.

use larder::layout::marker;

use super::images::{INDEX, TAGS, images, push_all, try_push_all};
use super::{end, tell};
use crate::schedule::collectors::Collector;
use crate::schedule::plan::{Effect, Fate, Faults, Order, Plan};
use crate::schedule::process::Process;
use crate::schedule::runs::drive_world;
use crate::schedule::world::World;
use crate::support::services::condemn;
use jiff::SignedDuration;

/// The numbers of the processes; the first one makes the scene.
const PUSHER: usize = 1;
const COLLECTOR: usize = 2;

/// Pushes and collects at once, with one fault, at this call of one process. Whether the process made so many calls.
///
/// The children of the index were pushed before, so their time is up; the tag has another image; and the layer that the
/// children share is condemned, as by a collector that died.
fn play(process: usize, nth: usize, fate: Fate) -> bool {
    let faults = Faults::Once { process, nth, fate };
    let plan = Plan { order: Order::Bursts(None), faults, tick: SignedDuration::from_secs(1) };
    let world = World::new(nth as u64, plan);
    let ended = drive_world(&world, async {
        let images = images();
        tell(&world, &images);
        let first = Process::start(&world, "first", SignedDuration::ZERO);
        marker::open(&*first.store).await.unwrap();
        for child in &images[INDEX].children {
            push_all(&first.services, &images, *child, None).await;
        }
        push_all(&first.services, &images, 4, Some(TAGS[0])).await;
        let shared = images[0].needs[1];
        assert!(images[1].needs.contains(&shared));
        condemn(&first.store, shared, 0).await;
        let pusher = Process::start(&world, "pusher", SignedDuration::ZERO);
        let process_of_collector = Process::start(&world, "collector", SignedDuration::ZERO);
        let (collector, pushing) = (Collector::strict(), pusher.clone());
        world.set_quiet(false);
        tokio::join!(
            pushing.serve(&world, 0, try_push_all(&pushing.services, &images, INDEX, Some(TAGS[0]))),
            process_of_collector.serve(&world, 1, collector.run(&process_of_collector)),
        );
        let calls = world.calls(process);
        end(&world, &[], &images).await;
        calls >= nth
    });
    ended.unwrap_or_else(|why| panic!("{}\nprocess {process}, call {nth}, {fate:?}: {why}", world.trace().join("\n")))
}

fn fail_at_each_call(process: usize) -> usize {
    let fates = [Fate::Fail(Effect::Now), Fate::Fail(Effect::Late), Fate::Crash(Effect::Never)];
    // Each fate, even if an earlier one shows that there are not so many calls.
    let happens = |nth: &usize| {
        let mut all = true;
        for fate in fates {
            all &= play(process, *nth, fate);
        }
        all
    };
    (1..100_000).take_while(happens).count()
}

#[test]
fn a_push_of_an_index_may_fail_at_any_call_beside_a_collector() {
    let calls = fail_at_each_call(PUSHER);
    assert!(calls >= 40, "only {calls} calls");
}

#[test]
fn a_collector_may_fail_at_any_call_beside_a_push_of_an_index() {
    let calls = fail_at_each_call(COLLECTOR);
    assert!(calls >= 30, "only {calls} calls");
}
