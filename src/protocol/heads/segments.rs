//! Segments: immutable objects that hold the rows that no longer fit a name's head.
//!
//! A segment is a JSON document, `{"format": 1, "rows": […]}`. It is stored under the digest of its bytes, so writing
//! it is idempotent and reading it verifies it. Newer segments shadow older ones, and rows in the head shadow all of
//! them.

use std::collections::BTreeMap;
use std::sync::Arc;

use moka::sync::Cache;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Duration;

use super::digests::DigestIndex;
use super::labels::{self, LabelIndex};
use crate::domain::head::{FAN_OUT, INLINE_KEEP, INLINE_MAX, SegmentRef};
use crate::domain::{Carried, Descriptor, Digest, Head, LogName, State, VersionRow};
use crate::layout::LayoutKey;
use crate::protocol::flights::Flights;
use crate::store::{Key, ObjectStore, StoreError, StoreErrorKind};

/// Maximum number of rows in a segment: the size reached by merging from tier to tier.
const MAX_ROWS: usize = (INLINE_MAX - INLINE_KEEP) * FAN_OUT.pow(MAX_TIER);
/// Segments of this tier are not merged further, which bounds the bytes read at once.
const MAX_TIER: u32 = 3;
/// Largest segment that is read, in bytes.
const MAX_SEGMENT: u64 = 256 << 20;
/// Size of the row cache, in rows.
const REMEMBERED_ROWS: u64 = 20_000;
/// Rows whose digests are indexed, at 24 bytes each.
const INDEXED_ROWS: u64 = 1_000_000;

/// Segments with at most this many rows have no label index: reading them is one request as well, for a few kilobytes.
const UNINDEXED_ROWS: u64 = 64;
/// Memory for label indexes, in bytes.
const INDEXED_LABELS: u64 = 32 << 20;

/// Maximum age of a read in flight that a caller joins. Segments never change, so what it reads is valid at any age.
const PATIENCE: Duration = Duration::from_secs(10);

/// Format of the documents under segment keys that this binary reads and writes.
const FORMAT: u32 = 1;

type Rows = Arc<Vec<VersionRow>>;

/// A segment as stored. Members added by a newer binary describe these very bytes, so they are not carried over when
/// the rows move into a merged segment.
#[derive(Serialize, Deserialize)]
struct Segment<R> {
    format: u32,
    rows: R,
}

#[derive(Debug)]
pub(super) struct Segments {
    store: Arc<dyn ObjectStore>,
    remembered: Cache<Digest, Rows>,
    indexes: Cache<Digest, Arc<DigestIndex>>,
    /// By the digest of the segment.
    labels: Cache<Digest, Arc<LabelIndex>>,
    /// Many who begin to read a long history at once read each segment once.
    reads: Flights<Key, Rows>,
    /// Held while an index is built, so that many who look for digests read each segment once, and one at a time.
    indexing: Mutex<()>,
}

impl Segments {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        let weigh = |_: &Digest, rows: &Rows| u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let remembered = Cache::builder().max_capacity(REMEMBERED_ROWS).weigher(weigh).build();
        let weigh = |_: &Digest, index: &Arc<DigestIndex>| u32::try_from(index.len()).unwrap_or(u32::MAX);
        let indexes = Cache::builder().max_capacity(INDEXED_ROWS).weigher(weigh).build();
        let weigh = |_: &Digest, index: &Arc<LabelIndex>| index.weight();
        let labels = Cache::builder().max_capacity(INDEXED_LABELS).weigher(weigh).build();
        Self { store, remembered, indexes, labels, reads: Flights::default(), indexing: Mutex::default() }
    }

    /// The row of this number, or `None`.
    pub(super) async fn row(&self, head: &Head, number: u64) -> Result<Option<VersionRow>, StoreError> {
        if let Some(row) = head.inline(number) {
            return Ok(Some(row.clone()));
        }
        for segment in head.segments.iter().rev().filter(|segment| segment.covers(number)) {
            let rows = self.read(head, segment).await?;
            if let Ok(at) = rows.binary_search_by_key(&number, |row| row.number) {
                return Ok(Some(rows[at].clone()));
            }
        }
        Ok(None)
    }

    /// The newest readable version with this manifest; else the newest unreadable one, so that the reply can give the
    /// reason.
    pub(super) async fn best(&self, head: &Head, manifest: Digest) -> Result<Option<VersionRow>, StoreError> {
        let mut found: BTreeMap<u64, bool> = BTreeMap::new();
        // Newer segments shadow older ones, and rows in the head shadow all of them.
        for segment in &head.segments {
            found.extend(self.index(head, segment).await?.find(manifest));
        }
        let inline = head.rows.iter().filter(|row| row.digest() == manifest);
        found.extend(inline.map(|row| (row.number, row.state.is_complete())));
        for complete in [true, false] {
            for (number, _) in found.iter().rev().filter(|(_, is_complete)| **is_complete == complete) {
                let row = self.row(head, *number).await?;
                let is_wanted = |row: &VersionRow| row.digest() == manifest && row.state != State::Aborted;
                if let Some(row) = row.filter(|row| is_wanted(row) && row.state.is_complete() == complete) {
                    return Ok(Some(row));
                }
            }
        }
        Ok(None)
    }

    async fn index(&self, head: &Head, segment: &SegmentRef) -> Result<Arc<DigestIndex>, StoreError> {
        if let Some(index) = self.indexes.get(&segment.digest) {
            return Ok(index);
        }
        let _turn = self.indexing.lock().await;
        if let Some(index) = self.indexes.get(&segment.digest) {
            return Ok(index);
        }
        let index = Arc::new(DigestIndex::new(&self.read(head, segment).await?));
        self.indexes.insert(segment.digest, Arc::clone(&index));
        Ok(index)
    }

    /// The label index of a segment, or what it would say.
    pub(super) async fn labels(&self, head: &Head, segment: &SegmentRef) -> Result<Arc<LabelIndex>, StoreError> {
        if let Some(index) = self.labels.get(&segment.digest) {
            return Ok(index);
        }
        let _turn = self.indexing.lock().await;
        if let Some(index) = self.labels.get(&segment.digest) {
            return Ok(index);
        }
        let stored = match segment.labels {
            Some(Descriptor { digest, size }) => {
                let limit = size.min(labels::MAX_INDEX);
                let read = document::<labels::Stored<_>>(&*self.store, &head.name, digest, limit).await;
                read.map(|stored| Some(LabelIndex::from(stored)))
            }
            None => Ok(None),
        };
        let index = match stored {
            Ok(Some(index)) => index,
            Ok(None) => LabelIndex::new(&self.read(head, segment).await?),
            Err(error) if labels::is_replaceable(&error) => {
                tracing::warn!(%error, "a label index cannot be read; its segment is read instead");
                LabelIndex::new(&self.read(head, segment).await?)
            }
            Err(error) => return Err(error),
        };
        let index = Arc::new(index);
        self.labels.insert(segment.digest, Arc::clone(&index));
        Ok(index)
    }

    /// Rows with numbers below `before`, newest first; at least `limit` of them unless the history has fewer.
    pub(super) async fn newest(&self, head: &Head, before: u64, limit: usize) -> Result<Vec<VersionRow>, StoreError> {
        let mut found: BTreeMap<u64, (usize, VersionRow)> = BTreeMap::new();
        let mut add = |rows: &[VersionRow], rank: usize| {
            // Rows are sorted, and of no source are more than `limit` on the page.
            for row in rows.iter().rev().filter(|row| row.number < before).take(limit) {
                match found.get(&row.number) {
                    Some((shadow, _)) if *shadow > rank => {}
                    _ => drop(found.insert(row.number, (rank, row.clone()))),
                }
            }
            // The lowest number on the page, judging by the rows found so far.
            found.keys().rev().nth(limit.saturating_sub(1)).copied()
        };
        let mut end = add(&head.rows, usize::MAX);
        let mut pending: Vec<(usize, &SegmentRef)> =
            head.segments.iter().enumerate().filter(|(_, segment)| segment.first < before).collect();
        pending.sort_by_key(|(_, segment)| std::cmp::Reverse(segment.last));
        for (rank, segment) in pending {
            if end.is_some_and(|end| segment.last < end) {
                break;
            }
            end = add(&self.read(head, segment).await?, rank);
        }
        let from = end.unwrap_or(0);
        Ok(found.into_iter().rev().take_while(|(number, _)| *number >= from).map(|(_, (_, row))| row).collect())
    }

    /// All rows of the name, by ascending number.
    pub(super) async fn everything(&self, head: &Head) -> Result<Vec<VersionRow>, StoreError> {
        let mut rows = self.newest(head, u64::MAX, usize::MAX).await?;
        rows.reverse();
        Ok(rows)
    }

    /// The rows of all roots, by ascending number. Segments that can neither hold nor shadow a root are not read, so a
    /// long history of retired versions costs nothing.
    pub(super) async fn roots(&self, head: &Head) -> Result<Vec<VersionRow>, StoreError> {
        self.roots_where(head, |_| true).await
    }

    /// The rows of those roots that are `wanted`, by ascending number. Copies no others.
    pub(super) async fn roots_where(
        &self,
        head: &Head,
        wanted: impl Fn(&VersionRow) -> bool + Send + Sync,
    ) -> Result<Vec<VersionRow>, StoreError> {
        let mut found = BTreeMap::new();
        let mut add = |row: &VersionRow| {
            // What is not wanted may still shadow an older copy that is.
            if row.state.is_root() && wanted(row) {
                found.insert(row.number, row.clone());
            } else {
                found.remove(&row.number);
            }
        };
        for (at, segment) in head.segments.iter().enumerate() {
            let shadows =
                |older: &SegmentRef| older.roots > 0 && older.first <= segment.last && segment.first <= older.last;
            if segment.roots > 0 || head.segments[..at].iter().any(shadows) {
                self.read(head, segment).await?.iter().for_each(&mut add);
            }
        }
        head.rows.iter().for_each(&mut add);
        Ok(found.into_values().collect())
    }

    /// Writes rows that no longer fit into a segment, merges segments where enough of one tier have accumulated, and
    /// lists the result in `head`.
    pub(super) async fn spill(&self, head: &mut Head, rows: Vec<VersionRow>) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let tier = if rows.len() > MAX_ROWS { MAX_TIER } else { 0 };
        for rows in rows.chunks(MAX_ROWS) {
            let segment = self.write(head, rows.to_vec(), tier).await?;
            head.segments.push(segment);
        }
        while let Some((from, tier)) = mergeable(&head.segments) {
            let mut merged = BTreeMap::new();
            for segment in &head.segments[from..] {
                merged.extend(self.read(head, segment).await?.iter().map(|row| (row.number, row.clone())));
            }
            let segment = self.write(head, merged.into_values().collect(), tier + 1).await?;
            head.segments.truncate(from);
            head.segments.push(segment);
        }
        // After merging, so that only what stays is indexed. Versions of hidden logs are never selected by labels.
        for at in 0..head.segments.len() {
            let segment = &head.segments[at];
            if segment.labels.is_none() && segment.rows > UNINDEXED_ROWS && head.name.visible().is_some() {
                head.segments[at].labels = self.write_labels(head, &head.segments[at]).await?;
            }
        }
        Ok(())
    }

    /// Writes the label index of a segment that was just written. `None` for others, whose rows would have to be read.
    async fn write_labels(&self, head: &Head, segment: &SegmentRef) -> Result<Option<Descriptor>, StoreError> {
        let Some(rows) = self.remembered.get(&segment.digest) else { return Ok(None) };
        let index = LabelIndex::new(&rows);
        let bytes = index.bytes().map_err(|error| StoreError::new(StoreErrorKind::Internal, &head.name, error))?;
        let descriptor = Descriptor { digest: Digest::of(&bytes), size: bytes.len() as u64 };
        self.store.create(&LayoutKey::Segment(head.name.clone(), descriptor.digest).key(), bytes.into()).await?;
        self.labels.insert(segment.digest, Arc::new(index));
        Ok(Some(descriptor))
    }

    async fn write(&self, head: &Head, rows: Vec<VersionRow>, tier: u32) -> Result<SegmentRef, StoreError> {
        let (first, last) = match (rows.first(), rows.last()) {
            (Some(first), Some(last)) => (first.number, last.number),
            _ => (0, 0),
        };
        let bytes = serde_json::to_vec(&Segment { format: FORMAT, rows: &rows })
            .map_err(|error| StoreError::new(StoreErrorKind::Internal, &head.name, error))?;
        let digest = Digest::of(&bytes);
        self.store.create(&LayoutKey::Segment(head.name.clone(), digest).key(), bytes.into()).await?;
        let roots = rows.iter().filter(|row| row.state.is_root()).count() as u64;
        let (rows_in_it, other) = (rows.len() as u64, Carried::default());
        let segment = SegmentRef { digest, first, last, rows: rows_in_it, tier, roots, labels: None, other };
        self.remembered.insert(digest, Arc::new(rows));
        Ok(segment)
    }

    async fn read(&self, head: &Head, segment: &SegmentRef) -> Result<Rows, StoreError> {
        if let Some(rows) = self.remembered.get(&segment.digest) {
            return Ok(rows);
        }
        let digest = segment.digest;
        let read = || {
            let (store, name, remembered) = (Arc::clone(&self.store), head.name.clone(), self.remembered.clone());
            async move {
                let read: Segment<Vec<VersionRow>> = document(&*store, &name, digest, MAX_SEGMENT).await?;
                let rows = Arc::new(read.rows);
                remembered.insert(digest, Arc::clone(&rows));
                Ok(rows)
            }
        };
        self.reads.join(&LayoutKey::Segment(head.name.clone(), digest).key(), PATIENCE, read).await
    }
}

/// Reads a JSON document that is stored under the segment key of a name with its digest.
///
/// # Errors
/// When the store fails, the document is missing, damaged or larger than `limit` bytes, or only a newer binary knows
/// its format.
pub(super) async fn document<T: DeserializeOwned>(
    store: &dyn ObjectStore,
    name: &LogName,
    digest: Digest,
    limit: u64,
) -> Result<T, StoreError> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let key = LayoutKey::Segment(name.clone(), digest).key();
    let corrupt = |why: String| StoreError::new(StoreErrorKind::Corrupt, &key, why);
    let object = store.get(&key, None).await?.ok_or_else(|| corrupt("it must exist, but does not".into()))?;
    let bytes = object.bytes(limit).await?;
    if Digest::of(&bytes) != digest {
        return Err(corrupt("its bytes do not have the digest it is stored under".into()));
    }
    let read = |error: serde_json::Error| corrupt(error.to_string());
    // The format is read first: the rest of a document of another format may have an unexpected shape.
    let Format { format } = serde_json::from_slice(&bytes).map_err(read)?;
    if format != u64::from(FORMAT) {
        let why = format!("it is of format {format}, written by a newer larder; this one reads format {FORMAT}");
        return Err(StoreError::new(StoreErrorKind::Newer, &key, why));
    }
    serde_json::from_slice(&bytes).map_err(read)
}

/// Index of the first of the newest [`FAN_OUT`] segments of one tier, and the tier, if there are that many.
fn mergeable(segments: &[SegmentRef]) -> Option<(usize, u32)> {
    let from = segments.len().checked_sub(FAN_OUT)?;
    let tier = segments[from].tier;
    let merges = tier < MAX_TIER && segments[from..].iter().all(|segment| segment.tier == tier);
    merges.then_some((from, tier))
}

#[cfg(test)]
mod tests;
