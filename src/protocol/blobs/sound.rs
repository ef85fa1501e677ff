//! Files whose bytes were compared with their digest lately, so that small blobs that are read again and again are not
//! hashed each time.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::time::{Duration, Instant};

use crate::domain::Digest;

/// Files remembered at least, and half of the most that are.
const REMEMBERED: usize = 8192;
/// Half of the longest time that a file is remembered. Bytes that a failing disk changes are found after that; whoever
/// writes to the file changes its `ctime`.
const HALF_LIFE: Duration = Duration::from_secs(30);
/// A file that was changed less than this long ago is not remembered, in seconds: the next change may get the same `ctime`.
const SETTLED: i64 = 1;

/// What tells a file from others and from itself after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    /// When it was changed last, in seconds and nanoseconds.
    changed: (i64, i64),
}

/// Two generations of files, of which the older one is forgotten when the newer one is full or old.
#[derive(Debug)]
struct Generations {
    began: Instant,
    newer: HashMap<Digest, FileState>,
    older: HashMap<Digest, FileState>,
}

/// The files that were found sound.
#[derive(Debug)]
pub(super) struct SoundFiles(Mutex<Generations>);

impl Default for SoundFiles {
    fn default() -> Self {
        let (newer, older) = Default::default();
        Self(Mutex::new(Generations { began: Instant::now(), newer, older }))
    }
}

impl FileState {
    /// The present state of an open file; `None` if it cannot be told.
    pub(super) fn of(file: &File) -> Option<Self> {
        let metadata = file.metadata().ok()?;
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Some(Self { device: metadata.dev(), inode: metadata.ino(), size: metadata.size(), changed })
    }
}

impl SoundFiles {
    /// Whether the bytes of a digest are known to be sound in a file of this state.
    pub(super) fn knows(&self, digest: &Digest, state: FileState) -> bool {
        let generations = self.generations();
        [&generations.newer, &generations.older].iter().any(|known| known.get(digest) == Some(&state))
    }

    /// Remembers that the bytes of a digest are sound. `state` is that of their file before they were read.
    pub(super) fn add(&self, digest: Digest, state: FileState, now: Timestamp) {
        if now.as_second() - state.changed.0 > SETTLED {
            self.generations().newer.insert(digest, state);
        }
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = generations.began.elapsed();
        if age >= HALF_LIFE || generations.newer.len() >= REMEMBERED {
            generations.older = std::mem::take(&mut generations.newer);
            if age >= 2 * HALF_LIFE {
                generations.older.clear();
            }
            let is_next = (HALF_LIFE..2 * HALF_LIFE).contains(&age);
            generations.began = if is_next { generations.began + HALF_LIFE } else { Instant::now() };
        }
        generations
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn state(file: &File) -> FileState {
        FileState::of(file).unwrap()
    }

    fn later(state: FileState) -> Timestamp {
        Timestamp::from_second(state.changed.0 + 10).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_known_until_it_changes_and_for_a_minute_at_most() {
        let (sound, digest) = (SoundFiles::default(), Digest::of(b"x"));
        let mut file = tempfile::tempfile().unwrap();
        let before = state(&file);
        sound.add(digest, before, Timestamp::from_second(before.changed.0).unwrap());
        assert!(!sound.knows(&digest, before), "it may still change unseen");
        sound.add(digest, before, later(before));
        assert!(sound.knows(&digest, before) && !sound.knows(&Digest::of(b"y"), before));
        // The clock of a file system moves in steps of a few milliseconds.
        std::thread::sleep(Duration::from_millis(50));
        file.write_all(b"more").unwrap();
        assert!(!sound.knows(&digest, state(&file)));
        tokio::time::advance(HALF_LIFE).await;
        assert!(sound.knows(&digest, before));
        tokio::time::advance(HALF_LIFE).await;
        assert!(!sound.knows(&digest, before));
        sound.add(digest, before, later(before));
        tokio::time::advance(3 * HALF_LIFE).await;
        assert!(!sound.knows(&digest, before));
    }

    #[tokio::test]
    async fn no_more_than_two_generations_are_remembered() {
        let sound = SoundFiles::default();
        let state = state(&tempfile::tempfile().unwrap());
        let digest = |at: usize| Digest::of(&at.to_be_bytes());
        for at in 0..4 * REMEMBERED {
            sound.add(digest(at), state, later(state));
        }
        let known = (0..4 * REMEMBERED).filter(|at| sound.knows(&digest(*at), state)).count();
        assert!((REMEMBERED..=2 * REMEMBERED).contains(&known), "{known}");
    }
}
