//! Single flight: many who want the same thing at the same time cost the store one request.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::{Duration, Instant};
use tokio_util::task::AbortOnDropHandle;

use crate::store::{StoreError, StoreErrorKind};

type Landing<T> = Shared<BoxFuture<'static, Result<T, Arc<StoreError>>>>;

/// A request under way.
struct Flight<T> {
    began: Instant,
    landing: Landing<T>,
}

/// Requests under way, by what they ask for.
pub(super) struct Flights<K, T>(Arc<Mutex<HashMap<K, Flight<T>>>>);

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Arc::default())
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
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(key).filter(|flight| flight.began.elapsed() <= oldest)
            // Nobody waits for it any more, and nobody has moved it since.
            && flight.landing.strong_count().is_some_and(|waiting| waiting > 1)
        {
            return flight.landing.clone();
        }
        let (began, all, landed) = (Instant::now(), Arc::clone(&self.0), key.clone());
        // A task of its own: it moves on whoever of those who wait is looked at.
        let task = AbortOnDropHandle::new(tokio::spawn(ask()));
        let landing = async move {
            let result = task.await.unwrap_or_else(|failed| {
                Err(StoreError::new(StoreErrorKind::Internal, "a request that was shared", failed))
            });
            let mut flights = all.lock().unwrap_or_else(PoisonError::into_inner);
            if flights.get(&landed).is_some_and(|flight| flight.began == began) {
                flights.remove(&landed);
            }
            result.map_err(Arc::new)
        };
        let landing = landing.boxed().shared();
        flights.insert(key.clone(), Flight { began, landing: landing.clone() });
        landing
    }
}

/// An error that several callers are told.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct SharedError(Arc<StoreError>);

#[cfg(test)]
mod tests;
