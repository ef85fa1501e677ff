//! Records of wares: which identifier was computed from the bytes with a digest.
//!
//! A record is created once and never changed or deleted: like an alias it is a fact about bytes, whether these are stored
//! or not. Nothing depends on one being there; it saves computing it again.

use std::sync::Arc;

use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};

use super::documents;
use crate::domain::{Digest, Ware};
use crate::layout;
use crate::store::{Created, ObjectStore, StoreError};

/// Format version of the records that this binary writes and reads.
const FORMAT: u32 = 1;
/// Largest record that is read, in bytes.
const MAX_BYTES: u64 = 4 << 10;
/// Records remembered, and blobs that have none, at less than 300 bytes each.
const REMEMBERED: u64 = 16 << 10;
/// How long a blob is believed to have no record: another server may compute it.
const ABSENT_FOR: Duration = Duration::from_mins(1);

/// What was computed from a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WareRecord {
    format: u32,
    /// The identifier.
    pub ware: Ware,
    /// How many links, devices and FIFOs are in the archive, which the identifier does not cover.
    pub uncovered: u64,
}

impl WareRecord {
    /// A record of this format.
    #[must_use]
    pub fn new(ware: Ware, uncovered: u64) -> Self {
        Self { format: FORMAT, ware, uncovered }
    }
}

/// The records in a store.
#[derive(Debug)]
pub struct WareRecords {
    store: Arc<dyn ObjectStore>,
    known: Cache<Digest, Known>,
}

/// What is known of a blob.
#[derive(Debug, Clone)]
enum Known {
    Record(Arc<WareRecord>),
    /// There was none at this time.
    Absent(Instant),
}

impl WareRecords {
    /// The records in `store`. What was found is asked for once, what was not once a minute.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, known: Cache::builder().max_capacity(REMEMBERED).build() }
    }

    /// What was computed from a blob. `None` if nothing was, as far as this server knew a
    /// minute ago, or in another format.
    ///
    /// # Errors
    /// When the store fails, or the record cannot be read.
    pub async fn get(&self, blob: Digest) -> Result<Option<Arc<WareRecord>>, StoreError> {
        match self.known.get(&blob) {
            Some(Known::Record(record)) => return Ok(Some(record)),
            Some(Known::Absent(since)) if since.elapsed() < ABSENT_FOR => return Ok(None),
            _ => {}
        }
        let now = Instant::now();
        let record = documents::read::<WareRecord>(&*self.store, &layout::ware(blob), MAX_BYTES).await?;
        let record = record.filter(|record| record.format == FORMAT).map(Arc::new);
        self.known.insert(blob, record.clone().map_or(Known::Absent(now), Known::Record));
        Ok(record)
    }

    /// Records what was computed from a blob. Whoever computes it again finds the same.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add(&self, blob: Digest, record: &WareRecord) -> Result<(), StoreError> {
        let key = layout::ware(blob);
        let (Created::New | Created::AlreadyExists) = self.store.create(&key, documents::encode(&key, record)?).await?;
        self.known.insert(blob, Known::Record(Arc::new(record.clone())));
        Ok(())
    }
}
