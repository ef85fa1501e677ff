//! Archives that arrive as a stream.

use std::error::Error;
use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use super::{ScanError, ScanLimits, Scanned, scan};

/// Chunks that wait to be read.
const WAITING: usize = 2;

/// As [`scan()`], of bytes that arrive in chunks. If it succeeds, the stream was read to its end.
///
/// # Errors
/// A [`ScanError`]; the error of the stream is inside of [`ScanError::Read`].
pub async fn scan_stream<E>(
    chunks: impl Stream<Item = Result<Bytes, E>> + Send,
    limits: ScanLimits,
) -> Result<Scanned, ScanError>
where
    E: Into<Box<dyn Error + Send + Sync>> + Send,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    // Hashing takes long, and would keep others waiting.
    let scanning = tokio::task::spawn_blocking(move || scan(Chunks { receiver, chunk: Bytes::new() }, limits));
    // It is asked again after its end.
    let mut chunks = std::pin::pin!(chunks.fuse());
    while let Some(chunk) = chunks.next().await {
        if sender.send(chunk.map_err(io::Error::other)).await.is_err() {
            // It has what it needs.
            break;
        }
    }
    drop(sender);
    let failed = |error: Box<dyn Error + Send + Sync>| ScanError::Read(io::Error::other(error));
    let scanned = scanning.await.map_err(|error| failed(error.into()))??;
    // The end of the stream tells whether the bytes were those of the blob.
    while let Some(chunk) = chunks.next().await {
        chunk.map_err(|error| failed(error.into()))?;
    }
    Ok(scanned)
}

struct Chunks {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let length = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
