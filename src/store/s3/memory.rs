//! The memory budget that all streamed objects of a store share.
//!
//! # Why there is no deadlock
//! There are two pools. The first grants a small buffer for the beginning of an object, the second a whole part at a
//! time. An upload that waits for a beginning holds nothing; one that waits for a part holds at most a beginning, for
//! which no upload that has a part waits. A full part is sent by a separate task, which releases the memory once the
//! part was sent or abandoned, whatever its upload is waiting for. So holders of the second pool never wait for memory,
//! only for their client or the engine, both of which have time limits; and every wait for memory times out with an
//! error.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::StoreErrorKind;
use super::error::{Failure, Reason};

/// Maximum size of an object, in bytes, before it needs a whole part.
pub(super) const BEGINNING: usize = 256 << 10;
/// Allocation unit of the budget, in bytes.
const UNIT: u64 = 64 << 10;

/// Granted memory; dropping it releases it.
pub(super) type Grant = OwnedSemaphorePermit;

#[derive(Debug)]
pub(super) struct Memory {
    beginnings: Arc<Semaphore>,
    parts: Arc<Semaphore>,
    units: u64,
    wait: Duration,
}

impl Memory {
    /// A budget of this many bytes. `wait` bounds how long an upload waits for memory.
    pub(super) fn new(bytes: u64, wait: Duration) -> Self {
        let (beginnings, units) = (bytes / 4 / UNIT, bytes / 4 * 3 / UNIT);
        let pool = |units: u64| Arc::new(Semaphore::new(usize::try_from(units).unwrap_or(usize::MAX >> 3)));
        Self { beginnings: pool(beginnings), parts: pool(units), units, wait }
    }

    /// The largest part that can be granted, such that two fit into the budget.
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
