//! Downloading one file to its destination: check, lock, resume, verify, rename.

use std::fs::{File, TryLockError};
use std::io::{self, Seek as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncWriteExt as _, BufWriter};

use super::Origin;
use super::destination::{Destination, make_executable};
use super::merging::Written;
use crate::cli::{CliError, output};
use crate::client::{Client, ClientError, Meter, Position, hash_all};
use crate::domain::FileName;
use crate::domain::manifest::{Artifact, Descriptor};

/// Write buffer size, in bytes.
const BUFFER: usize = 256 << 10;

/// Ensures that the artifact exists with the right content below `root`.
pub(super) async fn obtain(
    client: &Client,
    root: &Path,
    artifact: &Artifact,
    meter: &Meter,
    written: &Arc<Mutex<Written>>,
) -> Result<Origin, CliError> {
    let failed = |error: io::Error| unwritable(root, artifact, &error);
    let (directory, file, known) = (root.to_owned(), artifact.clone(), Arc::clone(written));
    let part = blocking(move || match Part::lock(&directory, &file.name, file.blob)? {
        Some(part) => Ok(Some(part)),
        None => settle(&directory, &file, &known).map(|()| None),
    });
    let Some(part) = part.await.map_err(failed)? else {
        meter(artifact.blob.size);
        return Ok(Origin::Present);
    };
    let part = Arc::new(part);
    let held = Arc::clone(&part);
    let position = blocking(move || held.position()).await.map_err(failed)?;
    let origin = if position.length == 0 { Origin::Fetched } else { Origin::Resumed };
    receive(client, &part, position, meter).await?;
    let (file, known) = (artifact.clone(), Arc::clone(written));
    blocking(move || part.finish(&file, &known)).await.map_err(failed)?;
    Ok(origin)
}

/// Takes a file that was found complete.
pub(super) async fn keep(
    root: &Path,
    artifact: &Artifact,
    meter: &Meter,
    written: &Arc<Mutex<Written>>,
) -> Result<Origin, CliError> {
    let (directory, file, known) = (root.to_owned(), artifact.clone(), Arc::clone(written));
    let settled = blocking(move || settle(&directory, &file, &known)).await;
    settled.map_err(|error| unwritable(root, artifact, &error))?;
    meter(artifact.blob.size);
    Ok(Origin::Present)
}

fn unwritable(root: &Path, artifact: &Artifact, error: &io::Error) -> CliError {
    CliError::io(format_args!("write {}", root.join(artifact.name.as_str()).display()), error)
}

/// Records a file that was complete before, and makes it executable if it has to be. Blocks.
fn settle(root: &Path, artifact: &Artifact, written: &Mutex<Written>) -> io::Result<()> {
    let Some(file) = Destination::open(root, &artifact.name)?.existing()? else { return Ok(()) };
    let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
    written.check(&file, &artifact.name)?;
    if artifact.executable {
        make_executable(&file)?;
    }
    written.add(&file, &artifact.name)
}

/// Downloads into the part file. If verification fails, the bytes of an earlier attempt may be the cause, so the
/// download is repeated from the first byte: once, or until each server was tried.
async fn receive(client: &Client, part: &Arc<Part>, position: Position, meter: &Meter) -> Result<(), CliError> {
    let (mut position, mut left) = (position, client.downloads());
    loop {
        left -= 1;
        let error = match fill(client, part, position, meter).await {
            Err(error @ ClientError::Damaged { .. }) => error,
            other => return Ok(other?),
        };
        if left == 0 {
            // No byte of it is worth resuming. If the removal fails, the next fetch detects the damage by the digest.
            let _ = part.place.remove_part(part.blob.digest);
            return Err(error.into());
        }
        tracing::warn!(%error, path = %part.place.path().display(), "starting again from the first byte");
        let again = part.restart();
        again.map_err(|error| CliError::io(format_args!("write {}", part.place.path().display()), &error))?;
        position = Position::default();
    }
}

async fn fill(client: &Client, part: &Part, position: Position, meter: &Meter) -> Result<(), ClientError> {
    let file = part.file.try_clone().map_err(|error| ClientError::reading(part.place.path(), error))?;
    let mut out = BufWriter::with_capacity(BUFFER, tokio::fs::File::from_std(file));
    let result = client.download(part.blob, position, &mut out, meter).await;
    // Flushed after a failure too: the next attempt resumes from the bytes that were received.
    let flushed = out.flush().await;
    result?;
    flushed.map_err(|error| ClientError::reading(part.place.path(), error))
}

/// The hidden part file of a blob, locked so that two fetches never write to the same one.
#[derive(Debug)]
struct Part {
    place: Destination,
    blob: Descriptor,
    file: File,
}

impl Part {
    /// Waits for the lock; `None` if the file turns out to be complete, perhaps through a concurrent fetch. Blocks.
    fn lock(root: &Path, name: &FileName, blob: Descriptor) -> io::Result<Option<Self>> {
        let place = Destination::open(root, name)?;
        loop {
            if is_complete(&place, blob)? {
                return Ok(None);
            }
            let file = place.open_part(blob.digest)?;
            let waited = lock(&file, place.path())?;
            // The previous holder of the lock may have renamed or removed the file that we opened.
            if !place.is_part(&file, blob.digest)? {
                continue;
            }
            if waited && is_complete(&place, blob)? {
                place.remove_part(blob.digest)?;
                return Ok(None);
            }
            return Ok(Some(Self { place, blob, file }));
        }
    }

    /// Gives the complete file its name, unless that is the name of another file of this fetch. Blocks.
    fn finish(&self, artifact: &Artifact, written: &Mutex<Written>) -> io::Result<()> {
        let name = &artifact.name;
        if artifact.executable {
            make_executable(&self.file)?;
        }
        self.file.sync_all()?;
        {
            // Held for the renaming, so that of two files that are put in place at once one notices the other.
            let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(existing) = self.place.existing()? {
                written.check(&existing, name)?;
            }
            self.place.rename_part(self.blob.digest)?;
            written.add(&self.file, name)?;
        }
        self.place.sync()
    }

    /// Progress of an earlier download, with the file positioned after it. Blocks.
    fn position(&self) -> io::Result<Position> {
        let length = resume_at(self.file.metadata()?.len(), self.blob.size);
        if length == 0 {
            self.restart()?;
            return Ok(Position::default());
        }
        let mut file = &self.file;
        file.rewind()?;
        let (hasher, length) = hash_all(&mut file)?;
        Ok(Position { length, hasher })
    }

    fn restart(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        (&self.file).rewind()
    }
}

impl Drop for Part {
    /// Removes an empty part file when a fetch ends early. The lock is still held, so no other fetch is using it.
    fn drop(&mut self) {
        let empty = self.file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        if empty && self.place.is_part(&self.file, self.blob.digest).unwrap_or(false) {
            // A leftover empty part is harmless, so errors are ignored.
            let _ = self.place.remove_part(self.blob.digest);
        }
    }
}

/// Offset to resume at: the end of the part, or zero if the part is larger than the blob.
fn resume_at(part: u64, size: u64) -> u64 {
    if part > size { 0 } else { part }
}

/// Acquires the lock and returns whether another process held it.
fn lock(file: &File, path: &Path) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => {
            output::note(format_args!("waiting for another fetch of {}", path.display()));
            file.lock().map(|()| true)
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_complete(place: &Destination, blob: Descriptor) -> io::Result<bool> {
    let Some(mut file) = place.existing()? else { return Ok(false) };
    if file.metadata()?.len() != blob.size {
        return Ok(false);
    }
    let (hasher, _) = hash_all(&mut file)?;
    Ok(hasher.finish() == blob.digest)
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Digest;

    fn blob(bytes: &[u8]) -> Descriptor {
        Descriptor { digest: Digest::of(bytes), size: bytes.len() as u64 }
    }

    #[test]
    fn a_part_that_is_too_long_is_started_again() {
        assert_eq!(resume_at(0, 10), 0);
        assert_eq!(resume_at(9, 10), 9);
        assert_eq!(resume_at(10, 10), 10);
        assert_eq!(resume_at(11, 10), 0);
        assert_eq!(resume_at(0, 0), 0);
    }

    #[test]
    fn a_download_continues_behind_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        let name = "f".parse().unwrap();
        let place = Destination::open(root.path(), &name).unwrap();
        io::Write::write_all(&mut place.open_part(blob(b"abcdef").digest).unwrap(), b"abc").unwrap();
        let part = Part::lock(root.path(), &name, blob(b"abcdef")).unwrap().unwrap();
        let mut position = part.position().unwrap();
        assert_eq!(position.length, 3);
        position.hasher.update(b"def");
        assert_eq!(position.hasher.finish(), Digest::of(b"abcdef"));
        assert_eq!((&part.file).stream_position().unwrap(), 3);
    }

    #[test]
    fn a_complete_file_is_kept_and_a_wrong_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let name = "f".parse().unwrap();
        std::fs::write(root.path().join("f"), b"abc").unwrap();
        assert!(Part::lock(root.path(), &name, blob(b"abc")).unwrap().is_none());
        assert!(Part::lock(root.path(), &name, blob(b"abd")).unwrap().is_some());
        assert!(Part::lock(root.path(), &name, blob(b"abcd")).unwrap().is_some());
    }

    #[test]
    fn an_empty_part_is_not_left_behind() {
        let root = tempfile::tempdir().unwrap();
        drop(Part::lock(root.path(), &"f".parse().unwrap(), blob(b"abc")).unwrap().unwrap());
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_second_of_two_waits_and_finds_the_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().to_owned();
        let first = Part::lock(root.path(), &"f".parse().unwrap(), blob(b"abc")).unwrap().unwrap();
        let second = std::thread::spawn(move || Part::lock(&path, &"f".parse().unwrap(), blob(b"abc")).unwrap());
        io::Write::write_all(&mut &first.file, b"abc").unwrap();
        first.place.rename_part(blob(b"abc").digest).unwrap();
        drop(first);
        assert!(second.join().unwrap().is_none());
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
