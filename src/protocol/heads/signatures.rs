//! The verified signatures of versions, for policies that require some.

use std::sync::Arc;

use super::Heads;
use crate::domain::attestation::{
    Attachment, BundleError, MAX_ATTACHMENT, Proof, Proven, Requirement, Signable, Signed, TrustedRoot,
};
use crate::domain::head::{Judgement, Signatures};
use crate::domain::{Change, Digest, Head, LogName, Selector, VersionRow};
use crate::protocol::Manifests;
use crate::protocol::manifests::LoadedManifest;
use crate::store::{StoreError, StoreErrorKind};

/// How many verified bundles are remembered.
pub(super) const REMEMBERED: u64 = 512;

/// What was verified: the bytes of a bundle, a manifest as it was read, and a trusted root. All of them stay as they are, and so
/// does what they prove.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct VerifiedBundle {
    bundle: Digest,
    manifest: Digest,
    media_type: Option<Box<str>>,
    root: Digest,
}

impl Heads {
    /// Sets where manifests are read whose signatures are verified.
    #[must_use]
    pub fn with_manifests(self, manifests: Arc<Manifests>) -> Self {
        Self { manifests: Some(manifests), ..self }
    }

    /// The signatures that a change is judged by: `None` if the policy of the name requires none, or the change makes no
    /// version active.
    pub(super) async fn signatures(
        &self,
        name: &LogName,
        head: &Head,
        change: &Change,
        judgement: &Judgement,
    ) -> Result<Option<Signatures>, StoreError> {
        let candidate = match change {
            Change::Commit { activate: true, .. } | Change::Promote { .. } | Change::Rollback { .. } => &judgement.row,
            Change::Yank { rollback: true, .. } => &judgement.instead,
            _ => return Ok(None),
        };
        let (Some(candidate), Some(requirement)) = (candidate, self.policy(name).signatures.clone()) else {
            return Ok(None);
        };
        let active = match head.active().filter(|active| active.number != candidate.number) {
            Some(active) => self.signed(name, active, &requirement).await?,
            None => Vec::new(),
        };
        let foremost = match head.foremost.filter(|number| *number != candidate.number) {
            Some(number) => self.select(head, &Selector::Number(number)).await?,
            None => None,
        };
        let foremost = match foremost {
            Some(row) => {
                let signed = self.signed(name, &row, &requirement).await?;
                Some((row, signed))
            }
            None => None,
        };
        let candidate = self.signed(name, candidate, &requirement).await?;
        Ok(Some(Signatures { requirement, candidate, active, foremost }))
    }

    /// Verifies the signatures of a version's manifest with the keys of `requirement`, and the bundles with its trusted root.
    async fn signed(
        &self,
        name: &LogName,
        row: &VersionRow,
        requirement: &Arc<Requirement>,
    ) -> Result<Vec<Signed>, StoreError> {
        let annex = self.annex(name, row).await?;
        let root = requirement.root();
        let counts = |one: &&Attachment| one.is_signature() || (root.is_some() && one.is_bundle());
        if !annex.attachments.iter().any(|one| counts(&one)) {
            return Ok(Vec::new());
        }
        let internal = |why: &str| StoreError::new(StoreErrorKind::Internal, name, why.to_owned());
        let manifests = self.manifests.as_ref().ok_or_else(|| internal("signatures are not verified here"))?;
        let loaded = manifests.load_alone(row.summary.manifest, row.summary.media_type.as_deref()).await?;
        // Without bytes there is nothing that a signature could be of. Such a version cannot become active anyway.
        let Some(loaded) = loaded else { return Ok(Vec::new()) };
        let mut bundles = Vec::new();
        for (bundle, root) in annex.attachments.iter().filter_map(|one| Some((one, root.filter(|_| one.is_bundle())?)))
        {
            let outcome = self.proven(manifests, (bundle, root), (row, &loaded)).await?;
            bundles.push(Signed { digest: bundle.digest, outcome: outcome.map(Proof::Identity).map_err(Into::into) });
        }
        let requirement = Arc::clone(requirement);
        // A few dozen signatures of a manifest of some megabytes take a tenth of a second.
        let verified = tokio::task::spawn_blocking(move || {
            let signatures = annex.attachments.iter().filter(|attachment| attachment.is_signature());
            let bytes = signatures.filter_map(Attachment::bytes);
            let by_keys = bytes.map(|bytes| Signed::verify(&bytes, &loaded.bytes, requirement.keys()));
            by_keys.chain(bundles).collect()
        });
        verified.await.map_err(|error| internal(&error.to_string()))
    }

    /// What a bundle proves of a version. Its bytes are read once, and one after the other, so that a version with many takes
    /// no more memory than one.
    async fn proven(
        &self,
        manifests: &Manifests,
        (bundle, root): (&Attachment, &TrustedRoot),
        (row, loaded): (&VersionRow, &Arc<LoadedManifest>),
    ) -> Result<Result<Proven, BundleError>, StoreError> {
        let (manifest, media_type) = (row.summary.manifest.digest, row.summary.media_type.clone());
        let key = VerifiedBundle { bundle: bundle.digest, manifest, media_type, root: root.digest() };
        if let Some(known) = self.proven.get(&key) {
            return Ok(Ok(known));
        }
        let bytes = match (bundle.blob(), bundle.bytes()) {
            (Some(blob), _) if blob.size > MAX_ATTACHMENT => return Ok(Err(BundleError::TooLarge)),
            (Some(blob), _) => manifests.attachment(blob).await?,
            (None, inline) => inline.map(Into::into),
        };
        let Some(bytes) = bytes else { return Ok(Err(BundleError::Gone)) };
        let (root, loaded) = (root.clone(), Arc::clone(loaded));
        let verify = move || {
            let files = loaded.manifest().map(|manifest| manifest.files.iter().map(|file| file.blob.digest).collect());
            let files: Vec<Digest> = files.unwrap_or_default();
            root.verify(&bytes, Signable { manifest: &loaded.bytes, files: &files })
        };
        let failed = |error| StoreError::new(StoreErrorKind::Internal, bundle.digest, error);
        let outcome = tokio::task::spawn_blocking(verify).await.map_err(failed)?;
        if let Ok(proven) = &outcome {
            self.proven.insert(key, proven.clone());
        }
        Ok(outcome)
    }
}
