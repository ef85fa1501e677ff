//! All connections that are being served. When there are as many as may be, one of them makes room for a new one.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge};
use tokio::time::Instant;

use super::client_address::ClientAddress;
use super::connection_state::{CoarseClock, ConnectionState};
use super::eviction::{Candidate, Eviction, Newcomer, Urgency, WaitingFor};
use crate::config::{self, Network};

/// Resolution of the times of connections.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Most connections that are looked at to choose one of them, so that a choice costs the same on large servers.
const EXAMINED: usize = 1024;

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    client: ClientAddress,
    /// Whether it is a trusted proxy.
    proxied: bool,
}

impl Peer {
    pub(super) fn client(&self) -> ClientAddress {
        self.client
    }
}

/// The connections that are being served.
pub(super) struct ConnectionTable {
    limit: usize,
    rules: Eviction,
    trusted: Vec<Network>,
    clock: CoarseClock,
    entries: Mutex<Entries>,
    meters: Meters,
}

#[derive(Default)]
struct Entries {
    /// `None` where a connection has ended. Grows up to the limit.
    slots: Vec<Option<Entry>>,
    free: Vec<usize>,
    /// Number of connections of each client. A trusted proxy's connections are clients of their own.
    held: HashMap<ClientAddress, Arc<AtomicUsize>>,
    /// Where the next choice begins to look.
    cursor: usize,
    /// Number of connections so far.
    count: u64,
}

#[derive(Clone)]
struct Entry {
    state: Arc<ConnectionState>,
    peer: Peer,
    /// Number of connections of the peer.
    held: Arc<AtomicUsize>,
}

struct Meters {
    open: Gauge,
    /// By what the connections waited for.
    evicted: [(WaitingFor, Counter); 4],
}

/// The place of one connection in the table, which it leaves when this is dropped.
pub(super) struct Slot {
    table: Arc<ConnectionTable>,
    index: usize,
    state: Arc<ConnectionState>,
}

impl fmt::Debug for ConnectionTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionTable").finish_non_exhaustive()
    }
}

impl ConnectionTable {
    /// A table for at most `limit` connections.
    pub(super) fn new(config: &config::Server, limit: usize) -> Self {
        Self {
            limit,
            rules: Eviction::new(limit, config.idle_timeout.std(), config.min_rate.bytes()),
            trusted: config.trusted_proxies.clone(),
            clock: CoarseClock::default(),
            entries: Mutex::default(),
            meters: Meters::new(),
        }
    }

    /// Keeps the coarse clock going; never completes.
    pub(super) async fn tick(&self) {
        let began = Instant::now();
        loop {
            tokio::time::sleep(TICK).await;
            self.clock.set(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
        }
    }

    pub(super) fn trusted(&self) -> &[Network] {
        &self.trusted
    }

    /// Whom a connection from this address counts for.
    pub(super) fn peer(&self, address: IpAddr) -> Peer {
        let proxied = self.trusted.iter().any(|network| network.contains(address));
        let client = if proxied { self.entries().unnamed() } else { ClientAddress::of(address) };
        Peer { client, proxied }
    }

    /// The state of a connection that is not in the table.
    pub(super) fn state(&self, peer: Peer) -> Arc<ConnectionState> {
        Arc::new(ConnectionState::new(self.clock.clone(), peer.client, peer.proxied))
    }

    /// Adds a connection, in place of another one if need be; `None` if none may be replaced by this one.
    pub(super) fn admit(self: &Arc<Self>, peer: Peer) -> Option<Slot> {
        let state = self.state(peer);
        let mut entries = self.entries();
        let index = self.free_slot(&mut entries, peer.client)?;
        let held = Arc::clone(entries.held.entry(peer.client).or_default());
        held.fetch_add(1, Relaxed);
        entries.slots[index] = Some(Entry { state: Arc::clone(&state), peer, held });
        drop(entries);
        self.meters.open.increment(1.0);
        Some(Slot { table: Arc::clone(self), index, state })
    }

    fn free_slot(&self, entries: &mut Entries, newcomer: ClientAddress) -> Option<usize> {
        if entries.free.is_empty() && entries.slots.len() < self.limit {
            entries.slots.push(None);
            return Some(entries.slots.len() - 1);
        }
        if entries.free.is_empty() {
            self.evict_for(entries, newcomer)?;
        }
        entries.free.pop()
    }

    /// Makes a connection end, if one may, because file descriptors have run out.
    pub(super) fn make_room(&self) {
        let mut entries = self.entries();
        let nobody = entries.unnamed();
        let _ = self.evict_for(&mut entries, nobody);
    }

    fn evict_for(&self, entries: &mut Entries, newcomer: ClientAddress) -> Option<()> {
        let (index, waiting) = entries.choose(&self.rules, newcomer)?;
        let entry = entries.remove(index)?;
        entry.state.evict(waiting);
        self.meters.count(waiting);
        Some(())
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// A client that no other connection counts for.
    fn unnamed(&mut self) -> ClientAddress {
        self.count += 1;
        ClientAddress::unnamed(self.count)
    }

    /// The connection that makes room for one of this client, and what it waits for.
    fn choose(&mut self, rules: &Eviction, newcomer: ClientAddress) -> Option<(usize, WaitingFor)> {
        let (all, start) = (self.slots.len(), self.cursor);
        let examined = || (start..start + all.min(EXAMINED)).map(|at| at % all);
        let forwarded = self.forwarded(examined());
        let held_by = |client: ClientAddress| forwarded.get(&client).copied().unwrap_or(0);
        let direct = self.held.get(&newcomer).map_or(0, |held| held.load(Relaxed));
        let newcomer = Newcomer { client: newcomer, held: direct + held_by(newcomer) };
        let mut chosen: Option<(Urgency, usize, WaitingFor)> = None;
        for (index, entry) in examined().filter_map(|index| Some((index, self.slots[index].as_ref()?))) {
            let client = entry.state.client();
            let held = entry.held.load(Relaxed).max(if entry.peer.proxied { held_by(client) } else { 0 });
            let observed = entry.state.observe();
            let Some(urgency) = rules.urgency(&Candidate { client, held, observed }, newcomer) else { continue };
            if chosen.as_ref().is_none_or(|(best, ..)| urgency < *best) {
                chosen = Some((urgency, index, observed.waiting));
            }
        }
        self.cursor = if all > EXAMINED { (start + EXAMINED) % all } else { 0 };
        chosen.map(|(_, index, waiting)| (index, waiting))
    }

    /// How many connections of trusted proxies serve each client at present.
    fn forwarded(&self, examined: impl Iterator<Item = usize>) -> HashMap<ClientAddress, usize> {
        let mut counts = HashMap::new();
        for entry in examined.filter_map(|index| self.slots[index].as_ref()).filter(|entry| entry.peer.proxied) {
            *counts.entry(entry.state.client()).or_default() += 1;
        }
        counts
    }

    fn remove(&mut self, index: usize) -> Option<Entry> {
        let entry = self.slots[index].take()?;
        if entry.held.fetch_sub(1, Relaxed) == 1 {
            self.held.remove(&entry.peer.client);
        }
        self.free.push(index);
        Some(entry)
    }
}

impl Slot {
    pub(super) fn state(&self) -> &Arc<ConnectionState> {
        &self.state
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.table.meters.open.decrement(1.0);
        let mut entries = self.table.entries();
        // The place of a connection that had to make room is another one's by now.
        let own = entries.slots[self.index].as_ref().is_some_and(|entry| Arc::ptr_eq(&entry.state, &self.state));
        if own {
            entries.remove(self.index);
        }
    }
}

impl Meters {
    fn new() -> Self {
        let evicted = [
            (WaitingFor::Head, "head"),
            (WaitingFor::Request, "request"),
            (WaitingFor::Body, "body"),
            (WaitingFor::Server, "server"),
        ];
        let counter = |name| metrics::counter!("larder_connections_evicted_total", "waiting_for" => name);
        Self {
            open: metrics::gauge!("larder_connections_open"),
            evicted: evicted.map(|(waiting, name)| (waiting, counter(name))),
        }
    }

    fn count(&self, waiting: WaitingFor) {
        if let Some((_, counter)) = self.evicted.iter().find(|(known, _)| *known == waiting) {
            counter.increment(1);
        }
    }
}
