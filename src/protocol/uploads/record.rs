//! The stored records of a resumable upload: how it began, and one record after each part. Records are never changed;
//! of concurrent requests, the one that creates the next record first continues.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::UploadError;
use crate::domain::{Digest, HashState, Hasher, Subject, UploadId};
use crate::layout::{self, LayoutKey};
use crate::protocol::documents::{self, Creation};
use crate::protocol::listing;
use crate::store::{Key, List, Part, PartStore, Parts, StoreError, StoreErrorKind};

/// Format version of the records that this binary writes and reads.
const FORM: u32 = 1;
/// Maximum number of parts listed by one record. All parts of an object are found by reading one record in a hundred.
const BLOCK: u32 = 100;
/// Largest record that is read, in bytes.
const MAX_RECORD: u64 = 256 << 10;
/// Records read concurrently.
const READ_AHEAD: usize = 8;

/// The member that every record begins with.
#[derive(Deserialize)]
struct Form {
    form: u32,
}

/// How an upload began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Beginning {
    form: u32,
    pub(super) digest: Digest,
    pub(super) length: Option<u64>,
    /// The subject that began the upload.
    pub(super) owner: Subject,
    /// Size of every part but the last, in bytes.
    pub(super) part_size: u64,
    /// Key of the uncommitted object; `parts` is the store's own id for it.
    key: String,
    parts: String,
}

impl Beginning {
    pub(super) fn new(digest: Digest, length: Option<u64>, owner: &Subject, part_size: u64, parts: Parts) -> Self {
        let (owner, key) = (owner.clone(), parts.key.to_string());
        Self { form: FORM, digest, length, owner, part_size, key, parts: parts.id }
    }

    /// The uncommitted object.
    pub(super) fn parts(&self) -> Result<Parts, StoreError> {
        let key = self.key.parse().map_err(|error| StoreError::new(StoreErrorKind::Corrupt, &self.key, error))?;
        Ok(Parts { key, id: self.parts.clone() })
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Written {
    number: u32,
    size: u64,
    tag: String,
}

/// The progress of an upload after a part, or that it is complete.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Step {
    form: u32,
    pub(super) offset: u64,
    hash: HashState,
    /// The most recent parts, at most [`BLOCK`], starting after a multiple of it.
    block: Vec<Written>,
    /// The last part is shorter than the others: no part may follow.
    pub(super) sealed: bool,
    /// The blob is stored.
    pub(super) done: bool,
    /// Distinguishes records that are otherwise equal.
    writer: String,
}

impl Step {
    /// The progress of an upload without parts.
    pub(super) fn zero() -> Self {
        let hash = Hasher::new().state();
        Self { form: FORM, offset: 0, hash, block: Vec::new(), sealed: false, done: false, writer: String::new() }
    }

    pub(super) fn hasher(&self) -> Result<Hasher, UploadError> {
        Hasher::resume(&self.hash).ok_or(UploadError::Foreign)
    }

    /// The progress after one more part.
    pub(super) fn after(&self, part: Part, hasher: &Hasher, sealed: bool) -> Result<Self, StoreError> {
        let mut block = if part.number % BLOCK == 1 { Vec::new() } else { self.block.clone() };
        let offset = self.offset + part.size;
        block.push(Written { number: part.number, size: part.size, tag: part.tag });
        Ok(Self { form: FORM, offset, hash: hasher.state(), block, sealed, done: false, writer: random_name()? })
    }

    /// The progress once the blob is stored.
    pub(super) fn done(&self) -> Result<Self, StoreError> {
        Ok(Self { block: Vec::new(), done: true, writer: random_name()?, ..self.clone() })
    }
}

/// The records of one upload.
#[derive(Debug, Clone)]
pub(super) struct Records {
    store: Arc<dyn PartStore>,
    id: UploadId,
}

impl Records {
    pub(super) fn of(store: &Arc<dyn PartStore>, id: UploadId) -> Self {
        Self { store: Arc::clone(store), id }
    }

    fn key(&self, step: u32) -> Key {
        LayoutKey::Upload(self.id, step).key()
    }

    /// How the upload began and its newest step with its number, or `None` when there is no such upload.
    pub(super) async fn read(&self) -> Result<Option<(Beginning, u32, Step)>, UploadError> {
        let prefix = layout::upload(&self.id);
        let Some((number, _)) = listing::first(&*self.store, &prefix, step_of).await? else { return Ok(None) };
        let Some(beginning) = self.get::<Beginning>(0).await? else { return Ok(None) };
        if number == 0 {
            return Ok(Some((beginning, 0, Step::zero())));
        }
        // Gone since it was listed: the upload is being aborted.
        Ok(self.get::<Step>(number).await?.map(|step| (beginning, number, step)))
    }

    async fn get<T: DeserializeOwned>(&self, step: u32) -> Result<Option<T>, UploadError> {
        let key = self.key(step);
        let bytes = documents::read_bytes(&*self.store, &key, MAX_RECORD).await?;
        bytes.map(|bytes| decode(&key, &bytes)).transpose()
    }

    pub(super) async fn begin(&self, beginning: &Beginning) -> Result<(), StoreError> {
        // The id is random: if the key is taken, it is not by an earlier attempt of this caller.
        let key = self.key(0);
        self.store.create(&key, documents::encode(&key, beginning)?).await.map(|_| ())
    }

    /// Creates a step. `false` when another request created it first.
    pub(super) async fn add(&self, number: u32, step: &Step) -> Result<bool, UploadError> {
        let key = self.key(number);
        let is_own = |stored: &Bytes| Ok::<_, UploadError>(decode::<Step>(&key, stored)?.writer == step.writer);
        let bytes = documents::encode(&key, step)?;
        match documents::create(&*self.store, &key, bytes, MAX_RECORD, is_own).await? {
            Creation::Own => Ok(true),
            Creation::Other => Ok(false),
            Creation::Gone => Err(UploadError::Gone),
        }
    }

    /// All parts up to `number`, whose record is `last`.
    pub(super) async fn parts(&self, number: u32, last: &Step) -> Result<Vec<Part>, UploadError> {
        let ends = (1..).map(|block| block * BLOCK).take_while(|end| *end < number);
        let blocks = stream::iter(ends).map(async |end| self.get::<Step>(end).await?.ok_or(UploadError::Gone));
        let mut earlier: Vec<Step> = blocks.buffered(READ_AHEAD).try_collect().await?;
        earlier.push(last.clone());
        let written = earlier.into_iter().flat_map(|step| step.block);
        let parts: Vec<Part> = written.map(|Written { number, size, tag }| Part { number, size, tag }).collect();
        let whole = (1..=number).eq(parts.iter().map(|part| part.number));
        let incomplete =
            || StoreError::new(StoreErrorKind::Corrupt, self.key(number), "the records do not name every part");
        if whole { Ok(parts) } else { Err(incomplete().into()) }
    }

    /// Deletes the steps between the beginning and `number`.
    pub(super) async fn forget_steps_before(&self, number: u32) -> Result<(), StoreError> {
        let keys: Vec<Key> = (1..number).map(|step| self.key(step)).collect();
        if keys.is_empty() { Ok(()) } else { self.store.delete_all(&keys).await }
    }

    /// Deletes all records, the first one first: from then on the upload does not exist for any caller.
    pub(super) async fn forget(&self) -> Result<(), StoreError> {
        self.store.delete(&self.key(0)).await?;
        let prefix = layout::upload(&self.id);
        let listing = listing::known(&*self.store, &prefix, List::default(), step_of);
        let keys: Vec<Key> = listing.map_ok(|(_, meta)| meta.key).try_collect().await?;
        if keys.is_empty() { Ok(()) } else { self.store.delete_all(&keys).await }
    }
}

fn decode<T: DeserializeOwned>(key: &Key, bytes: &[u8]) -> Result<T, UploadError> {
    let Form { form } = documents::decode(key, bytes)?;
    if form == FORM { Ok(documents::decode(key, bytes)?) } else { Err(UploadError::Foreign) }
}

/// The number of the step that a key stands for.
#[expect(clippy::needless_pass_by_value, reason = "a listing hands its keys over")]
fn step_of(key: LayoutKey) -> Option<u32> {
    if let LayoutKey::Upload(_, step) = key { Some(step) } else { None }
}

/// A random name; collisions are negligible.
pub(super) fn random_name() -> Result<String, StoreError> {
    Ok(hex::encode(random()?))
}

/// Random bytes, as many as an upload id has.
pub(super) fn random() -> Result<[u8; 16], StoreError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| StoreError::new(StoreErrorKind::Internal, "random numbers", error))?;
    Ok(random)
}
