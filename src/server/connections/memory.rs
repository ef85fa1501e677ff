//! Memory that responses may take while their clients take none of them.
//!
//! There is one budget for all connections. A connection may take as much of it as is left for others, so that many
//! greedy clients together leave something, and one alone leaves half. In addition every connection has a small amount
//! that nobody can take from it: whoever reads makes progress, however little is left.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// What every connection may take for bodies that wait, and again for bytes on their way, in bytes.
const GUARANTEED: usize = 16 << 10;
/// Most bytes on their way on one connection. More would only wait in a longer queue.
const MOST_IN_FLIGHT: usize = 256 << 10;
/// Smallest amount that is worth sending while other bytes of the connection are on their way.
const WORTHWHILE: usize = 4 << 10;
/// Most files that stay open while their readers are waited for. Others are opened again.
const FILES: usize = 256;

/// The budget of all connections.
#[derive(Debug)]
pub(in crate::server) struct ResponseMemory {
    limit: usize,
    used: AtomicUsize,
    /// Bodies that wait, by their address in memory: streams that share a cached body count once.
    waiting: Mutex<HashMap<usize, SharedBody>>,
    files: Arc<Semaphore>,
}

impl ResponseMemory {
    /// A budget of this many bytes.
    pub(in crate::server) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { limit, used: AtomicUsize::new(0), waiting: Mutex::default(), files: Arc::new(Semaphore::new(FILES)) }
    }

    fn free(&self) -> usize {
        self.limit.saturating_sub(self.used.load(Ordering::Relaxed))
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<usize, SharedBody>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The permission to keep a file open while its reader is waited for.
    pub(super) fn file(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.files).try_acquire_owned().ok()
    }
}

#[derive(Debug)]
struct SharedBody {
    streams: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Usage {
    in_flight: usize,
    waiting: usize,
}

/// The share of one connection.
#[derive(Debug)]
pub(super) struct ConnectionMemory {
    all: Arc<ResponseMemory>,
    usage: Mutex<Usage>,
    written: Notify,
}

impl ConnectionMemory {
    pub(super) fn new(all: Arc<ResponseMemory>) -> Self {
        Self { all, usage: Mutex::default(), written: Notify::new() }
    }

    pub(super) fn all(&self) -> &ResponseMemory {
        &self.all
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory for at most `wanted` bytes that are about to be sent. `None` while too many bytes of this connection are
    /// on their way.
    pub(super) fn try_reserve(self: &Arc<Self>, wanted: usize) -> Option<Reserved> {
        let mut usage = self.usage();
        let allowed = self.all.free().min(MOST_IN_FLIGHT).saturating_sub(usage.in_flight + usage.waiting);
        let allowed = if usage.in_flight == 0 { allowed.max(GUARANTEED) } else { allowed };
        if allowed < wanted.min(WORTHWHILE) {
            return None;
        }
        let bytes = wanted.min(allowed);
        usage.in_flight += bytes;
        self.all.used.fetch_add(bytes, Ordering::Relaxed);
        Some(Reserved { memory: Arc::clone(self), bytes })
    }

    /// Like [`ConnectionMemory::try_reserve`], but waits until bytes that are on their way have been written. That
    /// depends on nothing but the connection: only bytes for which the client has left room are on their way.
    pub(super) async fn reserve(self: &Arc<Self>, wanted: usize) -> Reserved {
        loop {
            // Before the attempt, so that a write in between is not missed.
            let written = self.written.notified();
            if let Some(reserved) = self.try_reserve(wanted) {
                return reserved;
            }
            written.await;
        }
    }

    /// Accounts for a body that waits in memory until the client leaves room for it, and for `buffers` bytes that its
    /// source holds. `None` if this connection has no share left for it.
    pub(super) fn wait(self: &Arc<Self>, body: &Bytes, buffers: usize) -> Option<Waiting> {
        let bytes = body.len() + buffers;
        // Locked until the end: of two streams that share a body, the first one accounts for it.
        let mut waiting = self.all.waiting();
        if let Some(shared) = waiting.get_mut(&body.as_ptr().addr()).filter(|_| !body.is_empty()) {
            shared.streams += 1;
            return Some(Waiting { memory: Arc::clone(self), bytes: 0, body: body.clone() });
        }
        let mut usage = self.usage();
        if usage.waiting + bytes > self.all.free().saturating_sub(bytes).max(GUARANTEED) {
            return None;
        }
        usage.waiting += bytes;
        self.all.used.fetch_add(bytes, Ordering::Relaxed);
        if !body.is_empty() {
            waiting.insert(body.as_ptr().addr(), SharedBody { streams: 1, bytes });
        }
        Some(Waiting { memory: Arc::clone(self), bytes, body: body.clone() })
    }
}

/// Memory for bytes that are on their way to the client.
pub(super) struct Reserved {
    memory: Arc<ConnectionMemory>,
    bytes: usize,
}

impl Reserved {
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Gives back what exceeds `bytes`.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let excess = self.bytes.saturating_sub(bytes);
        self.release(excess);
    }

    fn release(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.memory.usage().in_flight -= bytes;
        self.memory.all.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.release(self.bytes);
        self.memory.written.notify_one();
    }
}

impl fmt::Debug for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reserved").field(&self.bytes).finish()
    }
}

/// A connection has no share left for a body that has to wait.
#[derive(Debug)]
pub(super) struct NoShare;

/// A body that waits in memory.
#[derive(Debug)]
pub(super) struct Waiting {
    memory: Arc<ConnectionMemory>,
    bytes: usize,
    /// Keeps the address in use for as long as it is a key.
    body: Bytes,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.memory.usage().waiting -= self.bytes;
        let all = &self.memory.all;
        if self.body.is_empty() {
            all.used.fetch_sub(self.bytes, Ordering::Relaxed);
            return;
        }
        let (mut waiting, address) = (all.waiting(), self.body.as_ptr().addr());
        let Some(shared) = waiting.get_mut(&address) else { return };
        shared.streams -= 1;
        if shared.streams == 0 {
            all.used.fetch_sub(shared.bytes, Ordering::Relaxed);
            waiting.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(all: &Arc<ResponseMemory>) -> Arc<ConnectionMemory> {
        Arc::new(ConnectionMemory::new(Arc::clone(all)))
    }

    #[tokio::test]
    async fn greedy_connections_leave_something_to_the_next_one() {
        const LIMIT: usize = 8 << 20;
        let all = Arc::new(ResponseMemory::new(LIMIT as u64));
        let mut held = Vec::new();
        for _ in 0..500 {
            let greedy = connection(&all);
            while let Some(reserved) = greedy.try_reserve(64 << 10) {
                held.push(reserved);
            }
        }
        assert!(all.used.load(Ordering::Relaxed) <= LIMIT + 500 * GUARANTEED);
        let newcomer = connection(&all);
        let small = newcomer.try_reserve(64 << 10).expect("everybody may send something");
        assert!(small.len() >= GUARANTEED && newcomer.try_reserve(64 << 10).is_none());
        drop(small);
        assert!(newcomer.reserve(1000).await.len() == 1000);
        drop(held);
        assert_eq!(all.used.load(Ordering::Relaxed), 0);
        assert_eq!(newcomer.reserve(64 << 10).await.len(), 64 << 10);
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_bytes_were_written() {
        let connection = connection(&Arc::new(ResponseMemory::new(0)));
        let first = connection.reserve(1 << 20).await;
        assert_eq!(first.len(), GUARANTEED);
        let second = tokio::spawn({
            let connection = Arc::clone(&connection);
            async move { connection.reserve(100).await.len() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!(second.await.unwrap(), 100);
    }

    #[test]
    fn a_body_that_many_wait_with_counts_once_and_large_ones_of_one_connection_are_bounded() {
        let all = Arc::new(ResponseMemory::new(4 << 20));
        let body = Bytes::from(vec![0; 1 << 20]);
        let connections = [connection(&all), connection(&all)];
        let waiting: Vec<_> = (0..64).map(|at| connections[at % 2].wait(&body, 0).expect("shared")).collect();
        assert_eq!(all.used.load(Ordering::Relaxed), 1 << 20);
        let own = || Bytes::from(vec![0; 1 << 20]);
        let more: Vec<_> = (0..10).map_while(|_| connections[1].wait(&own(), 0)).collect();
        assert!((1..3).contains(&more.len()), "{}", more.len());
        assert!(connections[0].wait(&Bytes::from(vec![0; 1000]), 0).is_some(), "others may still wait");
        drop((waiting, more));
        assert_eq!(all.used.load(Ordering::Relaxed), 0);
        assert!(all.waiting().is_empty());
    }
}
