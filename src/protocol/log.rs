//! A log of states: each is written once, and the successor of generation *g* is created as *g + 1* if that is absent.
//!
//! Creating a state is the commit point of the change: of all writers that compute the next state from the same one,
//! exactly one wins. Nothing is overwritten, so the log is also the history. Heads of names are the first kind of state
//! ([`super::heads`]).
//!
//! Reading usually needs no LIST: states are numbered without gaps and the newest is never deleted, so a reader that
//! knows generation *g* is current until *g + 1* exists, which one GET of a normally absent key answers. A reader that
//! knows no generation finds the newest with one listing limited to one, because newer states sort first.
//!
//! Nothing here assumes that a log begins with generation 1: its oldest states may be compacted one day (see
//! `docs/protocol.md`). But a state that is missing behind an older one is a loss and an error, never an answer.

use std::marker::PhantomData;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::documents::{self, Creation};
use super::listing;
use crate::layout::LayoutKey;
use crate::store::{Key, ObjectStore, Prefix, StoreError, StoreErrorKind};

/// A state in a log.
pub trait LogState: Serialize + DeserializeOwned + Clone + Send + Sync {
    /// Identifies a log among those of its kind; for heads, the name.
    type Log: Send + Sync + ?Sized;

    /// Largest state that is read, in bytes.
    const LIMIT: u64;

    /// The key of a generation. Keys of newer generations must sort first.
    fn key(log: &Self::Log, generation: u64) -> LayoutKey;

    /// The prefix of all keys of a log, and of no other keys.
    fn prefix(log: &Self::Log) -> Prefix;

    /// The generation that a key below [`LogState::prefix`] stands for.
    fn generation_of(key: &LayoutKey) -> Option<u64>;

    /// Parses a state.
    ///
    /// # Errors
    /// [`StoreErrorKind::Corrupt`] when the bytes are not a state, [`StoreErrorKind::Newer`] when a newer binary wrote
    /// them.
    fn decode(key: &Key, bytes: &[u8]) -> Result<Self, StoreError> {
        documents::decode(key, bytes)
    }

    /// What is wrong with a state that was read as this generation of a log; `None` when it is consistent.
    fn complaint(&self, log: &Self::Log, generation: u64) -> Option<String>;

    /// The log that the state belongs to.
    fn log(&self) -> &Self::Log;

    /// Its generation, counted from 1.
    fn generation(&self) -> u64;

    /// When the state was created, by the writer's clock; never before its predecessor.
    fn time(&self) -> Timestamp;

    /// Unique id of the attempt to create the state; lets a writer whose reply was lost recognise its own state.
    fn attempt(&self) -> &str;
}

/// The logs of one kind in a store.
#[derive(Debug)]
pub struct Log<S> {
    store: Arc<dyn ObjectStore>,
    kind: PhantomData<fn() -> S>,
}

impl<S: LogState> Log<S> {
    /// The logs in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, kind: PhantomData }
    }

    /// The newest state, found by a listing. `None` when the log is empty.
    ///
    /// # Errors
    /// When the store fails or the state cannot be read.
    pub async fn newest(&self, log: &S::Log) -> Result<Option<S>, StoreError> {
        let first = listing::first(&*self.store, &S::prefix(log), |key| S::generation_of(&key)).await?;
        let Some((generation, meta)) = first else { return Ok(None) };
        let lost = || StoreError::new(StoreErrorKind::Corrupt, &meta.key, "listed, but not there");
        self.read(log, generation).await?.map(Some).ok_or_else(lost)
    }

    /// The state of one generation.
    ///
    /// # Errors
    /// When the store fails or the state cannot be read.
    pub async fn read(&self, log: &S::Log, generation: u64) -> Result<Option<S>, StoreError> {
        let key = S::key(log, generation).key();
        let Some(bytes) = documents::read_bytes(&*self.store, &key, S::LIMIT).await? else { return Ok(None) };
        decode(&key, &bytes, log, generation).map(Some)
    }

    /// Whether `generation` is certainly the newest now, as far as that can be told without waiting. `false` is
    /// inconclusive.
    #[must_use]
    pub fn certainly_ends_at(&self, log: &S::Log, generation: u64) -> bool {
        generation.checked_add(1).is_some_and(|next| self.store.is_certainly_absent(&S::key(log, next).key()))
    }

    /// Passes the states after `generation`, oldest first, to `seen`, which returns the generation from which to
    /// continue. Returns when the store was asked for the first absent state; `None` if it was not reached within
    /// `most` steps.
    ///
    /// # Errors
    /// When the store fails or a state cannot be read.
    pub async fn walk(
        &self,
        log: &S::Log,
        mut generation: u64,
        most: u32,
        mut seen: impl FnMut(S, Instant) -> u64 + Send,
    ) -> Result<Option<Instant>, StoreError> {
        for _ in 0..most {
            let asked = Instant::now();
            let Some(next) = generation.checked_add(1) else { return Ok(Some(asked)) };
            match self.read(log, next).await? {
                Some(state) => generation = seen(state, asked),
                None => return Ok(Some(asked)),
            }
        }
        Ok(None)
    }

    /// The newest state that is not younger than `time`, found by bisection: times never decrease. `newest` is the
    /// upper bound of the search.
    ///
    /// # Errors
    /// When the store fails, or when the state that was the newest at that time is missing.
    pub async fn at(&self, newest: &S, time: Timestamp) -> Result<Option<S>, StoreError> {
        if newest.time() <= time {
            return Ok(Some(newest.clone()));
        }
        // Invariant: `too_late` is younger than `time`, and `found` is the youngest state known that is not.
        let (mut low, mut too_late, mut found, mut gone) = (1, newest.generation(), None, None);
        while low < too_late {
            let middle = low + (too_late - low) / 2;
            match self.read(newest.log(), middle).await? {
                Some(state) if state.time() > time => too_late = middle,
                Some(state) => {
                    low = middle + 1;
                    found = Some(state);
                }
                None if found.is_some() => return Err(gap::<S>(newest.log(), middle)),
                // The log may have been compacted and begin later by now. The states left to examine are younger.
                None => {
                    low = middle + 1;
                    gone = Some(middle);
                }
            }
        }
        match (found, gone) {
            (None, Some(gone)) => Err(gap::<S>(newest.log(), gone)),
            (found, _) => Ok(found),
        }
    }

    /// Creates a state, durably. `false` when its generation is taken by another writer's state.
    ///
    /// # Errors
    /// When the store fails: the state may or may not have been created.
    pub async fn create(&self, state: &S) -> Result<bool, StoreError> {
        let (log, generation) = (state.log(), state.generation());
        let key = S::key(log, generation).key();
        let bytes = documents::encode(&key, state)?;
        let is_own = |stored: &bytes::Bytes| {
            Ok::<_, StoreError>(decode::<S>(&key, stored, log, generation)?.attempt() == state.attempt())
        };
        match documents::create(&*self.store, &key, bytes, S::LIMIT, is_own).await? {
            Creation::Own => Ok(true),
            Creation::Other => Ok(false),
            Creation::Gone => Err(gap::<S>(log, generation)),
        }
    }

    /// Makes a state durable that was seen rather than created: a successor must not survive a crash that its
    /// predecessor does not.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn persist(&self, state: &S) -> Result<(), StoreError> {
        self.store.persist(&[S::key(state.log(), state.generation()).key()]).await
    }
}

fn decode<S: LogState>(key: &Key, bytes: &[u8], log: &S::Log, generation: u64) -> Result<S, StoreError> {
    let state = S::decode(key, bytes)?;
    match state.complaint(log, generation) {
        Some(why) => Err(StoreError::new(StoreErrorKind::Corrupt, key, why)),
        None => Ok(state),
    }
}

fn gap<S: LogState>(log: &S::Log, generation: u64) -> StoreError {
    let key = S::key(log, generation).key();
    StoreError::new(StoreErrorKind::Corrupt, key, "this state of the log must exist, but does not")
}
