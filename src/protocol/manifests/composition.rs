//! What an index offers through the manifests that it lists: files and sizes.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use super::{LoadedManifest, Manifests, PATIENCE, ReadAs};
use crate::domain::manifest::composed::{Composed, PlatformFiles};
use crate::domain::manifest::oci::{self, Listed, Platform};
use crate::domain::manifest::{Descriptor, FileIndex};
use crate::domain::{Digest, Manifest, Summary};
use crate::store::{StoreError, StoreErrorKind};

/// Maximum number of manifests that are read for one index. What further ones hold is not offered by name.
const MAX_MANIFESTS: usize = 256;
/// Maximum size of the manifests that are read for one index, in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// Maximum number of files of one index.
const MAX_FILES: usize = 20_000;
/// Levels of indexes below which nothing is looked at.
const MAX_DEPTH: usize = 8;
/// Manifests read concurrently.
const READS: usize = 8;

/// What was found below an index.
#[derive(Debug)]
struct Found {
    platforms: Vec<PlatformFiles>,
    /// Size of the blobs of all manifests, each manifest counted once.
    bytes: u64,
    seen: HashSet<Digest>,
    /// Whether all manifests could be read, so that the result will not change.
    is_whole: bool,
    manifests_left: usize,
    bytes_left: u64,
    files_left: usize,
}

impl Found {
    fn nothing() -> Self {
        Self {
            platforms: Vec::new(),
            bytes: 0,
            seen: HashSet::new(),
            is_whole: true,
            manifests_left: MAX_MANIFESTS,
            bytes_left: MAX_BYTES,
            files_left: MAX_FILES,
        }
    }

    /// Whether another manifest of this size may be read.
    fn admits(&mut self, blob: Descriptor) -> bool {
        let Some(bytes_left) = self.bytes_left.checked_sub(blob.size).filter(|_| self.manifests_left > 0) else {
            return false;
        };
        self.bytes_left = bytes_left;
        self.manifests_left -= 1;
        true
    }

    fn add(&mut self, digest: Digest, manifest: Manifest, platform: Platform) {
        if self.seen.insert(digest) {
            self.bytes = self.bytes.saturating_add(manifest.total_bytes());
        }
        let mut files = manifest.files;
        files.truncate(self.files_left);
        self.files_left -= files.len();
        if !files.is_empty() && !platform.is_attestation() {
            self.platforms.push(PlatformFiles { platform, files });
        }
    }
}

impl Manifests {
    /// Summarises a manifest for its row. An index counts the files and bytes of the manifests that it lists and that are
    /// there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn summarise(
        &self,
        bytes: &[u8],
        manifest: &Manifest,
        descriptor: Descriptor,
    ) -> Result<Summary, StoreError> {
        let mut summary = Summary::of(manifest, descriptor);
        if oci::is_index(&manifest.media_type) {
            let mut found = Found::nothing();
            self.look_below(bytes.to_vec(), Platform::default(), 0, &mut found).await?;
            summary.files = Composed::of(&found.platforms).files.len() as u64;
            summary.total_bytes = summary.total_bytes.saturating_add(found.bytes);
        }
        Ok(summary)
    }

    /// The index with the files of the manifests that it lists.
    pub(super) async fn composed(
        self: &Arc<Self>,
        index: Arc<LoadedManifest>,
        key: ReadAs,
    ) -> Result<Option<Arc<LoadedManifest>>, StoreError> {
        if let Some(loaded) = self.remembered.get(&key) {
            return Ok(Some(loaded));
        }
        let read = || {
            let (manifests, key, index) = (Arc::clone(self), key.clone(), Arc::clone(&index));
            async move {
                let mut found = Found::nothing();
                manifests.look_below(index.bytes.to_vec(), Platform::default(), 0, &mut found).await?;
                let loaded = Arc::new(index.with_files(Composed::of(&found.platforms)));
                if found.is_whole {
                    manifests.remembered.insert(key, Arc::clone(&loaded));
                }
                Ok(Some(loaded))
            }
        };
        self.reads.join(&key, PATIENCE, read).await
    }

    /// Reads the manifests that an index lists, in its order, and those that these list. `around` is the platform of the
    /// index itself.
    fn look_below<'a>(
        &'a self,
        index: Vec<u8>,
        around: Platform,
        depth: usize,
        found: &'a mut Found,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let listed = oci::listed(&index).unwrap_or_default();
            let listed: Vec<Listed> = listed.into_iter().take_while(|listed| found.admits(listed.child.blob)).collect();
            let reads = listed.into_iter().map(|listed| self.read_listed(listed));
            let mut reads = stream::iter(reads).buffered(READS);
            while let Some((listed, child)) = reads.try_next().await? {
                let Some((bytes, manifest)) = child else {
                    found.is_whole = false;
                    continue;
                };
                let is_stated = listed.platform != Platform::default();
                let platform = if is_stated { listed.platform } else { around.clone() };
                let is_index = oci::is_index(&manifest.media_type);
                found.add(listed.child.blob.digest, manifest, platform.clone());
                if is_index && depth < MAX_DEPTH {
                    self.look_below(bytes, platform, depth + 1, found).await?;
                }
            }
            Ok(())
        }
        .boxed()
    }

    /// A listed manifest, or `None` if it is not there, damaged or no manifest. The bytes are of an index only.
    async fn read_listed(&self, listed: Listed) -> Result<(Listed, Option<(Vec<u8>, Manifest)>), StoreError> {
        let read = match self.read(listed.child.blob, listed.child.media_type.as_deref()).await {
            Ok(read) => read,
            Err(error) if error.kind == StoreErrorKind::Corrupt => None,
            Err(error) => return Err(error),
        };
        let child = read.and_then(|(bytes, contents)| {
            let manifest = contents.read.ok()?;
            let bytes = if oci::is_index(&manifest.media_type) { bytes.to_vec() } else { Vec::new() };
            Some((bytes, manifest))
        });
        Ok((listed, child))
    }
}

impl LoadedManifest {
    /// The same document with these files.
    fn with_files(&self, Composed { files, aliases }: Composed) -> Self {
        let index = FileIndex::new(&files).with_aliases(aliases);
        let mut contents = self.contents.clone();
        if let Ok(manifest) = &mut contents.read {
            manifest.files = files;
        }
        Self { bytes: self.bytes.clone(), contents, index }
    }
}
