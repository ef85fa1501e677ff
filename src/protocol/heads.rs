//! The log of heads of one name: read the newest, decide, create the next.
//!
//! Why reading needs no LIST: heads are numbered without gaps and never deleted, so whoever knows generation
//! *g* is current until *g + 1* exists. One GET of a key that is normally absent answers that.
//!
//! Why a remembered head can never show the past: it is only ever the place to start looking from. Readers who accept an
//! answer that is a moment old are given it without a look, up to the age that is configured. What is remembered only
//! ever moves forward, so on one server nobody who reads twice goes back in time.

mod segments;

use std::sync::Arc;

use jiff::Timestamp;
use moka::ops::compute::Op;
use moka::sync::Cache;
use tokio::time::{Duration, Instant};

use crate::clock::Clock;
use crate::domain::{Change, Head, ManifestName, Operation, Rejection, Selector, Subject, VersionRow, head::Outcome};
use crate::layout::{self, LayoutKey};
use crate::protocol::flights::Flights;
use crate::protocol::listing;
use crate::store::{Created, Key, ObjectStore, StoreError, StoreErrorKind};
use segments::Segments;

/// Largest head that is read, in bytes. They are a few kilobytes; this only stops nonsense.
pub(crate) const MAX_HEAD: u64 = 4 << 20;
/// Bytes of heads that are remembered.
const REMEMBERED_BYTES: u64 = 16 << 20;
/// Generations that are walked one by one before the log is listed instead.
const MAX_WALK: u32 = 8;
/// Lost races after which a change gives up. Each one means that somebody else's change went through.
const MAX_RACES: u32 = 100;

/// Why a name could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The present state of the name does not allow it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Others kept changing the name faster.
    #[error("the name is being changed by too many writers at once")]
    Contended,
    /// The store failed. The change may or may not have been made.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A change that was made, or that was not necessary.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The newest head.
    pub head: Arc<Head>,
    /// The version that it was about. `None` if it was not about a single one.
    pub row: Option<VersionRow>,
    /// Whether the name was already as wanted.
    pub unchanged: bool,
}

/// How old an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AsOf {
    /// As old as is configured.
    #[default]
    Recent,
    /// It shows everything that was done before it was asked for, on whatever server.
    Now,
}

/// A head that was read or made.
#[derive(Debug, Clone)]
struct CachedHead {
    head: Arc<Head>,
    /// When the store was asked whether it is the newest one.
    checked: Instant,
    /// Whether it is known to survive a crash of the machine. One that another process made may be visible a moment
    /// before it does, and a log must not have a durable head behind one that is not.
    durable: bool,
}

/// All names' logs of heads.
#[derive(Debug)]
pub struct Heads {
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    newest: Cache<ManifestName, CachedHead>,
    segments: Segments,
    max_staleness: Duration,
    looks: Flights<ManifestName, Option<CachedHead>>,
}

impl Heads {
    /// The logs in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>) -> Self {
        let weigh = |_: &ManifestName, known: &CachedHead| {
            let bytes = 512 + known.head.rows.len() * 512 + known.head.segments.len() * 128;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let newest = Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh).build();
        let segments = Segments::new(Arc::clone(&store));
        Self { store, clock, newest, segments, max_staleness: Duration::ZERO, looks: Flights::default() }
    }

    /// Lets [`AsOf::Recent`] answers be so old.
    #[must_use]
    pub fn with_max_staleness(self, max_staleness: Duration) -> Self {
        Self { max_staleness, ..self }
    }

    /// The newest head, as fresh as is asked for, or `None` when the name has never existed. Recent answers to any number
    /// of callers at once cost the store one look.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn look(self: &Arc<Self>, name: &ManifestName, fresh: AsOf) -> Result<Option<Arc<Head>>, StoreError> {
        if fresh == AsOf::Now || self.max_staleness.is_zero() {
            return self.current(name).await;
        }
        if let Some(head) = self.recent(name) {
            return Ok(Some(head));
        }
        let ask = || {
            let (heads, name) = (Arc::clone(self), name.clone());
            async move { heads.known(&name).await }
        };
        let found = self.looks.join(name, self.max_staleness, ask).await?;
        // More may have become known since that look landed.
        let best = found.map(|known| self.keep(known)).or_else(|| self.newest.get(name));
        Ok(best.map(|known| known.head))
    }

    /// What [`Heads::look`] answers with [`AsOf::Recent`], if that takes no look at the store.
    pub(crate) fn recent(&self, name: &ManifestName) -> Option<Arc<Head>> {
        self.newest.get(name).filter(|known| known.checked.elapsed() < self.max_staleness).map(|known| known.head)
    }

    /// The newest head, or `None` when the name has never existed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn current(&self, name: &ManifestName) -> Result<Option<Arc<Head>>, StoreError> {
        Ok(self.known(name).await?.map(|known| known.head))
    }

    async fn known(&self, name: &ManifestName) -> Result<Option<CachedHead>, StoreError> {
        let Some(mut known) = self.newest.get(name) else { return self.list_newest(name).await };
        for _ in 0..MAX_WALK {
            let asked = Instant::now();
            match self.read(name, known.head.generation + 1).await? {
                Some(newer) => known = self.remember(newer, asked, false),
                None => return Ok(Some(self.keep(CachedHead { checked: asked, ..known }))),
            }
        }
        self.list_newest(name).await
    }

    async fn list_newest(&self, name: &ManifestName) -> Result<Option<CachedHead>, StoreError> {
        let asked = Instant::now();
        let generation = |key| if let LayoutKey::Head(_, generation) = key { Some(generation) } else { None };
        let first = listing::first(&*self.store, &layout::heads(name), generation).await?;
        let Some((generation, meta)) = first else { return Ok(None) };
        let lost = || StoreError::new(StoreErrorKind::Corrupt, &meta.key, "listed, but not there");
        let head = self.read(name, generation).await?.ok_or_else(lost)?;
        Ok(Some(self.remember(head, asked, false)))
    }

    fn remember(&self, head: Head, checked: Instant, durable: bool) -> CachedHead {
        self.keep(CachedHead { head: Arc::new(head), checked, durable })
    }

    /// Remembers a head unless more is known by now, and returns what is known.
    fn keep(&self, known: CachedHead) -> CachedHead {
        let name = known.head.name.clone();
        let mut best = known;
        let kept = self.newest.entry(name).and_compute_with(|entry| {
            if let Some(entry) = entry {
                best = newer(entry.into_value(), best.clone());
            }
            Op::Put(best.clone())
        });
        kept.into_entry().map_or(best, moka::Entry::into_value)
    }

    /// The head of one generation.
    ///
    /// # Errors
    /// When the store fails or the head cannot be read.
    pub async fn read(&self, name: &ManifestName, generation: u64) -> Result<Option<Head>, StoreError> {
        let key = LayoutKey::Head(name.clone(), generation).key();
        let Some(object) = self.store.get(&key, None).await? else { return Ok(None) };
        let bytes = object.bytes(MAX_HEAD).await?;
        let corrupt = |why: String| StoreError::new(StoreErrorKind::Corrupt, &key, why);
        let head: Head = serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?;
        if head.format != 1 || head.name != *name || head.generation != generation {
            return Err(corrupt(format!(
                "it says it is format {}, generation {} of {}",
                head.format, head.generation, head.name
            )));
        }
        Ok(Some(head))
    }

    /// The newest head that is not younger than `time`, found by bisection: heads' times never decrease.
    async fn at(&self, newest: &Head, time: Timestamp) -> Result<Option<Head>, StoreError> {
        if newest.time <= time {
            return Ok(Some(newest.clone()));
        }
        // Invariant: `too_late` is younger than `time`, `found` is the youngest known that is not.
        let (mut low, mut too_late, mut found) = (1, newest.generation, None);
        while low < too_late {
            let middle = low + (too_late - low) / 2;
            let head = self.read(&newest.name, middle).await?.ok_or_else(|| gap(&newest.name, middle))?;
            if head.time <= time {
                low = middle + 1;
                found = Some(head);
            } else {
                too_late = middle;
            }
        }
        Ok(found)
    }

    /// The version that a selector picks, wherever its row is stored.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn select(&self, head: &Head, selector: Selector) -> Result<Option<VersionRow>, StoreError> {
        let number = match selector {
            Selector::Active => return Ok(head.active().cloned()),
            Selector::Previous => head.previous,
            Selector::Number(number) => Some(number),
            Selector::Manifest(digest) => return self.segments.best(head, digest).await,
            Selector::At(time) => {
                let then = self.at(head, time).await?;
                then.as_ref().and_then(Head::active).map(|row| row.number)
            }
        };
        match number {
            Some(number) => self.segments.row(head, number).await,
            None => Ok(None),
        }
    }

    /// The rows of all versions whose blobs must be kept, by ascending number.
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

    /// Changes a name: computes the next head from the newest one and creates it, again if somebody else was
    /// faster. When this returns the change is durable.
    ///
    /// # Errors
    /// A [`ChangeError`].
    pub async fn change(&self, name: &ManifestName, change: &Change, by: &Subject) -> Result<Changed, ChangeError> {
        let operation =
            Operation { id: operation_id()?, action: change.action(), by: by.clone(), version: None, reason: None };
        for _ in 0..MAX_RACES {
            if let Some(changed) = self.attempt(name, change, operation.clone()).await? {
                return Ok(changed);
            }
        }
        Err(ChangeError::Contended)
    }

    /// One attempt; `None` when somebody else created the next head first.
    async fn attempt(
        &self,
        name: &ManifestName,
        change: &Change,
        operation: Operation,
    ) -> Result<Option<Changed>, ChangeError> {
        let asked = Instant::now();
        let known = self.known(name).await?;
        let current = known.as_ref().map(|known| Arc::clone(&known.head));
        let (mut row, mut everything) = (None, Vec::new());
        if let Some(head) = &current {
            match (change, change.selector()) {
                (Change::Delete { .. }, _) => everything = self.segments.everything(head).await?,
                (Change::Expire { due }, _) => {
                    for due in due {
                        everything.extend(self.segments.row(head, due.number).await?);
                    }
                }
                (_, Some(selector)) => row = self.select(head, selector).await?,
                (_, None) => {}
            }
        }
        let now = self.clock.now();
        match Head::next(current.as_deref(), name, change, row, everything, operation, now)? {
            Outcome::Unchanged(row) => {
                // Only an existing name can be unchanged.
                let known = known.ok_or(Rejection::NoSuchVersion)?;
                let head = self.make_durable(known).await?;
                Ok(Some(Changed { head, row, unchanged: true }))
            }
            Outcome::Next { mut head, row, spill } => {
                match known {
                    None => drop(self.store.create(&LayoutKey::Name(name.clone()).key(), bytes::Bytes::new()).await?),
                    Some(known) => drop(self.make_durable(known).await?),
                }
                self.segments.spill(&mut head, spill).await?;
                let created = self.create(&head).await?;
                let head = Arc::new(*head);
                Ok(created.then(|| {
                    // What is answered is this head, even if somebody has built on it since.
                    self.keep(CachedHead { head: Arc::clone(&head), checked: asked, durable: true });
                    Changed { head, row, unchanged: false }
                }))
            }
        }
    }

    /// The newest head, which survives a crash of the machine once this returns: what is answered as done, or built
    /// upon, must not be taken back.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn current_durable(&self, name: &ManifestName) -> Result<Option<Arc<Head>>, StoreError> {
        match self.known(name).await? {
            Some(known) => self.make_durable(known).await.map(Some),
            None => Ok(None),
        }
    }

    async fn make_durable(&self, known: CachedHead) -> Result<Arc<Head>, StoreError> {
        if !known.durable {
            self.store.persist(&[key_of(&known.head)]).await?;
            self.keep(CachedHead { durable: true, ..known.clone() });
        }
        Ok(known.head)
    }

    /// Creates a head. `false` when its generation is taken by somebody else's.
    async fn create(&self, head: &Head) -> Result<bool, StoreError> {
        let key = key_of(head);
        let bytes = serde_json::to_vec(head).map_err(|error| StoreError::new(StoreErrorKind::Internal, &key, error))?;
        let failed = match self.store.create(&key, bytes.into()).await {
            Ok(Created::New) => return Ok(true),
            // A backend that retried on its own may be told that its first attempt exists.
            Ok(Created::AlreadyExists) => None,
            Err(error) => Some(error),
        };
        match (self.read(&head.name, head.generation).await, failed) {
            (Ok(Some(stored)), _) if stored.operation.id == head.operation.id => {
                self.store.persist(std::slice::from_ref(&key)).await?;
                Ok(true)
            }
            (Ok(Some(_)), _) => Ok(false),
            (_, Some(error)) | (Err(error), None) => Err(error),
            (Ok(None), None) => Err(gap(&head.name, head.generation)),
        }
    }
}

/// The one of two that knows more.
fn newer(a: CachedHead, b: CachedHead) -> CachedHead {
    let (newest, other) = if a.head.generation >= b.head.generation { (a, b) } else { (b, a) };
    let same = newest.head.generation == other.head.generation;
    let checked = if same { newest.checked.max(other.checked) } else { newest.checked };
    CachedHead { durable: newest.durable || (same && other.durable), checked, head: newest.head }
}

fn key_of(head: &Head) -> Key {
    LayoutKey::Head(head.name.clone(), head.generation).key()
}

fn gap(name: &ManifestName, generation: u64) -> StoreError {
    let key = LayoutKey::Head(name.clone(), generation).key();
    StoreError::new(StoreErrorKind::Corrupt, key, "this head must exist, but does not")
}

fn operation_id() -> Result<String, StoreError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| StoreError::new(StoreErrorKind::Internal, "random numbers", error))?;
    Ok(hex::encode(random))
}
