//! Reading manifests: the exact bytes that were published, and an index over their artifacts.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use moka::sync::Cache;
use tokio::time::Duration;

use crate::domain::manifest::{Artifact, Descriptor};
use crate::domain::{Digest, FileName, Manifest};
use crate::protocol::Blobs;
use crate::protocol::flights::Flights;
use crate::store::{StoreError, StoreErrorKind};

/// Bytes of manifests and their indexes that are remembered. They never change, so they are always valid; whether a
/// version may still be read is decided by its row, not here.
const REMEMBERED_BYTES: u64 = 32 << 20;

/// How old a reading under way may be to be waited for. Its bytes are valid however old; this is for those that find none.
const PATIENCE: Duration = Duration::from_secs(10);

/// A manifest that was read and verified.
#[derive(Debug)]
pub struct LoadedManifest {
    /// The bytes as published.
    pub bytes: Bytes,
    /// What Larder reads from them.
    pub manifest: Manifest,
    index: HashMap<FileName, usize>,
}

impl LoadedManifest {
    fn new(bytes: Bytes, manifest: Manifest) -> Self {
        let names = manifest.artifacts.iter().map(|artifact| artifact.name.clone());
        let index = names.enumerate().map(|(at, name)| (name, at)).collect();
        Self { bytes, manifest, index }
    }

    /// The artifact of this name.
    #[must_use]
    pub fn artifact(&self, name: &FileName) -> Option<&Artifact> {
        self.index.get(name).map(|at| &self.manifest.artifacts[*at])
    }
}

/// The manifests in a store.
#[derive(Debug)]
pub struct Manifests {
    blobs: Arc<Blobs>,
    remembered: Cache<Digest, Arc<LoadedManifest>>,
    reads: Flights<Digest, Option<Arc<LoadedManifest>>>,
}

impl Manifests {
    /// Manifests among `blobs`.
    #[must_use]
    pub fn new(blobs: Arc<Blobs>) -> Self {
        let weigh =
            |_: &Digest, loaded: &Arc<LoadedManifest>| u32::try_from(1024 + loaded.bytes.len() * 4).unwrap_or(u32::MAX);
        let remembered = Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh).build();
        Self { blobs, remembered, reads: Flights::default() }
    }

    /// Reads a manifest and verifies its digest. `None` when its bytes are gone. Any number of callers at once cost the
    /// store one reading.
    ///
    /// # Errors
    /// When the store fails, or holds other bytes than were published.
    pub async fn load(self: &Arc<Self>, descriptor: Descriptor) -> Result<Option<Arc<LoadedManifest>>, StoreError> {
        if let Some(loaded) = self.remembered.get(&descriptor.digest) {
            return Ok(Some(loaded));
        }
        let read = || {
            let manifests = Arc::clone(self);
            async move {
                let Some((bytes, manifest)) = manifests.read(descriptor).await? else { return Ok(None) };
                let loaded = Arc::new(LoadedManifest::new(bytes, manifest));
                manifests.remembered.insert(descriptor.digest, Arc::clone(&loaded));
                Ok(Some(loaded))
            }
        };
        self.reads.join(&descriptor.digest, PATIENCE, read).await
    }

    /// Like [`Manifests::load`], for those who read every manifest once and want neither memory nor index of it.
    ///
    /// # Errors
    /// As [`Manifests::load`].
    pub async fn read(&self, descriptor: Descriptor) -> Result<Option<(Bytes, Manifest)>, StoreError> {
        let Some(object) = self.blobs.open(descriptor.digest, None).await? else { return Ok(None) };
        let key = object.meta.key.clone();
        let corrupt = |why: String| StoreError::new(StoreErrorKind::Corrupt, &key, why);
        let bytes = object.bytes(descriptor.size).await?;
        if Digest::of(&bytes) != descriptor.digest {
            return Err(corrupt("the bytes of this manifest do not have its digest".into()));
        }
        let manifest = Manifest::parse(&bytes, usize::MAX).map_err(|error| corrupt(error.to_string()))?;
        Ok(Some((bytes, manifest)))
    }
}
