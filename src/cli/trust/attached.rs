//! What a server says is attached to a release. Only what is a signature by its bytes counts for anything.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::Unverified;
use crate::cli::CliError;
use crate::client::Client;
use crate::domain::attestation::{
    BUNDLES, BundleError, INLINE, MAX_ATTACHMENT, MAX_ATTACHMENTS, MEDIA_TYPE, Proof, Requirement, Signable, Signed,
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
#[derive(Debug, Default)]
pub(in crate::cli) struct Attached {
    signatures: Vec<Vec<u8>>,
    /// Bundles by their digests; `None` if one is longer than any that counts.
    bundles: Vec<(Digest, Option<Bytes>)>,
}

impl Attached {
    /// Asks what is attached to the release. Bundles are read only if they may count.
    pub(super) async fn read(
        client: &Client,
        target: &Target,
        release: Unverified<'_>,
        with_bundles: bool,
    ) -> Result<Self, CliError> {
        let pinned = || Target { selector: Selector::Manifest(release.published.digest), ..target.clone() };
        let target = release.published.found(&target.name).unwrap_or_else(pinned);
        let list = client.attachments(&target).await?;
        let signatures = list.attachments.iter().filter_map(signature_of).collect();
        let is_bundle = |one: &&Attachment| with_bundles && one.media_type.starts_with(BUNDLES) && one.file.is_none();
        let mut bundles = Vec::new();
        // No server has more, so that one that lies cannot keep a client busy for ever.
        for bundle in list.attachments.iter().filter(is_bundle).take(MAX_ATTACHMENTS) {
            bundles.push((bundle.digest, bytes_of(client, &target, bundle).await?));
        }
        Ok(Self { signatures, bundles })
    }

    /// The signatures by keys.
    pub(super) fn signatures(&self) -> &[Vec<u8>] {
        &self.signatures
    }

    /// Verifies all that can count.
    pub(super) fn verify(&self, release: Unverified<'_>, requirement: &Requirement) -> Vec<Signed> {
        let by_key = |bytes: &Vec<u8>| Signed::verify(bytes, &release.published.bytes, requirement.keys());
        let mut signed: Vec<Signed> = self.signatures.iter().map(by_key).collect();
        let Some(root) = requirement.root() else { return signed };
        let files: Vec<Digest> = release.manifest.files.iter().map(|file| file.blob.digest).collect();
        let subject = Signable { manifest: &release.published.bytes, files: &files };
        signed.extend(self.bundles.iter().map(|(digest, bytes)| {
            let proven = bytes.as_ref().ok_or(BundleError::TooLarge).and_then(|bytes| root.verify(bytes, subject));
            Signed { digest: *digest, outcome: proven.map(Proof::Identity).map_err(Into::into) }
        }));
        signed
    }
}

async fn bytes_of(client: &Client, target: &Target, bundle: &Attachment) -> Result<Option<Bytes>, CliError> {
    let inline = bundle.inline.as_deref().filter(|text| text.len() <= INLINE * 2);
    match inline.and_then(|text| STANDARD.decode(text).ok()) {
        Some(bytes) => Ok(Some(bytes.into())),
        None if bundle.size > MAX_ATTACHMENT => Ok(None),
        None => Ok(Some(client.attachment(target, bundle.digest).await?)),
    }
}
