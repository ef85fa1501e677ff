//! What is known of one connection while it is served: whom it counts for, what it waits for, and its progress.
//!
//! Written with relaxed atomics on the way of every request, and read only when a connection has to make room. A reader
//! may see a mixture of two moments; that costs at most a worse choice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use axum::http::HeaderMap;
use tokio_util::sync::CancellationToken;

use super::client_address::ClientAddress;
use super::eviction::{Observed, WaitingFor};
use crate::config::Network;
use crate::http::rfc::forwarded;

/// Milliseconds since the server started, updated every [`super::table::TICK`]. Reading it is cheaper than a clock.
#[derive(Debug, Clone, Default)]
pub(super) struct CoarseClock(Arc<AtomicU64>);

impl CoarseClock {
    pub(super) fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(super) fn set(&self, now: u64) {
        self.0.store(now, Relaxed);
    }
}

/// No request has been received completely.
const FRESH: u8 = 0;
/// HTTP/1.1, between two requests.
const BETWEEN: u8 = 1;
/// HTTP/1.1, between two requests, and part of the next head has been received.
const IN_HEAD: u8 = 2;
/// A request is being received or answered. HTTP/2 connections stay in this phase.
const BUSY: u8 = 3;

/// Milliseconds without bytes after which a connection whose requests wait counts as idle.
const STILL: u64 = 200;

/// What received bytes are part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// A head, of which these are the first bytes or not. May contain more than the head.
    Head { first: bool },
    /// A body, or anything on an HTTP/2 connection.
    Body,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct ConnectionState {
    clock: CoarseClock,
    /// Whether the peer is a trusted proxy, so that the client changes from request to request.
    proxied: bool,
    /// The client, in halves. Changes only if `proxied`.
    client: (AtomicU64, AtomicU64),
    /// Whom a proxied connection counts for between requests.
    unnamed: ClientAddress,
    phase: AtomicU8,
    /// When the phase, or the newest request, began.
    since: AtomicU64,
    /// When bytes last moved.
    progressed: AtomicU64,
    /// Bytes received and sent since `since`.
    moved: AtomicU64,
    /// Requests that have not been answered.
    unanswered: AtomicU32,
    /// Requests whose bodies have not been received completely.
    receiving: AtomicU32,
    /// Unanswered requests that wait for something to change, rather than for this server.
    waiting: Arc<AtomicU32>,
    /// Whether the connection had a request when it was chosen to make room.
    chosen_busy: AtomicBool,
    /// Set when the connection ends without finishing what it does, so that the kernel sends nothing more either.
    cut: AtomicBool,
    leave: CancellationToken,
}

impl ConnectionState {
    pub(super) fn new(clock: CoarseClock, client: ClientAddress, proxied: bool) -> Self {
        let (now, (high, low)) = (clock.now(), client.halves());
        Self {
            clock,
            proxied,
            client: (high.into(), low.into()),
            unnamed: client,
            phase: FRESH.into(),
            since: now.into(),
            progressed: now.into(),
            moved: 0.into(),
            unanswered: 0.into(),
            receiving: 0.into(),
            waiting: Arc::default(),
            chosen_busy: false.into(),
            cut: false.into(),
            leave: CancellationToken::new(),
        }
    }

    /// Records a request whose head has been received. `has_body` says whether more of it is to come.
    pub(super) fn begin(&self, headers: &HeaderMap, trusted: &[Network], has_body: bool) {
        if self.proxied {
            let client = forwarded::client(headers, |address| trusted.iter().any(|network| network.contains(address)));
            self.set_client(client.map_or(self.unnamed, ClientAddress::of));
        }
        self.enter(BUSY);
        self.unanswered.fetch_add(1, Relaxed);
        if has_body {
            self.receiving.fetch_add(1, Relaxed);
        }
    }

    /// Records that the response to a request is ready, or that nobody waits for it any more.
    pub(super) fn answered(&self) {
        self.unanswered.fetch_sub(1, Relaxed);
    }

    /// The number of requests that wait for something to change, for those who do to count themselves.
    pub(super) fn waiting(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.waiting)
    }

    /// Records that the body of a request has ended, or is not read any more.
    pub(super) fn received(&self) {
        self.receiving.fetch_sub(1, Relaxed);
    }

    /// Records that an HTTP/1.1 connection waits for the head of its next request.
    pub(super) fn wait_for_head(&self) {
        if self.phase.load(Relaxed) == BUSY {
            self.enter(BETWEEN);
            self.set_client(self.unnamed);
        }
    }

    /// Records bytes that were received or sent. Only the connection's own task calls it.
    pub(super) fn progress(&self, bytes: usize) {
        self.progressed.store(self.clock.now(), Relaxed);
        self.moved.store(self.moved.load(Relaxed) + bytes as u64, Relaxed);
    }

    /// Records received bytes. Only the connection's own task calls it.
    pub(super) fn receive(&self, bytes: usize) -> Received {
        self.progress(bytes);
        match self.phase.load(Relaxed) {
            BUSY => Received::Body,
            BETWEEN => {
                self.phase.store(IN_HEAD, Relaxed);
                Received::Head { first: true }
            }
            _ => Received::Head { first: false },
        }
    }

    /// Whether an HTTP/1.1 connection waits for a head of which nothing has been received.
    pub(super) fn waits_for_head(&self) -> bool {
        matches!(self.phase.load(Relaxed), FRESH | BETWEEN)
    }

    /// Records a request of which the answer has been begun as soon as it had been received.
    pub(super) fn answers_directly(&self) {
        self.enter(BUSY);
    }

    /// Records that a request was answered directly, and the next one is waited for.
    pub(super) fn answered_directly(&self) {
        self.enter(BETWEEN);
    }

    fn enter(&self, phase: u8) {
        self.phase.store(phase, Relaxed);
        self.since.store(self.clock.now(), Relaxed);
        self.moved.store(0, Relaxed);
    }

    fn set_client(&self, client: ClientAddress) {
        if self.proxied {
            let (high, low) = client.halves();
            self.client.0.store(high, Relaxed);
            self.client.1.store(low, Relaxed);
        }
    }

    /// Whom the connection counts for at present.
    pub(super) fn client(&self) -> ClientAddress {
        ClientAddress::from_halves((self.client.0.load(Relaxed), self.client.1.load(Relaxed)))
    }

    /// What decides whether the connection has to make room.
    pub(super) fn observe(&self) -> Observed {
        let now = self.clock.now();
        let ago = |moment: &AtomicU64| now.saturating_sub(moment.load(Relaxed));
        let (age, still) = (ago(&self.since), ago(&self.progressed));
        let (unanswered, idle) = (self.unanswered.load(Relaxed), self.waiting.load(Relaxed));
        let waiting = match self.phase.load(Relaxed) {
            FRESH | IN_HEAD => WaitingFor::Head,
            BETWEEN => WaitingFor::Request,
            // Work of the server itself; how long it takes is not the client's fault.
            _ if unanswered.saturating_sub(idle) > self.receiving.load(Relaxed) => WaitingFor::Server,
            // As idle as between two requests. Other streams of the connection (HTTP/2) would move bytes.
            _ if idle > 0 && still >= STILL => WaitingFor::Request,
            _ => WaitingFor::Body,
        };
        let rate = self.moved.load(Relaxed) * 1000 / age.max(1);
        Observed { waiting, age, still, rate }
    }

    /// Makes the connection end: between requests as HTTP has it, otherwise at once.
    pub(super) fn evict(&self, waiting: WaitingFor) {
        self.chosen_busy.store(waiting != WaitingFor::Request, Relaxed);
        self.leave.cancel();
    }

    /// Completes when the connection has to make room. Returns whether it had a request then.
    pub(super) async fn evicted(&self) -> bool {
        self.leave.cancelled().await;
        self.chosen_busy.load(Relaxed)
    }

    /// Makes the socket be reset when it is closed, so that what it has not sent takes no memory any more.
    pub(super) fn cut(&self) {
        self.cut.store(true, Relaxed);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Relaxed)
    }
}
