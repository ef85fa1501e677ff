//! Lists of the heads that a run of the collector saw, which every later state of the store must still hold.
//!
//! Heads are created and never changed or deleted, so a head that was seen once exists permanently. If it is missing,
//! the store was damaged, is only partly mounted, or was reset to an earlier state; a collector that trusted the
//! remainder would delete what the lost heads need. A directory or a bucket cannot tell that something is missing from
//! it, so each run writes a list: the generation of the newest head of every name, and which operation made that head.
//! The operation distinguishes the head that was seen from one that a publisher created in the place of a lost one.
//!
//! # Format
//! A list is one object of JSON lines. The first is `{"format":1,"larder":VERSION,"names":COUNT}`, each of the others
//! `{"name":NAME,"generation":NUMBER,"operation":HEX}`, in the order of names, with the first eight bytes of the
//! SHA-256 of the operation's id.

use std::fmt;
use std::str::FromStr;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::domain::{Digest, Head, LogName};
use crate::layout::{self, LayoutKey};
use crate::protocol::Heads;
use crate::store::{Key, List, ObjectStore, StoreError, StoreErrorKind};

/// Format version of the lists that this binary writes and reads.
const FORMAT: u32 = 1;
/// Size of the write buffer, in bytes.
const GATHER: usize = 256 * 1024;
/// Longest line that is read, in bytes: several times what the longest name needs.
const MAX_LINE: usize = 4096;

/// One head as listed: compact, because those of all names of a store are held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SeenHead {
    pub(super) generation: u64,
    pub(super) operation: OperationMark,
}

impl SeenHead {
    pub(super) fn of(head: &Head) -> Self {
        Self { generation: head.generation, operation: OperationMark::of(&head.operation.id) }
    }

    /// How this head of `name`, whose newest generation is `newest`, was lost. `None` when it exists.
    ///
    /// # Errors
    /// When the store fails or the head cannot be read.
    pub(super) async fn loss(
        self,
        heads: &Heads,
        name: &LogName,
        newest: Option<u64>,
    ) -> Result<Option<HeadLoss>, StoreError> {
        match newest {
            None => Ok(Some(HeadLoss::NoHeads)),
            Some(newest) if newest < self.generation => Ok(Some(HeadLoss::Gone { newest })),
            Some(newest) => Ok(match heads.read(name, self.generation).await? {
                None => Some(HeadLoss::Gone { newest }),
                Some(head) => self.loss_by(&head),
            }),
        }
    }

    /// How the head was lost, judging by `head` of the same generation: `None` if that is the same head.
    pub(super) fn loss_by(self, head: &Head) -> Option<HeadLoss> {
        (Self::of(head) != self).then_some(HeadLoss::Replaced)
    }
}

/// Distinguishes the operations that made heads of one generation. Their ids are random, so eight bytes suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OperationMark([u8; 8]);

impl OperationMark {
    fn of(id: &str) -> Self {
        Self(*Digest::of(id.as_bytes()).bytes().first_chunk().expect("a digest has 32 bytes"))
    }
}

impl FromStr for OperationMark {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, hex::FromHexError> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

/// How a head that a run saw was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadLoss {
    /// The name has no heads at all.
    NoHeads,
    /// The head is missing.
    Gone {
        /// The newest generation that exists.
        newest: u64,
    },
    /// The existing head was made by another operation.
    Replaced,
}

impl fmt::Display for HeadLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHeads => f.write_str("there is no head of that name"),
            Self::Gone { newest } => write!(f, "it is gone; the newest one there is has generation {newest}"),
            Self::Replaced => f.write_str("another one has been created in its place"),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    larder: String,
    names: u64,
}

#[derive(Serialize, Deserialize)]
struct Line {
    name: LogName,
    generation: u64,
    operation: String,
}

/// The keys of all lists.
///
/// # Errors
/// When the store fails. The inner result holds the key of an object among them that is not a list.
pub(super) async fn lists(store: &dyn ObjectStore) -> Result<Result<Vec<Key>, Key>, StoreError> {
    let (mut listing, mut keys) = (store.list(&layout::seen_heads(), List::default()), Vec::new());
    while let Some(meta) = listing.try_next().await? {
        match LayoutKey::parse(&meta.key) {
            Some(LayoutKey::SeenHeads(..)) => keys.push(meta.key),
            _ => return Ok(Err(meta.key)),
        }
    }
    Ok(Ok(keys))
}

/// Writes a list, durably. The heads in it must be durable: if a crash of the machine lost one of them, later runs
/// would report it as missing.
///
/// # Errors
/// When the store fails.
pub(super) async fn write(store: &dyn ObjectStore, key: &Key, seen: &[(&LogName, SeenHead)]) -> Result<(), StoreError> {
    let mut upload = store.begin(key).await?;
    let mut gathered = BytesMut::new();
    let header = Header { format: FORMAT, larder: env!("CARGO_PKG_VERSION").to_owned(), names: seen.len() as u64 };
    line(key, &mut gathered, &header)?;
    for (name, head) in seen {
        let operation = hex::encode(head.operation.0);
        line(key, &mut gathered, &Line { name: (*name).clone(), generation: head.generation, operation })?;
        if gathered.len() >= GATHER {
            upload.write(gathered.split().freeze()).await?;
        }
    }
    upload.write(gathered.freeze()).await?;
    upload.commit().await.map(|_| ())
}

fn line(key: &Key, to: &mut BytesMut, value: &impl Serialize) -> Result<(), StoreError> {
    serde_json::to_writer(to.writer(), value).map_err(|e| StoreError::new(StoreErrorKind::Internal, key, e))?;
    to.extend_from_slice(b"\n");
    Ok(())
}

/// A list that is read line by line.
pub(super) struct SeenHeads {
    key: Key,
    body: BoxStream<'static, Result<Bytes, StoreError>>,
    gathered: BytesMut,
    left: u64,
}

impl SeenHeads {
    /// Opens a list. `None` when it is gone: another run has replaced it with a newer one.
    ///
    /// # Errors
    /// When the store fails or the list cannot be read.
    pub(super) async fn open(store: &dyn ObjectStore, key: &Key) -> Result<Option<Self>, StoreError> {
        let Some(object) = store.get(key, None).await? else { return Ok(None) };
        let mut list = Self { key: key.clone(), body: object.body, gathered: BytesMut::new(), left: 0 };
        let header: Header = list.line().await?.ok_or_else(|| list.corrupt("it is empty"))?;
        if header.format != FORMAT {
            return Err(list.corrupt(format!("it has format {}, which this version does not know", header.format)));
        }
        list.left = header.names;
        Ok(Some(list))
    }

    /// The next head, or `None` at the end.
    ///
    /// # Errors
    /// When the store fails or the list is not what was written.
    pub(super) async fn next(&mut self) -> Result<Option<(LogName, SeenHead)>, StoreError> {
        match (self.line::<Line>().await?, self.left) {
            (None, 0) => Ok(None),
            (None, _) | (Some(_), 0) => Err(self.corrupt("it does not have as many lines as it says")),
            (Some(line), _) => {
                self.left -= 1;
                let operation = line.operation.parse().map_err(|error| self.corrupt(error))?;
                Ok(Some((line.name, SeenHead { generation: line.generation, operation })))
            }
        }
    }

    async fn line<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<T>, StoreError> {
        let end = loop {
            if let Some(end) = self.gathered.iter().position(|byte| *byte == b'\n') {
                break end;
            }
            if self.gathered.len() > MAX_LINE {
                return Err(self.corrupt("it has a line that is too long"));
            }
            match self.body.try_next().await? {
                Some(chunk) => self.gathered.extend_from_slice(&chunk),
                None if self.gathered.is_empty() => return Ok(None),
                None => return Err(self.corrupt("its last line breaks off")),
            }
        };
        let text = self.gathered.split_to(end + 1);
        serde_json::from_slice(&text).map(Some).map_err(|error| self.corrupt(error))
    }

    fn corrupt(&self, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
        StoreError::new(StoreErrorKind::Corrupt, &self.key, why)
    }
}
