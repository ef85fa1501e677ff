//! What a server says is attached to a release. Only what is a signature by its bytes counts for anything.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Unverified;
use crate::cli::CliError;
use crate::client::Client;
use crate::domain::attestation::{
    BUNDLES, BundleError, INLINE, MAX_ATTACHMENT, MAX_ATTACHMENTS, MEDIA_TYPE, Proof, Proven, Requirement, Signable,
    Signed, TrustedRoot,
};
use crate::domain::{Digest, Selector, Target};
use crate::wire::Attachment;

/// The bytes of a signature of the manifest, if that is what is attached.
pub(in crate::cli) fn signature_of(attachment: &Attachment) -> Option<Vec<u8>> {
    if attachment.media_type != MEDIA_TYPE || attachment.file.is_some() {
        return None;
    }
    // Longer ones are never accepted by a server.
    let inline = attachment.inline.as_deref().filter(|text| text.len() <= INLINE * 2)?;
    STANDARD.decode(inline).ok()
}

/// The signatures of a release.
pub(super) struct Attached {
    target: Target,
    signatures: Vec<Vec<u8>>,
    bundles: Vec<Attachment>,
}

impl Attached {
    /// Asks what is attached to the release.
    pub(super) async fn list(client: &Client, target: &Target, release: Unverified<'_>) -> Result<Self, CliError> {
        let pinned = || Target { selector: Selector::Manifest(release.published.digest), ..target.clone() };
        let target = release.published.found(&target.name).unwrap_or_else(pinned);
        let list = client.attachments(&target).await?;
        let signatures = list.attachments.iter().filter_map(signature_of).collect();
        let is_bundle = |one: &Attachment| one.media_type.starts_with(BUNDLES) && one.file.is_none();
        // No server has more, so that one that lies cannot keep a client busy for ever.
        let bundles = list.attachments.into_iter().filter(is_bundle).take(MAX_ATTACHMENTS).collect();
        Ok(Self { target, signatures, bundles })
    }

    /// The signatures by keys.
    pub(super) fn signatures(&self) -> &[Vec<u8>] {
        &self.signatures
    }

    /// Verifies all that can count. Bundles are read only if identities do.
    pub(super) async fn verify(
        &self,
        client: &Client,
        release: Unverified<'_>,
        requirement: &Requirement,
    ) -> Result<Vec<Signed>, CliError> {
        let by_key = |bytes: &Vec<u8>| Signed::verify(bytes, &release.published.bytes, requirement.keys());
        let mut signed: Vec<Signed> = self.signatures.iter().map(by_key).collect();
        let Some(root) = requirement.root() else { return Ok(signed) };
        let files: Vec<Digest> = release.manifest.files.iter().map(|file| file.blob.digest).collect();
        let subject = Signable { manifest: &release.published.bytes, files: &files };
        for bundle in &self.bundles {
            let outcome = self.proven(client, bundle, (root, subject)).await?;
            signed.push(Signed { digest: bundle.digest, outcome: outcome.map(Proof::Identity).map_err(Into::into) });
        }
        Ok(signed)
    }

    async fn proven(
        &self,
        client: &Client,
        bundle: &Attachment,
        (root, subject): (&TrustedRoot, Signable<'_>),
    ) -> Result<Result<Proven, BundleError>, CliError> {
        let inline = bundle.inline.as_deref().filter(|text| text.len() <= INLINE * 2);
        let bytes = match inline.and_then(|text| STANDARD.decode(text).ok()) {
            Some(bytes) => bytes.into(),
            None if bundle.size > MAX_ATTACHMENT => return Ok(Err(BundleError::TooLarge)),
            None => client.attachment(&self.target, bundle.digest).await?,
        };
        Ok(root.verify(&bytes, subject))
    }
}
