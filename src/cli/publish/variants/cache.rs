//! The cache of compressed files: a directory of files whose names say what they were made of, and what they hold.
//!
//! Nothing relies on it: a file of it is read only to be uploaded, and the server compares what it gets with the digest.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Compressed, coder, fingerprint_of};
use crate::cli::CliError;
use crate::domain::Digest;
use crate::domain::manifest::{Coding, Descriptor};

/// Goes up when the encoders make other bytes than before.
const ENCODERS: u32 = 1;
/// How long a file is kept. What is needed after that is compressed once more.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Ending of files that are being written.
const UNFINISHED: &str = ".part";
/// In place of what was written, where compressing is not worth it.
const NOTHING: &str = "none";

/// The cache of one user.
#[derive(Debug)]
pub(super) struct Cache {
    directory: PathBuf,
    /// The compressed bytes by what they were made of; `None` where compressing is not worth it.
    known: HashMap<String, Option<Descriptor>>,
}

impl Cache {
    /// Opens the cache of this user, and removes from it what is old. Blocks.
    ///
    /// # Errors
    /// When there is no place for it.
    pub(super) fn open() -> Result<Self, CliError> {
        let stated = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = stated("XDG_CACHE_HOME").or_else(|| stated("HOME").map(|home| home.join(".cache")));
        let base = base.ok_or_else(|| {
            CliError::usage(
                "There is no place to keep compressed files: set XDG_CACHE_HOME to a directory, or use --compress none.",
            )
        })?;
        let directory = base.join("larder/variants");
        let failed = |error| CliError::io(format_args!("keep compressed files in {}", directory.display()), &error);
        Self::at(&directory).map_err(failed)
    }

    fn at(directory: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let mut known = HashMap::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let age = entry.metadata().and_then(|metadata| metadata.modified()).map(|modified| modified.elapsed());
            if matches!(age, Ok(Ok(age)) if age > KEPT_FOR) {
                // Another publish may have removed it already.
                let _ = fs::remove_file(entry.path());
                continue;
            }
            if let Some((made_of, written)) = entry.file_name().to_str().and_then(read_name) {
                known.insert(made_of, written);
            }
        }
        Ok(Self { directory: directory.to_owned(), known })
    }

    /// A file compressed; `None` if it would not be smaller by a tenth. Blocks.
    ///
    /// # Errors
    /// When the file cannot be read, has changed, or the cache cannot be written.
    pub(super) fn find(&self, path: &Path, plain: Descriptor, coding: Coding) -> Result<Option<Compressed>, CliError> {
        let made_of = made_of(plain.digest, coding);
        match self.known.get(&made_of) {
            Some(None) => return Ok(None),
            Some(Some(written)) => {
                let kept = self.path(&made_of, Some(*written));
                // Shorter than it was: cut off when the machine lost its power.
                if let Some(fingerprint) = fingerprint_of(&kept, *written).ok().flatten() {
                    return Ok(Some((kept, fingerprint)));
                }
            }
            None => {}
        }
        let failed = |error| CliError::io(format_args!("compress {}", path.display()), &error);
        self.compress(&made_of, path, plain, coding).map_err(failed)
    }

    fn compress(
        &self,
        made_of: &str,
        path: &Path,
        plain: Descriptor,
        coding: Coding,
    ) -> io::Result<Option<Compressed>> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let unfinished = self.directory.join(format!("{}{UNFINISHED}", hex::encode(random)));
        let result = File::create_new(&unfinished).and_then(|file| {
            let written = coder::compress(path, plain, coding, &file)?;
            let is_worth_it = written.size <= plain.size - plain.size / 10;
            if !is_worth_it {
                file.set_len(0)?;
            }
            let kept = self.path(made_of, is_worth_it.then_some(written));
            fs::rename(&unfinished, &kept)?;
            if !is_worth_it {
                return Ok(None);
            }
            let changed = || io::Error::other("the cache changed at the same time");
            let fingerprint = fingerprint_of(&kept, written)?.ok_or_else(changed)?;
            Ok(Some((kept, fingerprint)))
        });
        if result.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        result
    }

    fn path(&self, made_of: &str, written: Option<Descriptor>) -> PathBuf {
        let written = written.map_or_else(|| NOTHING.to_owned(), |blob| format!("{}-{}", blob.size, blob.digest.hex()));
        self.directory.join(format!("{made_of}.{written}"))
    }
}

/// What compressed bytes are made of: the bytes, the coding and the encoder.
fn made_of(plain: Digest, coding: Coding) -> String {
    format!("{}.{coding}-{ENCODERS}", plain.hex())
}

fn read_name(name: &str) -> Option<(String, Option<Descriptor>)> {
    let (made_of, written) = name.rsplit_once('.')?;
    if written == NOTHING {
        return Some((made_of.to_owned(), None));
    }
    let (size, digest) = written.split_once('-')?;
    let blob = Descriptor { digest: Digest::from_hex(digest).ok()?, size: size.parse().ok()? };
    Some((made_of.to_owned(), Some(blob)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compressed_is_found_again_and_what_is_damaged_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let (path, kept) = (directory.path().join("f"), directory.path().join("cache"));
        let write = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            Descriptor { digest: Digest::of(bytes), size: bytes.len() as u64 }
        };
        let text = write("all work and no play\n".repeat(100).as_bytes());
        let (first, fingerprint) = Cache::at(&kept).unwrap().find(&path, text, Coding::Gzip).unwrap().unwrap();
        assert_eq!(Digest::of(&fs::read(&first).unwrap()), fingerprint.blob.digest);
        // The file is not read again.
        fs::remove_file(&path).unwrap();
        let cache = Cache::at(&kept).unwrap();
        assert_eq!(cache.find(&path, text, Coding::Gzip).unwrap(), Some((first.clone(), fingerprint)));
        assert!(cache.find(&path, text, Coding::Br).is_err());
        fs::write(&first, "cut").unwrap();
        assert!(cache.find(&path, text, Coding::Gzip).is_err());

        let noise: Vec<u8> = (0..64_u64).flat_map(|number| *Digest::of(&number.to_le_bytes()).bytes()).collect();
        let noise = write(&noise);
        assert_eq!(Cache::at(&kept).unwrap().find(&path, noise, Coding::Gzip).unwrap(), None);
        fs::remove_file(&path).unwrap();
        assert_eq!(Cache::at(&kept).unwrap().find(&path, noise, Coding::Gzip).unwrap(), None);
        assert_eq!(fs::read_dir(&kept).unwrap().count(), 2, "nothing unfinished stays");
    }
}
