//! Standard input as a file. A blob's address is the digest of all its bytes, so they have to be kept until the last one
//! has come: in a file without a name in the working directory, which is gone with the process, however that ends.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use crate::client::{ClientError, Content, hash_all};
use crate::domain::manifest::Descriptor;

/// Bytes per read while sending.
const SENT_AT_ONCE: u64 = 256 << 10;
/// How many names are tried for the file before its name is removed.
const MAX_NAMES: u32 = 100;

/// Bytes that came through a pipe.
#[derive(Debug)]
pub(super) struct Spool {
    file: Arc<File>,
    blob: Descriptor,
}

impl Spool {
    /// Reads `input` to its end. Takes as much space in `directory` as it brings, and no more memory than a buffer. Blocks.
    ///
    /// # Errors
    /// `input` cannot be read, or `directory` not be written to.
    pub(super) fn read(input: impl Read, directory: &Path) -> io::Result<Self> {
        let file = unnamed(directory)?;
        let (hasher, size) = hash_all(&mut Tee { input, copy: &file })?;
        Ok(Self { file: Arc::new(file), blob: Descriptor { digest: hasher.finish(), size } })
    }
}

/// Copies what is read through it.
struct Tee<'a, R> {
    input: R,
    copy: &'a File,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.copy.write_all(&buffer[..count])?;
        Ok(count)
    }
}

fn unnamed(directory: &Path) -> io::Result<File> {
    let mut attempt = 0;
    loop {
        let path = directory.join(format!(".larder-stdin-{}-{attempt}", std::process::id()));
        match File::options().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < MAX_NAMES => attempt += 1,
            opened => {
                let file = opened?;
                fs::remove_file(&path)?;
                return Ok(file);
            }
        }
    }
}

#[async_trait]
impl Content for Spool {
    fn blob(&self) -> Descriptor {
        self.blob
    }

    async fn open(&self, from: u64) -> Result<BoxStream<'static, io::Result<Bytes>>, ClientError> {
        let (file, end) = (Arc::clone(&self.file), self.blob.size);
        let chunks = stream::try_unfold(from, move |at| {
            let file = Arc::clone(&file);
            async move {
                if at >= end {
                    return Ok(None);
                }
                let read = tokio::task::spawn_blocking(move || chunk(&file, at, end));
                let bytes = read.await.map_err(io::Error::other)??;
                let next = at + bytes.len() as u64;
                Ok(Some((bytes, next)))
            }
        });
        Ok(chunks.boxed())
    }

    async fn explain(&self, error: ClientError) -> ClientError {
        error
    }
}

fn chunk(file: &File, at: u64, end: u64) -> io::Result<Bytes> {
    let length = usize::try_from(SENT_AT_ONCE.min(end - at)).map_err(io::Error::other)?;
    let mut buffer = vec![0; length];
    file.read_exact_at(&mut buffer, at)?;
    Ok(buffer.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Digest;

    #[tokio::test]
    async fn what_came_through_the_pipe_is_sent_from_any_place_and_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..700_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        let spool = Spool::read(&bytes[..], directory.path()).unwrap();
        assert_eq!(spool.blob(), Descriptor { digest: Digest::of(&bytes), size: 700_000 });
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        for from in [0, 1, 600_000, 700_000] {
            let mut stream = spool.open(from).await.unwrap();
            let mut sent = Vec::new();
            while let Some(chunk) = stream.next().await {
                sent.extend_from_slice(&chunk.unwrap());
            }
            assert!(sent == bytes[usize::try_from(from).unwrap()..], "from {from}");
        }
    }
}
