//! Connections that found no room: they wait for it a short time, and health checks are answered nonetheless.
//!
//! Orchestrators restart a server whose health checks are not answered, so these must not depend on how many
//! connections there are.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::client_address::ClientAddress;
use super::table::{ConnectionTable, Peer, Slot, TICK};

/// Most connections without room.
pub(in crate::server) const RESERVE: usize = 64;
/// How long a connection waits for room.
const PATIENCE: Duration = Duration::from_secs(5);
/// What health checks begin with.
const HEALTH_CHECKS: [&[u8]; 6] =
    [b"GET /livez", b"GET /readyz", b"GET /healthz", b"HEAD /livez", b"HEAD /readyz", b"HEAD /healthz"];
/// Length of the longest of them and the byte that follows it.
const LONGEST: usize = 14;

/// What becomes of a connection that found no room.
pub(super) enum Admission {
    /// It is served: room became free.
    Room(Slot),
    /// Its request is a health check and may be answered.
    HealthCheck,
    /// Its request is refused.
    Refused,
    /// The client has gone away.
    Gone,
}

/// The connections without room.
#[derive(Debug, Default)]
pub(super) struct Reserve(Mutex<Vec<(ClientAddress, CancellationToken)>>);

impl Reserve {
    /// Adds a connection. If too many are here, the longest waiting one of the client with the most of them leaves.
    pub(super) fn enter(&self, client: ClientAddress) -> Waiter<'_> {
        let leave = CancellationToken::new();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= RESERVE {
            let number = |client| waiting.iter().filter(|(other, _)| *other == client).count();
            // Of several with the same number, the first one.
            let most = (0..waiting.len()).rev().max_by_key(|at| number(waiting[*at].0));
            if let Some(at) = most {
                waiting.remove(at).1.cancel();
            }
        }
        waiting.push((client, leave.clone()));
        Waiter { reserve: self, leave }
    }
}

/// One connection without room, which leaves the reserve when this is dropped.
pub(super) struct Waiter<'a> {
    reserve: &'a Reserve,
    leave: CancellationToken,
}

impl Waiter<'_> {
    /// Completes when the connection has to leave.
    pub(super) async fn displaced(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        // Also marks which one of the list this is.
        self.leave.cancel();
        self.reserve.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, leave)| !leave.is_cancelled());
    }
}

/// Waits for room a short time, unless the request is a health check.
pub(super) async fn admission(stream: &TcpStream, table: &Arc<ConnectionTable>, peer: Peer) -> Admission {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        match timeout(TICK, is_health_check(stream)).await {
            Ok(None) => return Admission::Gone,
            Ok(Some(true)) => return Admission::HealthCheck,
            Ok(Some(false)) => tokio::time::sleep(TICK).await,
            Err(_) => {}
        }
        if let Some(slot) = table.admit(peer) {
            return Admission::Room(slot);
        }
    }
    Admission::Refused
}

/// Whether what the client has sent so far is a health check. `None` when it has disconnected.
async fn is_health_check(stream: &TcpStream) -> Option<bool> {
    let mut seen = [0; LONGEST];
    let length = stream.peek(&mut seen).await.ok().filter(|length| *length > 0)?;
    Some(is_health_check_in(&seen[..length]))
}

fn is_health_check_in(seen: &[u8]) -> bool {
    let after = HEALTH_CHECKS.iter().find_map(|check| seen.strip_prefix(*check));
    after.is_some_and(|rest| rest.first().is_some_and(|byte| b" ?".contains(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_check_is_told_by_its_first_bytes() {
        for head in ["GET /livez HTTP/1.1", "GET /readyz?verbose", "HEAD /healthz ", "HEAD /readyz HT"] {
            assert!(is_health_check_in(&head.as_bytes()[..head.len().min(LONGEST)]), "{head}");
        }
        for head in ["", "GET /livez", "GET /livezz ", "GET /livez/x ", "POST /livez ", "GET / ", "get /livez "] {
            assert!(!is_health_check_in(&head.as_bytes()[..head.len().min(LONGEST)]), "{head}");
        }
    }

    #[test]
    fn the_client_with_the_most_waiting_connections_loses_its_oldest() {
        let reserve = Reserve::default();
        let other = ClientAddress::unnamed(1);
        let first = reserve.enter(other);
        let many: Vec<_> = (0..RESERVE).map(|_| reserve.enter(ClientAddress::unnamed(2))).collect();
        assert!(!first.leave.is_cancelled());
        let left: Vec<_> = many.iter().map(|waiter| waiter.leave.is_cancelled()).collect();
        assert!(left[0] && left[1..].iter().all(|left| !left), "{left:?}");
        drop((first, many));
        assert_eq!(reserve.0.lock().unwrap().len(), 0);
    }
}
