//! What must hold in every state, and what must be reachable for that to mean anything.

pub mod members;

use stateright::Property;

use super::bits;
use super::checker::Protocol;
use super::collector::{Collector, Heal};
use super::copies::Bytes;
use super::heads::State;
use super::publisher::{Call, Stage};
use super::setup::Setup;
use super::world::{Store, World};

/// The promise for complete versions, and for prepared ones from their publisher's check on.
pub const PRESENT: &str = "a root's blobs are present";
/// Where right and wrong bytes are stored side by side, readers get the right ones.
pub const READ: &str = "readers of a complete version get the right bytes";
pub const ABORTED: &str = "an aborted version never commits";
pub const ONCE: &str = "a version number is committed once, as what its publisher meant, and stays";
pub const UPLOADED: &str = "what a session uploaded is not missing when it commits";
pub const HONEST: &str = "a blob that is answered as stored may be relied on at that moment";
/// A discard that has ended is noticed by whoever publishes afterwards.
pub const NOTICED: &str = "what a publisher relies on without a look is there";
pub const CLEAN: &str = "when everything is quiet, one run leaves nothing that is not needed";

pub const COLLECTED: &str = "the bytes of a blob are deleted";
pub const RESCUED: &str = "a publisher copies doomed bytes";
pub const HEALED: &str = "a collector copies doomed bytes of a live blob";
pub const REFUSED: &str = "a publisher fails because its version was given up";
pub const MISSED: &str = "a publisher aborts because a blob is missing";
pub const LATE: &str = "a delete comes when the blob is live again";
pub const PUT_BACK: &str = "a publisher puts its manifest back after the version is prepared";
/// An index needs what is to be deleted by its digest.
pub const KEPT: &str = "a deletion is refused because another manifest needs this one";
pub const INHERITED: &str = "a child is found only through a version of an index";
pub const DANGLING: &str = "a referrer outlives the bytes of its subject";
pub const BURIED: &str = "somebody takes damaged bytes away";
pub const SKIPPED: &str = "a publisher does not look at what the active version has";

/// The properties that mean something in a setup.
pub fn properties(setup: &Setup) -> Vec<Property<Protocol>> {
    let mut properties = vec![
        Property::always(ABORTED, |model: &Protocol, world: &World| model.first(1, is_aborted_for_good(world))),
        Property::always(ONCE, |model: &Protocol, world: &World| model.first(2, is_committed_once(world))),
    ];
    // Where only readers notice that bytes are damaged, versions of them are published.
    if !setup.same_length {
        properties.extend([
            Property::always(PRESENT, |model: &Protocol, world: &World| model.first(0, is_present(model, world))),
            Property::always(CLEAN, |model: &Protocol, world: &World| model.first(3, model.becomes_clean(world))),
        ]);
    }
    if setup.follows {
        let holds = |model: &Protocol, world: &World| model.first(9, !world.store.overlooked);
        properties.push(Property::always(NOTICED, holds));
    }
    if setup.has_sessions() {
        let holds = |model: &Protocol, world: &World| model.first(4, keeps_uploads(model, world));
        properties.push(Property::always(UPLOADED, holds));
    }
    if setup.has_uploads() {
        properties.push(Property::always(HONEST, |model: &Protocol, world: &World| model.first(5, !world.store.lied)));
    }
    if setup.has_damage() && !setup.same_length {
        properties
            .push(Property::always(READ, |model: &Protocol, world: &World| model.first(6, is_readable(model, world))));
    }
    if setup.by_digest {
        properties.extend(members::properties());
    }
    properties.extend(events().into_iter().filter(|event| setup.reaches.contains(&event.name)));
    properties
}

fn events() -> Vec<Property<Protocol>> {
    vec![
        Property::sometimes(COLLECTED, is_collected),
        Property::sometimes(RESCUED, |_, world: &World| calls(world, |call| matches!(call, Call::Copy { .. }))),
        Property::sometimes(HEALED, is_healed),
        Property::sometimes(REFUSED, |_, world: &World| stages(world, |stage, _| stage == Stage::Refused)),
        Property::sometimes(MISSED, |_, world: &World| stages(world, |stage, _| stage == Stage::Abort)),
        Property::sometimes(LATE, is_late),
        Property::sometimes(PUT_BACK, |_, world: &World| stages(world, |stage, again| stage == Stage::Put && again)),
        Property::sometimes(BURIED, |_, world: &World| calls(world, |call| matches!(call, Call::Condemn(_)))),
        Property::sometimes(KEPT, |_, world: &World| stages(world, |stage, _| stage == Stage::Kept)),
        Property::sometimes(INHERITED, members::is_inherited),
        Property::sometimes(DANGLING, members::is_dangling),
        Property::sometimes(SKIPPED, |_, world: &World| world.publishers.iter().any(|publisher| publisher.known != 0)),
    ]
}

fn is_present(model: &Protocol, world: &World) -> bool {
    let promised = |who: usize| world.publishers[who].promise(&model.setup, who);
    are_present(&world.store, needed(&model.setup, &world.store))
        && (0..world.publishers.len())
            .filter_map(promised)
            .all(|(name, number, held)| !is_prepared(world, name, number) || are_present(&world.store, held))
}

fn is_readable(model: &Protocol, world: &World) -> bool {
    bits::members(needed(&model.setup, &world.store))
        .all(|digest| world.store.copies(digest).read() != Some(Bytes::Damaged))
}

fn is_aborted_for_good(world: &World) -> bool {
    world.store.names.iter().all(|name| name.aborted & name.committed == 0)
}

fn is_committed_once(world: &World) -> bool {
    world.store.names.iter().all(|name| {
        let stays = |number: u8| !matches!(name.head.rows[usize::from(number)].state, State::Unused | State::Prepared);
        !name.muddled && bits::members(name.committed).all(stays)
    })
}

fn keeps_uploads(model: &Protocol, world: &World) -> bool {
    world.publishers.iter().enumerate().all(|(who, publisher)| {
        let promise = publisher.promise(&model.setup, who).filter(|_| publisher.stage == Stage::Short);
        promise.is_none_or(|(name, number, _)| !is_prepared(world, name, number))
    })
}

fn is_collected(_: &Protocol, world: &World) -> bool {
    world.collectors.iter().any(|collector| {
        let Some((digest, generation)) = collector.candidate() else { return false };
        collector.live & 1 << digest == 0 && world.store.copies(digest).bytes(generation).is_some()
    })
}

fn is_healed(_: &Protocol, world: &World) -> bool {
    world.collectors.iter().any(|collector| matches!(collector.heal, Heal::Copy { .. }))
}

fn is_late(model: &Protocol, world: &World) -> bool {
    world.collectors.iter().any(|collector| {
        let Some((digest, generation)) = collector.candidate() else { return false };
        let is_newer = |(newer, _)| newer > generation;
        collector.live & 1 << digest == 0
            && needed(&model.setup, &world.store) & 1 << digest != 0
            && world.store.copies(digest).usable().is_some_and(is_newer)
    })
}

fn calls(world: &World, is_it: fn(Call) -> bool) -> bool {
    world.publishers.iter().any(|publisher| is_it(publisher.call))
}

fn stages(world: &World, is_it: fn(Stage, bool) -> bool) -> bool {
    world.publishers.iter().any(|publisher| is_it(publisher.stage, publisher.number.is_some()))
}

fn is_prepared(world: &World, name: u8, number: u8) -> bool {
    world.store.head(name).rows[usize::from(number)].state == State::Prepared
}

/// The digests that complete versions need.
fn needed(setup: &Setup, store: &Store) -> u8 {
    let rows = store.names.iter().flat_map(|name| name.head.rows);
    rows.filter(|row| row.state.is_complete()).fold(0, |set, row| set | setup.needs(row.manifest))
}

fn are_present(store: &Store, digests: u8) -> bool {
    bits::members(digests).all(|digest| store.copies(digest).has_good_bytes())
}

/// Whether one run that nobody disturbs, whatever state everybody else has stopped in, leaves only what is needed, and
/// all of that.
pub fn one_run_cleans(setup: &Setup, store: &Store) -> bool {
    let mut store = *store;
    let mut collector = Collector::idle(1);
    let mut choices = Vec::new();
    while !collector.is_done() {
        choices.clear();
        collector.choices(setup, &store, &mut choices);
        collector = collector.step(setup, &mut store, choices[0]);
    }
    let live = live(setup, &store);
    let is_clean = |digest: u8| {
        let copies = store.copies(digest);
        // Damaged bytes of a live blob are left for an upload to replace.
        let is_damaged = copies.damaged() != 0;
        if live & 1 << digest == 0 { !copies.has_bytes() } else { copies.doomed() == 0 || is_damaged }
    };
    (0..setup.digests()).all(is_clean) && are_present(&store, needed(setup, &store)) && members::are_of_roots(&store)
}

/// What a collector must keep: a manifest that is not there refers to nothing.
fn live(setup: &Setup, store: &Store) -> u8 {
    let rows = store.names.iter().flat_map(|name| name.head.rows);
    let roots = rows.filter(|row| row.state == State::Prepared || row.state.is_complete());
    roots.fold(0, |set, row| set | setup.found(row.manifest, &|digest| store.copies(digest).has_bytes()))
}
