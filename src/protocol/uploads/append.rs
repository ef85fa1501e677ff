//! Appending to a resumable upload: bytes are buffered until they fill a part, stored, and recorded. Several parts are
//! stored concurrently while the next one is buffered. Each is recorded after its predecessor, so the records have no
//! gaps.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::record::{Records, Step};
use super::{Progress, UploadError, Uploads};
use crate::domain::Hasher;
use crate::domain::manifest::Descriptor;
use crate::protocol::BlobError;
use crate::shares::{Owner, Room};
use crate::store::{Created, MAX_PARTS, Part, StoreError, StoreErrorKind};

/// Parts of one append stored concurrently: a remote bucket has a high latency but also a high throughput.
const STORED_AT_ONCE: usize = 4;

/// An append in progress. Dropping it discards the bytes that do not fill a part, and nothing else.
#[derive(Debug)]
pub struct Append {
    uploads: Arc<Uploads>,
    upload: Progress,
    /// Bytes received, including those of earlier appends.
    received: u64,
    hasher: Hasher,
    gathered: BytesMut,
    /// The memory for the part that is being buffered.
    room: Room,
    /// The task that stores the most recent part; it ends after those of earlier parts. The tasks continue when the
    /// append is dropped.
    storing: Option<JoinHandle<Result<Step, UploadError>>>,
    /// Parts in flight, or started since the last time that none was in flight.
    unsettled: u32,
    window: Arc<Semaphore>,
}

impl Append {
    /// Continues an upload that is not complete. Its buffers count against the share of its owner.
    ///
    /// # Errors
    /// [`UploadError::Foreign`].
    pub fn new(uploads: &Arc<Uploads>, upload: Progress) -> Result<Self, UploadError> {
        let (uploads, received, hasher) = (Arc::clone(uploads), upload.offset(), upload.step.hasher()?);
        Ok(Self {
            room: uploads.memory.room(Owner::new(upload.owner())),
            uploads,
            upload,
            received,
            hasher,
            gathered: BytesMut::new(),
            storing: None,
            unsettled: 0,
            window: Arc::new(Semaphore::new(STORED_AT_ONCE)),
        })
    }

    /// Receives the next bytes. Full parts are being stored when this returns, while the caller may write more.
    ///
    /// # Errors
    /// A size mismatch as soon as more arrive than were announced; [`UploadError::Moved`] when another request appends
    /// too; [`UploadError::Gone`]; when the store fails. The upload is left as it was after the last stored part.
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
            if self.gathered.len() == self.room.size() {
                self.grow(bytes.len()).await?;
            }
            let taken = bytes.split_to(bytes.len().min(self.room.size() - self.gathered.len()));
            self.received += taken.len() as u64;
            self.hasher.update(&taken);
            self.gathered.extend_from_slice(&taken);
            self.check()?;
            if self.gathered.len() as u64 == self.upload.part_size() {
                self.store(false).await?;
            }
        }
        Ok(())
    }

    /// Takes memory for `more` bytes, up to the end of the part or of the upload.
    async fn grow(&mut self, more: usize) -> Result<(), UploadError> {
        let held = self.gathered.len();
        let rest = self.upload.length().map_or(u64::MAX, |length| length - self.received);
        let whole = self.upload.part_size().min(rest.saturating_add(held as u64));
        let size = self.room.grow(held + more, usize::try_from(whole).unwrap_or(usize::MAX)).await?;
        self.gathered.reserve(size - held);
        Ok(())
    }

    /// Whether the append may keep its memory. To be called now and then while nothing arrives.
    ///
    /// # Errors
    /// [`UploadError::TooSlow`] if others wait for it.
    pub fn check(&self) -> Result<(), UploadError> {
        Ok(self.room.check(self.gathered.len())?)
    }

    /// Waits until all full parts are stored, and discards bytes that do not fill one.
    ///
    /// # Errors
    /// As [`Append::write`].
    pub async fn give_way(mut self) -> Result<(), UploadError> {
        (self.gathered, _) = (BytesMut::new(), self.room.take());
        self.settle().await
    }

    /// Waits until all full parts are stored.
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

    /// Starts to store the buffered bytes as the next part, once the number of parts in flight allows it.
    async fn store(&mut self, last: bool) -> Result<(), UploadError> {
        // The failure of one part ends all later ones.
        if self.storing.as_ref().is_some_and(JoinHandle::is_finished) {
            self.settle().await?;
        }
        let number = self.upload.number + self.unsettled + 1;
        if number > MAX_PARTS {
            return Err(UploadError::TooLarge { limit: self.upload.part_size() * u64::from(MAX_PARTS) });
        }
        let turn = Arc::clone(&self.window).acquire_owned().await;
        let (uploads, upload) = (Arc::clone(&self.uploads), self.upload.clone());
        let (bytes, place) = (std::mem::take(&mut self.gathered).freeze(), self.room.take());
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

    /// Ends an append without completing the upload. Returns the progress from which to continue. If all announced
    /// bytes were received, they are stored, whether they fill a part or not.
    ///
    /// # Errors
    /// [`UploadError::Unfilled`] when bytes are left that do not fill a part; they are discarded. Otherwise as
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

    /// Completes the upload: stores the remaining bytes, verifies length and digest, and makes the blob visible.
    ///
    /// # Errors
    /// When length or digest differ from those stated; the upload is then deleted. [`UploadError::Gone`] when it was
    /// aborted meanwhile. After any other error completing can be retried.
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
            // A concurrent request that completes the upload deletes its steps as soon as it is done.
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

    /// Records that the blob is stored, for a client that does not get the reply. Without the record the client
    /// completes the upload once more and finds the blob stored, so a failure here is ignored.
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

/// A part to be stored and recorded.
struct Next {
    number: u32,
    bytes: Bytes,
    /// State of the hash over all bytes up to the end of this part.
    hasher: Hasher,
    last: bool,
    /// The task of the preceding part, if that is not recorded yet.
    before: Option<JoinHandle<Result<Step, UploadError>>>,
}

impl Next {
    /// Stores the part, waits until its predecessor is recorded, and records it. The part's number does not depend on
    /// the predecessor: all but the last are full.
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
            // A client that asks for the offset must not be told to continue.
            uploads.give_up(upload).await?;
            return Err(UploadError::Gone);
        };
        let sealed = self.last && part.size < full;
        let step = before.after(part, &self.hasher, sealed)?;
        let records = uploads.records(upload.id);
        if records.add(self.number, &step).await? { Ok(step) } else { Err(UploadError::Moved) }
    }
}
