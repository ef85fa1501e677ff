//! Step P2: everything that a version needs has bytes that may be relied on, and the version is found by the digests of its
//! manifests.

use bytes::Bytes;

use super::looks::Known;
use super::{MAX_PUTS, Publish, PublishError, Receipt};
use crate::domain::manifest::{Descriptor, rendering};
use crate::domain::{Digest, LogName, Manifest, ManifestError, RepositoryName, VersionRow};
use crate::protocol::blobs::Check;
use crate::protocol::long_work::work_on;
use crate::protocol::manifests::Secured;
use crate::store::{StoreError, StoreErrorKind};

impl Publish {
    /// Step P2 for a manifest whose bytes are at hand, and the entries by which the version is found by the digests of its
    /// manifests.
    pub(super) async fn secure(
        &self,
        manifest: &Manifest,
        receipt: &Receipt,
        bytes: Bytes,
    ) -> Result<Secured, PublishError> {
        let version = (&receipt.name, receipt.row.number);
        let needs = self.needs(receipt).await?;
        let held = held(receipt, manifest);
        let subject = receipt.row.summary.subject;
        let known = self.known(receipt).await?;
        let (secured, indexed) = tokio::join!(
            self.secure_bytes(manifest, needs, (receipt.row.summary.manifest, bytes), &known),
            self.index(version, held, subject)
        );
        let secured = secured?;
        indexed?;
        self.looks.remember(&receipt.name, &receipt.row, &secured, &known);
        if secured.is_whole() && !secured.children.is_empty() {
            self.index(version, secured.children.iter().copied(), None).await?;
        }
        Ok(secured)
    }

    /// Step P2: if the bytes of the manifest are missing they are stored again.
    async fn secure_bytes(
        &self,
        manifest: &Manifest,
        needs: Vec<Descriptor>,
        (descriptor, bytes): (Descriptor, Bytes),
        known: &Known,
    ) -> Result<Secured, PublishError> {
        for _ in 0..MAX_PUTS {
            if self.blobs.secure(vec![descriptor]).await?.is_empty() {
                let limit = self.limits.artifacts;
                return self.within_limit(self.manifests.secure_beyond(&known.blobs, manifest, needs, limit).await?);
            }
            self.blobs.put_hashed(descriptor.digest, bytes.clone()).await?;
        }
        let why = "the manifest is being collected faster than it can be stored";
        Err(StoreError::new(StoreErrorKind::Unavailable, descriptor.digest, why).into())
    }

    fn within_limit(&self, secured: Secured) -> Result<Secured, PublishError> {
        let limit = self.limits.artifacts;
        if secured.total <= limit {
            return Ok(secured);
        }
        let problem =
            format!("it names more than {limit} blobs and manifests in all, which is the limit of this server");
        Err(ManifestError::Invalid(vec![problem]).into())
    }

    /// Adds entries by which a version is found by the digests of manifests. Clients of repositories rely on them; of other
    /// names only those who look for a release by its hash.
    pub(super) async fn index(
        &self,
        (name, number): (&LogName, u64),
        held: impl IntoIterator<Item = Digest>,
        subject: Option<Digest>,
    ) -> Result<(), PublishError> {
        match self.members.add((name, number), held, subject).await {
            Err(error) if RepositoryName::of(name).is_none() => {
                tracing::warn!(manifest.name = %name, version = number, %error, "a release cannot be found by its digest yet");
                Ok(())
            }
            added => Ok(added?),
        }
    }

    /// Whether everything that a published version needs is still stored. If not, publishing it again repairs it.
    pub(super) async fn is_whole(&self, manifest: &Manifest, receipt: &Receipt) -> Result<bool, StoreError> {
        let mut beyond = self.needs(receipt).await?;
        beyond.push(receipt.row.summary.manifest);
        Ok(self.manifests.secure(manifest, beyond, usize::MAX).await?.is_whole())
    }

    /// The blobs that a version needs beyond its manifest.
    async fn needs(&self, receipt: &Receipt) -> Result<Vec<Descriptor>, StoreError> {
        self.heads.needs(&receipt.name, &receipt.row).await
    }

    /// Step P2 for a version that was prepared earlier.
    pub(super) async fn check(&self, name: &LogName, row: &VersionRow) -> Result<Secured, PublishError> {
        let descriptor = row.summary.manifest;
        let own = self.blobs.secure(vec![descriptor]).await?;
        if !own.is_empty() {
            return Ok(Secured { bad: own, ..Secured::default() });
        }
        match self.manifests.load_alone(descriptor, row.summary.media_type.as_deref()).await? {
            Some(loaded) => {
                let beyond = self.heads.needs(name, row).await?;
                self.within_limit(self.manifests.secure(loaded.manifest()?, beyond, self.limits.artifacts).await?)
            }
            // The version was aborted and its manifest collected in between.
            None => Ok(Secured { bad: vec![Check::Missing(descriptor)], ..Secured::default() }),
        }
    }
}

/// The manifests that a version holds, besides those that its own names: its own, and the one that shows a release to the
/// clients of its repository.
pub(super) fn held(receipt: &Receipt, manifest: &Manifest) -> Vec<Digest> {
    let summary = &receipt.row.summary;
    let mut held = vec![receipt.row.digest()];
    if summary.media_type.is_none() && RepositoryName::of(&receipt.name).is_some() {
        let bytes = usize::try_from(summary.manifest.size).unwrap_or(usize::MAX);
        held.extend(work_on(bytes, || rendering::digest_of(manifest, summary.manifest)));
    }
    held
}
