//! Streamed objects: double-buffered, so that one piece is written while the next one fills.
//!
//! A piece is small as long as little has arrived, and while too many others are large; one whose sender is slow is
//! written early and given back. So memory follows what arrives, not the number of uploads, and nobody waits for it. An
//! object that fits into one large piece touches the disk only at commit, like a small object.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::super::{Created, Key, Result, StoreError, StoreErrorKind, Upload};
use super::pieces::Piece;
use super::staging::Staged;
use super::{FsStore, blocking};

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
    /// Bytes handed over to be written, which decides how the next ones are aligned in the file.
    handed_over: u64,
    writing: Option<Writing>,
    /// What the last write left: the file, and a buffer for reuse.
    staged: Option<Staged>,
    spare: Option<Piece>,
}

/// The write of a piece, in progress or finished.
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
            if self.room() == 0 && !self.gathered.enlarge(&store.inner.pieces) {
                self.write(store).await?;
            }
            let taken = bytes.split_to(bytes.len().min(self.room()));
            self.gathered.extend(&taken);
        }
        Ok(())
    }

    fn room(&self) -> usize {
        self.gathered.room(self.handed_over)
    }

    /// Starts writing the buffered piece as soon as the previous write has finished.
    async fn write(&mut self, store: &FsStore) -> io::Result<()> {
        self.settle().await?;
        let spare = self.spare.take().filter(|spare| spare.is_large() == self.gathered.is_large());
        let mut piece = std::mem::replace(&mut self.gathered, spare.unwrap_or_default());
        self.handed_over += piece.bytes().len() as u64;
        let (staged, store) = (self.staged.take(), store.clone());
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let mut staged = staged.map_or_else(|| store.inner.stage(), Ok)?;
            staged.write(piece.bytes())?;
            piece.clear();
            Ok((staged, piece))
        }));
        Ok(())
    }

    /// Writes what is in a large piece, and gives it back as soon as that is done.
    async fn relax(&mut self, store: &FsStore) -> io::Result<()> {
        if self.gathered.is_large() {
            self.write(store).await?;
            self.gathered = Piece::default();
        }
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished) {
            self.settle().await?;
        }
        self.spare = None;
        Ok(())
    }

    /// Waits until the last write has finished.
    async fn settle(&mut self) -> io::Result<()> {
        if let Some(writing) = self.writing.take() {
            let (staged, spare) = writing.await.map_err(io::Error::other)??;
            (self.staged, self.spare) = (Some(staged), Some(spare));
        }
        Ok(())
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

    async fn relax(&mut self) -> Result<()> {
        let mut state = self.take()?;
        state.relax(&self.store).await.map_err(|error| StoreError::io(&self.key, error))?;
        self.state = Some(state);
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Created> {
        let mut state = self.take()?;
        state.settle().await.map_err(|error| StoreError::io(&self.key, error))?;
        let (staged, rest) = (state.staged, state.gathered);
        let publish = move |store: &FsStore, key: &Key| {
            let mut staged = staged.map_or_else(|| store.inner.stage(), Ok)?;
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
            let _ = state.settle().await;
            let removed = move || {
                drop(state);
                Ok(())
            };
            let _ = blocking(removed).await;
        }
    }
}
