//! Which connection makes room for a new one when as many are served as may be.
//!
//! The address with the most connections gives one up, the idlest and slowest of them first. A connection that makes
//! progress is safe as long as its address has few.

use std::cmp::Reverse;
use std::time::Duration;

use super::client_address::ClientAddress;

/// Fresh connections are given this long, in milliseconds, unless their address has many.
const FRESH: u64 = 300;
/// Milliseconds after which an idle connection counts as forgotten by its client.
const FORGOTTEN: u64 = 10_000;
/// Milliseconds without progress after which a body counts as stalled if its address has many connections.
const STALLED: u64 = 500;
/// Milliseconds after which the rate of a body is judged.
const JUDGED: u64 = 2000;
/// Bytes per second below which a client with many connections gives one up for another one of its own.
const SLOW: u64 = 64 * 1024;

/// What a connection waits for. The order is that in which connections make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WaitingFor {
    /// The client, to finish the head of a request.
    Head,
    /// The client, to begin another request.
    Request,
    /// The client, to send or to take a body. Also an HTTP/2 connection without requests.
    Body,
    /// The server, to answer.
    Server,
}

/// What is seen of a connection. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Observed {
    pub(super) waiting: WaitingFor,
    /// How long it has been waiting for that, or how old the request is.
    pub(super) age: u64,
    /// Time since bytes last moved.
    pub(super) still: u64,
    /// Bytes per second since the request began.
    pub(super) rate: u64,
}

/// A connection that might make room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) client: ClientAddress,
    /// Number of connections of the same client.
    pub(super) held: usize,
    pub(super) observed: Observed,
}

/// The client of a new connection, and how many it has already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newcomer {
    pub(super) client: ClientAddress,
    pub(super) held: usize,
}

/// The rules for one server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Eviction {
    /// Most connections of an address that count as few.
    few: usize,
    /// Most connections that an address may have before even those that make progress go before idle ones of others.
    many: usize,
    /// Milliseconds without progress after which a body counts as stalled.
    stalled: u64,
    /// Bytes per second below which a body does not count as making progress.
    min_rate: u64,
}

/// The order in which connections make room: smaller ones first.
pub(super) type Urgency = (bool, Reverse<usize>, WaitingFor, Reverse<u64>, u64);

impl Eviction {
    pub(super) fn new(limit: usize, idle_timeout: Duration, min_rate: u64) -> Self {
        let stalled = u64::try_from(idle_timeout.as_millis() / 2).unwrap_or(u64::MAX);
        Self { few: (limit / 32).max(2), many: limit / 2, stalled, min_rate }
    }

    /// Where in the order a connection makes room for the newcomer; `None` if it must not.
    pub(super) fn urgency(&self, candidate: &Candidate, newcomer: Newcomer) -> Option<Urgency> {
        let Candidate { client, held, observed } = *candidate;
        let useful = self.is_useful(observed, held > self.few);
        let may = if client == newcomer.client {
            self.may_replace_own(observed, held, useful)
        } else if held > self.few && held > newcomer.held + 1 {
            true
        } else {
            // Who has many already takes nothing from those with few but what they have forgotten.
            !useful && observed.age >= if newcomer.held > self.few { FORGOTTEN } else { FRESH }
        };
        let spared = useful && held <= self.many;
        let idle_for = if observed.waiting < WaitingFor::Body { observed.age } else { observed.still };
        may.then_some((spared, Reverse(held), observed.waiting, Reverse(idle_for), observed.rate))
    }

    /// Whether the server works, or a body moves, for the client.
    fn is_useful(&self, observed: Observed, has_many: bool) -> bool {
        let stalled = if has_many { STALLED.min(self.stalled) } else { self.stalled };
        match observed.waiting {
            WaitingFor::Head | WaitingFor::Request => false,
            WaitingFor::Body => observed.still < stalled && (observed.age < JUDGED || observed.rate >= self.min_rate),
            WaitingFor::Server => true,
        }
    }

    /// A client that has many connections replaces idle and slow ones of its own, but no fast ones: more connections
    /// than there is room for would otherwise interrupt each other for ever.
    fn may_replace_own(&self, observed: Observed, held: usize, useful: bool) -> bool {
        let slow = observed.waiting == WaitingFor::Body && observed.age >= JUDGED && observed.rate < SLOW;
        if useful { slow && held > self.few } else { observed.age >= FRESH }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Eviction = Eviction { few: 2, many: 8, stalled: 30_000, min_rate: 1024 };
    const LONG: u64 = 10_000;

    fn seen(waiting: WaitingFor, age: u64, still: u64, rate: u64) -> Observed {
        Observed { waiting, age, still, rate }
    }

    fn client(number: u64) -> ClientAddress {
        ClientAddress::unnamed(number)
    }

    fn stranger() -> Newcomer {
        Newcomer { client: client(0), held: 0 }
    }

    /// The positions of connections in the order in which they make room for a newcomer.
    fn order(connections: &[(u64, usize, Observed)], newcomer: Newcomer) -> Vec<usize> {
        let urgency = |(number, held, observed): &(u64, usize, Observed)| {
            RULES.urgency(&Candidate { client: client(*number), held: *held, observed: *observed }, newcomer)
        };
        let mut found: Vec<_> =
            connections.iter().enumerate().filter_map(|(at, seen)| Some((urgency(seen)?, at))).collect();
        found.sort();
        found.into_iter().map(|(_, at)| at).collect()
    }

    #[test]
    fn the_client_with_the_most_goes_first_and_its_idlest_connection() {
        let connections = [
            (1, 9, seen(WaitingFor::Server, LONG, LONG, 0)),
            (1, 9, seen(WaitingFor::Body, LONG, 0, 1 << 20)),
            (1, 9, seen(WaitingFor::Body, LONG, 0, 1 << 10)),
            (1, 9, seen(WaitingFor::Body, LONG, 2000, 1 << 20)),
            (1, 9, seen(WaitingFor::Request, 10, 10, 0)),
            (1, 9, seen(WaitingFor::Request, LONG, LONG, 0)),
            (1, 9, seen(WaitingFor::Head, 10, 0, 0)),
            (2, 3, seen(WaitingFor::Request, LONG, LONG, 0)),
            (3, 1, seen(WaitingFor::Request, LONG, LONG, 0)),
        ];
        assert_eq!(order(&connections, stranger()), [6, 5, 4, 3, 2, 1, 0, 7, 8]);
    }

    #[test]
    fn progress_for_a_client_with_few_is_never_interrupted() {
        let connections = [
            (1, 2, seen(WaitingFor::Body, LONG, 20_000, 1 << 20)),
            (2, 1, seen(WaitingFor::Body, 1500, 0, 0)),
            (3, 1, seen(WaitingFor::Server, LONG, LONG, 0)),
            (4, 1, seen(WaitingFor::Head, 100, 0, 0)),
            (5, 1, seen(WaitingFor::Request, 100, 100, 0)),
        ];
        assert_eq!(order(&connections, stranger()), [0; 0]);
        let stopped = [
            (1, 1, seen(WaitingFor::Body, LONG, 31_000, 1 << 20)),
            (2, 1, seen(WaitingFor::Body, LONG, 0, 100)),
            (3, 1, seen(WaitingFor::Head, 400, 0, 0)),
            (4, 1, seen(WaitingFor::Request, 400, 400, 0)),
        ];
        assert_eq!(order(&stopped, stranger()), [2, 3, 0, 1]);
    }

    #[test]
    fn idle_connections_go_before_the_progress_of_a_client_with_many_but_not_with_most() {
        let idle = (2, 1, seen(WaitingFor::Request, LONG, LONG, 0));
        assert_eq!(order(&[(1, 5, seen(WaitingFor::Body, LONG, 0, 1 << 20)), idle], stranger()), [1, 0]);
        assert_eq!(order(&[(1, 9, seen(WaitingFor::Body, LONG, 0, 1 << 20)), idle], stranger()), [0, 1]);
    }

    #[test]
    fn a_client_replaces_slow_connections_of_its_own_but_no_fast_ones() {
        let own = Newcomer { client: client(1), held: 16 };
        let connections = [
            (1, 16, seen(WaitingFor::Body, LONG, 0, 1 << 20)),
            (1, 16, seen(WaitingFor::Body, 100, 0, 0)),
            (1, 16, seen(WaitingFor::Server, LONG, LONG, 0)),
            (1, 16, seen(WaitingFor::Body, LONG, 0, 10_000)),
            (1, 16, seen(WaitingFor::Request, 400, 400, 0)),
            (1, 16, seen(WaitingFor::Request, 10, 10, 0)),
        ];
        assert_eq!(order(&connections, own), [4, 3]);
        // Nor does one that has as many as another client take anything from it.
        let rival = Newcomer { client: client(2), held: 15 };
        assert_eq!(order(&connections[..3], rival), [0; 0]);
    }

    #[test]
    fn a_client_with_many_takes_no_fresh_connection_of_one_with_few() {
        let connections = [
            (2, 1, seen(WaitingFor::Head, 5000, 0, 0)),
            (3, 2, seen(WaitingFor::Request, 5000, 5000, 0)),
            (4, 1, seen(WaitingFor::Request, 20_000, 20_000, 0)),
        ];
        let greedy = Newcomer { client: client(1), held: 12 };
        assert_eq!(order(&connections, greedy), [2]);
        assert_eq!(order(&connections, stranger()), [1, 0, 2]);
    }
}
