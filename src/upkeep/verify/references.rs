//! What one version refers to: its manifest, the manifests that this names, their blobs, and the further needs of its
//! row.

use std::sync::Arc;

use super::{Finding, Verify, VerifyRun};
use crate::domain::manifest::{Child, Descriptor};
use crate::domain::{LogName, VersionRow};
use crate::protocol::ManifestWalk;
use crate::protocol::manifests::LoadedManifest;
use crate::store::{StoreError, StoreErrorKind};

/// The findings about a version so far, each with the blob whose bytes can heal it, if any.
struct Wrong<'a> {
    name: &'a LogName,
    version: u64,
    found: Vec<(Finding, Option<Descriptor>)>,
}

impl Wrong<'_> {
    fn manifest(&mut self, why: String, healed_by: Option<Descriptor>) {
        let finding = Finding::DamagedManifest { name: self.name.clone(), version: self.version, why };
        self.found.push((finding, healed_by));
    }

    fn unknown_format(&mut self, why: String) {
        let finding = Finding::UnknownFormat { name: self.name.clone(), version: self.version, why };
        self.found.push((finding, None));
    }

    fn annex(&mut self, why: String) {
        let finding = Finding::DamagedAnnex { name: self.name.clone(), version: self.version, why };
        self.found.push((finding, None));
    }

    fn reference(&mut self, blob: Descriptor, stored: Option<u64>) {
        let finding = Finding::BadReference { name: self.name.clone(), version: self.version, blob, stored };
        self.found.push((finding, Some(blob)));
    }
}

impl Verify {
    /// The findings about a version, each with the blob that can heal it, if any.
    pub(super) async fn wrong_with(
        &self,
        name: &LogName,
        row: &VersionRow,
        run: &mut VerifyRun<'_>,
    ) -> Result<Vec<(Finding, Option<Descriptor>)>, StoreError> {
        let mut wrong = Wrong { name, version: row.number, found: Vec::new() };
        let mut walk = ManifestWalk::default();
        walk.add([Child { blob: row.summary.manifest, media_type: row.summary.media_type.clone() }]);
        while let Some(child) = walk.pop() {
            let Some(loaded) = self.load(&child, &mut wrong).await? else { continue };
            // The bytes are exactly those published, so there is nothing to heal.
            match loaded.manifest() {
                Ok(manifest) => {
                    self.look_for(&manifest.blobs, &mut wrong, run).await?;
                    walk.add(manifest.children.iter().cloned());
                }
                Err(error) if error.kind == StoreErrorKind::Newer => wrong.unknown_format(error.to_string()),
                Err(error) => wrong.manifest(error.to_string(), None),
            }
        }
        match self.heads.needs(name, row).await {
            Ok(beyond) => self.look_for(&beyond, &mut wrong, run).await?,
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => {
                wrong.annex(error.to_string());
                self.look_for(&row.needs, &mut wrong, run).await?;
            }
        }
        Ok(wrong.found)
    }

    async fn load(&self, child: &Child, wrong: &mut Wrong<'_>) -> Result<Option<Arc<LoadedManifest>>, StoreError> {
        match self.manifests.load_alone(child.blob, child.media_type.as_deref()).await {
            Ok(Some(loaded)) => return Ok(Some(loaded)),
            Ok(None) => wrong.manifest("its bytes are gone".to_owned(), Some(child.blob)),
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => wrong.manifest(error.to_string(), Some(child.blob)),
        }
        Ok(None)
    }

    async fn look_for(
        &self,
        blobs: &[Descriptor],
        wrong: &mut Wrong<'_>,
        run: &mut VerifyRun<'_>,
    ) -> Result<(), StoreError> {
        for blob in blobs {
            run.totals.references += 1;
            let stored = self.blobs.stat(blob.digest).await?.map(|meta| meta.size);
            if stored != Some(blob.size) {
                wrong.reference(*blob, stored);
            }
        }
        Ok(())
    }
}
