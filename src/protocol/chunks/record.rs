//! The stored records of an upload in chunks: one after each chunk. Records are never changed; of concurrent appends, the
//! one that creates the next record first is part of the upload.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ChunkError;
use crate::domain::{HashState, Hasher, UploadId};
use crate::layout::{AreaPath, LayoutKey, MAX_STEP};
use crate::protocol::documents::{self, Creation};
use crate::store::{Key, ObjectStore};

/// Format version of the records that this binary writes and reads.
const FORM: u32 = 1;
/// Maximum number of chunks of an upload.
pub(super) const MAX_CHUNKS: u32 = MAX_STEP;
/// Maximum number of chunks listed by one record. All chunks are found by reading one record in a hundred.
const BLOCK: u32 = 100;
/// Largest record that is read, in bytes.
const MAX_RECORD: u64 = 64 << 10;
/// Records read concurrently.
const READ_AHEAD: usize = 8;

/// The member that every record begins with.
#[derive(Deserialize)]
struct Form {
    form: u32,
}

/// A chunk that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    /// The random id of its object below `tmp/incoming/`.
    #[serde(serialize_with = "spell", deserialize_with = "parse")]
    pub(super) object: u128,
    /// Number of bytes.
    pub(super) size: u64,
}

/// An upload after a chunk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    form: u32,
    /// Number of bytes of all chunks.
    pub(super) offset: u64,
    /// State of the hash after them.
    hash: HashState,
    /// The most recent chunks, at most [`BLOCK`], starting after a multiple of it. The last one also tells this record from
    /// that of another writer.
    block: Vec<Written>,
}

impl Record {
    /// The record that follows `before`, the one of chunk `number`.
    pub(super) fn after(number: u32, before: Option<&Self>, chunk: Written, hasher: &Hasher) -> Self {
        let mut block =
            if number.is_multiple_of(BLOCK) { Vec::new() } else { before.map_or_else(Vec::new, |b| b.block.clone()) };
        block.push(chunk);
        let offset = before.map_or(0, |before| before.offset) + chunk.size;
        Self { form: FORM, offset, hash: hasher.state(), block }
    }

    /// The hash, to be continued. `None` if another version wrote it.
    pub(super) fn hasher(&self) -> Option<Hasher> {
        Hasher::resume(&self.hash)
    }

    fn chunk(&self) -> Option<&Written> {
        self.block.last()
    }
}

/// The records of one upload.
pub(super) struct Records {
    store: Arc<dyn ObjectStore>,
    id: UploadId,
}

impl Records {
    pub(super) fn of(store: &Arc<dyn ObjectStore>, id: UploadId) -> Self {
        Self { store: Arc::clone(store), id }
    }

    pub(super) fn key(&self, number: u32) -> Key {
        LayoutKey::Tmp(AreaPath::of_chunk(self.id, number)).key()
    }

    async fn read(&self, number: u32) -> Result<Option<Record>, ChunkError> {
        let key = self.key(number);
        let bytes = documents::read_bytes(&*self.store, &key, MAX_RECORD).await?;
        bytes.map(|bytes| decode(&key, &bytes)).transpose()
    }

    /// The newest record with its number, or `None` when there are no chunks. Records are numbered without gaps, so the
    /// end is found by reading some of them: two if `hint` is the number of the newest.
    pub(super) async fn newest(&self, hint: u32) -> Result<Option<(u32, Record)>, ChunkError> {
        let mut found = None;
        for start in [hint.min(MAX_CHUNKS), 1] {
            if found.is_none() && start > 0 {
                found = self.read(start).await?.map(|record| (start, record));
            }
        }
        let Some(mut newest) = found else { return Ok(None) };
        // `end` is known to be absent; the distance doubles until one is found, then halves.
        let (mut end, mut step) = (MAX_CHUNKS + 1, 1);
        while newest.0 + 1 < end {
            let next = (newest.0 + step).min(newest.0 + (end - newest.0) / 2).max(newest.0 + 1);
            match self.read(next).await? {
                Some(record) => (newest, step) = ((next, record), step.saturating_mul(2)),
                None => end = next,
            }
        }
        Ok(Some(newest))
    }

    /// Creates a record. `false` when another request created it first.
    pub(super) async fn add(&self, number: u32, record: &Record) -> Result<bool, ChunkError> {
        let key = self.key(number);
        let is_own = |stored: &Bytes| Ok::<_, ChunkError>(decode(&key, stored)?.chunk() == record.chunk());
        let bytes = documents::encode(&key, record)?;
        match documents::create(&*self.store, &key, bytes, MAX_RECORD, is_own).await? {
            Creation::Own => Ok(true),
            Creation::Other => Ok(false),
            Creation::Gone => Err(ChunkError::Unknown),
        }
    }

    /// All chunks up to `number`, whose record is `last`. `None` if they are not all there.
    pub(super) async fn all(&self, number: u32, last: Option<&Record>) -> Result<Option<Vec<Written>>, ChunkError> {
        let ends = (1..).map(|block| block * BLOCK).take_while(|end| *end < number);
        let earlier: Vec<Option<Record>> =
            stream::iter(ends).map(|end| self.read(end)).buffered(READ_AHEAD).try_collect().await?;
        let blocks = earlier.iter().map(Option::as_ref).chain(last.map(Some));
        let Some(blocks) = blocks.collect::<Option<Vec<&Record>>>() else { return Ok(None) };
        let chunks: Vec<Written> = blocks.into_iter().flat_map(|record| record.block.iter().copied()).collect();
        let is_whole = chunks.len() == usize::try_from(number).unwrap_or(usize::MAX)
            && chunks.iter().map(|chunk| chunk.size).sum::<u64>() == last.map_or(0, |last| last.offset);
        Ok(is_whole.then_some(chunks))
    }
}

/// Parses a record. Of another version's nothing is understood, so the upload cannot continue.
fn decode(key: &Key, bytes: &[u8]) -> Result<Record, ChunkError> {
    let Form { form } = documents::decode::<Form>(key, bytes)?;
    if form == FORM { Ok(documents::decode(key, bytes)?) } else { Err(ChunkError::Unknown) }
}

fn spell<S: Serializer>(object: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{object:032x}"))
}

fn parse<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
    let text = String::deserialize(deserializer)?;
    u128::from_str_radix(&text, 16).map_err(de::Error::custom)
}
