//! Bytes of any length whose digest is known beforehand at little cost: one MiB of noise again and again, and a seed at
//! the end, so that many blobs of one length have all but their last block in common.

use std::collections::HashMap;

use larder::domain::{Digest, Hasher};

/// Bytes of the noise.
const PERIOD: usize = 1 << 20;
/// Bytes of the seed at the end.
const TAIL: u64 = 8;

/// The noise that all blobs are made of.
pub(crate) struct Pattern(Vec<u8>);

impl Pattern {
    pub(crate) fn new() -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let word = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        Self((0..PERIOD / 8).flat_map(word).collect())
    }

    /// As many bytes from `at` on as lie in one piece in memory, without the tail. Empty where only the tail is left.
    pub(crate) fn from(&self, at: u64, length: u64) -> &[u8] {
        let start = usize::try_from(at % PERIOD as u64).expect("less than the period");
        let left = usize::try_from(length.saturating_sub(TAIL).saturating_sub(at)).unwrap_or(usize::MAX);
        &self.0[start..PERIOD.min(start.saturating_add(left))]
    }
}

/// The last bytes of a blob of this length.
pub(crate) fn tail(length: u64, seed: u64) -> Vec<u8> {
    seed.to_le_bytes()[..usize::try_from(length.min(TAIL)).expect("few")].to_vec()
}

/// Digests of blobs, of which only the first of each length costs time.
pub(crate) struct Digests {
    pattern: Pattern,
    without_tail: HashMap<u64, Hasher>,
}

impl Digests {
    pub(crate) fn new() -> Self {
        Self { pattern: Pattern::new(), without_tail: HashMap::new() }
    }

    /// The digest of a blob.
    pub(crate) fn of(&mut self, length: u64, seed: u64) -> Digest {
        let pattern = &self.pattern;
        let hasher = self.without_tail.entry(length).or_insert_with(|| {
            let (mut hasher, mut at) = (Hasher::new(), 0);
            loop {
                let piece = pattern.from(at, length);
                if piece.is_empty() {
                    return hasher;
                }
                hasher.update(piece);
                at += piece.len() as u64;
            }
        });
        let mut hasher = hasher.clone();
        hasher.update(&tail(length, seed));
        hasher.finish()
    }

    /// Writes a blob.
    pub(crate) fn write(&self, length: u64, seed: u64, to: &mut impl std::io::Write) -> std::io::Result<()> {
        let mut at = 0;
        loop {
            let piece = self.pattern.from(at, length);
            if piece.is_empty() {
                return to.write_all(&tail(length, seed));
            }
            to.write_all(piece)?;
            at += piece.len() as u64;
        }
    }
}
