//! Where the body of a response comes from.

use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::Extensions;
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::sync::OwnedSemaphorePermit;

use super::super::memory::{ConnectionMemory, NoShare, Waiting};
use crate::store::FileSlice;

/// What a body that comes from elsewhere, such as a bucket, is taken to hold in buffers of its own, in bytes.
const ELSEWHERE: usize = 64 << 10;

/// The part of a body that has not been sent.
pub(super) enum Source {
    /// It is in memory.
    Memory(Bytes),
    /// It is in a file.
    File(FileSource),
    /// It comes from elsewhere, bit by bit.
    Elsewhere {
        body: Body,
        /// What has come already.
        came: Bytes,
        is_ended: bool,
    },
}

impl Source {
    pub(super) fn new(extensions: &mut Extensions, mut body: Body) -> Self {
        match extensions.remove::<FileSlice>() {
            Some(FileSlice { bytes: Some(bytes), .. }) => return Self::Memory(bytes),
            Some(slice) => return Self::File(FileSource::new(slice)),
            None => {}
        }
        let Some(length) = body.size_hint().exact() else {
            let is_ended = body.is_end_stream();
            return Self::Elsewhere { body, came: Bytes::new(), is_ended };
        };
        // A body that knows its length is in memory, and all of it comes at once.
        let came = match body.frame().now_or_never() {
            Some(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            _ => Bytes::new(),
        };
        if came.len() as u64 == length {
            return Self::Memory(came);
        }
        let is_ended = body.is_end_stream();
        Self::Elsewhere { body, came, is_ended }
    }

    /// How many bytes there are in total, if that is known before anything was sent.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Memory(bytes) => Some(bytes.len() as u64),
            Self::File(file) => Some(file.left()),
            Self::Elsewhere { .. } => None,
        }
    }

    /// Whether everything has been taken.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Memory(bytes) => bytes.is_empty(),
            Self::File(file) => file.left() == 0,
            Self::Elsewhere { came, is_ended, .. } => came.is_empty() && *is_ended,
        }
    }

    /// How many bytes can be taken.
    pub(super) fn at_hand(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File(file) => usize::try_from(file.left()).unwrap_or(usize::MAX),
            Self::Elsewhere { came, .. } => came.len(),
        }
    }

    /// Waits for bytes to come from elsewhere, or the end.
    pub(super) async fn fetch(&mut self) -> Result<(), axum::Error> {
        let Self::Elsewhere { body, came, is_ended } = self else { return Ok(()) };
        match body.frame().await.transpose()? {
            Some(frame) => {
                *came = frame.into_data().unwrap_or_default();
                *is_ended = body.is_end_stream();
            }
            None => *is_ended = true,
        }
        Ok(())
    }

    /// Takes bytes that are at hand.
    pub(super) async fn take(&mut self, count: usize) -> io::Result<Bytes> {
        match self {
            Self::Memory(bytes) | Self::Elsewhere { came: bytes, .. } => Ok(bytes.split_to(count.min(bytes.len()))),
            Self::File(file) => file.read(count).await,
        }
    }

    /// Called before the client is waited for, perhaps for long. Fails if that would take more than a fair share.
    pub(super) fn pause(&mut self, memory: &Arc<ConnectionMemory>) -> Result<Option<Waiting>, NoShare> {
        match self {
            Self::Memory(bytes) => memory.wait(bytes, 0).ok_or(NoShare).map(Some),
            Self::Elsewhere { came, .. } => memory.wait(came, ELSEWHERE).ok_or(NoShare).map(Some),
            Self::File(file) => {
                file.pause(memory);
                Ok(None)
            }
        }
    }
}

/// A part of a file, which need not be open.
pub(super) struct FileSource {
    at: u64,
    end: u64,
    handle: Handle,
    /// The permission to stay open.
    permit: Option<OwnedSemaphorePermit>,
}

enum Handle {
    Open(Arc<std::fs::File>),
    Closed(ClosedFile),
}

/// Where a file was, and which one it was.
#[derive(Clone)]
struct ClosedFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl FileSource {
    fn new(slice: FileSlice) -> Self {
        Self { at: slice.start, end: slice.end, handle: Handle::Open(slice.file), permit: None }
    }

    fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }

    /// Closes the file unless there are few enough of them. One that has no name any more stays open.
    fn pause(&mut self, memory: &ConnectionMemory) {
        if self.permit.is_none() {
            self.permit = memory.all().file();
        }
        if self.permit.is_some() {
            return;
        }
        if let Handle::Open(file) = &self.handle
            && let Some(closed) = ClosedFile::of(file)
        {
            self.handle = Handle::Closed(closed);
        }
    }

    async fn read(&mut self, count: usize) -> io::Result<Bytes> {
        let file = match &self.handle {
            Handle::Open(file) => Arc::clone(file),
            Handle::Closed(closed) => {
                let closed = closed.clone();
                let opened = tokio::task::spawn_blocking(move || closed.open()).await.map_err(io::Error::other)?;
                let file = Arc::new(opened?);
                self.handle = Handle::Open(Arc::clone(&file));
                file
            }
        };
        let (at, count) = (self.at, count.min(usize::try_from(self.left()).unwrap_or(count)));
        let mut bytes = vec![0; count];
        // On this thread if the kernel has the bytes in memory, else on one that may wait for the disk.
        if preadv2(&*file, &mut [IoSliceMut::new(&mut bytes)], at, ReadWriteFlags::NOWAIT) != Ok(count) {
            let read = move || file.read_exact_at(&mut bytes, at).map(|()| bytes);
            bytes = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
        }
        self.at += count as u64;
        Ok(bytes.into())
    }
}

impl ClosedFile {
    fn of(file: &std::fs::File) -> Option<Self> {
        let stat = fstat(file).ok().filter(|stat| stat.st_nlink > 0)?;
        let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
        Some(Self { path, device: stat.st_dev, inode: stat.st_ino })
    }

    /// Opens the same file again. May block.
    fn open(&self) -> io::Result<std::fs::File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = std::fs::File::from(open(&self.path, flags, Mode::empty())?);
        let stat = fstat(&file)?;
        if (stat.st_dev, stat.st_ino) == (self.device, self.inode) {
            Ok(file)
        } else {
            Err(io::Error::new(io::ErrorKind::NotFound, "a file was replaced while its reader was waited for"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::memory::ResponseMemory;
    use super::*;

    fn slice(path: &std::path::Path) -> FileSlice {
        FileSlice { file: Arc::new(std::fs::File::open(path).unwrap()), start: 2, end: 8, bytes: None }
    }

    #[tokio::test]
    async fn a_file_that_was_closed_meanwhile_is_read_on_only_if_it_is_the_same() {
        let memory = ConnectionMemory::new(Arc::new(ResponseMemory::new(0)));
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("blob"), directory.path().join("other"));
        std::fs::write(&path, b"0123456789").unwrap();
        let mut kept = FileSource::new(slice(&path));
        kept.pause(&memory);
        assert!(matches!(kept.handle, Handle::Open(_)), "there are few enough");
        let all: Vec<_> = std::iter::from_fn(|| memory.all().file()).collect();
        let mut source = FileSource::new(slice(&path));
        assert_eq!(source.read(3).await.unwrap(), "234");
        source.pause(&memory);
        assert!(matches!(source.handle, Handle::Closed(_)));
        assert_eq!(source.read(100).await.unwrap(), "567");
        let mut replaced = FileSource::new(slice(&path));
        replaced.pause(&memory);
        std::fs::write(&other, b"9876543210").unwrap();
        std::fs::rename(&other, &path).unwrap();
        replaced.read(3).await.unwrap_err();
        assert_eq!(kept.read(6).await.unwrap(), "234567");
        drop(all);
    }
}
