//! What an index offers through the manifests that it lists: files and sizes.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{LoadedManifest, Manifests, PATIENCE, ReadAs};
use crate::domain::manifest::composed::Composed;
use crate::domain::manifest::index_walk::{IndexWalk, Step};
use crate::domain::manifest::{Aliases, Descriptor, FileIndex, oci};
use crate::domain::{Manifest, Summary};
use crate::protocol::long_work::work_on;
use crate::store::{StoreError, StoreErrorKind};

/// Manifests read concurrently.
const READS: usize = 8;

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
        let mut summary = work_on(bytes.len(), || Summary::of(manifest, descriptor));
        if oci::is_index(&manifest.media_type) {
            let walk = self.walk_below(bytes, &manifest.aliases).await?;
            summary.total_bytes = summary.total_bytes.saturating_add(walk.bytes());
            summary.files = walk.files().files.len() as u64;
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
                let walk = manifests.walk_below(&index.bytes, &index.manifest()?.aliases).await?;
                let (is_whole, cost) = (walk.is_whole(), walk.cost());
                let loaded = Arc::new(index.with_files(walk.files(), cost));
                if is_whole {
                    manifests.remembered.insert(key, Arc::clone(&loaded));
                }
                Ok(Some(loaded))
            }
        };
        self.reads.join(&key, PATIENCE, read).await
    }

    async fn walk_below(&self, index: &[u8], aliases: &Aliases) -> Result<IndexWalk, StoreError> {
        let mut walk = IndexWalk::new(index, aliases);
        loop {
            let level = walk.next_level();
            if level.is_empty() {
                return Ok(walk);
            }
            let mut reads = stream::iter(level).map(|step| self.read_listed(step)).buffered(READS);
            while let Some((step, read)) = reads.try_next().await? {
                let (bytes, manifest) = read.unzip();
                walk.add(step, bytes.as_deref().zip(manifest));
            }
        }
    }

    /// A listed manifest, or `None` if it is not there, damaged or no manifest.
    async fn read_listed(&self, step: Step) -> Result<(Step, Option<(Bytes, Manifest)>), StoreError> {
        let read = match self.read(step.child.blob, step.child.media_type.as_deref()).await {
            Ok(read) => read,
            Err(error) if error.kind == StoreErrorKind::Corrupt => None,
            Err(error) => return Err(error),
        };
        Ok((step, read.and_then(|(bytes, contents)| Some((bytes, contents.read.ok()?)))))
    }
}

impl LoadedManifest {
    /// The same document with these files, which it cost so much to find.
    fn with_files(&self, Composed { files, aliases }: Composed, cost: u64) -> Self {
        let index = FileIndex::new(&files).with_aliases(aliases);
        let mut contents = self.contents.clone();
        if let Ok(manifest) = &mut contents.read {
            manifest.files = files;
        }
        Self { bytes: self.bytes.clone(), contents, index, cost }
    }
}
