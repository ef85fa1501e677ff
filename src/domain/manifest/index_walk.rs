//! The way from an index down to the manifests that it lists, within bounds.

use std::collections::HashSet;

use super::composed::{Composed, PlatformFiles};
use super::oci::{self, Listed, Platform};
use super::{Aliases, Child, Digest, Manifest};

/// Maximum number of manifests that are read for one index. What further ones hold is not offered by name.
const MAX_MANIFESTS: usize = 256;
/// Maximum size of the manifests that are read for one index, in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// Maximum number of files of one index.
const MAX_FILES: usize = 20_000;
/// Levels of indexes below which nothing is looked at.
const MAX_DEPTH: usize = 8;

/// A manifest that is to be read, and where it is listed.
#[derive(Debug, Clone)]
pub struct Step {
    /// The manifest.
    pub child: Child,
    platform: Platform,
    /// The positions in the index, in the index below it, and so on.
    place: Vec<usize>,
}

/// Collects what the manifests below an index hold. Whoever walks reads them, level by level and in any order.
#[derive(Debug)]
pub struct IndexWalk {
    waiting: Vec<Step>,
    found: Vec<(Vec<usize>, PlatformFiles)>,
    seen: HashSet<Digest>,
    bytes: u64,
    is_whole: bool,
    manifests_left: usize,
    bytes_left: u64,
    files_left: usize,
}

impl IndexWalk {
    /// A walk that begins at this index, whose SHA-512 digests stand for these. A document that is no index has nothing
    /// below it.
    #[must_use]
    pub fn new(index: &[u8], aliases: &Aliases) -> Self {
        let mut walk = Self {
            waiting: Vec::new(),
            found: Vec::new(),
            seen: HashSet::new(),
            bytes: 0,
            is_whole: true,
            manifests_left: MAX_MANIFESTS,
            bytes_left: MAX_BYTES,
            files_left: MAX_FILES,
        };
        walk.descend((index, aliases), &Platform::default(), &[]);
        walk
    }

    /// The manifests to read next. Empty when nothing is left.
    pub fn next_level(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.waiting)
    }

    /// Adds what was read of a manifest: its bytes and what they mean, or `None` if it is not there or cannot be read.
    pub fn add(&mut self, step: Step, read: Option<(&[u8], Manifest)>) {
        let Some((bytes, manifest)) = read else {
            self.is_whole = false;
            return;
        };
        if self.seen.insert(step.child.blob.digest) {
            self.bytes = self.bytes.saturating_add(manifest.total_bytes());
        }
        if oci::is_index(&manifest.media_type) && step.place.len() < MAX_DEPTH {
            self.descend((bytes, &manifest.aliases), &step.platform, &step.place);
        }
        let mut files = manifest.files;
        files.truncate(self.files_left);
        self.files_left -= files.len();
        if !files.is_empty() && !step.platform.is_attestation() {
            self.found.push((step.place, PlatformFiles { platform: step.platform, files }));
        }
    }

    fn descend(&mut self, (index, aliases): (&[u8], &Aliases), around: &Platform, place: &[usize]) {
        for (at, Listed { child, platform }) in oci::listed(index, aliases).unwrap_or_default().into_iter().enumerate()
        {
            let Some(bytes_left) = self.bytes_left.checked_sub(child.blob.size).filter(|_| self.manifests_left > 0)
            else {
                return;
            };
            self.bytes_left = bytes_left;
            self.manifests_left -= 1;
            let platform = if platform == Platform::default() { around.clone() } else { platform };
            self.waiting.push(Step { child, platform, place: [place, &[at]].concat() });
        }
    }

    /// Whether all manifests were there, so that another walk finds nothing else.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The cost of the walk: the size of the manifests on the way in bytes, of which each counts as 4096 more, since many
    /// small ones take as long as a few large ones.
    #[must_use]
    pub fn cost(&self) -> u64 {
        (MAX_BYTES - self.bytes_left) + 4096 * (MAX_MANIFESTS - self.manifests_left) as u64
    }

    /// Size of what the manifests refer to, in bytes, each manifest counted once. Saturates.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The files, once nothing is left to read.
    #[must_use]
    pub fn files(mut self) -> Composed {
        self.found.sort_by(|(one, _), (other, _)| one.cmp(other));
        let platforms: Vec<PlatformFiles> = self.found.into_iter().map(|(_, files)| files).collect();
        Composed::of(&platforms)
    }
}
