//! Whether the store is there and may be used, asked again and again without paying for it each time.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

use super::super::LayoutKey;
use super::{LayoutError, Marker, check_readable};
use crate::store::{ObjectStore, Result, StoreError, StoreErrorKind};

/// How long a good answer stands for readiness.
const FRESH: Duration = Duration::from_secs(1);
/// How long a good answer stands for writers. A load balancer that asks for readiness more often than this makes writers
/// look for nothing.
const FRESH_FOR_WRITERS: Duration = Duration::from_secs(10);
/// How long the newest marker is taken for the newest one. After that, the markers are listed again.
const NEWEST: Duration = Duration::from_mins(1);

/// What was found when all was well.
#[derive(Debug, Clone, Copy)]
struct Good {
    marker: Marker,
    /// When the store was asked last.
    asked: Instant,
    /// When it was asked last for readiness, whose answers do not get older because others asked in between.
    checked: Option<Instant>,
    /// When the markers were listed last.
    listed: Instant,
}

/// Why writing was refused.
#[derive(Debug, Clone)]
struct Refusal {
    asked: Instant,
    kind: StoreErrorKind,
    why: String,
}

/// Looks at the marker of a store. Any number of callers cost one request a second: mostly the cheapest one there is, a
/// reading of the marker that was found, and once a minute a listing, which shows a newer one.
#[derive(Debug)]
pub struct Watch {
    store: Arc<dyn ObjectStore>,
    /// Held while the store is asked: who waits for it is served by the same answer.
    good: Mutex<Option<Good>>,
    /// The last refusal to a writer, until a good answer.
    refusal: std::sync::Mutex<Option<Refusal>>,
    /// Whether the newest marker that was seen keeps this binary from reading.
    unreadable: AtomicBool,
}

impl Watch {
    /// A watch over `store` that has not looked yet.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, good: Mutex::default(), refusal: std::sync::Mutex::default(), unreadable: AtomicBool::new(false) }
    }

    /// Like [`check_readable`], as of a second ago; a failure is never remembered. Somebody else's migration is noticed
    /// within a minute. The marker that is returned may still forbid writing.
    ///
    /// # Errors
    /// A [`LayoutError`] that says what to do.
    pub async fn check(&self) -> std::result::Result<Marker, LayoutError> {
        self.look(|good| good.checked.is_some_and(|checked| checked + FRESH > Instant::now()), true).await
    }

    /// Whether this process may write to the store now, as of at most ten seconds ago, or as of the last look for
    /// readiness, if that was later.
    ///
    /// # Errors
    /// [`StoreErrorKind::ReadOnly`] about `key`, or what looking fails with.
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
    /// [`StoreErrorKind::TooNew`] about `what`.
    pub fn allows_reading(&self, what: impl fmt::Display) -> Result<()> {
        if !self.unreadable.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(StoreError::new(StoreErrorKind::TooNew, what, "its layout marker asks for a newer larder"))
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
                let unreadable = found.as_ref().is_err_and(|error| kind_of(error) == StoreErrorKind::TooNew);
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

    /// Whether the marker is still there; it never changes.
    async fn has(&self, marker: Marker) -> std::result::Result<bool, LayoutError> {
        Ok(self.store.head(&LayoutKey::Marker(marker.layout).key()).await?.is_some())
    }

    fn refusal(&self) -> std::sync::MutexGuard<'_, Option<Refusal>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a writer is told. Where only the marker is gone, what is there can still be read.
fn kind_of(error: &LayoutError) -> StoreErrorKind {
    match error {
        LayoutError::TooNew { .. } | LayoutError::TooOld(_) => StoreErrorKind::TooNew,
        _ => StoreErrorKind::ReadOnly,
    }
}
