//! Healing blobs that a verification finds lost or damaged.
//!
//! Sound bytes are found first (another copy in the store, else a [`Source`]), streamed to a place where nobody sees
//! them, and verified; only then the damaged generations are doomed and deleted, and only then the sound ones appear,
//! as an upload does it ([`Blobs::finish`]). Where there are no sound bytes the damaged ones stay, unless it was asked
//! to discard them. After every step the digest is read again as a whole: publishers, uploads and collectors do not
//! wait for a verification, and only what is read counts.
//!
//! # Why
//! - Damaged is what two full readings in a row found to have another digest. What cannot be read is not proven damaged
//!   (an operator may have started the command as the wrong user), so it is replaced when sound bytes are at hand, but
//!   never discarded; and bytes that we are refused to read are left alone altogether.
//! - Whether a version needs the blob is not asked before discarding. Nobody has a use for damaged bytes, and as long as
//!   they are there the next publish relies on them, because it looks at sizes only. That a version needs a blob
//!   that is missing now is found when the references are followed, which comes last when healing.

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

/// Bytes on their way from a source to the store.
const PIPE: usize = 256 * 1024;
/// How often a digest is looked at that others keep changing.
const MAX_ROUNDS: u32 = 4;

/// Where sound bytes may come from.
#[async_trait]
pub trait Source: Send + Sync {
    /// Writes the bytes of a blob, which has this size if it is known, to `out`. They are verified by who asks for them.
    ///
    /// # Errors
    /// Why they cannot be had; `out` may have been given anything then.
    async fn fetch(
        &self,
        digest: Digest,
        size: Option<u64>,
        out: &mut (dyn AsyncWrite + Send + Unpin),
    ) -> Result<(), SourceError>;
}

/// Why a source did not give a blob, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// It does not have this one, or not as it should be.
    #[error("{0}")]
    Blob(String),
    /// It cannot be asked for anything.
    #[error("{0}")]
    Unreachable(String),
}

/// What may be done about lost and damaged blobs. By default nothing.
#[derive(Clone, Default)]
pub struct HealOptions {
    /// Where to fetch sound bytes.
    pub source: Option<Arc<dyn Source>>,
    /// Delete damaged bytes that cannot be replaced, so that the blob counts as missing and is taken in again.
    pub discard_damaged: bool,
}

impl HealOptions {
    /// Whether there is anything that may be done.
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
pub(super) enum HealTarget {
    /// A generation that was read and found damaged.
    Copy(Digest, u64),
    /// A blob that a version needs and that has no bytes, or not so many.
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
            wrong @ (BlobError::DigestMismatch { .. } | BlobError::SizeMismatch { .. }) => {
                SourceError::Blob(wrong.to_string()).into()
            }
        }
    }
}

/// Heals, and remembers where that was in vain.
pub(super) struct Healer<'a> {
    store: &'a dyn ObjectStore,
    blobs: &'a Blobs,
    remedy: &'a HealOptions,
    /// Blobs that the source does not give, and why: many versions may need the same.
    refused: HashMap<Digest, SourceError>,
    /// Why the source is not asked any more.
    unreachable: Option<SourceError>,
}

impl<'a> Healer<'a> {
    pub(super) fn new(store: &'a dyn ObjectStore, blobs: &'a Blobs, remedy: &'a HealOptions) -> Self {
        Self { store, blobs, remedy, refused: HashMap::new(), unreachable: None }
    }

    /// Does what may be done.
    ///
    /// # Errors
    /// When the store is not available. Other failures are reasons why the blob was left as it is.
    pub(super) async fn heal(&mut self, patient: HealTarget) -> Result<Outcome, StoreError> {
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

    /// Reads every copy of a digest; those that look damaged twice.
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

    /// Brings the blob nearer to health.
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

    /// Puts sound bytes in the place of damaged or lost ones. A generation of our own that is doomed has some: they are
    /// saved, because whoever is about to delete them may take a damaged generation for their successor.
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

/// What the copies of a digest are, as reading all of them shows.
#[derive(Debug, Default)]
struct State {
    /// The newest sound generation that may be relied on, and its size.
    usable: Option<(u64, u64)>,
    /// The newest sound one that is doomed.
    doomed: Option<(u64, u64)>,
    /// Generations whose bytes have another digest.
    wrong: Vec<u64>,
    /// Those whose bytes cannot be read.
    unreadable: Vec<u64>,
    /// Why some of them could not be looked at.
    denied: Option<String>,
}

impl State {
    fn damaged(&self) -> Vec<u64> {
        self.wrong.iter().chain(&self.unreadable).copied().collect()
    }

    /// What the patient comes to, if nothing more can be done for it.
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
