//! How far the scrub of a store has come, recorded in the store: a new object each time, after which the one before is
//! deleted. Losing all of them costs a pass.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Duration;

use crate::layout::{self, AreaPath, LayoutKey};
use crate::protocol::documents;
use crate::store::{Created, Key, List, ObjectStore, StoreError};

/// The area below `tmp/` that holds the records.
const AREA: &str = "scrub";
/// Format version of the records that this binary writes and reads.
const FORMAT: u32 = 1;
/// Largest record that is read, in bytes.
const LIMIT: u64 = 16 << 10;

/// The state of a pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    format: u32,
    /// Generation of the record.
    #[serde(skip)]
    pub(super) number: u64,
    /// The process that wrote it.
    by: String,
    /// When the pass began.
    began: Timestamp,
    /// When the record was written.
    pub(super) at: Timestamp,
    /// The last key that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<String>,
    /// When the pass was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) completed: Option<Timestamp>,
    pub(super) blobs: u64,
    pub(super) bytes: u64,
    pub(super) damaged: u64,
}

impl Place {
    /// Time since it was recorded. A time in the future (clock skew) is long ago.
    pub(super) fn age(&self, now: Timestamp) -> Duration {
        since(self.at, now)
    }

    /// Time since the pass began.
    pub(super) fn age_of_pass(&self, now: Timestamp) -> Duration {
        since(self.began, now)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.completed.is_some()
    }

    pub(super) fn complete(&mut self, now: Timestamp) {
        self.completed = Some(now);
    }

    /// The part of the pass that is done, 0 to 1. Digests are evenly distributed, so their first digits tell.
    pub(super) fn progress(&self) -> f64 {
        let first = |key: &String| u16::from_str_radix(key.rsplit('/').next()?.get(..4)?, 16).ok();
        match self.completed {
            Some(_) => 1.0,
            None => f64::from(self.after.as_ref().and_then(first).unwrap_or_default()) / 65536.0,
        }
    }
}

fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or(Duration::MAX)
}

/// The records of a store.
#[derive(Debug)]
pub(super) struct Places {
    store: Arc<dyn ObjectStore>,
    /// Identifies this process.
    own: String,
}

impl Places {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        let mut random = [0; 8];
        // Without random numbers several servers may scrub at once, which only wastes work.
        let _ = getrandom::fill(&mut random);
        Self { store, own: hex::encode(random) }
    }

    pub(super) fn is_own(&self, place: &Place) -> bool {
        place.by == self.own
    }

    /// The beginning of a pass, after the record with this number.
    pub(super) fn first(&self, now: Timestamp, number: u64) -> Place {
        let (began, at) = (now, now);
        let by = self.own.clone();
        Place { format: FORMAT, number, by, began, at, after: None, completed: None, blobs: 0, bytes: 0, damaged: 0 }
    }

    /// The newest record. One that cannot be understood begins a new pass.
    pub(super) async fn newest(&self) -> Result<Option<Place>, StoreError> {
        let newest = List { limit: Some(1), ..List::default() };
        let all = layout::temporary(AREA).expect("the area's name is legal");
        let Some(meta) = self.store.list(&all, newest).try_next().await? else { return Ok(None) };
        let Some(LayoutKey::Tmp(path)) = LayoutKey::parse(&meta.key) else { return Ok(None) };
        let number = path.generation().unwrap_or_default();
        let read = match documents::read::<Place>(&*self.store, &meta.key, LIMIT).await {
            Err(error) if error.is_retryable() => return Err(error),
            read => read.ok().flatten().filter(|place| place.format == FORMAT),
        };
        let unknown = || self.first(Timestamp::UNIX_EPOCH, number);
        Ok(Some(read.map_or_else(unknown, |place| Place { number, ..place })))
    }

    /// Records a place. Returns whether no other server has recorded one meanwhile.
    pub(super) async fn record(&self, place: &mut Place) -> Result<bool, StoreError> {
        place.by.clone_from(&self.own);
        let before = place.number;
        place.number += 1;
        let key_of_next = key(place.number);
        let created = self.store.create(&key_of_next, documents::encode(&key_of_next, place)?).await?;
        if created == Created::AlreadyExists {
            return Ok(false);
        }
        if before > 0 {
            self.store.delete(&key(before)).await?;
        }
        Ok(true)
    }
}

fn key(number: u64) -> Key {
    let path = AreaPath::of_state(AREA, number).expect("the area's name is legal");
    LayoutKey::Tmp(path).key()
}
