//! Whether the store is there and may be used, asked again and again without paying for it each time.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

use super::super::LayoutKey;
use super::{LayoutError, Marker, check};
use crate::store::ObjectStore;

/// How long a good answer stands.
const FRESH: Duration = Duration::from_secs(1);
/// How long the newest marker is taken for the newest one. After that, the markers are listed again.
const NEWEST: Duration = Duration::from_mins(1);

/// What was found when all was well.
#[derive(Debug, Clone, Copy)]
struct Good {
    marker: Marker,
    /// When the store was asked last.
    asked: Instant,
    /// When the markers were listed last.
    listed: Instant,
}

/// Looks at the marker of a store. Any number of callers cost one request a second: mostly the cheapest one there is, a
/// reading of the marker that was found, and once a minute a listing, which shows a newer one. A bad answer is told once
/// and not remembered.
#[derive(Debug)]
pub struct Watch {
    store: Arc<dyn ObjectStore>,
    /// Held while the store is asked: who waits for it is served by the same answer.
    good: Mutex<Option<Good>>,
}

impl Watch {
    /// A watch over `store` that has not looked yet.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, good: Mutex::new(None) }
    }

    /// Like [`check`], as of a second ago. Somebody else's migration is noticed within a minute.
    ///
    /// # Errors
    /// A [`LayoutError`] that says what to do.
    pub async fn check(&self) -> Result<Marker, LayoutError> {
        let mut held = self.good.lock().await;
        let asked = Instant::now();
        if let Some(good) = held.filter(|good| good.asked + FRESH > asked) {
            return Ok(good.marker);
        }
        let known = held.take().filter(|good| good.listed + NEWEST > asked);
        let good = match known {
            Some(good) if self.has(good.marker).await? => Good { asked, ..good },
            _ => Good { marker: check(&*self.store).await?, asked, listed: asked },
        };
        *held = Some(good);
        Ok(good.marker)
    }

    /// Whether the marker is still there; it never changes.
    async fn has(&self, marker: Marker) -> Result<bool, LayoutError> {
        Ok(self.store.head(&LayoutKey::Marker(marker.layout).key()).await?.is_some())
    }
}
