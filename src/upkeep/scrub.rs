//! The scrub: reads all stored blobs slowly in the background, and heals those whose bytes are damaged.
//!
//! A disk may change bytes without an error, and nobody compares the digest of a large blob that the kernel sends. So
//! every blob is read once per pass. What is found damaged, here or on its way to a reader, is not served any more; it
//! is fetched from another Larder if there is one, and condemned otherwise, so that publishing it again replaces it.
//!
//! A pass goes on where an earlier process left it (`place`). Of several servers on one store, one scrubs.

mod place;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use self::place::{Place, Places};
use super::verify::{HealMethod, HealOptions, HealTarget, Healer, Outcome, Reading, Source, read_blob};
use crate::clock::Clock;
use crate::domain::{Digest, Hasher};
use crate::layout::{self, LayoutKey};
use crate::protocol::{Blobs, Damaged};
use crate::store::{Key, List, ObjectStore, StoreError, StoreErrorKind};

/// Interval for recording how far a pass has come. After a crash so much is read again.
const RECORD_EVERY: Duration = Duration::from_mins(5);
/// How long another server's record keeps this one from scrubbing: three of those intervals.
const STAND_BY: Duration = Duration::from_mins(15);
/// Pause after a failure of the store, and between looks whether a pass is due.
const PAUSE: Duration = Duration::from_mins(1);
/// Most blobs that one server condemns in a day. More damage than that at once is more likely to come from this host than
/// from the stored bytes, and takes a person to judge.
const MOST_CONDEMNED: u32 = 64;
const DAY: Duration = Duration::from_hours(24);

/// Settings of a scrub.
#[derive(Clone)]
pub struct ScrubOptions {
    /// Bytes read per second; 0 for only healing what readers find.
    pub rate: u64,
    /// Time between the starts of two passes.
    pub every: Duration,
    /// Where damaged blobs are fetched from.
    pub source: Option<Arc<dyn Source>>,
    /// Whether damaged bytes that cannot be replaced are deleted.
    pub condemn: bool,
}

impl fmt::Debug for ScrubOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, every, source, condemn } = self;
        let mut shown = f.debug_struct("ScrubOptions");
        shown.field("rate", rate).field("every", every).field("source", &source.is_some());
        shown.field("condemn", condemn).finish()
    }
}

/// The scrub of one server.
#[derive(Debug)]
pub struct Scrub {
    store: Arc<dyn ObjectStore>,
    /// Sees damaged bytes, unlike those that serve readers.
    blobs: Blobs,
    clock: Arc<dyn Clock>,
    /// What readers of this server must not get.
    damaged: Arc<Damaged>,
    options: ScrubOptions,
    places: Places,
}

/// One pass over the blobs, or the rest of one.
struct Pass {
    place: Place,
    recorded: Instant,
    /// When the bytes read so far should have been read, at the configured rate.
    due: Instant,
}

impl Scrub {
    /// A scrub of `store` that reports damage to `damaged`.
    #[must_use]
    pub fn new(
        store: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        damaged: Arc<Damaged>,
        options: ScrubOptions,
    ) -> Self {
        let blobs = Blobs::new(Arc::clone(&store), Arc::clone(&clock), jiff::SignedDuration::MAX);
        let places = Places::new(Arc::clone(&store));
        Self { store, blobs, clock, damaged, options, places }
    }

    /// Heals what is found damaged, until `stop`.
    pub async fn mend(&self, stop: &CancellationToken) {
        let mending = async {
            loop {
                // What cannot be healed may be once the source is back, and on another day.
                let day = Instant::now() + DAY;
                let (mut left, mut condemned) = (BTreeSet::new(), 0);
                while Instant::now() < day {
                    for (digest, generation) in self.damaged.all() {
                        if left.contains(&(digest, generation)) {
                            continue;
                        }
                        match self.heal(digest, generation, &mut condemned).await {
                            Ok(true) => self.damaged.remove(&digest, generation),
                            Ok(false) => drop(left.insert((digest, generation))),
                            Err(error) => tracing::warn!(%error, "a damaged blob could not be looked at again"),
                        }
                    }
                    report_damaged(&self.damaged);
                    let _ = tokio::time::timeout_at(day, self.damaged.found()).await;
                }
            }
        };
        stop.run_until_cancelled(mending).await;
    }

    /// Heals one copy. Returns whether it is sound or gone now.
    async fn heal(&self, digest: Digest, generation: u64, condemned: &mut u32) -> Result<bool, StoreError> {
        let key = LayoutKey::Blob(digest, generation).key();
        let result = match read_blob(&*self.store, &key, digest).await? {
            Reading::Sound(_) => "sound",
            Reading::Gone => "gone",
            Reading::Wrong(_) | Reading::Unreadable(_) => {
                let may_condemn = self.options.condemn && *condemned < MOST_CONDEMNED;
                let remedy = HealOptions { source: self.options.source.clone(), discard_damaged: may_condemn };
                let mut healer = Healer::new(&*self.store, &self.blobs, &remedy);
                match healer.heal(HealTarget::Copy(digest, generation)).await? {
                    Outcome::Healed(HealMethod::Discarded) => {
                        *condemned += 1;
                        "condemned"
                    }
                    Outcome::Healed(_) => "healed",
                    Outcome::Left(why) => {
                        let why = why.unwrap_or_default();
                        tracing::error!(blob.digest = %digest, generation, why, "damaged bytes stay, and are not served");
                        "left"
                    }
                }
            }
        };
        metrics::counter!("larder_scrub_damaged_total", "result" => result).increment(1);
        if result == "left" {
            return Ok(false);
        }
        tracing::warn!(blob.digest = %digest, generation, result, "damaged bytes were dealt with");
        Ok(true)
    }

    /// Reads all blobs, pass after pass, until `stop`.
    pub async fn run(&self, stop: &CancellationToken) {
        if self.options.rate == 0 {
            return stop.cancelled().await;
        }
        // A server that starts has more urgent things to do.
        let mut wait = PAUSE.min(self.options.every);
        while stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
            wait = match self.next_pass(stop).await {
                Ok(wait) => wait.min(PAUSE),
                // Readiness says so; how far a pass has come cannot be recorded.
                Err(StoreError { kind: StoreErrorKind::ReadOnly, .. }) => PAUSE,
                Err(error) => {
                    tracing::warn!(%error, "the scrub stopped, and goes on in a minute");
                    PAUSE
                }
            };
        }
    }

    /// Completes a pass if one is due. Returns how long to wait before looking again.
    async fn next_pass(&self, stop: &CancellationToken) -> Result<Duration, StoreError> {
        let now = self.clock.now();
        let place = match self.places.newest().await? {
            Some(place) if !self.places.is_own(&place) && place.age(now) < STAND_BY => return Ok(STAND_BY),
            Some(place) if place.is_complete() => {
                let next = self.options.every.saturating_sub(place.age_of_pass(now));
                if !next.is_zero() {
                    return Ok(next);
                }
                self.places.first(now, place.number)
            }
            Some(place) => place,
            None => self.places.first(now, 0),
        };
        let mut pass = Pass { place, recorded: Instant::now(), due: Instant::now() };
        // Says at once that this server scrubs.
        if !self.record(&mut pass).await? {
            return Ok(STAND_BY);
        }
        tracing::debug!(after = pass.place.after, "scrubbing");
        let after = pass.place.after.as_deref().and_then(|after| after.parse().ok());
        let listing =
            self.store.list(&layout::blobs(), List { start_after: after, past_strays: true, ..List::default() });
        let mut listing = listing.boxed();
        while let Some(meta) = listing.next().await {
            // What is not an object is for `verify` to report.
            let Ok(meta) = meta else { continue };
            let Some(LayoutKey::Blob(digest, generation)) = LayoutKey::parse(&meta.key) else { continue };
            let check = self.check(&meta.key, digest, generation, &mut pass);
            let Some(checked) = stop.run_until_cancelled(check).await else {
                self.record(&mut pass).await?;
                return Ok(PAUSE);
            };
            checked?;
            pass.place.after = Some(meta.key.to_string());
            if pass.recorded.elapsed() >= RECORD_EVERY && !self.record(&mut pass).await? {
                return Ok(STAND_BY);
            }
        }
        pass.place.complete(self.clock.now());
        self.record(&mut pass).await?;
        let (blobs, bytes, damaged) = (pass.place.blobs, pass.place.bytes, pass.place.damaged);
        tracing::info!(blobs, bytes, damaged, "all blobs were read");
        Ok(Duration::ZERO)
    }

    async fn record(&self, pass: &mut Pass) -> Result<bool, StoreError> {
        pass.recorded = Instant::now();
        pass.place.at = self.clock.now();
        report_place(&pass.place);
        self.places.record(&mut pass.place).await
    }

    /// Reads one copy of a blob. Another failure than that of the store is damage, too.
    async fn check(&self, key: &Key, digest: Digest, generation: u64, pass: &mut Pass) -> Result<(), StoreError> {
        let is_sound = match self.read(key, digest, &mut pass.due).await {
            Ok(None) => return Ok(()),
            Ok(Some((is_sound, size))) => {
                pass.place.bytes += size;
                is_sound
            }
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => {
                tracing::error!(%error, "a blob cannot be read");
                false
            }
        };
        pass.place.blobs += 1;
        metrics::counter!("larder_scrub_blobs_total").increment(1);
        if !is_sound {
            pass.place.damaged += 1;
            self.damaged.add(digest, generation);
            report_damaged(&self.damaged);
        }
        Ok(())
    }

    /// Reads a copy at the configured rate: whether it has its digest, and its size. `None` if it is gone.
    async fn read(&self, key: &Key, digest: Digest, due: &mut Instant) -> Result<Option<(bool, u64)>, StoreError> {
        let Some(mut object) = self.store.get(key, None).await? else { return Ok(None) };
        let mut hasher = Hasher::new();
        while let Some(chunk) = object.body.try_next().await? {
            hasher.update(&chunk);
            metrics::counter!("larder_scrub_bytes_total").increment(chunk.len() as u64);
            // Time that was lost is not made up for.
            let takes = Duration::from_secs(1).mul_f64(as_float(chunk.len() as u64) / as_float(self.options.rate));
            *due = (*due).max(Instant::now()) + takes;
            tokio::time::sleep_until(*due).await;
        }
        Ok(Some((hasher.finish() == digest, object.meta.size)))
    }
}

fn report_damaged(damaged: &Damaged) {
    metrics::gauge!("larder_scrub_damaged_copies").set(as_float(damaged.all().len() as u64));
}

fn report_place(place: &Place) {
    metrics::gauge!("larder_scrub_pass_progress").set(place.progress());
    if let Some(completed) = place.completed {
        let completed = completed.as_second().unsigned_abs();
        metrics::gauge!("larder_scrub_last_pass_timestamp_seconds").set(as_float(completed));
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates and metrics need no more than 53 bits")]
fn as_float(number: u64) -> f64 {
    number as f64
}
