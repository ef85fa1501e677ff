//! Appending to a resumable upload: bytes are gathered until they fill a part, stored, and recorded. While parts are being
//! stored, several at once, the next one is gathered. Each is recorded after the one before it, so the records have no gaps.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::record::{Records, Step};
use super::{PLACE, Progress, UploadError, Uploads};
use crate::domain::Hasher;
use crate::domain::manifest::Descriptor;
use crate::protocol::BlobError;
use crate::store::{Created, MAX_PARTS, Part, StoreError, StoreErrorKind};

/// Parts of one append that are being stored at once: a bucket far away takes long to answer, but takes in many at once.
const STORED_AT_ONCE: usize = 4;
/// Longest wait for the memory of a part.
const PLACE_WITHIN: Duration = Duration::from_secs(30);

/// An append under way. Dropping it forgets the bytes that do not fill a part, and nothing else.
#[derive(Debug)]
pub struct Append {
    uploads: Arc<Uploads>,
    upload: Progress,
    /// Bytes that were taken in, with those that were there before.
    received: u64,
    hasher: Hasher,
    gathered: BytesMut,
    /// The memory of the part that is being gathered.
    place: Option<OwnedSemaphorePermit>,
    /// The last part that is being stored, which ends after those before it. They go on without us.
    storing: Option<JoinHandle<Result<Step, UploadError>>>,
    /// Parts that are being stored, or were since the last time all of them had ended.
    unsettled: u32,
    window: Arc<Semaphore>,
}

impl Append {
    /// Goes on with an upload that is not complete.
    ///
    /// # Errors
    /// [`UploadError::Foreign`].
    pub fn new(uploads: &Arc<Uploads>, upload: Progress) -> Result<Self, UploadError> {
        let (uploads, received, hasher) = (Arc::clone(uploads), upload.offset(), upload.step.hasher()?);
        Ok(Self {
            uploads,
            upload,
            received,
            hasher,
            gathered: BytesMut::new(),
            place: None,
            storing: None,
            unsettled: 0,
            window: Arc::new(Semaphore::new(STORED_AT_ONCE)),
        })
    }

    /// Takes in the next bytes. Those that fill a part are being stored when this returns, while more may be taken in.
    ///
    /// # Errors
    /// A size mismatch as soon as more arrive than were announced; [`UploadError::Moved`] when somebody else appends too;
    /// [`UploadError::Gone`]; when the store fails. The upload is as it was after the last part that was stored.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), UploadError> {
        let received = self.received + bytes.len() as u64;
        let most = if self.upload.step.sealed { Some(self.upload.offset()) } else { self.upload.length() };
        if let Some(announced) = most.filter(|most| received > *most) {
            return Err(BlobError::SizeMismatch { announced, received }.into());
        }
        let limit = self.uploads.most();
        if received > limit {
            return Err(UploadError::TooLarge { limit });
        }
        while !bytes.is_empty() {
            let part_size = usize::try_from(self.upload.part_size()).unwrap_or(usize::MAX);
            if self.place.is_none() {
                self.place = Some(self.place().await?);
                let rest = self.upload.length().map_or(u64::MAX, |length| length - self.received);
                self.gathered.reserve(usize::try_from(rest).unwrap_or(usize::MAX).min(part_size));
            }
            let taken = bytes.split_to(bytes.len().min(part_size - self.gathered.len()));
            self.received += taken.len() as u64;
            self.hasher.update(&taken);
            self.gathered.extend_from_slice(&taken);
            if self.gathered.len() == part_size {
                self.store(false).await?;
            }
        }
        Ok(())
    }

    /// Waits until all parts are stored that were filled.
    ///
    /// # Errors
    /// As [`Append::write`].
    pub async fn settle(&mut self) -> Result<(), UploadError> {
        let Some(storing) = self.storing.take() else { return Ok(()) };
        let ended = storing.await;
        let failed = |error| StoreError::new(StoreErrorKind::Internal, self.upload.id, error);
        self.upload.step = ended.map_err(failed)??;
        self.upload.number += std::mem::take(&mut self.unsettled);
        Ok(())
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, UploadError> {
        let all = self.uploads.limits.memory / PLACE;
        let wanted = self.upload.part_size().div_ceil(PLACE).min(all).max(1);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let places: Arc<Semaphore> = Arc::clone(&self.uploads.places);
        match timeout(PLACE_WITHIN, places.acquire_many_owned(wanted)).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(UploadError::Busy),
        }
    }

    /// Begins to store what was gathered as the next part, as soon as few enough are being stored.
    async fn store(&mut self, last: bool) -> Result<(), UploadError> {
        // Whatever ended one of them ends all that come after it.
        if self.storing.as_ref().is_some_and(JoinHandle::is_finished) {
            self.settle().await?;
        }
        let number = self.upload.number + self.unsettled + 1;
        if number > MAX_PARTS {
            return Err(UploadError::TooLarge { limit: self.upload.part_size() * u64::from(MAX_PARTS) });
        }
        let turn = Arc::clone(&self.window).acquire_owned().await;
        let (uploads, upload) = (Arc::clone(&self.uploads), self.upload.clone());
        let (bytes, place) = (std::mem::take(&mut self.gathered).freeze(), self.place.take());
        let next = Next { number, bytes, hasher: self.hasher.clone(), last, before: self.storing.take() };
        let work = async move {
            let stored = next.store(&uploads, &upload).await;
            drop((place, turn));
            stored
        };
        self.storing = Some(tokio::spawn(work.in_current_span()));
        self.unsettled += 1;
        Ok(())
    }

    fn records(&self) -> Records {
        self.uploads.records(self.upload.id)
    }

    /// Ends an append after which the upload is to go on. Returns where. If all bytes that were announced are there, they
    /// are stored, whether they fill a part or not.
    ///
    /// # Errors
    /// [`UploadError::Unfilled`] when there are bytes left that do not fill a part; they are forgotten. Else as
    /// [`Append::write`].
    pub async fn pause(mut self) -> Result<Progress, UploadError> {
        if !self.gathered.is_empty() && self.upload.length() == Some(self.received) {
            self.store(true).await?;
        }
        self.settle().await?;
        if !self.gathered.is_empty() {
            let (offset, part_size) = (self.upload.offset(), self.upload.part_size());
            return Err(UploadError::Unfilled { offset, part_size });
        }
        Ok(self.upload)
    }

    /// Ends the upload: stores what is left, verifies length and digest, and makes the blob visible.
    ///
    /// # Errors
    /// When length or digest are not those that were stated; then the upload is gone. [`UploadError::Gone`] when it was
    /// given up meanwhile. After any other error completing can be tried again.
    pub async fn complete(mut self) -> Result<Created, UploadError> {
        self.settle().await?;
        let received = self.received;
        if let Some(announced) = self.upload.length().filter(|announced| *announced != received) {
            return self.refuse(BlobError::SizeMismatch { announced, received }).await;
        }
        if !self.gathered.is_empty() || self.upload.number == 0 {
            self.store(true).await?;
            self.settle().await?;
        }
        let (expected, actual) = (self.upload.digest(), self.hasher.clone().finish());
        if actual != expected {
            return self.refuse(BlobError::DigestMismatch { expected, actual }).await;
        }
        let written: Vec<Part> = match self.records().parts(self.upload.number, &self.upload.step).await {
            // Whoever completes it at the same time tidies up as soon as it is done.
            Err(UploadError::Gone) if self.is_done().await? => return Ok(Created::AlreadyExists),
            parts => parts?,
        };
        let blob = Descriptor { digest: expected, size: received };
        let parts = self.upload.beginning.parts()?;
        let Some(created) = self.uploads.blobs.finish_parts(&*self.uploads.store, blob, &parts, &written).await? else {
            self.uploads.give_up(&self.upload).await?;
            return Err(UploadError::Gone);
        };
        self.remember().await;
        Ok(created)
    }

    async fn is_done(&self) -> Result<bool, UploadError> {
        Ok(self.uploads.look(self.upload.id).await?.is_some_and(|upload| upload.is_complete()))
    }

    async fn refuse(self, error: BlobError) -> Result<Created, UploadError> {
        self.uploads.give_up(&self.upload).await?;
        Err(error.into())
    }

    /// Leaves word that the blob is stored, for a client that does not get our answer. Without it the client completes the
    /// upload once more and finds the blob there, so a failure here is none of its business.
    async fn remember(&self) {
        let (records, number) = (self.records(), self.upload.number + 1);
        let remember = async {
            if records.add(number, &self.upload.step.done()?).await? {
                records.forget_steps_before(number).await?;
            }
            Ok::<_, UploadError>(())
        };
        if let Err(error) = remember.await {
            tracing::warn!(upload = %self.upload.id, %error, "an upload is complete, but its record is not");
        }
    }
}

/// A part that is to be stored and recorded.
struct Next {
    number: u32,
    bytes: Bytes,
    /// Of all bytes up to its end.
    hasher: Hasher,
    last: bool,
    /// The part before it, if that is not recorded yet.
    before: Option<JoinHandle<Result<Step, UploadError>>>,
}

impl Next {
    /// Stores the part, waits until the one before it is recorded, and records it. Which part it is does not depend on the
    /// one before: all but the last are full.
    async fn store(self, uploads: &Uploads, upload: &Progress) -> Result<Step, UploadError> {
        let (parts, full) = (upload.beginning.parts()?, upload.part_size());
        let offset = u64::from(self.number - 1) * full;
        let written = uploads.store.write_part(&parts, self.number, offset, self.bytes).await;
        let before = match self.before {
            Some(before) => {
                let failed = |error| StoreError::new(StoreErrorKind::Internal, upload.id, error);
                before.await.map_err(failed)??
            }
            None => upload.step.clone(),
        };
        let Some(part) = written? else {
            // Whoever asks where it is must not be told to go on.
            uploads.give_up(upload).await?;
            return Err(UploadError::Gone);
        };
        let sealed = self.last && part.size < full;
        let step = before.after(part, &self.hasher, sealed)?;
        let records = uploads.records(upload.id);
        if records.add(self.number, &step).await? { Ok(step) } else { Err(UploadError::Moved) }
    }
}
