//! Streamed objects: double-buffered, so that one piece is written while the next one fills.
//!
//! An object that fits into one piece touches the disk only at commit, like a small object.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::super::{Created, Key, Result, StoreError, StoreErrorKind, Upload};
use super::staging::{ALIGNMENT, Staged};
use super::{FsStore, blocking};

/// Bytes per piece. Each object that is being written has two pieces in memory.
const PIECE: usize = 512 * 1024;

/// A write buffer.
#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    /// Offset of the first byte in the allocation, which aligns it.
    start: usize,
}

impl Piece {
    /// An empty piece whose bytes will be aligned, so that they can be written past the page cache.
    fn aligned() -> Self {
        let mut bytes: Vec<u8> = Vec::with_capacity(PIECE + ALIGNMENT);
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        bytes.resize(start, 0);
        Self { bytes, start }
    }

    fn is_aligned(&self) -> bool {
        self.bytes.capacity() >= self.start + PIECE && self.bytes().as_ptr().align_offset(ALIGNMENT) == 0
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn room(&self) -> usize {
        PIECE - self.bytes().len()
    }

    fn clear(&mut self) {
        self.bytes.truncate(self.start);
    }
}

/// An uncommitted streamed object.
pub(super) struct FsUpload {
    store: FsStore,
    key: Key,
    /// `None` while a write is in progress and after one that failed or was cancelled: such an upload cannot commit.
    state: Option<State>,
}

#[derive(Default)]
struct State {
    gathered: Piece,
    /// Set once there is more than one piece.
    writing: Option<Writing>,
}

/// The write of a piece, in progress or finished; returns the buffer for reuse.
type Writing = JoinHandle<io::Result<(Staged, Piece)>>;

impl FsUpload {
    pub(super) fn new(store: FsStore, key: Key) -> Self {
        Self { store, key, state: Some(State::default()) }
    }

    fn take(&mut self) -> Result<State> {
        let broken = "an earlier write failed or was cancelled";
        self.state.take().ok_or_else(|| StoreError::new(StoreErrorKind::Internal, &self.key, broken))
    }
}

impl State {
    async fn gather(&mut self, store: &FsStore, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.gathered.room() == 0 {
                self.write(store).await?;
            }
            let taken = bytes.split_to(bytes.len().min(self.gathered.room()));
            self.gathered.bytes.extend_from_slice(&taken);
        }
        Ok(())
    }

    /// Starts writing the buffered piece as soon as the previous write has finished.
    async fn write(&mut self, store: &FsStore) -> io::Result<()> {
        let before = self.settle().await?;
        let (staged, spare) = before.map_or_else(|| (None, Piece::aligned()), |(staged, spare)| (Some(staged), spare));
        let mut piece = std::mem::replace(&mut self.gathered, spare);
        let store = store.clone();
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let mut staged = staged.map_or_else(|| store.inner.stage(), Ok)?;
            staged.write(piece.bytes())?;
            piece.clear();
            // The first piece grew with its object and is not aligned; replace it.
            Ok((staged, if piece.is_aligned() { piece } else { Piece::aligned() }))
        }));
        Ok(())
    }

    async fn settle(&mut self) -> io::Result<Option<(Staged, Piece)>> {
        let Some(writing) = self.writing.take() else { return Ok(None) };
        writing.await.map_err(io::Error::other)?.map(Some)
    }
}

#[async_trait]
impl Upload for FsUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let mut state = self.take()?;
        state.gather(&self.store, bytes).await.map_err(|error| StoreError::io(&self.key, error))?;
        self.state = Some(state);
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Created> {
        let mut state = self.take()?;
        let before = state.settle().await.map_err(|error| StoreError::io(&self.key, error))?;
        let rest = state.gathered;
        let publish = move |store: &FsStore, key: &Key| {
            let mut staged = before.map_or_else(|| store.inner.stage(), |(staged, _)| Ok(staged))?;
            if !rest.bytes().is_empty() {
                staged.write(rest.bytes())?;
            }
            store.inner.publish(staged, key)
        };
        let (store, key) = (self.store.clone(), self.key.clone());
        let published = blocking(move || publish(&store, &key)).await;
        published.map_err(|error| StoreError::io(&self.key, error))
    }

    async fn abort(mut self: Box<Self>) {
        if let Some(mut state) = self.state.take() {
            let staged = state.settle().await;
            let _ = blocking(move || staged.map(drop)).await;
        }
    }
}
