//! The hosts that were attached through the API: one document for all of them, in a log of states (`aux/hosts/@/…`).
//!
//! One document, so that a host has one owner by compare-and-swap, and so that a request for a host that nobody knows
//! costs nothing of its own: what is known is read again by one GET per `max_staleness` and server, whatever is asked.
//!
//! States do not pile up: those that a newer one has replaced are deleted once they are [`KEPT_FOR`] old. That is safe
//! because what is known is only taken as the point to search from while it is much younger than that; otherwise the
//! newest state is found by a listing. Writers always list, because a state created in place of a deleted one would be lost.

mod state;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::documents::{self, Creation};
use super::flights::Flights;
use super::listing;
use super::log::{Log, LogState as _};
use crate::clock::Clock;
use crate::domain::attached::{AttachedHosts, HostRefusal};
use crate::layout::{self, AreaPath, LayoutKey};
use crate::store::{List, ObjectStore, StoreError, StoreErrorKind};
pub use state::HostState;

/// The area of the log below `aux/`, and of the marks below `tmp/`.
const AREA: &str = "hosts";
/// How long a state is kept that was replaced, by the store's time stamps.
pub const KEPT_FOR: SignedDuration = SignedDuration::from_mins(15);
/// Age at which what is known is no longer the point to search from, by the clock and by the monotonic one.
const SEARCHED_FROM: Duration = Duration::from_mins(5);
/// States that are read one by one before the log is listed instead.
const MAX_WALK: u32 = 16;
/// Every how many states the writer deletes old ones, for stores that are written faster than upkeep comes by.
const TIDIED_EVERY: u64 = 64;
/// Races with other servers after which a change is given up.
const MAX_RACES: u32 = 20;
/// Age of a request for the newest state that others may join although they want to see what is there now.
const JOINED: Duration = Duration::ZERO;
/// Size of a document from which on fewer changes of each host are remembered, in bytes.
const LARGE: usize = 8 << 20;
/// Changes of each host that are remembered then.
const FEW_CHANGES: usize = 2;
/// Largest document, in bytes.
const LARGEST: usize = 16 << 20;

/// Why the hosts could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum HostChangeError<E> {
    /// The change was refused.
    #[error(transparent)]
    Refused(E),
    /// Other writers kept changing them faster.
    #[error("the hosts are being changed by too many writers at once")]
    Contended,
    /// The store failed. The change may or may not have been made.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The hosts as they were read last.
#[derive(Debug, Clone)]
struct Known {
    state: Arc<HostState>,
    /// When the store was last asked whether this state is the newest.
    checked: Instant,
    read: Timestamp,
    /// When a listing was last asked for it.
    listed: Instant,
}

/// The attached hosts of a store.
#[derive(Debug, Clone)]
pub struct HostLog(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    store: Arc<dyn ObjectStore>,
    log: Log<HostState>,
    clock: Arc<dyn Clock>,
    max_staleness: Duration,
    known: RwLock<Option<Known>>,
    reads: Flights<(), Arc<HostState>>,
}

impl HostLog {
    /// The hosts in `store`. Nothing is read before it is needed.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>, max_staleness: Duration) -> Self {
        let (log, known, reads) = (Log::new(Arc::clone(&store)), RwLock::default(), Flights::default());
        Self(Arc::new(Parts { store, log, clock, max_staleness, known, reads }))
    }

    /// The hosts, as stale as the configured maximum, and for how long they may still be taken as they are.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recent(&self) -> Result<(Arc<HostState>, Duration), StoreError> {
        let max = self.0.max_staleness;
        if let Some((state, left)) = self.known().and_then(|known| known.left(max)) {
            return Ok((state, left));
        }
        self.read(max).await.map(|state| (state, max))
    }

    /// The hosts as they are now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn now(&self) -> Result<Arc<HostState>, StoreError> {
        self.read(JOINED).await
    }

    /// Changes the hosts. `change` may be called several times, and returns whether it changed anything.
    ///
    /// # Errors
    /// A [`HostChangeError`].
    pub async fn change<E: From<HostRefusal>>(
        &self,
        change: impl Fn(&mut AttachedHosts, &HostState) -> Result<bool, E> + Send,
    ) -> Result<Arc<HostState>, HostChangeError<E>> {
        let parts = &*self.0;
        for _ in 0..MAX_RACES {
            let (began, started) = (Instant::now(), parts.clock.now());
            let current = match parts.log.newest(&()).await? {
                Some(state) => state,
                None => HostState::first(started)?,
            };
            let mut hosts = current.hosts.clone();
            if !change(&mut hosts, &current).map_err(HostChangeError::Refused)? {
                return Ok(parts.know(Arc::new(current), began, true));
            }
            let next =
                current.next(fit(hosts).map_err(|refusal| HostChangeError::Refused(refusal.into()))?, started)?;
            if current.generation > 0 {
                parts.log.persist(&current).await?;
            }
            if !parts.log.create(&next).await? {
                continue;
            }
            // After so long the state may have been created in place of one that was deleted.
            if !is_young(began, started, parts.clock.now()) {
                return Err(HostChangeError::Contended);
            }
            if next.generation.is_multiple_of(TIDIED_EVERY) {
                self.delete_old().await?;
            }
            return Ok(parts.know(Arc::new(next), began, false));
        }
        Err(HostChangeError::Contended)
    }

    /// Deletes states that were replaced long enough ago. Returns how many there were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_old(&self) -> Result<usize, StoreError> {
        let parts = &*self.0;
        if parts.clock.skew().is_some() {
            return Ok(0);
        }
        let now = parts.clock.now();
        let prefix = HostState::prefix(&());
        let states = listing::known(&*parts.store, &prefix, List::default(), |key| HostState::generation_of(&key));
        let states: Vec<_> = states.try_collect().await?;
        let newest = states.iter().map(|(generation, _)| *generation).max();
        let is_old = |modified: Timestamp| now.duration_since(modified) >= KEPT_FOR;
        let old = states.into_iter().filter(|(at, meta)| Some(*at) != newest && is_old(meta.modified));
        let old: Vec<_> = old.map(|(_, meta)| meta.key).collect();
        for batch in old.chunks(128) {
            parts.store.delete_all(batch).await?;
        }
        Ok(old.len())
    }

    /// Whether it is this server's turn to look for the records of hosts: of all servers of a store, one has it each hour.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_turn(&self) -> Result<bool, StoreError> {
        let parts = &*self.0;
        let hour = parts.clock.now().as_second().div_euclid(3600);
        let path = AreaPath::new(AREA, &hour.to_string());
        let illegal = || StoreError::new(StoreErrorKind::Internal, "a turn", "its key is not legal");
        let key = LayoutKey::Tmp(path.ok_or_else(illegal)?).key();
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| StoreError::new(StoreErrorKind::Internal, "a turn", error))?;
        let content = Bytes::from(hex::encode(random));
        let is_own = |stored: &Bytes| Ok::<_, StoreError>(*stored == content);
        if documents::create(&*parts.store, &key, content.clone(), 64, is_own).await? != Creation::Own {
            return Ok(false);
        }
        let Some(prefix) = layout::temporary(AREA) else { return Ok(true) };
        let marks: Vec<_> = parts.store.list(&prefix, List::default()).try_collect().await?;
        let earlier: Vec<_> = marks.into_iter().map(|meta| meta.key).filter(|other| *other != key).collect();
        parts.store.delete_all(&earlier).await?;
        Ok(true)
    }

    fn known(&self) -> Option<Known> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn read(&self, oldest: Duration) -> Result<Arc<HostState>, StoreError> {
        let parts = Arc::clone(&self.0);
        self.0.reads.join(&(), oldest, || async move { parts.read().await }).await
    }
}

impl Parts {
    /// The newest state, by the cheapest way that is safe.
    async fn read(&self) -> Result<Arc<HostState>, StoreError> {
        let (began, now) = (Instant::now(), self.clock.now());
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        let near = known
            .filter(|known| is_young(known.checked, known.read, now) && known.listed.elapsed() < SEARCHED_FROM * 2);
        if let Some(known) = near {
            let (start, mut newest) = (known.state.generation, known.state);
            let keep = |state: HostState, _| {
                let generation = state.generation;
                newest = Arc::new(state);
                generation
            };
            if let Some(asked) = self.log.walk(&(), start, MAX_WALK, keep).await? {
                return Ok(self.know(newest, asked, false));
            }
        }
        let state = match self.log.newest(&()).await? {
            Some(state) => state,
            None => HostState::first(now)?,
        };
        Ok(self.know(Arc::new(state), began, true))
    }

    /// Remembers a state that was the newest at `asked`, unless a newer one is known.
    fn know(&self, state: Arc<HostState>, asked: Instant, listed: bool) -> Arc<HostState> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.as_ref();
        if let Some(before) = before.filter(|before| before.state.generation > state.generation) {
            return Arc::clone(&before.state);
        }
        let state = match before {
            // The first state of a store without hosts is made anew by each reader.
            Some(before) if before.state.generation == state.generation => Arc::clone(&before.state),
            _ => state,
        };
        let listed = if listed { asked } else { before.map_or(asked, |before| before.listed) };
        *known = Some(Known { state: Arc::clone(&state), checked: asked, read: self.clock.now(), listed });
        state
    }
}

impl Known {
    /// The state and the rest of the time for which it may be taken as it is, if there is any.
    fn left(self, max: Duration) -> Option<(Arc<HostState>, Duration)> {
        let left = max.checked_sub(self.checked.elapsed()).filter(|left| !left.is_zero())?;
        Some((self.state, left))
    }
}

/// Whether so little time has passed that no state was deleted which was there or has been created since.
fn is_young(began: Instant, started: Timestamp, now: Timestamp) -> bool {
    let by_clock = now.duration_since(started).unsigned_abs();
    began.elapsed() < SEARCHED_FROM && by_clock < SEARCHED_FROM
}

/// The hosts, with fewer changes remembered if there are too many.
fn fit(mut hosts: AttachedHosts) -> Result<AttachedHosts, HostRefusal> {
    let bytes = |hosts: &AttachedHosts| serde_json::to_vec(hosts).map_or(usize::MAX, |bytes| bytes.len());
    if bytes(&hosts) > LARGE {
        hosts.shorten(FEW_CHANGES);
        if bytes(&hosts) > LARGEST {
            return Err(HostRefusal::Full);
        }
    }
    Ok(hosts)
}
