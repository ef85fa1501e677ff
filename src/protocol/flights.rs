//! Single flight: many who want the same thing at the same time cost the store one request.
//!
//! Not the cache library's `try_get_with`: that keeps every result, while the newest head, or that there are no bytes, only
//! holds for those who asked before the answer; it lets a caller join a request that began before what the caller has to
//! see; and when the first caller leaves, the next one begins all over again.

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

/// A request under way. Only those who wait for it keep it alive, and its result.
struct Flight<T> {
    /// Tells it from later requests for the same key.
    number: u64,
    began: Instant,
    landing: WeakShared<BoxFuture<'static, Outcome<T>>>,
}

struct UnderWay<K, T> {
    flights: HashMap<K, Flight<T>>,
    /// How many there have been.
    total: u64,
}

/// Requests under way, by what they ask for.
pub(super) struct Flights<K, T>(Arc<Mutex<UnderWay<K, T>>>);

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
    /// Waits for the request for `key` that is under way, or makes it. One that began more than `oldest` ago may know
    /// less than the caller has to, and is not waited for. The request ends when nobody waits for it any more.
    ///
    /// # Errors
    /// What the request failed with, to all who waited for it.
    pub(super) async fn join<F>(
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
            // Dropped when the request has landed, or together with it when nobody waits any more.
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

/// Removes the entry of a flight when the flight ends, however it ends.
struct Departure<K: Eq + Hash, T> {
    all: Arc<Mutex<UnderWay<K, T>>>,
    key: K,
    number: u64,
}

impl<K: Eq + Hash, T> Drop for Departure<K, T> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.all);
        // A later request may have taken the place of one that began too long ago.
        if under_way.flights.get(&self.key).is_some_and(|flight| flight.number == self.number) {
            under_way.flights.remove(&self.key);
        }
    }
}

fn lock<K, T>(all: &Mutex<UnderWay<K, T>>) -> MutexGuard<'_, UnderWay<K, T>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error that several callers get.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct SharedError(Arc<StoreError>);

#[cfg(test)]
mod tests;
