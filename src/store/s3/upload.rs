//! Streamed objects: buffered into parts, several of which are uploaded concurrently.
//!
//! An object that fits into one part becomes one conditional PUT at commit, like a small object. Part sizes double
//! after every thousand parts, so that the 10,000 parts of an object hold more than the largest blob, and more with
//! more memory.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::task::{JoinError, JoinSet};

use super::super::{Created, Key, Part, Result, StoreError, StoreErrorKind, Upload};
use super::Inner;
use super::parts::Multipart;
use crate::shares::{Memory, Owner, Room, RoomError};

/// Number of parts before the part size doubles.
const OF_ONE_SIZE: u32 = 1000;

/// An uncommitted streamed object.
pub(super) struct S3Upload {
    inner: Arc<Inner>,
    key: Key,
    /// `None` while a write is in progress and after one that failed or was cancelled: such an upload cannot commit.
    state: Option<State>,
}

struct State {
    buffer: BytesMut,
    /// The memory for the buffer.
    room: Room,
    /// Set once there is more than one part.
    sending: Option<Sending>,
}

/// Fields drop in this order: part uploads are cancelled first, then the upload is aborted.
struct Sending {
    running: JoinSet<Result<Option<Part>>>,
    written: Vec<Part>,
    next: u32,
    multipart: Multipart,
}

impl S3Upload {
    pub(super) fn new(inner: Arc<Inner>, key: Key) -> Self {
        // Until somebody is named, it is on the account of the server itself.
        let room = inner.memory.room(Owner::new(""));
        Self { inner, key, state: Some(State { buffer: BytesMut::new(), room, sending: None }) }
    }

    fn take(&mut self) -> Result<State> {
        let broken = "an earlier write failed or was cancelled";
        self.state.take().ok_or_else(|| StoreError::new(StoreErrorKind::Internal, &self.key, broken))
    }
}

#[async_trait]
impl Upload for S3Upload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let mut state = self.take()?;
        state.write(&self.inner, &self.key, bytes).await?;
        self.state = Some(state);
        Ok(())
    }

    fn set_owner(&mut self, owner: Owner) {
        if let Some(state) = &mut self.state {
            state.room.set_owner(owner);
        }
    }

    async fn relax(&mut self) -> Result<()> {
        let Some(state) = &self.state else { return Ok(()) };
        state.room.check(state.buffer.len()).map_err(|error| refused(&self.key, error))
    }

    async fn commit(mut self: Box<Self>) -> Result<Created> {
        let mut state = self.take()?;
        if state.sending.is_none() {
            let _grant = state.room.take();
            return self.inner.create(&self.key, state.buffer.freeze()).await;
        }
        if !state.buffer.is_empty() {
            state.send(&self.inner, &self.key).await?;
        }
        match state.sending {
            Some(sending) => sending.commit(&self.key).await,
            None => Err(StoreError::new(StoreErrorKind::Internal, &self.key, "the parts are gone")),
        }
    }

    async fn abort(mut self: Box<Self>) {
        if let Some(sending) = self.state.take().and_then(|state| state.sending) {
            let Sending { mut running, multipart, .. } = sending;
            running.shutdown().await;
            multipart.abort().await;
        }
    }
}

impl State {
    async fn write(&mut self, inner: &Arc<Inner>, key: &Key, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let number = self.sending.as_ref().map_or(1, |sending| sending.next);
            let part = part_size(inner.settings.part_size, largest_part(&inner.memory), number);
            let part = usize::try_from(part).unwrap_or(usize::MAX);
            if self.buffer.len() >= part {
                self.send(inner, key).await?;
                continue;
            }
            if self.buffer.len() == self.room.size() {
                let grown = self.room.grow(self.buffer.len() + bytes.len(), part).await;
                self.buffer.reserve(grown.map_err(|error| refused(key, error))? - self.buffer.len());
            }
            let taken = bytes.len().min(self.room.size() - self.buffer.len());
            self.buffer.extend_from_slice(&bytes[..taken]);
            bytes.advance(taken);
            self.room.check(self.buffer.len()).map_err(|error| refused(key, error))?;
        }
        Ok(())
    }

    /// Starts uploading the buffered bytes as the next part.
    async fn send(&mut self, inner: &Arc<Inner>, key: &Key) -> Result<()> {
        let sending = if let Some(sending) = self.sending.take() {
            sending
        } else {
            let multipart = Multipart::begin(inner, key).await?;
            Sending { running: JoinSet::new(), written: Vec::new(), next: 1, multipart }
        };
        let sending = self.sending.insert(sending);
        while sending.running.len() >= inner.settings.parts_at_once {
            sending.reap(key).await?;
        }
        let (bytes, grant) = (std::mem::take(&mut self.buffer).freeze(), self.room.take());
        let (inner, key, id) = (Arc::clone(inner), key.clone(), sending.multipart.id().to_owned());
        let number = sending.next;
        sending.running.spawn(async move {
            let size = bytes.len() as u64;
            let tag = inner.put_part(&key, &id, number, bytes).await?;
            drop(grant);
            Ok(tag.map(|tag| Part { number, size, tag }))
        });
        sending.next += 1;
        Ok(())
    }
}

impl Sending {
    /// Waits for one of the part uploads in progress.
    async fn reap(&mut self, key: &Key) -> Result<()> {
        let Some(ended) = self.running.join_next().await else { return Ok(()) };
        let stopped = |error: JoinError| StoreError::new(StoreErrorKind::Internal, key, error);
        let gone = || StoreError::new(StoreErrorKind::Unavailable, key, "somebody aborted the multipart upload");
        self.written.push(ended.map_err(stopped)??.ok_or_else(gone)?);
        Ok(())
    }

    async fn commit(mut self, key: &Key) -> Result<Created> {
        while !self.running.is_empty() {
            self.reap(key).await?;
        }
        self.written.sort_unstable_by_key(|part| part.number);
        self.multipart.complete(&self.written).await
    }
}

/// The largest part, in bytes, such that two fit into the memory.
fn largest_part(memory: &Memory) -> u64 {
    memory.for_wholes() / 2
}

fn refused(key: &Key, error: RoomError) -> StoreError {
    let text = match error {
        RoomError::Busy => "too many uploads at once for the memory that they may take (store.memory)",
        RoomError::TooSlow => "the upload was slow while others waited for the memory that it took (store.memory)",
    };
    StoreError::new(StoreErrorKind::Unavailable, key, text)
}

/// Size of a part by its number, where the first ones have `first` bytes and none has more than `largest`.
fn part_size(first: u64, largest: u64, number: u32) -> u64 {
    let doubled = first.saturating_mul(1 << (number.saturating_sub(1) / OF_ONE_SIZE).min(20));
    doubled.min(largest.max(first))
}

#[cfg(test)]
mod tests {
    use super::super::super::MAX_PARTS;
    use super::*;

    const MIB: u64 = 1 << 20;

    fn all_parts(first: u64, largest: u64) -> u64 {
        (1..=MAX_PARTS).map(|number| part_size(first, largest, number)).sum()
    }

    #[test]
    fn parts_grow_with_their_number_and_never_shrink() {
        assert_eq!([1, 1000, 1001, 2001].map(|number| part_size(5, 1000, number)), [5, 5, 10, 20]);
        assert_eq!(part_size(5, 12, 9_999), 12);
        assert!((1..MAX_PARTS).all(|number| part_size(5, 999, number) <= part_size(5, 999, number + 1)));
    }

    #[test]
    fn ten_thousand_parts_hold_the_largest_blobs_even_with_little_memory() {
        // The default, and the smallest memory that is allowed with the smallest parts.
        assert!(all_parts(8 * MIB, 96 * MIB) > 600 << 30);
        assert!(all_parts(5 * MIB, 7 * MIB) > 64 << 30);
    }
}
