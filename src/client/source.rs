//! What is uploaded as a blob, above all local files: their fingerprint, and detection of changes since it was taken.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::ClientError;
use crate::domain::Hasher;
use crate::domain::manifest::Descriptor;

/// Bytes per read while hashing.
const BUFFER: usize = 1 << 20;
/// Bytes per read while sending.
const SENT_AT_ONCE: usize = 256 << 10;
/// Flag for opening files: a FIFO is opened at once, even if nobody writes to it.
const NONBLOCKING: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// Bytes whose digest and length are known, to be uploaded as a blob. They are never held in memory as a whole.
#[async_trait]
pub trait Content: std::fmt::Debug + Send + Sync {
    /// Digest and size.
    fn blob(&self) -> Descriptor;

    /// Opens the bytes from offset `from` on. A stream that yields other than `size - from` bytes ends with an error.
    async fn open(&self, from: u64) -> Result<BoxStream<'static, io::Result<Bytes>>, ClientError>;

    /// The error to report when sending broke off (`error` says how) or the server received other bytes: that of the
    /// source, if it is the cause.
    async fn explain(&self, error: ClientError) -> ClientError;
}

/// Content and modification time of a file when it was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Digest and size of the content.
    pub blob: Descriptor,
    /// Modification time, if the file system provides it.
    pub modified: Option<SystemTime>,
    /// Whether its owner, its group or others may run it.
    pub executable: bool,
}

impl Fingerprint {
    /// Hashes a regular file in one pass. Blocks.
    ///
    /// # Errors
    /// The file cannot be read, is not a regular file, or changed while it was being hashed.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::read_metered(path, &|_| {})
    }

    /// Like [`Fingerprint::read`]; `meter` receives the number of bytes hashed so far. Blocks.
    ///
    /// # Errors
    /// Those of [`Fingerprint::read`].
    pub fn read_metered(path: &Path, meter: &dyn Fn(u64)) -> io::Result<Self> {
        // Checked before opening, because opening a device may have effects, and without blocking, because a FIFO may
        // replace the file in between.
        let irregular = || io::Error::other("it is not a regular file");
        if !std::fs::metadata(path)?.is_file() {
            return Err(irregular());
        }
        let mut file = File::options().read(true).custom_flags(NONBLOCKING).open(path)?;
        let before = file.metadata()?;
        if !before.is_file() {
            return Err(irregular());
        }
        // Clearing a large buffer for each of many small files would take longer than hashing them.
        let buffer = usize::try_from(before.len()).unwrap_or(BUFFER).saturating_add(1).min(BUFFER);
        let (hasher, size) = hash_with(&mut Metered { file: &mut file, meter, read: 0 }, vec![0; buffer])?;
        let after = file.metadata()?;
        if size != before.len() || !same_moment(&before, &after) {
            return Err(io::Error::other("it changed while it was being read"));
        }
        let digest = hasher.finish();
        let executable = after.permissions().mode() & 0o111 != 0;
        Ok(Self { blob: Descriptor { digest, size }, modified: after.modified().ok(), executable })
    }
}

/// A file that tells how much of it was read.
struct Metered<'a> {
    file: &'a mut File,
    meter: &'a dyn Fn(u64),
    read: u64,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read += count as u64;
        (self.meter)(self.read);
        Ok(count)
    }
}

/// A local file to be uploaded as a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Path of the file.
    pub path: PathBuf,
    /// Its fingerprint when it was hashed.
    pub fingerprint: Fingerprint,
}

impl Upload {
    /// Whether the file still has the size and modification time of the fingerprint.
    #[must_use]
    pub fn matches(&self, metadata: &Metadata) -> bool {
        let Fingerprint { blob, modified, .. } = self.fingerprint;
        metadata.is_file() && metadata.len() == blob.size && metadata.modified().ok() == modified
    }
}

#[async_trait]
impl Content for Upload {
    fn blob(&self) -> Descriptor {
        self.fingerprint.blob
    }

    async fn open(&self, from: u64) -> Result<BoxStream<'static, io::Result<Bytes>>, ClientError> {
        let failed = |error| ClientError::reading(&self.path, error);
        let options = tokio::fs::OpenOptions::new().read(true).custom_flags(NONBLOCKING).clone();
        let mut file = options.open(&self.path).await.map_err(failed)?;
        if !self.matches(&file.metadata().await.map_err(failed)?) {
            return Err(ClientError::Changed { path: self.path.clone() });
        }
        file.seek(io::SeekFrom::Start(from)).await.map_err(failed)?;
        let rest = file.take(self.fingerprint.blob.size.saturating_sub(from));
        Ok(ReaderStream::with_capacity(rest, SENT_AT_ONCE).boxed())
    }

    async fn explain(&self, error: ClientError) -> ClientError {
        let path = self.path.clone();
        // A broken connection needs only a look at the file; other bytes than announced need a new hash.
        let same = if matches!(error, ClientError::Broken { .. }) {
            tokio::fs::metadata(&path).await.is_ok_and(|metadata| self.matches(&metadata))
        } else {
            let read = path.clone();
            let now = tokio::task::spawn_blocking(move || Fingerprint::read(&read)).await;
            now.is_ok_and(|now| now.is_ok_and(|now| now.blob == self.fingerprint.blob))
        };
        if same { error } else { ClientError::Changed { path } }
    }
}

fn same_moment(before: &Metadata, after: &Metadata) -> bool {
    before.len() == after.len() && before.modified().ok() == after.modified().ok()
}

/// Reads `reader` to its end and returns the running hash and the number of bytes. Blocks.
///
/// # Errors
/// Any error of `reader`.
pub fn hash_all(reader: &mut impl Read) -> io::Result<(Hasher, u64)> {
    hash_with(reader, vec![0; BUFFER])
}

fn hash_with(reader: &mut impl Read, mut buffer: Vec<u8>) -> io::Result<(Hasher, u64)> {
    let mut hasher = Hasher::new();
    let mut length = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok((hasher, length)),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                length += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Digest;

    #[test]
    fn a_changed_file_no_longer_matches_its_fingerprint() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"abc").unwrap();
        let upload = Upload { fingerprint: Fingerprint::read(&path).unwrap(), path: path.clone() };
        assert_eq!(upload.fingerprint.blob, Descriptor { digest: Digest::of(b"abc"), size: 3 });
        assert!(upload.matches(&path.metadata().unwrap()));
        std::fs::write(&path, b"abcd").unwrap();
        assert!(!upload.matches(&path.metadata().unwrap()));
    }

    #[test]
    fn only_regular_files_have_a_fingerprint() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Fingerprint::read(directory.path()).is_err());
        assert!(Fingerprint::read(&directory.path().join("absent")).is_err());
    }
}
