//! Healing blobs that a verification finds lost or damaged.
//!
//! Sound bytes are located first (another copy in the store, else a [`Source`]), streamed to an uncommitted object, and
//! verified; only then are the damaged generations condemned and deleted, and only then do the sound ones become
//! visible, as in an upload ([`Blobs::finish`]). If there are no sound bytes the damaged ones stay, unless discarding
//! was requested. After every step the whole digest is read again: publishers, uploads and collectors run concurrently
//! with a verification, and only what was read counts.
//!
//! # Rationale
//! - Bytes are damaged if two full reads in a row found another digest. Unreadable bytes are not proven damaged (an
//!   operator may have started the command as the wrong user), so they are replaced when sound bytes are available, but
//!   never discarded; bytes to which access is denied are left alone altogether.
//! - Whether a version needs the blob is not checked before discarding. Damaged bytes are of no use, and while they
//!   exist the next publish relies on them, because it only compares sizes. That a version needs a blob that is now
//!   missing is found when the references are followed, which comes last when healing.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use tokio::io::AsyncWrite;
use tokio_util::io::ReaderStream;

use super::finding::{HealMethod, Outcome};
use super::reading::{Reading, read_blob};
use crate::domain::Digest;
use crate::domain::manifest::Descriptor;
use crate::layout::LayoutKey;
use crate::protocol::{BlobError, BlobUpload, Blobs};
use crate::store::{ObjectStore, StoreError, StoreErrorKind};

/// Buffer between a source and the store, in bytes.
const PIPE: usize = 256 * 1024;
/// Attempts on a digest that other processes keep changing.
const MAX_ROUNDS: u32 = 4;

/// A source of sound bytes.
#[async_trait]
pub trait Source: Send + Sync {
    /// Writes the bytes of a blob to `out`; `size` is `None` if it is unknown. The caller verifies the bytes.
    ///
    /// # Errors
    /// Why the bytes are not available; `out` may then have received arbitrary bytes.
    async fn fetch(
        &self,
        digest: Digest,
        size: Option<u64>,
        out: &mut (dyn AsyncWrite + Send + Unpin),
    ) -> Result<(), SourceError>;
}

/// Why a source did not supply a blob, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The source does not have this blob, or only damaged.
    #[error("{0}")]
    Blob(String),
    /// The source cannot be reached at all.
    #[error("{0}")]
    Unreachable(String),
}

/// What may be done about lost and damaged blobs. By default nothing.
#[derive(Clone, Default)]
pub struct HealOptions {
    /// Source of sound bytes, if there is one.
    pub source: Option<Arc<dyn Source>>,
    /// Delete damaged bytes that cannot be replaced, so that the blob counts as missing and can be uploaded again.
    pub discard_damaged: bool,
}

impl HealOptions {
    /// Whether any healing is enabled.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.source.is_some() || self.discard_damaged
    }
}

impl fmt::Debug for HealOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, discard_damaged } = self;
        f.debug_struct("HealOptions")
            .field("source", &source.is_some())
            .field("discard_damaged", discard_damaged)
            .finish()
    }
}

/// What is to be healed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HealTarget {
    /// A generation that was read and found damaged.
    Copy(Digest, u64),
    /// A blob that a version needs and that is missing, or stored with another size.
    Needed(Descriptor),
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
enum HealError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BlobError> for HealError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Store(error) => error.into(),
            wrong => SourceError::Blob(wrong.to_string()).into(),
        }
    }
}

/// Heals blobs, and remembers failures so that they are not retried.
pub(crate) struct Healer<'a> {
    store: &'a dyn ObjectStore,
    blobs: &'a Blobs,
    remedy: &'a HealOptions,
    /// Blobs that the source did not supply, and why: many versions may need the same blob.
    refused: HashMap<Digest, SourceError>,
    /// Why the source is no longer asked.
    unreachable: Option<SourceError>,
}

impl<'a> Healer<'a> {
    pub(crate) fn new(store: &'a dyn ObjectStore, blobs: &'a Blobs, remedy: &'a HealOptions) -> Self {
        Self { store, blobs, remedy, refused: HashMap::new(), unreachable: None }
    }

    /// Attempts to heal a blob by the enabled means.
    ///
    /// # Errors
    /// When the store is not available. Other failures are reasons why the blob was left as it is.
    pub(crate) async fn heal(&mut self, patient: HealTarget) -> Result<Outcome, StoreError> {
        let (digest, size) = match patient {
            HealTarget::Copy(digest, _) => (digest, None),
            HealTarget::Needed(blob) => (blob.digest, Some(blob.size)),
        };
        let mut cure = None;
        for _ in 0..MAX_ROUNDS {
            let state = self.examine(digest).await?;
            if let Some(outcome) = state.outcome(patient, cure) {
                return Ok(outcome);
            }
            match self.step(digest, size, &state).await {
                Ok(done) => cure = Some(done),
                Err(HealError::Store(error)) if error.is_retryable() => return Err(error),
                Err(why) => return Ok(left(why)),
            }
        }
        Ok(left("others change it faster than it can be healed"))
    }

    /// Reads every copy of a digest, and those that look damaged a second time.
    async fn examine(&self, digest: Digest) -> Result<State, StoreError> {
        let mut state = State::default();
        for present in self.blobs.copies(digest).await?.with_bytes() {
            let key = LayoutKey::Blob(digest, present.number).key();
            let reading = match read_blob(self.store, &key, digest).await? {
                Reading::Wrong(_) | Reading::Unreadable(_) => read_blob(self.store, &key, digest).await?,
                other => other,
            };
            match reading {
                Reading::Sound(size) if present.condemned => state.doomed = Some((present.number, size)),
                Reading::Sound(size) => state.usable = Some((present.number, size)),
                Reading::Wrong(_) => state.wrong.push(present.number),
                Reading::Unreadable(error) if error.kind == StoreErrorKind::Denied => {
                    state.denied = Some(error.to_string());
                }
                Reading::Unreadable(_) => state.unreadable.push(present.number),
                Reading::Gone => {}
            }
        }
        Ok(state)
    }

    /// Takes one step of healing, after which the state must be read again.
    async fn step(&mut self, digest: Digest, size: Option<u64>, state: &State) -> Result<HealMethod, HealError> {
        if let Some((sound, _)) = state.usable {
            self.store.persist(&[LayoutKey::Blob(digest, sound).key()]).await?;
            self.blobs.bury(digest, &state.damaged()).await?;
            return Ok(HealMethod::OtherCopy);
        }
        match self.replace(digest, size, state).await {
            Err(HealError::Source(_)) if self.remedy.discard_damaged && !state.wrong.is_empty() => {
                self.blobs.bury(digest, &state.wrong).await?;
                Ok(HealMethod::Discarded)
            }
            result => result,
        }
    }

    /// Replaces damaged or lost bytes with sound ones. The bytes of a sound but condemned generation are used first:
    /// the collector that is about to delete them may mistake a damaged generation for their successor.
    async fn replace(&mut self, digest: Digest, size: Option<u64>, state: &State) -> Result<HealMethod, HealError> {
        if let Some((doomed, _)) = state.doomed {
            let mut upload = self.blobs.begin_replacing(digest, state.damaged(), size).await?;
            self.copy(digest, doomed, &mut upload).await?;
            self.blobs.finish(upload).await?;
            return Ok(HealMethod::OtherCopy);
        }
        let result = self.fetch(digest, size, state).await;
        match &result {
            Err(HealError::Source(error @ SourceError::Unreachable(_))) => self.unreachable = Some(error.clone()),
            Err(HealError::Source(error)) => drop(self.refused.insert(digest, error.clone())),
            Ok(_) | Err(HealError::Store(_)) => {}
        }
        result
    }

    async fn copy(&self, digest: Digest, generation: u64, upload: &mut BlobUpload) -> Result<(), HealError> {
        let key = LayoutKey::Blob(digest, generation).key();
        let gone = || SourceError::Blob("its last sound copy was just collected".to_owned());
        let mut object = self.store.get(&key, None).await?.ok_or_else(gone)?;
        while let Some(chunk) = object.body.try_next().await? {
            upload.write(chunk).await?;
        }
        Ok(())
    }

    async fn fetch(&self, digest: Digest, size: Option<u64>, state: &State) -> Result<HealMethod, HealError> {
        let none = || SourceError::Blob("there is no sound copy of it in the store".to_owned());
        let source = self.remedy.source.as_ref().ok_or_else(none)?;
        if let Some(known) = self.unreachable.as_ref().or_else(|| self.refused.get(&digest)) {
            return Err(known.clone().into());
        }
        let mut upload = self.blobs.begin_replacing(digest, state.damaged(), size).await?;
        let (mut inlet, outlet) = tokio::io::duplex(PIPE);
        let send = async move { Ok::<_, HealError>(source.fetch(digest, size, &mut inlet).await?) };
        let receive = async {
            let mut chunks = ReaderStream::with_capacity(outlet, PIPE);
            let broken = |error: std::io::Error| SourceError::Blob(error.to_string());
            while let Some(chunk) = chunks.try_next().await.map_err(broken)? {
                upload.write(chunk).await?;
            }
            Ok(())
        };
        tokio::try_join!(send, receive)?;
        self.blobs.finish(upload).await?;
        Ok(HealMethod::Fetched)
    }
}

fn left(why: impl fmt::Display) -> Outcome {
    Outcome::Left(Some(why.to_string()))
}

/// The state of the copies of a digest, from reading all of them.
#[derive(Debug, Default)]
struct State {
    /// The newest sound generation that may be relied on, and its size.
    usable: Option<(u64, u64)>,
    /// The newest sound generation that is condemned, and its size.
    doomed: Option<(u64, u64)>,
    /// Generations whose bytes have another digest.
    wrong: Vec<u64>,
    /// Generations whose bytes cannot be read.
    unreadable: Vec<u64>,
    /// Why access to some of them was denied.
    denied: Option<String>,
}

impl State {
    fn damaged(&self) -> Vec<u64> {
        self.wrong.iter().chain(&self.unreadable).copied().collect()
    }

    /// The final outcome, or `None` if damage remains that may still be healed.
    fn outcome(&self, patient: HealTarget, cure: Option<HealMethod>) -> Option<Outcome> {
        if let Some(why) = &self.denied {
            return Some(left(why));
        }
        if !self.damaged().is_empty() {
            return None;
        }
        let again = "its bytes were right when they were read again; verify again, and suspect the disk and the memory";
        match (patient, cure) {
            (HealTarget::Needed(blob), _) => match (self.usable?, cure) {
                ((_, size), _) if size != blob.size => {
                    Some(left("the size is wrong in the manifest, not in the store"))
                }
                (_, Some(cure)) => Some(Outcome::Healed(cure)),
                (_, None) => Some(left(again)),
            },
            (HealTarget::Copy(..), Some(cure)) => Some(Outcome::Healed(cure)),
            (HealTarget::Copy(_, number), None) => {
                let is_sound = [self.usable, self.doomed].into_iter().flatten().any(|(sound, _)| sound == number);
                Some(if is_sound { left(again) } else { Outcome::Healed(HealMethod::Gone) })
            }
        }
    }
}
