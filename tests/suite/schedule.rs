//! The code under schedules: real services over a store that pauses, reorders, fails, loses replies and breaks
//! listings off, beside collectors, with processes that die at any call. Whose turn it is and what becomes of each call
//! is decided by a seed, so every schedule can be repeated.
//!
//! After every step, seen from outside, each version that can be read has all of its bytes. In the end everything is
//! read again, what clients were told is compared with the log, and one quiet run of the collector leaves nothing that
//! nobody needs.
//!
//! `LARDER_SCHEDULES=100000 cargo test --release --test suite -- schedule` drives more of them; `LARDER_SEED=…` repeats
//! one.

mod clients;
mod collectors;
mod handle;
mod naive;
mod objects;
mod oracle;
mod plan;
mod process;
pub mod random;
mod registry;
mod runs;
mod scripts;
mod systematic;
mod truth;
mod world;

use jiff::SignedDuration;
use larder::clock::{Clock as _, SystemClock};

use crate::support::store::Store;

/// A store without a schedule: every call is answered at once.
pub fn quiet_store() -> Store {
    let world = world::World::new(0, plan::Plan::calm());
    world.with(|store| store.objects.now = SystemClock.now());
    process::Process::start(&world, "only", SignedDuration::ZERO).store
}
