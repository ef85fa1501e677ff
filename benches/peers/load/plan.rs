//! What the load generator is told, and what it tells: JSON on its standard input and output.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Stands in a request for the address that the answer before it named with `Location`, and a `?` or `&` behind which
/// parameters may follow.
pub(crate) const LOCATION: &str = "{location}";

/// Work for a run of the load generator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// Connections that are kept, each with one request under way.
    pub connections: usize,
    /// What is asked for.
    pub exchanges: Vec<Exchange>,
    /// How long.
    pub until: Until,
    /// What becomes of the answers.
    pub bodies: Bodies,
}

/// What becomes of the bodies of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Bodies {
    /// They are read and dropped.
    Drop,
    /// They are dropped without being read: the kernel does not copy them.
    Discard,
    /// They are hashed, and the heads are kept. Not for measuring.
    Keep,
}

/// When a run is over.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Until {
    /// When each exchange was made once.
    Done,
    /// After so many seconds, before which there were some that do not count. The exchanges are made in turn.
    Time {
        /// Seconds that do not count.
        warm_up: f64,
        /// Seconds that count.
        seconds: f64,
    },
    /// When standard input ends. The exchanges are made in turn.
    Told,
}

/// One or more requests that only have a meaning together. Latency is that of all of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Exchange {
    /// One after the other, on one connection.
    pub steps: Vec<Step>,
}

/// A request and the answer that it must get.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Step {
    /// The whole head, with [`LOCATION`] in it where it depends on the answer before.
    pub head: String,
    /// The body.
    pub body: Body,
    /// The status of the answer.
    pub status: u16,
    /// Bytes of the answer's body. Not given, any number will do.
    pub length: Option<u64>,
}

/// A request's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Body {
    /// None.
    Empty,
    /// These bytes.
    Text(String),
    /// Bytes that both sides can make: see [`super::pattern`].
    Blob {
        /// Bytes.
        length: u64,
        /// Other bytes for each seed.
        seed: u64,
    },
}

/// What a run came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Exchanges that were complete within the time that counts.
    pub exchanges: u64,
    /// Bytes of bodies within the time that counts, in both directions.
    pub bytes: u64,
    /// The time that counts.
    pub seconds: f64,
    /// Latencies in microseconds. Not given if nothing was complete.
    pub latency: Option<Latency>,
    /// Exchanges that were complete, those of the warm-up too.
    pub all_exchanges: u64,
    /// Bytes of bodies in both directions, those of the warm-up too.
    pub all_bytes: u64,
    /// CPU time of the load generator in the whole run, in seconds of one core.
    pub cpu_seconds: f64,
    /// Threads that made requests.
    pub threads: usize,
    /// Wall time of the whole run.
    pub all_seconds: f64,
    /// The answers, if they were to be kept, in the order of the exchanges if there was one connection.
    pub answers: Vec<Answer>,
}

/// Latencies in microseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Highest.
    pub max: f64,
}

/// An answer that was kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The status.
    pub status: u16,
    /// Header fields, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Bytes of the head.
    pub head: u64,
    /// Bytes of the body.
    pub length: u64,
    /// Digest of the body.
    pub digest: String,
}

impl Plan {
    /// Each exchange once, as fast as so many connections go.
    pub(crate) fn once(address: SocketAddr, connections: usize, exchanges: Vec<Exchange>) -> Self {
        Self { address, connections, exchanges, until: Until::Done, bodies: Bodies::Drop }
    }
}

impl From<Step> for Exchange {
    fn from(step: Step) -> Self {
        Self { steps: vec![step] }
    }
}
