//! Step P2 for a manifest: everything that it needs may be relied on.

use std::collections::HashSet;

use super::child::ReadChild;
use super::{ManifestWalk, Manifests};
use crate::domain::manifest::Descriptor;
use crate::domain::pauses::Pauses as _;
use crate::domain::{Digest, Manifest, Sha512};
use crate::protocol::blobs::Check;
use crate::protocol::long_work::work_on;
use crate::store::StoreError;

/// The result of securing what a manifest needs.
#[derive(Debug, Default)]
pub struct Secured {
    /// The checks that failed; empty when everything is present.
    pub bad: Vec<Check>,
    /// The manifests that it names, directly or not, each once.
    pub children: Vec<Digest>,
    /// Those of them whose bytes are not what the manifest that names them states, each with the reason.
    pub malformed: Vec<(Digest, String)>,
    /// SHA-512 digests in them that have no alias.
    pub unresolved: Vec<Sha512>,
    /// Number of blobs and manifests that were looked at.
    pub total: usize,
}

impl Secured {
    /// Whether everything is there, and is what it is stated to be.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.bad.is_empty() && self.malformed.is_empty() && self.unresolved.is_empty()
    }
}

impl Manifests {
    /// Ensures that everything a manifest needs, and `more`, has bytes that may be relied on (protocol step P2; see
    /// [`Blobs::secure`](crate::protocol::Blobs::secure)). Stops once it would look at more than `limit` blobs and
    /// manifests.
    ///
    /// Works from the top down: a manifest is read only after its own bytes were secured, as the needs of a root are
    /// only looked at after its head was created (P1). Otherwise a collector could delete them between the two. Aliases are
    /// read and made durable before what they lead to is looked at.
    ///
    /// # Errors
    /// When the store fails, or a manifest cannot be read.
    pub async fn secure(
        &self,
        manifest: &Manifest,
        more: Vec<Descriptor>,
        limit: usize,
    ) -> Result<Secured, StoreError> {
        self.secure_beyond(&HashSet::new(), manifest, more, limit).await
    }

    /// As [`Manifests::secure`], without a look at what the manifest itself names and `known` has: blobs that this process
    /// secured for another version, and that a root needed ever since.
    ///
    /// # Errors
    /// As [`Manifests::secure`].
    pub async fn secure_beyond(
        &self,
        known: &HashSet<Descriptor>,
        manifest: &Manifest,
        more: Vec<Descriptor>,
        limit: usize,
    ) -> Result<Secured, StoreError> {
        self.blobs.aliases().persist(&manifest.aliases).await?;
        let total = manifest.blobs.len() + manifest.children.len() + more.len();
        let mut secured = Secured { total, ..Secured::default() };
        let mut blobs = named_beyond(known, manifest);
        blobs.extend(more);
        let mut walk = ManifestWalk::default();
        walk.add(manifest.children.iter().cloned());
        if walk.is_done() {
            secured.bad = self.blobs.secure(blobs).await?;
            return Ok(secured);
        }
        // Checks and reports each blob only once, however many manifests name it.
        let mut looked_at: HashSet<Descriptor> = blobs.iter().copied().collect();
        secured.bad = self.blobs.secure(blobs).await?;
        while let Some(child) = walk.pop() {
            secured.children.push(child.blob.digest);
            if secured.bad.iter().any(|check| check.refuses(child.blob.digest)) {
                continue;
            }
            let manifest = match self.read_child(&child).await? {
                ReadChild::Absent => {
                    secured.bad.push(Check::Missing(child.blob));
                    continue;
                }
                ReadChild::Malformed(why) => {
                    secured.malformed.push((child.blob.digest, why));
                    continue;
                }
                ReadChild::Unresolved(digests) => {
                    secured.total += digests.len();
                    secured.unresolved.extend(digests);
                    if secured.total > limit {
                        return Ok(secured);
                    }
                    continue;
                }
                ReadChild::Manifest(manifest) => manifest,
            };
            self.blobs.aliases().persist(&manifest.aliases).await?;
            let mut blobs = manifest.roots();
            blobs.retain(|blob| looked_at.insert(*blob));
            secured.total += blobs.len();
            if secured.total > limit {
                return Ok(secured);
            }
            secured.bad.extend(self.blobs.secure(blobs).await?);
            walk.add(manifest.children.iter().cloned());
        }
        Ok(secured)
    }
}

/// What a manifest itself names and `known` has not.
fn named_beyond(known: &HashSet<Descriptor>, manifest: &Manifest) -> Vec<Descriptor> {
    work_on(size_of_val(&*manifest.blobs), || {
        manifest.roots().into_iter().with_pauses().filter(|blob| !known.contains(blob)).collect()
    })
}
