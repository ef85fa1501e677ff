//! What readers asked for lately and does not exist, so that asking again costs the store nothing; and a limit on how
//! many look for such things at once, so that a flood of made-up names leaves the store to those that are known.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Duration, Instant};

/// Keys remembered. More are asked for only by those who make them up.
const REMEMBERED: u64 = 4096;
/// Searches for unknown keys that may be in progress at once.
const SEARCHES: usize = 32;

/// Keys that do not exist. What this process creates is forgotten here at once; what others create is seen once a reader
/// no longer accepts an answer of that age.
pub(super) struct Absences<K> {
    known: Cache<K, Instant>,
    /// Counts creations by this process: an answer requested before one of them is not remembered.
    created: AtomicU64,
    searches: Semaphore,
}

impl<K> fmt::Debug for Absences<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Absences").finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Send + Sync + 'static> Default for Absences<K> {
    fn default() -> Self {
        let known = Cache::builder().max_capacity(REMEMBERED).eviction_policy(EvictionPolicy::lru()).build();
        Self { known, created: AtomicU64::new(0), searches: Semaphore::new(SEARCHES) }
    }
}

/// A question to the store whose answer may be that there is nothing.
pub(super) struct Search<'a> {
    asked: Instant,
    created: u64,
    _turn: Option<SemaphorePermit<'a>>,
}

impl<K: Hash + Eq + Send + Sync + 'static> Absences<K> {
    /// Whether the key was found absent at most `age` ago.
    pub(super) fn holds(&self, key: &K, age: Duration) -> bool {
        self.known.get(key).is_some_and(|asked| asked.elapsed() < age)
    }

    /// The keys that were found absent at most `age` ago.
    pub(super) fn all(&self, age: Duration) -> HashSet<K>
    where
        K: Clone,
    {
        self.known.iter().filter(|(_, asked)| asked.elapsed() < age).map(|(key, _)| K::clone(&key)).collect()
    }

    /// Waits for its turn to ask the store for an unknown key.
    pub(super) async fn search(&self) -> Search<'_> {
        // The semaphore is never closed.
        let turn = self.searches.acquire().await.ok();
        Search { asked: Instant::now(), created: self.created.load(Ordering::SeqCst), _turn: turn }
    }

    /// Remembers that a search found nothing.
    pub(super) fn add(&self, key: &K, search: &Search<'_>)
    where
        K: Clone,
    {
        let is_current = || self.created.load(Ordering::SeqCst) == search.created;
        if is_current() {
            self.known.insert(key.clone(), search.asked);
            // This process may have created it just now, and removed it before it was inserted.
            if !is_current() {
                self.known.invalidate(key);
            }
        }
    }

    /// This process has created the key.
    pub(super) fn remove(&self, key: &K) {
        self.created.fetch_add(1, Ordering::SeqCst);
        self.known.invalidate(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_created_while_somebody_looks_is_not_remembered_as_absent() {
        let (absences, age) = (Absences::default(), Duration::from_secs(60));
        let search = absences.search().await;
        absences.remove(&1);
        absences.add(&1, &search);
        assert!(!absences.holds(&1, age));
        let search = absences.search().await;
        absences.add(&1, &search);
        assert!(absences.holds(&1, age) && !absences.holds(&1, Duration::ZERO) && !absences.holds(&2, age));
        absences.remove(&1);
        assert!(!absences.holds(&1, age));
    }

    #[tokio::test]
    async fn a_flood_is_remembered_in_bounded_memory() {
        let absences = Absences::default();
        let search = absences.search().await;
        for key in 0..100_000_u32 {
            absences.add(&key, &search);
        }
        absences.known.run_pending_tasks();
        assert!(absences.known.entry_count() <= REMEMBERED);
        assert!(absences.holds(&99_999, Duration::from_secs(60)), "the newest are kept");
    }
}
