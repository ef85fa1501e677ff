//! The rules of a site, checked before it is published: its files `_redirects` and `_headers`.

use std::sync::Arc;

use bytes::Bytes;

use super::{Publish, PublishError};
use crate::domain::manifest::Kind;
use crate::domain::site::{RuleFile, Rules};
use crate::domain::{Manifest, ManifestError, VersionRow};
use crate::store::{StoreError, StoreErrorKind};

impl Publish {
    /// Fails with all problems of the rules that a static release brings. Its blobs have to be stored.
    pub(super) async fn check_rules(&self, manifest: &Manifest) -> Result<(), PublishError> {
        if manifest.kind != Kind::Static {
            return Ok(());
        }
        let mut files: [Option<Bytes>; RuleFile::ALL.len()] = Default::default();
        for (bytes, file) in files.iter_mut().zip(RuleFile::ALL) {
            let named = |name: &str| name == file.name();
            let Some(artifact) = manifest.files.iter().find(|artifact| named(artifact.name.as_str())) else { continue };
            let limit = file.max_size() as u64;
            if artifact.blob.size > limit {
                let problem = format!("{}: it has {} bytes, the limit is {limit}", file.name(), artifact.blob.size);
                return Err(ManifestError::Invalid(vec![problem]).into());
            }
            // Gone again since it was secured: the version is not committed either then.
            let Some(object) = self.blobs.open(artifact.blob.digest, None).await? else { continue };
            *bytes = Some(object.bytes(limit).await?);
        }
        let [redirects, headers] = files;
        if redirects.is_none() && headers.is_none() {
            return Ok(());
        }
        let manifest = Arc::new(manifest.clone());
        // Rules are followed through all files, which may be tens of thousands.
        let parsed = tokio::task::spawn_blocking(move || {
            Rules::parse(redirects.as_deref(), headers.as_deref(), &manifest).map(drop)
        });
        let parsed =
            parsed.await.map_err(|error| StoreError::new(StoreErrorKind::Internal, "rules of a site", error))?;
        parsed.map_err(|problems| ManifestError::Invalid(problems.iter().map(ToString::to_string).collect()).into())
    }

    /// The same for a prepared version.
    pub(super) async fn check_rules_of(&self, row: &VersionRow) -> Result<(), PublishError> {
        if row.summary.kind != Kind::Static {
            return Ok(());
        }
        match self.manifests.load_alone(row.summary.manifest, row.summary.media_type.as_deref()).await? {
            Some(loaded) => self.check_rules(loaded.manifest()?).await,
            None => Ok(()),
        }
    }
}
