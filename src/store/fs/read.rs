//! Reading objects: small ones in one go, others as streams that read one chunk ahead.
//!
//! Lookups that the kernel can answer from its caches run on the caller's thread, because handing them to another
//! thread costs more than the lookup. Everything that could wait for a disk or a network runs on a thread that may
//! block.

use std::io::IoSliceMut;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::task::JoinHandle;

use super::super::error::FileFault;
use super::super::{ByteRange, FileSlice, Key, Object, ObjectMeta, Result, StoreError};
use super::step::{Step, Steps};
use super::{object_meta, open};

/// Bytes per read. Each object that is being read has two of these buffers in memory.
const CHUNK: u64 = 128 * 1024;
/// Objects and ranges of at most this many bytes are read when they are opened.
const AT_ONCE: u64 = 32 * 1024;

/// An object that was found, and the range of it to read.
pub(super) struct OpenedFile {
    meta: ObjectMeta,
    slice: FileSlice,
}

/// Finds an object. May block.
pub(super) fn find(
    objects: &Path,
    key: &Key,
    range: Option<ByteRange>,
    steps: &dyn Steps,
) -> io::Result<Option<OpenedFile>> {
    steps.before(Step::Open)?;
    let Some(file) = open::object(objects, key, open::READ)? else { return Ok(None) };
    OpenedFile::new(file, key, range)
}

/// Finds an object if the kernel has the whole path to it cached. `None` is inconclusive. Never blocks.
pub(super) fn find_cached(
    objects: &Path,
    key: &Key,
    range: Option<ByteRange>,
    steps: &dyn Steps,
) -> io::Result<Option<OpenedFile>> {
    let Some(file) = open::cached(objects, key, open::READ) else { return Ok(None) };
    steps.before(Step::Open)?;
    OpenedFile::new(file, key, range)
}

/// Whether this process may read the file at `path`. Nobody needs to read an empty one.
///
/// # Errors
/// [`FileFault::Unreadable`] if it may not.
pub(super) fn check_readable(path: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    let mode = metadata.mode();
    if metadata.len() == 0 || mode & 0o444 == 0o444 {
        return Ok(());
    }
    if mode & 0o400 != 0 && metadata.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    match accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS) {
        Err(errno @ (Errno::ACCESS | Errno::PERM)) => Err(FileFault::Unreadable(errno.into()).into()),
        _ => Ok(()),
    }
}

/// An error in reading the bytes of one file is about that file, unless it says otherwise.
fn disk_fault(error: io::Error) -> io::Error {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::IO | Errno::BADMSG | Errno::UCLEAN) => FileFault::Unreadable(error).into(),
        _ => error,
    }
}

impl OpenedFile {
    fn new(file: fs::File, key: &Key, range: Option<ByteRange>) -> io::Result<Option<Self>> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let meta = object_meta(key.clone(), &metadata);
        let range = range.unwrap_or(ByteRange { start: 0, end: meta.size });
        let slice = FileSlice { file: Arc::new(file), start: range.start, end: range.end.min(meta.size), bytes: None };
        Ok(Some(Self { meta, slice }))
    }

    /// Opens it if the kernel has everything cached that this needs; otherwise returns `self`. Never blocks.
    pub(super) fn open_cached(self, steps: &Arc<dyn Steps>) -> io::Result<std::result::Result<Object, Self>> {
        let length = self.slice.end.saturating_sub(self.slice.start);
        if length > AT_ONCE {
            return Ok(Ok(self.stream(steps)));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        let into = &mut [IoSliceMut::new(&mut bytes)];
        if preadv2(&*self.slice.file, into, self.slice.start, ReadWriteFlags::NOWAIT) != Ok(into[0].len()) {
            return Ok(Err(self));
        }
        steps.before(Step::Read)?;
        Ok(Ok(whole(self.meta, self.slice, bytes.into())))
    }

    /// Opens it, and reads it if it is small. May block.
    pub(super) fn open(self, steps: &Arc<dyn Steps>) -> io::Result<Object> {
        if self.slice.end.saturating_sub(self.slice.start) > AT_ONCE {
            return Ok(self.stream(steps));
        }
        let mut reader = Reader { slice: self.slice.clone(), steps: Arc::clone(steps) };
        Ok(whole(self.meta, self.slice, reader.chunk()?))
    }

    fn stream(self, steps: &Arc<dyn Steps>) -> Object {
        let reader = Reader { slice: self.slice.clone(), steps: Arc::clone(steps) };
        let body = body(self.meta.key.clone(), reader);
        Object { meta: self.meta, body, file: Some(self.slice) }
    }
}

fn whole(meta: ObjectMeta, slice: FileSlice, bytes: Bytes) -> Object {
    let body = if bytes.is_empty() { stream::empty().boxed() } else { stream::iter([Ok(bytes.clone())]).boxed() };
    Object { meta, body, file: Some(FileSlice { bytes: Some(bytes), ..slice }) }
}

/// The range of a file that is still to be read.
struct Reader {
    slice: FileSlice,
    steps: Arc<dyn Steps>,
}

impl Reader {
    /// The next chunk; empty at the end. A file that ends too early is an error, never a short body.
    fn chunk(&mut self) -> io::Result<Bytes> {
        let length = self.slice.end.saturating_sub(self.slice.start).min(CHUNK);
        if length == 0 {
            return Ok(Bytes::new());
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        let read =
            self.steps.before(Step::Read).and_then(|()| self.slice.file.read_exact_at(&mut bytes, self.slice.start));
        read.map_err(disk_fault)?;
        self.slice.start += length;
        Ok(bytes.into())
    }
}

type Ahead = JoinHandle<(Reader, io::Result<Bytes>)>;

fn read_ahead(mut reader: Reader) -> Ahead {
    tokio::task::spawn_blocking(move || {
        let chunk = reader.chunk();
        (reader, chunk)
    })
}

enum State {
    Begin(Reader),
    Ahead(Ahead),
    End,
}

fn body(key: Key, reader: Reader) -> BoxStream<'static, Result<Bytes>> {
    stream::unfold((key, State::Begin(reader)), |(key, state)| async {
        let ahead = match state {
            State::Begin(reader) => read_ahead(reader),
            State::Ahead(ahead) => ahead,
            State::End => return None,
        };
        let (chunk, state) = match ahead.await {
            Ok((_, Ok(chunk))) if chunk.is_empty() => return None,
            Ok((reader, Ok(chunk))) if reader.slice.start >= reader.slice.end => (Ok(chunk), State::End),
            Ok((reader, Ok(chunk))) => (Ok(chunk), State::Ahead(read_ahead(reader))),
            Ok((_, Err(error))) => (Err(StoreError::io(&key, error)), State::End),
            Err(failed) => (Err(StoreError::io(&key, io::Error::other(failed))), State::End),
        };
        Some((chunk, (key, state)))
    })
    .boxed()
}
