//! Processes: all services over one handle, with memories and a clock of their own, that live until they die.

use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::handle::{CLIENT, Handle};
use super::world::World;
use crate::support::services::Services;
use crate::support::store::Store;

/// A running process.
#[derive(Clone)]
pub struct Process {
    pub store: Store,
    pub services: Services,
    dead: CancellationToken,
}

impl Process {
    pub fn start(world: &Arc<World>, name: &str, skew: SignedDuration) -> Self {
        let (number, dead, clock) = world.start(name, skew);
        let store: Store = Arc::new(Handle::new(world, number));
        let services = Services::with_clock(&store, clock);
        Self { store, services, dead }
    }

    /// Does something on behalf of a client. `None` when the process died or the client hung up before it was done.
    pub async fn serve<T>(&self, world: &World, client: usize, work: impl Future<Output = T>) -> Option<T> {
        let request = world.begin_request(client);
        let work = CLIENT.scope(client, work);
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.dead.cancelled() => None,
            () = request.cancelled() => None,
        }
    }
}

/// Servers behind one address: whoever calls gets any of them, and one that died is started anew.
pub struct Servers {
    world: Arc<World>,
    skews: Vec<SignedDuration>,
    running: Mutex<Vec<Process>>,
}

impl Servers {
    /// One server for each clock.
    pub fn start(world: &Arc<World>, skews: Vec<SignedDuration>) -> Self {
        let running = skews.iter().map(|skew| Process::start(world, "server", *skew)).collect();
        Self { world: Arc::clone(world), skews, running: Mutex::new(running) }
    }

    /// One of them.
    pub fn any(&self) -> Process {
        let mut running = self.running.lock().expect("nobody panics here");
        let at = self.world.with(|store| store.random.below(running.len()));
        if running[at].dead.is_cancelled() {
            running[at] = Process::start(&self.world, "server", self.skews[at]);
        }
        running[at].clone()
    }
}
