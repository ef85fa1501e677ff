//! Wares that a server has checked: computed from blobs, once for each, one at a time.
//!
//! A large archive takes longer than clients wait for an answer. So it is computed to its end whoever waits for it, and
//! whoever asks again finds the result.

use std::sync::Arc;

use moka::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant, timeout_at};

use super::{ScanError, ScanLimits, scan_stream};
use crate::domain::{Digest, Ware};
use crate::protocol::{Blobs, WareRecord, WareRecords};
use crate::store::{ObjectStore, StoreError, StoreErrorKind};

/// Archives that are read at once. Each may take [`ScanLimits::memory`].
const AT_ONCE: usize = 1;
/// Longest wait for the wares of one request. Clients wait a minute.
const WITHIN: Duration = Duration::from_secs(40);
/// Archives without a ware that are remembered, at less than 300 bytes each.
const REMEMBERED: u64 = 1 << 10;

/// Why a ware was not checked.
#[derive(Debug, thiserror::Error)]
pub enum WareCheckError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others are computed first, or it takes longer than clients wait.
    #[error("wares are still being computed")]
    Busy,
}

/// The wares of the blobs in a store.
#[derive(Debug)]
pub struct WareChecks {
    blobs: Arc<Blobs>,
    records: Arc<WareRecords>,
    /// Why blobs have no ware.
    unsound: Cache<Digest, Arc<str>>,
    turns: Arc<Semaphore>,
    limits: ScanLimits,
}

impl WareChecks {
    /// The wares of `blobs`, whose records are in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, blobs: Arc<Blobs>, limits: ScanLimits) -> Self {
        Self {
            blobs,
            records: Arc::new(WareRecords::new(store)),
            unsound: Cache::builder().max_capacity(REMEMBERED).build(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            limits,
        }
    }

    /// When the wares of a request that begins now have to be there.
    #[must_use]
    pub fn deadline() -> Instant {
        Instant::now() + WITHIN
    }

    /// Whether this ware of a blob was checked once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_verified(&self, blob: Digest, ware: &Ware) -> Result<bool, StoreError> {
        Ok(self.records.get(blob).await?.is_some_and(|record| record.ware == *ware))
    }

    /// The ware of a blob, or why it has none. Reads the blob unless that was done before.
    ///
    /// # Errors
    /// A [`WareCheckError`].
    pub async fn ware_of(&self, blob: Digest, deadline: Instant) -> Result<Result<Ware, Arc<str>>, WareCheckError> {
        if let Some(known) = self.known(blob).await? {
            return Ok(known);
        }
        let turn = timeout_at(deadline, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(WareCheckError::Busy) };
        // Somebody else who waited for a turn may have computed it.
        if let Some(known) = self.known(blob).await? {
            return Ok(known);
        }
        let (blobs, records, unsound) = (Arc::clone(&self.blobs), Arc::clone(&self.records), self.unsound.clone());
        let limits = self.limits;
        // Spawned so that it is computed to its end even if its client does not wait.
        let computing = tokio::spawn(async move {
            let computed = compute(&blobs, blob, limits).await;
            match &computed {
                Ok(Ok(record)) => records.add(blob, record).await?,
                Ok(Err(why)) => unsound.insert(blob, Arc::clone(why)),
                Err(_) => {}
            }
            drop(turn);
            computed
        });
        match timeout_at(deadline, computing).await {
            Ok(Ok(computed)) => Ok(computed?.map(|record| record.ware)),
            Ok(Err(error)) => Err(StoreError::new(StoreErrorKind::Internal, blob, error).into()),
            Err(_) => Err(WareCheckError::Busy),
        }
    }

    async fn known(&self, blob: Digest) -> Result<Option<Result<Ware, Arc<str>>>, StoreError> {
        if let Some(why) = self.unsound.get(&blob) {
            return Ok(Some(Err(why)));
        }
        Ok(self.records.get(blob).await?.map(|record| Ok(record.ware.clone())))
    }
}

async fn compute(
    blobs: &Arc<Blobs>,
    blob: Digest,
    limits: ScanLimits,
) -> Result<Result<WareRecord, Arc<str>>, StoreError> {
    let gone = || StoreError::new(StoreErrorKind::Corrupt, blob, "the bytes of this file are gone");
    let object = blobs.open(blob, None).await?.ok_or_else(gone)?;
    match scan_stream(object.body, limits).await {
        Ok(scanned) => Ok(Ok(WareRecord::new(scanned.ware, scanned.uncovered))),
        Err(ScanError::Read(error)) => Err(match error.downcast::<StoreError>() {
            Ok(error) => error,
            Err(error) => StoreError::new(StoreErrorKind::Internal, blob, error),
        }),
        Err(error) => Ok(Err(error.to_string().into())),
    }
}
