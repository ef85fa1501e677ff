//! Single flight: concurrent callers that want the same thing share one request to the store.
//!
//! The cache library's `try_get_with` does not fit. It keeps every result, while "the newest head" and "no bytes" hold
//! only for callers that asked before the answer arrived. It lets a caller join a request that began before the state
//! that the caller must see. And when the first caller is cancelled, the next one starts the request again from the
//! beginning.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::time::{Duration, Instant};
use tokio_util::task::AbortOnDropHandle;

use crate::store::{StoreError, StoreErrorKind};

type Outcome<T> = Result<T, Arc<StoreError>>;
type Landing<T> = Shared<BoxFuture<'static, Outcome<T>>>;

/// A request in flight. Only its waiters keep it, and its result, alive.
struct Flight<T> {
    /// Distinguishes it from later requests for the same key.
    number: u64,
    began: Instant,
    landing: WeakShared<BoxFuture<'static, Outcome<T>>>,
}

struct UnderWay<K, T> {
    flights: HashMap<K, Flight<T>>,
    /// Number of requests started so far.
    total: u64,
}

/// Requests in flight, by key.
pub(crate) struct Flights<K, T>(Arc<Mutex<UnderWay<K, T>>>);

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(UnderWay { flights: HashMap::new(), total: 0 })))
    }
}

impl<K, T> fmt::Debug for Flights<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flights").finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash + Send + 'static, T: Clone + Send + Sync + 'static> Flights<K, T> {
    /// Joins the request for `key` that is in flight, or starts one. A request that began more than `oldest` ago may
    /// have missed a state that the caller must see, and is not joined. The request is cancelled when its last waiter
    /// is dropped.
    ///
    /// # Errors
    /// The error of the request, shared by all of its waiters.
    pub(crate) async fn join<F>(
        &self,
        key: &K,
        oldest: Duration,
        ask: impl FnOnce() -> F + Send,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let landing = self.landing(key, oldest, ask);
        landing.await.map_err(|error| StoreError::new(error.kind, error.key.clone(), SharedError(error)))
    }

    fn landing<F>(&self, key: &K, oldest: Duration, ask: impl FnOnce() -> F) -> Landing<T>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let mut under_way = lock(&self.0);
        let recent = under_way.flights.get(key).filter(|flight| flight.began.elapsed() <= oldest);
        if let Some(landing) = recent.and_then(|flight| flight.landing.upgrade()) {
            return landing;
        }
        under_way.total += 1;
        let number = under_way.total;
        let entry = Departure { all: Arc::clone(&self.0), key: key.clone(), number };
        // Spawned so that it makes progress regardless of which waiter is polled.
        let task = AbortOnDropHandle::new(tokio::spawn(ask()));
        let landing = async move {
            // Dropped when the request completes, or when the task is aborted because no waiter is left.
            let _entry = entry;
            let result = task.await.unwrap_or_else(|failed| {
                Err(StoreError::new(StoreErrorKind::Internal, "a request that was shared", failed))
            });
            result.map_err(Arc::new)
        };
        let landing = landing.boxed().shared();
        if let Some(weak) = landing.downgrade() {
            under_way.flights.insert(key.clone(), Flight { number, began: Instant::now(), landing: weak });
        }
        landing
    }
}

/// Removes the entry of a flight when the flight ends, whether it completed, panicked or was aborted.
struct Departure<K: Eq + Hash, T> {
    all: Arc<Mutex<UnderWay<K, T>>>,
    key: K,
    number: u64,
}

impl<K: Eq + Hash, T> Drop for Departure<K, T> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.all);
        // A later request may have replaced one that began too long ago.
        if under_way.flights.get(&self.key).is_some_and(|flight| flight.number == self.number) {
            under_way.flights.remove(&self.key);
        }
    }
}

fn lock<K, T>(all: &Mutex<UnderWay<K, T>>) -> MutexGuard<'_, UnderWay<K, T>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error shared by several callers.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct SharedError(Arc<StoreError>);

#[cfg(test)]
mod tests;
