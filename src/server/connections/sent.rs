//! What a client's system has acknowledged of the bytes written to its connection.
//!
//! The kernel takes megabytes of a response at once, and then nothing for as long as a slow client needs for a good part
//! of them. So what it takes says little about the client. How many bytes it still keeps for retransmission does; it
//! tells that in answer to a query about one socket (`sock_diag(7)`), without reading its table of connections.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::progress::{Pace, Progress};

/// Type of a query for sockets of one address family (`SOCK_DIAG_BY_FAMILY`).
const BY_FAMILY: u16 = 20;
/// Flag of every query (`NLM_F_REQUEST`).
const REQUEST: u16 = 1;
const TCP: u8 = 6;
/// Length of `struct nlmsghdr` and `struct inet_diag_req_v2`.
const QUERY: u32 = 16 + 56;
/// Offset of `idiag_wqueue`, the number of bytes that are not acknowledged, behind `struct nlmsghdr`, in
/// `struct inet_diag_msg`.
const QUEUED: usize = 16 + 60;

/// Time between two looks at a connection that is about to be closed.
const LOOK: Duration = Duration::from_millis(200);

/// Bytes written to a connection, and how many of them were acknowledged.
#[derive(Debug)]
pub(super) struct Sent {
    /// Addresses of this end and the other one; `None` if the client has disconnected already.
    ends: Option<(SocketAddr, SocketAddr)>,
    written: AtomicU64,
    /// What is known to have been acknowledged.
    acknowledged: AtomicU64,
}

impl Sent {
    pub(super) fn new(stream: &TcpStream) -> Self {
        let ends = stream.local_addr().ok().zip(stream.peer_addr().ok());
        Self { ends, written: AtomicU64::new(0), acknowledged: AtomicU64::new(0) }
    }

    /// Counts bytes that the kernel has taken. Only the connection's own task calls it.
    pub(super) fn add(&self, bytes: usize) {
        self.written.store(self.written() + bytes as u64, Ordering::Relaxed);
    }

    /// How many bytes the kernel has taken in total.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// How many bytes the client's system has acknowledged in total. Where the kernel does not tell, all that it took.
    pub(super) fn acknowledged(&self) -> u64 {
        let written = self.written();
        let queued = self.ends.and_then(|(local, peer)| unacknowledged(local, peer)).unwrap_or(0);
        let acknowledged = written.saturating_sub(queued.into());
        self.acknowledged.fetch_max(acknowledged, Ordering::Relaxed).max(acknowledged)
    }

    /// Whether everything up to this position has been acknowledged.
    pub(super) fn has_reached(&self, position: u64) -> bool {
        self.acknowledged.load(Ordering::Relaxed) >= position || self.acknowledged() >= position
    }

    /// Completes when the client's system has everything that was written, or takes too little of it. Closing earlier
    /// would lose the rest: what the client still sends would be answered by a reset.
    pub(super) async fn settled(&self, pace: Pace) {
        let mut progress = Progress::new(pace, self.acknowledged(), Instant::now());
        while !self.has_reached(self.written()) && progress.observe(self.acknowledged(), Instant::now()) {
            sleep(pace.interval().min(LOOK)).await;
        }
    }
}

/// How many bytes the kernel keeps for a connection because they have not been acknowledged. `None` if it does not tell.
fn unacknowledged(local: SocketAddr, peer: SocketAddr) -> Option<u32> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG)).ok()?;
    sendto(&socket, &query(local, peer), SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).ok()?;
    // The answer is there: the kernel makes it during the call that sends the query.
    let mut answer = [0; 512];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::DONTWAIT).ok()?;
    let answer = &answer[..length];
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let queued = answer.get(QUEUED..QUEUED + 4)?.try_into().ok()?;
    (kind == BY_FAMILY).then(|| u32::from_ne_bytes(queued))
}

/// A query for one TCP connection.
fn query(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let family = if local.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let mut query = Vec::with_capacity(QUERY as usize);
    query.extend(QUERY.to_ne_bytes());
    query.extend(BY_FAMILY.to_ne_bytes());
    query.extend(REQUEST.to_ne_bytes());
    // Sequence number and sender.
    query.extend([0; 8]);
    query.extend([u8::try_from(family.as_raw()).unwrap_or_default(), TCP, 0, 0]);
    // In every state.
    query.extend(u32::MAX.to_ne_bytes());
    query.extend(local.port().to_be_bytes());
    query.extend(peer.port().to_be_bytes());
    query.extend(address(local.ip()));
    query.extend(address(peer.ip()));
    let interface = if let SocketAddr::V6(local) = local { local.scope_id() } else { 0 };
    query.extend(interface.to_ne_bytes());
    // No cookie.
    query.extend([u8::MAX; 8]);
    query
}

fn address(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(address) => address.octets(),
        IpAddr::V4(address) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&address.octets());
            octets
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn bytes_count_as_acknowledged_only_when_the_client_has_room_for_them() {
        // Where there is no IPv6, only the first one can be tried.
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(address).await else { continue };
            let port = listener.local_addr().unwrap().port();
            let host = if address.starts_with("[::1]") { "[::1]" } else { "127.0.0.1" };
            let Ok(mut client) = TcpStream::connect(format!("{host}:{port}")).await else { continue };
            let (mut server, _) = listener.accept().await.unwrap();
            let sent = Sent::new(&server);
            server.writable().await.unwrap();
            while let Ok(written) = server.try_write(&[0; 1 << 13]) {
                sent.add(written);
            }
            let before = sent.acknowledged();
            assert!(before < sent.written(), "{address}: {before}");
            let all = usize::try_from(sent.written()).unwrap();
            client.read_exact(&mut vec![0; all]).await.unwrap();
            server.flush().await.unwrap();
            for _ in 0..100 {
                if sent.has_reached(sent.written()) {
                    break;
                }
                sleep(LOOK).await;
            }
            assert_eq!(sent.acknowledged(), sent.written(), "{address}");
        }
    }
}
