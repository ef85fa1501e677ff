//! The log of heads of one name ([`super::log`]): read the newest, decide, create the next.
//!
//! A cached head never makes a reader go back in time: it is only the point from which the search for the newest
//! starts. Readers that accept slightly stale answers get the cached head without a request to the store, up to the
//! configured age. The cache only moves forward, so successive reads on one server never go back.

mod after;
mod annex;
mod cached;
mod change;
mod digests;
mod judgement;
mod labels;
mod rollback;
mod segments;
mod select;
mod settling;
mod signatures;
mod state;
mod watching;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use moka::ops::compute::Op;
use moka::sync::Cache;
use tokio::time::{Duration, Instant};

use crate::clock::Clock;
use crate::domain::attestation::{Annex, Proven, Standing};
use crate::domain::{Digest, Head, LivePolicies, LogName, Rejection, VersionRow};
use crate::layout::LayoutKey;
use crate::protocol::Manifests;
use crate::protocol::absences::Absences;
use crate::protocol::flights::Flights;
use crate::protocol::log::Log;
use crate::store::{ObjectStore, StoreError};
use after::LaterLook;
use cached::CachedHead;
use segments::Segments;
pub use select::Selected;
use signatures::VerifiedBundle;
pub use watching::HeadWatch;
use watching::Watches;

/// Largest head that is read, in bytes. Typical heads are a few kilobytes; the limit only guards against garbage.
pub(crate) const MAX_HEAD: u64 = 4 << 20;
/// Size of the head cache, in bytes.
const REMEMBERED_BYTES: u64 = 16 << 20;
/// Size of the cache of annexes, in bytes.
const ANNEX_BYTES: u64 = 4 << 20;
/// Generations followed one GET at a time before the log is listed instead.
const MAX_WALK: u32 = 8;

/// Why a name could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The current state of the name does not allow it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Other writers kept changing the name faster.
    #[error("the name is being changed by too many writers at once")]
    Contended,
    /// This host's clock is so far ahead of the store's that a head dated by it would make later states of the name
    /// unreachable.
    #[error("this host's clock is {} seconds ahead of the store's", .0.as_secs())]
    ClockSkew(SignedDuration),
    /// The store failed. The change may or may not have been made.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The result of a change that was made, or that was not necessary.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The newest head.
    pub head: Arc<Head>,
    /// The version that the change was about. `None` if it was not about a single version.
    pub row: Option<VersionRow>,
    /// Whether the name was in the requested state already.
    pub unchanged: bool,
    /// What verifying clients make of the version that became active, under a policy that requires signatures.
    pub standing: Option<Standing>,
}

/// How stale an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AsOf {
    /// As stale as the configured maximum.
    #[default]
    Recent,
    /// Shows every change that was complete when the answer was requested, made on any server.
    Now,
    /// Shows every change that was complete at this moment, usually when a request arrived: for what anybody may ask for
    /// that is not there. Callers of one name share requests to the store, which are at least 100 ms apart.
    After(Instant),
}

/// The logs of heads of all names in a store.
#[derive(Debug)]
pub struct Heads {
    store: Arc<dyn ObjectStore>,
    log: Log<Head>,
    clock: Arc<dyn Clock>,
    newest: Cache<LogName, CachedHead>,
    segments: Segments,
    max_staleness: Duration,
    looks: Flights<LogName, Option<CachedHead>>,
    later_looks: Flights<LogName, LaterLook>,
    absent: Absences<LogName>,
    policies: LivePolicies,
    watches: Watches,
    annexes: Cache<Digest, Arc<Annex>>,
    manifests: Option<Arc<Manifests>>,
    proven: Cache<VerifiedBundle, Proven>,
}

impl Heads {
    /// The logs in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>) -> Self {
        let weigh = |_: &LogName, known: &CachedHead| {
            let (head, row) = (&known.head, size_of::<VersionRow>() + 256);
            let bytes = 1024 + head.rows.len() * row + head.segments.len() * 192 + head.activations.len() * 64;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let newest = Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh).build();
        let segments = Segments::new(Arc::clone(&store));
        let (looks, later_looks) = (Flights::default(), Flights::default());
        let (absent, watches) = (Absences::default(), Watches::default());
        let (policies, max_staleness) = (LivePolicies::default(), Duration::ZERO);
        let weigh = |_: &Digest, annex: &Arc<Annex>| 1024 + 2048 * u32::try_from(annex.attachments.len()).unwrap_or(64);
        let annexes = Cache::builder().max_capacity(ANNEX_BYTES).weigher(weigh).build();
        let (log, manifests, proven) = (Log::new(Arc::clone(&store)), None, Cache::new(signatures::REMEMBERED));
        Self {
            store,
            log,
            clock,
            newest,
            segments,
            max_staleness,
            looks,
            later_looks,
            absent,
            policies,
            watches,
            annexes,
            manifests,
            proven,
        }
    }

    /// The store of the logs.
    #[must_use]
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// Sets the maximum staleness of [`AsOf::Recent`] answers.
    #[must_use]
    pub fn with_max_staleness(self, max_staleness: Duration) -> Self {
        Self { max_staleness, ..self }
    }

    /// How stale [`AsOf::Recent`] answers may be.
    #[must_use]
    pub fn max_staleness(&self) -> Duration {
        self.max_staleness
    }

    /// The newest head, as fresh as requested, or `None` when the name has never existed. Concurrent callers with
    /// [`AsOf::Recent`] share one request to the store.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn look(self: &Arc<Self>, name: &LogName, fresh: AsOf) -> Result<Option<Arc<Head>>, StoreError> {
        if let AsOf::After(moment) = fresh {
            return self.look_after(name, moment).await;
        }
        if fresh == AsOf::Now || self.max_staleness.is_zero() {
            return Ok(self.find(name).await?.map(|known| known.head));
        }
        if let Some(head) = self.recent(name) {
            return Ok(Some(head));
        }
        if self.absent.holds(name, self.max_staleness) {
            return Ok(None);
        }
        let ask = || {
            let (heads, name) = (Arc::clone(self), name.clone());
            async move { heads.find(&name).await }
        };
        let found = self.looks.join(name, self.max_staleness, ask).await?;
        // A newer head may have been cached since that request completed.
        let best = found.map(|known| self.keep(known)).or_else(|| self.newest.get(name));
        Ok(best.map(|known| known.head))
    }

    /// The answer of [`Heads::look`] with [`AsOf::Recent`], if the cache can give it without a request to the store.
    pub(crate) fn recent(&self, name: &LogName) -> Option<Arc<Head>> {
        self.newest.get(name).filter(|known| known.checked.elapsed() < self.max_staleness).map(|known| known.head)
    }

    /// The present time, by the corrected clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The newest head, or `None` when the name has never existed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn current(&self, name: &LogName) -> Result<Option<Arc<Head>>, StoreError> {
        Ok(self.known(name).await?.map(|known| known.head))
    }

    /// Finds the newest head for a reader. Readers of names that are not known here take turns.
    async fn find(&self, name: &LogName) -> Result<Option<CachedHead>, StoreError> {
        if self.newest.contains_key(name) {
            return self.known(name).await;
        }
        let search = self.absent.search().await;
        let found = self.known(name).await?;
        if found.is_none() {
            self.absent.add(name, &search);
        }
        Ok(found)
    }

    async fn known(&self, name: &LogName) -> Result<Option<CachedHead>, StoreError> {
        let Some(mut known) = self.newest.get(name) else { return self.list_newest(name).await };
        let generation = known.head.generation;
        let seen = |head, asked| {
            known = self.remember(head, asked, false);
            known.head.generation
        };
        match self.log.walk(name, generation, MAX_WALK, seen).await? {
            Some(asked) => Ok(Some(self.keep(CachedHead { checked: asked, ..known }))),
            None => self.list_newest(name).await,
        }
    }

    async fn list_newest(&self, name: &LogName) -> Result<Option<CachedHead>, StoreError> {
        let asked = Instant::now();
        Ok(self.log.newest(name).await?.map(|head| self.remember(head, asked, false)))
    }

    fn remember(&self, head: Head, checked: Instant, durable: bool) -> CachedHead {
        self.keep(CachedHead { head: Arc::new(head), checked, durable, listed: false })
    }

    /// Caches a head unless the cached one is newer, and returns the cached one.
    fn keep(&self, known: CachedHead) -> CachedHead {
        let name = known.head.name.clone();
        let mut best = known;
        let kept = self.newest.entry(name).and_compute_with(|entry| {
            if let Some(entry) = entry {
                best = entry.into_value().newer(best.clone());
            }
            Op::Put(best.clone())
        });
        let best = kept.into_entry().map_or(best, moka::Entry::into_value);
        self.watches.raise(&best.head.name, best.head.generation);
        best
    }

    /// The head of one generation.
    ///
    /// # Errors
    /// When the store fails or the head cannot be read.
    pub async fn read(&self, name: &LogName, generation: u64) -> Result<Option<Head>, StoreError> {
        self.log.read(name, generation).await
    }

    /// The head that was the newest at `time`; `None` if the name did not exist yet.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn at(&self, head: &Head, time: Timestamp) -> Result<Option<Head>, StoreError> {
        self.log.at(head, time).await
    }

    /// The rows of all roots, by ascending version number.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn roots(&self, head: &Head) -> Result<Vec<VersionRow>, StoreError> {
        self.segments.roots(head).await
    }

    /// Rows with numbers below `before`, newest first: at least `limit` of them unless there are fewer.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rows(&self, head: &Head, before: u64, limit: usize) -> Result<Vec<VersionRow>, StoreError> {
        self.segments.newest(head, before, limit).await
    }

    /// Creates the mark by which a name is listed, unless it exists.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add_mark(&self, name: &LogName) -> Result<(), StoreError> {
        self.store.create(&LayoutKey::Name(name.clone()).key(), bytes::Bytes::new()).await.map(drop)
    }

    /// The newest head, made durable: what is reported as done, or built upon, must survive a crash of the machine.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn current_durable(&self, name: &LogName) -> Result<Option<Arc<Head>>, StoreError> {
        match self.known(name).await? {
            Some(known) => self.make_durable(known).await.map(Some),
            None => Ok(None),
        }
    }

    async fn make_durable(&self, known: CachedHead) -> Result<Arc<Head>, StoreError> {
        if !known.durable {
            self.log.persist(&known.head).await?;
            self.keep(CachedHead { durable: true, ..known.clone() });
        }
        Ok(known.head)
    }
}
