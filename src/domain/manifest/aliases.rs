//! What the SHA-512 digests in a document stand for.

use std::collections::BTreeMap;

use crate::domain::{Digest, Sha512};

/// SHA-256 digests of the same bytes, by SHA-512 digest. Empty for nearly all documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aliases(BTreeMap<Sha512, Digest>);

impl Aliases {
    /// What a digest stands for, if that is known.
    #[must_use]
    pub fn get(&self, sha512: &Sha512) -> Option<Digest> {
        self.0.get(sha512).copied()
    }

    /// The SHA-512 digests.
    pub fn names(&self) -> impl Iterator<Item = &Sha512> {
        self.0.keys()
    }
}

impl FromIterator<(Sha512, Digest)> for Aliases {
    fn from_iter<T: IntoIterator<Item = (Sha512, Digest)>>(aliases: T) -> Self {
        Self(aliases.into_iter().collect())
    }
}
