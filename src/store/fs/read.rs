//! Reading objects as streams: one chunk in hand, the next one on its way.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::task::JoinHandle;

use super::super::{ByteRange, Key, Object, Result, StoreError};
use super::step::{Step, Steps};
use super::{absent_is_none, object_meta};

/// Bytes per read. Two of them are in memory for each object that is being read.
const CHUNK: usize = 128 * 1024;

/// Opens an object and reads its first chunk, all in the calling (blocking) thread.
pub(super) fn open(
    objects: &Path,
    key: &Key,
    range: Option<ByteRange>,
    steps: &Arc<dyn Steps>,
) -> io::Result<Option<Object>> {
    steps.before(Step::Open)?;
    let Some(file) = absent_is_none(objects, fs::File::open(objects.join(key.as_str())))? else { return Ok(None) };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let meta = object_meta(key.clone(), &metadata);
    let range = range.unwrap_or(ByteRange { start: 0, end: meta.size });
    let mut reader =
        Reader { file, at: range.start, end: range.end.min(meta.size), steps: Arc::clone(steps), key: key.clone() };
    let first = reader.chunk()?;
    Ok(Some(Object { meta, body: body(reader, first) }))
}

struct Reader {
    file: fs::File,
    at: u64,
    end: u64,
    steps: Arc<dyn Steps>,
    key: Key,
}

impl Reader {
    /// The next chunk; empty at the end. A file that ends too early is an error, never a short body.
    fn chunk(&mut self) -> io::Result<Bytes> {
        let left = self.end.saturating_sub(self.at);
        let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        if length == 0 {
            return Ok(Bytes::new());
        }
        self.steps.before(Step::Read)?;
        let mut buffer = BytesMut::zeroed(length);
        self.file.read_exact_at(&mut buffer, self.at)?;
        self.at += length as u64;
        Ok(buffer.freeze())
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
    First(Reader, Bytes),
    Ahead(Key, Ahead),
    End,
}

fn body(reader: Reader, first: Bytes) -> BoxStream<'static, Result<Bytes>> {
    stream::unfold(State::First(reader, first), next).boxed()
}

async fn next(state: State) -> Option<(Result<Bytes>, State)> {
    let (reader, chunk) = match state {
        State::First(reader, chunk) => (reader, Ok(chunk)),
        State::Ahead(key, ahead) => match ahead.await {
            Ok(read) => read,
            Err(failed) => return Some((Err(StoreError::io(&key, io::Error::other(failed))), State::End)),
        },
        State::End => return None,
    };
    match chunk {
        Ok(chunk) if chunk.is_empty() => None,
        Ok(chunk) if reader.at >= reader.end => Some((Ok(chunk), State::End)),
        Ok(chunk) => Some((Ok(chunk), State::Ahead(reader.key.clone(), read_ahead(reader)))),
        Err(error) => Some((Err(StoreError::io(&reader.key, error)), State::End)),
    }
}
