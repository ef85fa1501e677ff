//! Probing a store: whether it keeps the guarantees that the storage protocol relies on, tested on objects of its own.
//!
//! Some engines claim S3 compatibility and then ignore a condition, or honour it only without concurrent writers. So
//! every guarantee is tested, those about races with racing requests. Objects are written under a random key prefix of
//! the probe in `probe/` and removed afterwards; those of a process that died are removed by a run of the collector.
//!
//! A probe without findings proves nothing. It detects every engine that is known to break a guarantee.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt as _, TryStreamExt as _};
use serde::Serialize;
use tokio::time::Instant;

use crate::clock::{Clock, MAX_SKEW};
use crate::layout::{self, LayoutKey};
use crate::store::{ByteRange, Created, Key, List, MIN_PART, ObjectMeta, PartStore, StoreError};

/// Number of keys raced for, one after the other.
const RACES: u32 = 4;
/// Number of writers racing for a key.
const WRITERS: u32 = 8;
/// Size of the second part of the object written in parts, in bytes.
const SECOND_PART: u64 = 1000;
/// Maximum size of an object that a probe writes or reads, in bytes.
const MOST: u64 = MIN_PART + SECOND_PART;

/// A guarantee that a probe tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Of several writers racing for a key exactly one wins, and its bytes stay.
    CreateIfAbsent,
    /// Written objects can be read at once, and unwritten ones are absent.
    ReadAfterWrite,
    /// Listings show written objects at once, in the byte order of keys, from any start key.
    ListAfterWrite,
    /// Large objects can be written in parts, invisible until they are complete.
    Parts,
    /// Byte ranges of an object can be read.
    Ranges,
    /// Objects can be copied within the store.
    Copy,
    /// Objects can be deleted, singly and in bulk, and are gone at once.
    Delete,
    /// The clocks of the store and of this host agree.
    Clock,
}

impl Check {
    /// All checks, in the order in which they run.
    pub const ALL: [Self; 8] = [
        Self::CreateIfAbsent,
        Self::ReadAfterWrite,
        Self::ListAfterWrite,
        Self::Parts,
        Self::Ranges,
        Self::Copy,
        Self::Delete,
        Self::Clock,
    ];

    /// The feature that breaks without it.
    #[must_use]
    pub fn needed_for(self) -> &'static str {
        match self {
            Self::CreateIfAbsent => "publishing from more than one process",
            Self::ReadAfterWrite => "everything",
            Self::ListAfterWrite => "never losing a blob that a version needs",
            Self::Parts => "uploading blobs of more than one part",
            Self::Ranges => "partial and resumed downloads",
            Self::Copy => "healing",
            Self::Delete => "giving space back",
            Self::Clock => "publishing, and retention by age",
        }
    }

    /// Whether a server must not run without it. With a wrong clock it can still serve readers.
    #[must_use]
    pub fn is_vital(self) -> bool {
        self != Self::Clock
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateIfAbsent => "create-if-absent",
            Self::ReadAfterWrite => "read-after-write",
            Self::ListAfterWrite => "list-after-write",
            Self::Parts => "parts",
            Self::Ranges => "ranges",
            Self::Copy => "copy",
            Self::Delete => "delete",
            Self::Clock => "clock",
        })
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The guarantee that was tested.
    pub check: Check,
    /// What is wrong, or `None` if the guarantee held.
    pub problem: Option<String>,
    /// Duration of the check, in milliseconds.
    pub milliseconds: u64,
}

/// The results of all checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// The findings with which a server must not run.
    pub fn vital_problems(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter().filter(|finding| finding.problem.is_some() && finding.check.is_vital())
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Finding { check, problem, .. }) in self.0.iter().enumerate() {
            let between = if at == 0 { "" } else { "; " };
            write!(f, "{between}{check}: {}", problem.as_deref().unwrap_or("ok"))?;
        }
        Ok(())
    }
}

/// Probes a store.
///
/// # Errors
/// When the store cannot be reached, or refuses access: there is then no result.
pub async fn probe(store: &Arc<dyn PartStore>, clock: &Arc<dyn Clock>) -> Result<Findings, StoreError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| StoreError::new(crate::store::StoreErrorKind::Internal, "random numbers", error))?;
    let probe = Probe { store: Arc::clone(store), clock: Arc::clone(clock), id: u128::from_be_bytes(random) };
    // An unreachable store is an error, not a finding.
    store.head(&probe.key(0)).await?;
    let mut findings = Vec::new();
    for check in Check::ALL {
        let began = Instant::now();
        let problem = probe.run(check).await.err().map(|wrong| wrong.0);
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        findings.push(Finding { check, problem, milliseconds });
    }
    probe.clean_up().await;
    Ok(Findings(findings))
}

/// A broken guarantee, or a failed call.
struct Wrong(String);

impl From<StoreError> for Wrong {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

fn ensure(holds: bool, wrong: impl FnOnce() -> String) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(Wrong(wrong())) }
}

struct Probe {
    store: Arc<dyn PartStore>,
    clock: Arc<dyn Clock>,
    id: u128,
}

impl Probe {
    fn key(&self, number: u32) -> Key {
        LayoutKey::Probe(self.id, number).key()
    }

    fn run(&self, check: Check) -> BoxFuture<'_, Result<(), Wrong>> {
        match check {
            Check::CreateIfAbsent => self.create_if_absent().boxed(),
            Check::ReadAfterWrite => self.read_after_write().boxed(),
            Check::ListAfterWrite => self.list_after_write().boxed(),
            Check::Parts => self.parts().boxed(),
            Check::Ranges => self.ranges().boxed(),
            Check::Copy => self.copy().boxed(),
            Check::Delete => self.delete().boxed(),
            Check::Clock => self.clock().boxed(),
        }
    }

    async fn create_if_absent(&self) -> Result<(), Wrong> {
        for race in 0..RACES {
            let key = self.key(race);
            let writers = (0..WRITERS).map(|writer| {
                let (store, key) = (Arc::clone(&self.store), key.clone());
                // Spawned so that the writers run concurrently.
                tokio::spawn(async move { store.create(&key, text(writer)).await.map(|created| (writer, created)) })
            });
            let mut winners = Vec::new();
            for ended in join_all(writers).await {
                let (writer, created) = ended.map_err(|failed| Wrong(failed.to_string()))??;
                winners.extend((created == Created::New).then_some(writer));
            }
            let [winner] = winners[..] else {
                let count = winners.len();
                return Err(Wrong(format!(
                    "{WRITERS} writers raced for a free key, and {count} were told that they won"
                )));
            };
            let stored = self.read(&key).await?;
            ensure(stored == Some(text(winner)), || "the bytes of the writer who won a race were not kept".to_owned())?;
        }
        let again = self.store.create(&self.key(0), text(WRITERS)).await?;
        ensure(again == Created::AlreadyExists, || "a key that is taken was created once more".to_owned())
    }

    async fn read_after_write(&self) -> Result<(), Wrong> {
        let key = self.key(10);
        ensure(self.read(&key).await?.is_none(), || "a key that was never written has an object".to_owned())?;
        for (key, bytes) in [(key, text(10)), (self.key(11), Bytes::new())] {
            self.store.create(&key, bytes.clone()).await?;
            let read = self.read(&key).await?;
            ensure(read.as_ref() == Some(&bytes), || "what was written was not what was read at once".to_owned())?;
            let size = self.store.head(&key).await?.map(|meta| meta.size);
            ensure(size == Some(bytes.len() as u64), || {
                format!("an object of {} bytes has size {size:?}", bytes.len())
            })?;
        }
        Ok(())
    }

    async fn list_after_write(&self) -> Result<(), Wrong> {
        for number in [25, 21, 23, 22, 24] {
            self.store.create(&self.key(number), text(number)).await?;
            let found = self.numbers(List { start_after: Some(self.key(20)), ..List::default() }).await?;
            ensure(found.contains(&number), || "a listing did not show at once what was written".to_owned())?;
        }
        let after = List { start_after: Some(self.key(21)), limit: Some(3), ..List::default() };
        let found = self.numbers(after).await?;
        ensure(found == [22, 23, 24], || format!("a listing of the three keys after 21 of 21 to 25 shows {found:?}"))
    }

    async fn parts(&self) -> Result<(), Wrong> {
        let (key, last) = (self.key(30), SECOND_PART);
        let parts = self.store.begin_parts(&key).await?;
        let gone = || Wrong("an object in parts was gone before it was complete".to_owned());
        let written = async {
            let first = self.store.write_part(&parts, 1, 0, pattern(0, MIN_PART)).await?.ok_or_else(gone)?;
            let second = self.store.write_part(&parts, 2, MIN_PART, pattern(MIN_PART, last)).await?.ok_or_else(gone)?;
            ensure(self.store.head(&key).await?.is_none(), || {
                "parts were visible before they were complete".to_owned()
            })?;
            self.store.commit_parts(&parts, &[first, second]).await?.ok_or_else(gone)?;
            Ok(())
        };
        if let Err(wrong) = written.await {
            self.store.abort_parts(&parts).await?;
            return Err(wrong);
        }
        let size = self.store.head(&key).await?.map(|meta| meta.size);
        ensure(size == Some(MIN_PART + last), || format!("an object of {} bytes has size {size:?}", MIN_PART + last))
    }

    async fn ranges(&self) -> Result<(), Wrong> {
        let all = MIN_PART + SECOND_PART;
        for (start, end) in [(0, 1), (MIN_PART - 10, MIN_PART + 10), (all - 1, all), (all - 5, all + 5)] {
            let object = self.store.get(&self.key(30), Some(ByteRange { start, end })).await?;
            let bytes =
                object.ok_or_else(|| Wrong("there is no object in parts to read".to_owned()))?.bytes(MOST).await?;
            let wanted = pattern(start, end.min(all) - start);
            ensure(bytes == wanted, || {
                format!("the bytes from {start} to {end} of {all} are others than were written")
            })?;
        }
        Ok(())
    }

    async fn copy(&self) -> Result<(), Wrong> {
        let (from, to) = (self.key(10), self.key(40));
        let copied = self.store.copy(&from, &to).await?;
        ensure(copied == Some(Created::New), || "an object could not be copied to a free key".to_owned())?;
        ensure(self.read(&to).await? == Some(text(10)), || "a copy has other bytes".to_owned())?;
        let nothing = self.store.copy(&self.key(41), &self.key(42)).await?;
        ensure(nothing.is_none(), || "a copy was made of nothing".to_owned())
    }

    async fn delete(&self) -> Result<(), Wrong> {
        let keys: Vec<Key> = (21..=25).map(|number| self.key(number)).collect();
        self.store.delete(&keys[0]).await?;
        self.store.delete(&keys[0]).await?;
        self.store.delete_all(&keys).await?;
        for key in &keys {
            ensure(self.store.head(key).await?.is_none(), || "an object is there after it was deleted".to_owned())?;
        }
        let found = self.numbers(List { start_after: Some(self.key(20)), limit: Some(1), ..List::default() }).await?;
        ensure(found == [30], || "a listing shows an object after it was deleted".to_owned())
    }

    async fn clock(&self) -> Result<(), Wrong> {
        let meta = self.store.head(&self.key(10)).await?;
        let meta: ObjectMeta = meta.ok_or_else(|| Wrong("there is no object to look at".to_owned()))?;
        let ahead = self.clock.now().duration_since(meta.modified);
        ensure(ahead.abs() <= MAX_SKEW, || {
            let seconds = ahead.as_secs();
            format!("this host's clock is {seconds} s ahead of the store's; no server on it changes a name")
        })
    }

    async fn read(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        match self.store.get(key, None).await? {
            Some(object) => object.bytes(MOST).await.map(Some),
            None => Ok(None),
        }
    }

    /// The numbers of the probe's own objects in a listing.
    async fn numbers(&self, options: List) -> Result<Vec<u32>, StoreError> {
        let number = |meta: ObjectMeta| match LayoutKey::parse(&meta.key) {
            Some(LayoutKey::Probe(_, number)) => Some(number),
            _ => None,
        };
        let prefix = layout::probe(self.id);
        self.store.list(&prefix, options).try_filter_map(|meta| async move { Ok(number(meta)) }).try_collect().await
    }

    async fn clean_up(&self) {
        let prefix = layout::probe(self.id);
        let keys: Result<Vec<Key>, StoreError> =
            self.store.list(&prefix, List::default()).map_ok(|meta| meta.key).try_collect().await;
        let cleaned = match keys {
            Ok(keys) => self.store.delete_all(&keys).await,
            Err(error) => Err(error),
        };
        if let Err(error) = cleaned {
            tracing::warn!(%error, "objects of the probe could not be removed; the collector will");
        }
    }
}

fn text(number: u32) -> Bytes {
    format!("probe {number}").into()
}

/// Bytes that differ at every position of interest, so that a wrong range is detected.
fn pattern(start: u64, length: u64) -> Bytes {
    (start..start + length).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56).to_le_bytes()[0]).collect()
}
