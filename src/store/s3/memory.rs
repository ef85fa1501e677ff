//! The memory that all streamed objects of a store share.
//!
//! # Why nobody waits for ever
//! There are two pools. From the first comes a little for the beginning of an object, from the second the whole of a part
//! at a time. Whoever waits for a beginning holds nothing; whoever waits for a part holds at most a beginning, which
//! nobody who has a part waits for. A part that is full is sent by a task of its own and gives its memory back when it
//! was sent or given up, whatever its upload is waiting for. So those who hold the second pool never wait for memory, only
//! for their client or the engine, both of which have time limits; and every wait ends with a refusal at last.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::StoreErrorKind;
use super::error::{Failure, Reason};

/// Bytes that an object may have before it needs a whole part.
pub(super) const BEGINNING: usize = 256 << 10;
/// What memory is counted in.
const UNIT: u64 = 64 << 10;

/// Memory that was granted; dropping it gives it back.
pub(super) type Grant = OwnedSemaphorePermit;

#[derive(Debug)]
pub(super) struct Memory {
    beginnings: Arc<Semaphore>,
    parts: Arc<Semaphore>,
    units: u64,
    wait: Duration,
}

impl Memory {
    /// So many bytes in all. `wait` bounds how long to wait for some of them.
    pub(super) fn new(bytes: u64, wait: Duration) -> Self {
        let (beginnings, units) = (bytes / 4 / UNIT, bytes / 4 * 3 / UNIT);
        let pool = |units: u64| Arc::new(Semaphore::new(usize::try_from(units).unwrap_or(usize::MAX >> 3)));
        Self { beginnings: pool(beginnings), parts: pool(units), units, wait }
    }

    /// The largest part that can be granted, so that two may be under way.
    pub(super) fn largest(&self) -> u64 {
        self.units / 2 * UNIT
    }

    pub(super) async fn beginning(&self) -> Result<Grant, Failure> {
        self.take(&self.beginnings, BEGINNING as u64).await
    }

    pub(super) async fn part(&self, bytes: u64) -> Result<Grant, Failure> {
        self.take(&self.parts, bytes).await
    }

    async fn take(&self, pool: &Arc<Semaphore>, bytes: u64) -> Result<Grant, Failure> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let grant = tokio::time::timeout(self.wait, Arc::clone(pool).acquire_many_owned(units)).await;
        grant.ok().and_then(Result::ok).ok_or_else(|| {
            let text = "too many uploads at once for the memory that they may take (store.memory)";
            Failure::new(Reason::Other, StoreErrorKind::Unavailable, text)
        })
    }
}
