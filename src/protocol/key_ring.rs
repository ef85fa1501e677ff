//! The key ring: secrets that the servers of a store share, made once and rotated.
//!
//! A log of states (`aux/keys/@/…`), each with all keys that still count. The first server that needs a key creates the
//! first state; of several that race, exactly one wins. A key is never used itself: each purpose derives its own
//! (HKDF-SHA256, RFC 5869). A new key signs only once every server has had the time to read it.
//!
//! What only Larder verifies is made with keys that rotate. What others verify, by a public key that they were given, is
//! made with one that never does by itself, however many purposes there are: the ring does not grow with them. An operator
//! can add another one; the earlier ones go on for those who were given them.
//!
//! Whoever can read the store can read these keys. `larder copy-store` leaves them out, so that a copy makes its own.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use ring::hkdf;
use serde::{Deserialize, Serialize};

use super::documents;
use super::log::{Log, LogState};
use crate::clock::Clock;
use crate::domain::Carried;
use crate::layout::{self, AreaPath, LayoutKey};
use crate::store::{Key, ObjectStore, Prefix, StoreError, StoreErrorKind};

/// The area of the log.
const AREA: &str = "keys";
/// The format of states that this version writes.
const FORMAT: u32 = 1;
/// How old the newest key may become before another one is added.
const ROTATED_AFTER: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long a key verifies after it stopped signing: longer than anything lives that it signed.
const VERIFIES_FOR: SignedDuration = SignedDuration::from_hours(48);
/// Age at which a key may sign: by then every server has read it.
const SIGNS_AFTER: SignedDuration = SignedDuration::from_mins(2);
/// Age at which what was read is read again.
const FRESH: SignedDuration = SignedDuration::from_secs(60);
/// The same when a key is asked for that is not known; a client may ask for any.
const COOL_DOWN: SignedDuration = SignedDuration::from_secs(5);
/// Races with other servers after which a rotation is left to the next request.
const MAX_RACES: u32 = 8;
/// Number of keys that others know that are kept: the newest ones.
const MAX_LASTING: usize = 8;
/// States that are read before the newest is looked for with a listing.
const MAX_STEPS: u32 = 16;

/// What keys of this use are for: everything that only Larder verifies.
const MAC: &str = "mac";
/// What the key of this use is for: snapshots and timestamps of TUF, whose public keys authors name in their roots.
const TUF: &str = "tuf";

/// One key of the ring.
#[derive(Clone, Serialize, Deserialize)]
struct RingKey {
    kid: String,
    #[serde(rename = "use")]
    used_for: String,
    created: Timestamp,
    /// When it stops to verify; absent while it is the newest of its use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retire_after: Option<Timestamp>,
    /// 32 bytes in hex.
    secret: String,
    #[serde(flatten)]
    other: Carried,
}

impl fmt::Debug for RingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingKey").field("kid", &self.kid).field("used_for", &self.used_for).finish_non_exhaustive()
    }
}

/// A state of the ring.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ring {
    format: u32,
    generation: u64,
    time: Timestamp,
    attempt: String,
    keys: Vec<RingKey>,
    #[serde(flatten)]
    other: Carried,
}

impl LogState for Ring {
    type Log = ();

    const LIMIT: u64 = 256 << 10;

    fn key((): &(), generation: u64) -> LayoutKey {
        LayoutKey::Aux(AreaPath::of_state(AREA, generation).expect("the area's name is legal"))
    }

    fn prefix((): &()) -> Prefix {
        layout::states(AREA).expect("the area's name is legal")
    }

    fn generation_of(key: &LayoutKey) -> Option<u64> {
        match key {
            LayoutKey::Aux(path) if path.area() == AREA => path.generation(),
            _ => None,
        }
    }

    fn decode(key: &Key, bytes: &[u8]) -> Result<Self, StoreError> {
        let ring: Self = documents::decode(key, bytes)?;
        let newer = || StoreError::new(StoreErrorKind::Newer, key, "a newer Larder wrote the key ring");
        if ring.format == FORMAT { Ok(ring) } else { Err(newer()) }
    }

    fn complaint(&self, (): &(), generation: u64) -> Option<String> {
        (self.generation != generation).then(|| format!("the key ring says to be generation {}", self.generation))
    }

    fn log(&self) -> &() {
        &()
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn time(&self) -> Timestamp {
        self.time
    }

    fn attempt(&self) -> &str {
        &self.attempt
    }
}

/// A key derived for one purpose. Not printed.
pub struct DerivedKey {
    /// The id of the key that it was derived from: 16 hex digits.
    pub id: String,
    /// The key.
    pub secret: [u8; 32],
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivedKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The ring as it was read last.
#[derive(Debug, Clone)]
struct Known {
    ring: Arc<Ring>,
    read: Timestamp,
}

/// The key ring of a store.
#[derive(Debug)]
pub struct KeyRing {
    log: Log<Ring>,
    clock: Arc<dyn Clock>,
    known: RwLock<Option<Known>>,
    /// Held while the ring is read or changed, so that one request does it for all.
    refreshing: tokio::sync::Mutex<()>,
}

impl KeyRing {
    /// The ring in `store`. Nothing is read or made before a key is needed.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>) -> Self {
        Self { log: Log::new(store), clock, known: RwLock::new(None), refreshing: tokio::sync::Mutex::new(()) }
    }

    /// The key to sign with for a purpose: the newest that all servers know. Makes one if there is none or the newest is
    /// 30 days old.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn signing(&self, purpose: &str) -> Result<DerivedKey, StoreError> {
        let now = self.clock.now();
        let ring = match self.known().filter(|known| known.is_fresh(now, FRESH) && !known.ring.is_due(MAC, now)) {
            Some(known) => known.ring,
            None => self.refresh(now, FRESH, Some(MAC)).await?.ring,
        };
        derive(ring.signing_key(now).ok_or_else(missing)?, purpose)
    }

    /// The keys of a purpose that others verify, the newest first: that is the one to be given to others. It stays the
    /// newest until [`KeyRing::add_lasting`]. Makes the ring's key if there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn lasting(&self, purpose: &str) -> Result<Vec<DerivedKey>, StoreError> {
        let ring = self.refresh(self.clock.now(), COOL_DOWN, Some(TUF)).await?.ring;
        let keys: Result<Vec<_>, _> = ring.lasting_keys().map(|key| derive(key, purpose)).collect();
        keys.and_then(|keys| if keys.is_empty() { Err(missing()) } else { Ok(keys) })
    }

    /// Adds a key that others will verify. Returns its id. The earlier ones stay, up to eight in all.
    ///
    /// # Errors
    /// When the store fails, or others change the ring all the time.
    pub async fn add_lasting(&self) -> Result<String, StoreError> {
        let now = self.clock.now();
        for _ in 0..MAX_RACES {
            let ring = self.read(None).await?;
            let next = Ring::next(ring.as_deref(), TUF, now)?;
            if self.log.create(&next).await? {
                let added = next.lasting_keys().next().map(|key| key.kid.clone());
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = None;
                return added.ok_or_else(missing);
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, Ring::key(&(), 1).key(), "others change the key ring"))
    }

    /// The key with this id, to verify with for a purpose. `None` if there is none, or not any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn verifying(&self, id: &str, purpose: &str) -> Result<Option<DerivedKey>, StoreError> {
        let now = self.clock.now();
        let mut ring = match self.known().filter(|known| known.is_fresh(now, FRESH)) {
            Some(known) => known.ring,
            None => self.refresh(now, FRESH, None).await?.ring,
        };
        if ring.verifying_key(id, now).is_none() {
            ring = self.refresh(now, COOL_DOWN, None).await?.ring;
        }
        ring.verifying_key(id, now).map(|key| derive(key, purpose)).transpose()
    }

    fn known(&self) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the ring if what is known is older than `fresh`, and adds a key of the use `wanted` if it is time.
    async fn refresh(
        &self,
        now: Timestamp,
        fresh: SignedDuration,
        wanted: Option<&'static str>,
    ) -> Result<Known, StoreError> {
        let _turn = self.refreshing.lock().await;
        let is_due = |ring: &Ring| wanted.is_some_and(|wanted| ring.is_due(wanted, now));
        let mut ring = match self.known() {
            Some(known) if known.is_fresh(now, fresh) && !is_due(&known.ring) => return Ok(known),
            known => self.read(known.map(|known| known.ring)).await?,
        };
        for _ in 0..MAX_RACES {
            if let Some(ring) = ring.as_ref().filter(|ring| !is_due(ring)) {
                if ring.generation > 0 {
                    self.log.persist(ring).await?;
                }
                break;
            }
            let Some(next) = wanted.map(|wanted| Ring::next(ring.as_deref(), wanted, now)) else { break };
            let next = next?;
            if self.log.create(&next).await? {
                tracing::info!(generation = next.generation, "added a key to the key ring");
                ring = Some(Arc::new(next));
            } else {
                ring = self.read(ring).await?;
            }
        }
        let known = Known { ring: ring.unwrap_or_else(|| Arc::new(Ring::empty(now))), read: now };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        Ok(known)
    }

    /// The newest state; `from` is one that is known.
    async fn read(&self, from: Option<Arc<Ring>>) -> Result<Option<Arc<Ring>>, StoreError> {
        let Some(from) = from.filter(|ring| ring.generation > 0) else {
            return Ok(self.log.newest(&()).await?.map(Arc::new));
        };
        let (start, mut newest) = (from.generation, from);
        let keep = |state: Ring, _| {
            let generation = state.generation;
            newest = Arc::new(state);
            generation
        };
        match self.log.walk(&(), start, MAX_STEPS, keep).await? {
            Some(_) => Ok(Some(newest)),
            None => Ok(self.log.newest(&()).await?.map(Arc::new)),
        }
    }
}

impl Known {
    fn is_fresh(&self, now: Timestamp, fresh: SignedDuration) -> bool {
        self.read.duration_since(now).abs() < fresh
    }
}

impl Ring {
    /// What is known of a store in which no key was made yet.
    fn empty(now: Timestamp) -> Self {
        let (attempt, keys, other) = (String::new(), Vec::new(), Carried::default());
        Self { format: FORMAT, generation: 0, time: now, attempt, keys, other }
    }

    fn macs(&self) -> impl DoubleEndedIterator<Item = &RingKey> {
        self.keys.iter().filter(|key| key.used_for == MAC)
    }

    /// Whether a key of this use has to be added.
    fn is_due(&self, wanted: &str, now: Timestamp) -> bool {
        if wanted == TUF {
            return self.lasting_keys().next().is_none();
        }
        self.macs().map(|key| key.created).max().is_none_or(|newest| now.duration_since(newest) >= ROTATED_AFTER)
    }

    /// The newest first.
    fn lasting_keys(&self) -> impl Iterator<Item = &RingKey> {
        self.keys.iter().rev().filter(|key| key.used_for == TUF)
    }

    /// The newest key that has settled; before one has, the oldest.
    fn signing_key(&self, now: Timestamp) -> Option<&RingKey> {
        let settled = self.macs().rev().find(|key| now.duration_since(key.created) >= SIGNS_AFTER);
        settled.or_else(|| self.macs().next())
    }

    fn verifying_key(&self, id: &str, now: Timestamp) -> Option<&RingKey> {
        self.macs().find(|key| key.kid == id && key.retire_after.is_none_or(|end| now < end))
    }

    /// The next state: one more key of this use, and without those whose time is over.
    fn next(current: Option<&Self>, wanted: &str, now: Timestamp) -> Result<Self, StoreError> {
        let mut random = [0; 56];
        let failed = |error| StoreError::new(StoreErrorKind::Internal, "random numbers", error);
        getrandom::fill(&mut random).map_err(failed)?;
        let empty = Self::empty(now);
        let current = current.unwrap_or(&empty);
        // Never before its predecessor, whatever the clocks of two hosts say.
        let time = now.max(current.time);
        let is_over = |key: &RingKey| key.used_for == MAC && key.retire_after.is_some_and(|end| end <= now);
        let mut keys: Vec<_> = current.keys.iter().filter(|key| !is_over(key)).cloned().collect();
        let replaced = keys.iter_mut().filter(|key| key.used_for == MAC && wanted == MAC && key.retire_after.is_none());
        for key in replaced {
            key.retire_after = time.checked_add(VERIFIES_FOR).ok();
        }
        keys.push(RingKey {
            kid: hex::encode(&random[..8]),
            used_for: wanted.to_owned(),
            created: time,
            retire_after: None,
            secret: hex::encode(&random[8..40]),
            other: Carried::default(),
        });
        let lasting = keys.iter().filter(|key| key.used_for == TUF).count();
        let mut surplus = lasting.saturating_sub(MAX_LASTING);
        keys.retain(|key| {
            let is_surplus = key.used_for == TUF && surplus > 0;
            surplus -= usize::from(is_surplus);
            !is_surplus
        });
        let (generation, attempt) = (current.generation + 1, hex::encode(&random[40..]));
        Ok(Self { format: FORMAT, generation, time, attempt, keys, other: current.other.clone() })
    }
}

fn missing() -> StoreError {
    StoreError::new(StoreErrorKind::Internal, Ring::key(&(), 1).key(), "the key ring has no key")
}

fn derive(key: &RingKey, purpose: &str) -> Result<DerivedKey, StoreError> {
    let broken = || StoreError::new(StoreErrorKind::Corrupt, Ring::key(&(), 1).key(), "a key of the ring is malformed");
    let (mut bytes, mut secret) = ([0; 32], [0; 32]);
    hex::decode_to_slice(&key.secret, &mut bytes).map_err(|_| broken())?;
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"larder").extract(&bytes);
    let info = [purpose.as_bytes()];
    extracted.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut secret)).map_err(|_| broken())?;
    Ok(DerivedKey { id: key.kid.clone(), secret })
}
