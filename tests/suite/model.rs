//! The storage protocol (sections 4 and 5 of its design) as a model, checked exhaustively: every order in which the calls
//! of publishers, uploads and collectors can reach the store.
//!
//! # What is modelled
//!
//! - The store: of each digest generations of bytes and tombstones ([`copies`]), of each name its newest head ([`heads`]).
//! - Publishers ([`publisher`]): uploads, publishes, sessions, rollback, deletion. Collectors ([`collector`]): mark with
//!   expiry, plan, condemn, second mark, sweep and heal. They decide as the code does.
//! - Manifests that name manifests ([`manifests`]), followed from the top down by publishers and collectors; hidden logs,
//!   which are names like others; referrers, whose subject is no need; deletion by tag and by digest; and the entries by
//!   which versions are found from their manifests, with their upkeep ([`entries`]). The setups are in [`repositories`].
//! - One step is one call to the store by one actor: listing one digest, reading one name's head, creating one object.
//!   A head is read in one step and created in another, and creating it fails if somebody else was faster. So anything
//!   can come between any two calls, for any length of time: that is a stall. A copy is two steps, because its source
//!   may be deleted before its target appears.
//! - Crashes: nobody holds a lock, so an actor that dies is one that never moves again, and the properties hold in every
//!   state, whoever moves on from it. What a death adds is that a client goes on to its next operation and a collector
//!   to its next run; those are steps of their own.
//! - Clocks, which may say anything: whenever a collector looks, any version that can be due may be, and any bytes may be
//!   old enough or not. The minimum age is 0.
//! - Damaged bytes of another length, in the setups that start with some; and of the right length, while somebody discards
//!   them and publishers do not look at what the active version was found to have.
//! - What "eventually" means: in *every* state, if everybody stops for ever where they are, one fresh run leaves exactly
//!   what is needed, none of it condemned ([`properties::CLEAN`]).
//!
//! # What is not, and why that is sound
//!
//! - Older heads: a head is created one above the newest that its maker has read, which fails when there is one.
//! - Lost replies: a head says whose it is, and everything else that is created or deleted may be so twice. To be told
//!   late is to stall; never to be told is to crash.
//! - Failing calls: they end the operation, which is to crash.
//! - Durability, `seen` hints and the reports of runs: they decide nothing here.
//! - Which untagged versions and referrers are kept for how long: any may expire whenever a collector looks.
//! - Readers by digest: they see an entry and then a head. Entries are only taken from versions that have ended for ever,
//!   and numbers are not used again, so what a reader is answered depends on the head alone, and
//!   [`properties::members::WHOLE`] holds of every state in which one could read it.
//! - Entries that are created later: the model creates each as soon as its manifest is known, and more entries can only
//!   answer for more. Entries that could not be created: nothing but an answer depends on them.
//! - *Ready* versions: they differ from *archived* ones in nothing that matters here.
//! - Checks of several blobs at once: they happen in any order, one by one; no two share anything.
//! - The listing of one digest is one step: what is found absent was absent at one moment. Much rests on that. A listing
//!   that misses both the old and the new place of bytes that are being copied loses data
//!   ([`setup::Broken::TornListings`]). One that looks at the generations one by one, the lowest first, is as good: bytes
//!   only ever move to higher ones. One that fixes the names first and then leaves out what has vanished is not, and that
//!   is what a directory gives. So the second mark, before it takes a manifest for absent, looks at the generations one by
//!   one (`Blobs::is_gone`); everybody else who looks at a listing may be told that bytes are missing which are not, but
//!   relies on nothing for it.
//! - Collectors that differ in nothing but their place are the same, which halves the states.
//!
//! # How to run more of it
//!
//! `LARDER_MODEL=large cargo test --release --test suite model -- --nocapture` takes minutes instead of seconds: more
//! operations, runs and expiry, tens of millions of states. Both print the number of states and how far they go.

mod bits;
mod checker;
mod collector;
mod copies;
mod entries;
mod heads;
mod manifests;
mod properties;
mod publisher;
mod repositories;
mod setup;
mod setups;
mod teeth;
mod world;

use std::thread;

use stateright::{Checker, Expectation, HasDiscoveries, Model as _};

use checker::{Path, Protocol};
use setup::Setup;
use setups::Bound;

fn bound() -> Bound {
    match std::env::var("LARDER_MODEL").as_deref() {
        Ok("large") => Bound::Large,
        Ok(other) => panic!("LARDER_MODEL is {other}; the only value it can have is large"),
        Err(_) => Bound::Small,
    }
}

/// Looks at every state that can be reached. There must be at least so many: a model that has withered proves nothing.
fn holds(setup: fn(Bound) -> Setup, states: usize) {
    holds_in(setup(bound()), states);
}

fn holds_in(setup: Setup, states: usize) {
    let (title, reaches, threads) = (setup.title, setup.reaches, thread::available_parallelism().map_or(1, Into::into));
    let model = Protocol::new(setup).checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    let checked = model.spawn_bfs().join();
    let found = checked.discoveries();
    for (property, path) in &found {
        let is_broken = checked.model().property(property).expectation == Expectation::Always;
        assert!(!is_broken, "{title}: it does not hold that {property}:\n{}", checker::trace(path));
    }
    let (unique, all, depth) = (checked.unique_state_count(), checked.state_count(), checked.max_depth());
    eprintln!("{title}: {unique} states, {all} ways to get to one, at most {depth} steps deep");
    assert!(checked.is_done(), "{title}: not every state was looked at");
    assert!(unique >= states, "{title}: only {unique} states");
    for event in reaches {
        assert!(found.contains_key(event), "{title}: it never happens that {event}");
    }
}

/// The shortest way to break a property, if there is one.
fn counterexample(setup: Setup, property: &'static str) -> Option<Path> {
    let model = Protocol::new(setup).checker().finish_when(HasDiscoveries::AllOf([property].into()));
    model.spawn_bfs().join().discovery(property)
}

#[test]
fn two_names_may_share_a_blob() {
    holds(setups::shared, 200_000);
}

#[test]
fn two_publishers_may_race_for_a_name() {
    holds(setups::rivals, 200_000);
}

#[test]
fn a_manifest_may_be_collected_before_it_is_protected() {
    holds(setups::manifests, 60_000);
}

#[test]
fn a_manifest_may_be_copied_while_it_is_read() {
    holds(setups::moved, 30_000);
}

#[test]
fn a_session_keeps_what_it_uploads() {
    holds(setups::sessions, 90_000);
}

#[test]
fn a_damaged_blob_is_replaced() {
    holds(setups::damage, 60_000);
}

#[test]
fn a_replaced_blob_survives_three_collectors() {
    holds(setups::healing, 70_000);
}

#[test]
fn what_the_active_version_has_needs_no_look() {
    holds(setups::follows, 50_000);
}

#[test]
fn a_discard_is_noticed_by_whoever_publishes_afterwards() {
    holds(setups::discards, 10_000);
}
