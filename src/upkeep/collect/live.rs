//! The live set: which digests some root needs.
//!
//! A digest is represented by its first eight bytes. A collision can only keep bytes that might have been deleted, and
//! the set needs a sixth of the memory.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::CollectError;
use crate::domain::manifest::Descriptor;
use crate::domain::retention::Verdict;
use crate::domain::{Digest, LogName};

/// Memory per digest in bytes, including the spare capacity of the table while it grows.
const BYTES_EACH: u64 = 48;

/// A version whose blobs must be kept.
#[derive(Debug, Clone)]
pub(super) struct Root {
    pub(super) name: LogName,
    pub(super) version: u64,
    pub(super) verdict: Verdict,
    pub(super) manifest: Descriptor,
    pub(super) media_type: Option<Box<str>>,
    /// The manifests that it holds besides its own.
    pub(super) others: Vec<Digest>,
    /// The manifest that its own describes.
    pub(super) subject: Option<Digest>,
}

/// The first eight bytes of a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    pub(super) fn of(digest: &Digest) -> Self {
        let first = digest.bytes().first_chunk().expect("a digest has 32 bytes");
        Self(u64::from_be_bytes(*first))
    }

    fn first_byte(self) -> u8 {
        self.0.to_be_bytes()[0]
    }
}

/// The digests that roots need, limited to those whose first byte is in a range.
#[derive(Debug)]
pub(super) struct Live {
    range: RangeInclusive<u8>,
    most: u64,
    digests: HashMap<Fingerprint, u32>,
    roots: Vec<Root>,
    /// Number of manifests that roots hold besides their own.
    others: u64,
    /// The number that the next version of each name gets, by the head that its roots are from.
    next_versions: HashMap<LogName, u64>,
}

impl Live {
    /// An empty set that may use up to `memory` bytes.
    pub(super) fn new(range: RangeInclusive<u8>, memory: u64) -> Self {
        Self {
            range,
            most: memory / BYTES_EACH,
            digests: HashMap::new(),
            roots: Vec::new(),
            others: 0,
            next_versions: HashMap::new(),
        }
    }

    /// Adds what a root needs, including its manifest.
    ///
    /// # Errors
    /// [`CollectError::Memory`] when the memory limit is exceeded.
    pub(super) fn add(&mut self, root: Root, needs: &[Fingerprint]) -> Result<(), CollectError> {
        let at = u32::try_from(self.roots.len()).map_err(|_| CollectError::Memory)?;
        self.others += root.others.len() as u64;
        self.roots.push(root);
        for digest in needs.iter().filter(|digest| self.range.contains(&digest.first_byte())) {
            self.digests.entry(*digest).or_insert(at);
        }
        let fits = self.digests.len() as u64 + self.roots.len() as u64 * 4 + self.others <= self.most;
        fits.then_some(()).ok_or(CollectError::Memory)
    }

    /// Notes the number that the next version of a name gets.
    pub(super) fn note_next(&mut self, name: &LogName, next_version: u64) {
        self.next_versions.insert(name.clone(), next_version);
    }

    /// Whether a version that is no root has ended, rather than begun since the marking.
    pub(super) fn has_begun(&self, name: &LogName, version: u64) -> bool {
        self.next_versions.get(name).is_some_and(|next| version < *next)
    }

    /// All roots.
    pub(super) fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// A root that needs these bytes, if there is one.
    pub(super) fn needed_by(&self, digest: &Digest) -> Option<&Root> {
        let at = self.digests.get(&Fingerprint::of(digest))?;
        self.roots.get(usize::try_from(*at).ok()?)
    }
}
