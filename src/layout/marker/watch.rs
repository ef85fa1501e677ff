//! Continuous monitoring of whether the store is reachable and may be used, with cached results.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

use super::super::LayoutKey;
use super::writes::Writes;
use super::{LayoutError, Marker, check_readable};
use crate::store::{ObjectStore, Result, StoreError, StoreErrorKind};

/// How long a positive result is valid for readiness checks.
const FRESH: Duration = Duration::from_secs(1);
/// How long a positive result is valid for writers. If a load balancer checks readiness more often than this, writers
/// never cause a request of their own.
const FRESH_FOR_WRITERS: Duration = Duration::from_secs(10);
/// How long the newest marker that was found is assumed to be the newest. After that, the markers are listed again.
const NEWEST: Duration = Duration::from_mins(1);

/// The last positive result.
#[derive(Debug, Clone, Copy)]
struct Good {
    marker: Marker,
    /// When the store was last asked.
    asked: Instant,
    /// When it was last asked for readiness; requests by others in between do not extend this.
    checked: Option<Instant>,
    /// When the markers were last listed.
    listed: Instant,
}

/// The last negative result for a writer.
#[derive(Debug, Clone)]
struct Refusal {
    asked: Instant,
    kind: StoreErrorKind,
    why: String,
}

/// Watches the layout marker of a store. Any number of callers cause at most one request a second: mostly the cheapest
/// one there is, a check that the known marker still exists, and once a minute a listing, which reveals a newer one.
#[derive(Debug)]
pub struct Watch {
    store: Arc<dyn ObjectStore>,
    /// Held while the store is asked, so that all waiting callers share one result.
    good: Mutex<Option<Good>>,
    /// The last refusal to a writer; cleared by a positive result.
    refusal: std::sync::Mutex<Option<Refusal>>,
    /// Whether the newest marker seen forbids this binary to read.
    unreadable: AtomicBool,
    writes: Writes,
}

impl Watch {
    /// Creates a watch over `store` that has not checked yet.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        let (good, refusal) = (Mutex::default(), std::sync::Mutex::default());
        metrics::gauge!("larder_store_writable").set(1.0);
        Self { store, good, refusal, unreadable: AtomicBool::new(false), writes: Writes::default() }
    }

    /// Like [`check_readable`], with a result that may be a second old; failures are never cached. A migration by
    /// another process is noticed within a minute. The marker that is returned may still forbid writing.
    ///
    /// # Errors
    /// A [`LayoutError`] that names the remedy.
    pub async fn check(&self) -> std::result::Result<Marker, LayoutError> {
        self.look(|good| good.checked.is_some_and(|checked| checked + FRESH > Instant::now()), true).await
    }

    /// Whether this process may write to the store, as of at most ten seconds ago, or as of the last readiness check if
    /// that was later.
    ///
    /// # Errors
    /// [`StoreErrorKind::ReadOnly`] or [`StoreErrorKind::Newer`] about `key`, or the error of the check itself.
    pub async fn allows_writing(&self, key: impl fmt::Display) -> Result<()> {
        let asked = Instant::now();
        if let Some(refusal) = self.refusal().clone().filter(|refusal| refusal.asked + FRESH > asked) {
            return Err(StoreError::new(refusal.kind, key, refusal.why));
        }
        let error =
            match self.look(|good| good.asked + FRESH_FOR_WRITERS > asked, false).await.and_then(Marker::writable) {
                Ok(_) => return Ok(()),
                Err(LayoutError::Store(error)) => return Err(error),
                Err(error) => error,
            };
        let kind = kind_of(&error);
        let why = error.to_string();
        *self.refusal() = Some(Refusal { asked, kind, why: why.clone() });
        Err(StoreError::new(kind, key, why))
    }

    /// Whether this process may read the store, as far as is known without asking it.
    ///
    /// # Errors
    /// [`StoreErrorKind::Newer`] about `what`.
    pub fn allows_reading(&self, what: impl fmt::Display) -> Result<()> {
        if !self.unreadable.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(StoreError::new(StoreErrorKind::Newer, what, "its layout marker asks for a newer larder"))
    }

    /// Why the store takes no writes, although its marker allows them: it is full, or its file system is read-only.
    /// `None` if the last write succeeded.
    #[must_use]
    pub fn failed_write(&self) -> Option<String> {
        self.writes.failure()
    }

    /// Records the result of a write to the store. `needed_space` if it stored bytes.
    pub(super) fn note_write<T>(&self, result: Result<T>, needed_space: bool) -> Result<T> {
        self.writes.note(&result, needed_space);
        result
    }

    /// Records the result of an attempt to write that was made to find out.
    pub fn note_attempt(&self, result: &Result<()>) {
        self.writes.set(result.as_ref().err());
    }

    async fn look(
        &self,
        is_fresh: impl Fn(&Good) -> bool + Send,
        for_readiness: bool,
    ) -> std::result::Result<Marker, LayoutError> {
        let mut held = self.good.lock().await;
        if let Some(good) = held.filter(is_fresh) {
            return Ok(good.marker);
        }
        let asked = Instant::now();
        let checked = for_readiness.then_some(asked);
        let known = held.take().filter(|good| good.listed + NEWEST > asked);
        let found = match known {
            Some(good) if self.has(good.marker).await? => Ok(Good { asked, checked: checked.or(good.checked), ..good }),
            _ => check_readable(&*self.store).await.map(|marker| Good { marker, asked, checked, listed: asked }),
        };
        match &found {
            Err(LayoutError::Store(_)) => {}
            found => {
                let unreadable = found.as_ref().is_err_and(|error| kind_of(error) == StoreErrorKind::Newer);
                self.unreadable.store(unreadable, Ordering::Relaxed);
            }
        }
        let good = found?;
        *held = Some(good);
        if good.marker.writable().is_ok() {
            *self.refusal() = None;
        }
        Ok(good.marker)
    }

    /// Whether the marker still exists. Its content never changes.
    async fn has(&self, marker: Marker) -> std::result::Result<bool, LayoutError> {
        Ok(self.store.head(&LayoutKey::Marker(marker.layout).key()).await?.is_some())
    }

    fn refusal(&self) -> std::sync::MutexGuard<'_, Option<Refusal>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error kind for a refused writer. If only the marker is missing, the rest of the store can still be read.
fn kind_of(error: &LayoutError) -> StoreErrorKind {
    match error {
        LayoutError::TooNew { .. } | LayoutError::TooOld(_) => StoreErrorKind::Newer,
        _ => StoreErrorKind::ReadOnly,
    }
}
