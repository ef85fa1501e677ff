//! Publishing what brings its signature along.

use bytes::Bytes;

use super::{Publish, PublishError, PublishOptions, Receipt};
use crate::domain::attestation::{Annex, NewAttachment};
use crate::domain::{Author, Descriptor, ManifestName, Rejection, Selector};
use crate::protocol::ChangeError;

impl Publish {
    /// As [`Publish::publish`], with an attachment that the new version has from the start, so that one request satisfies a
    /// policy that requires a signature. If the manifest is published already, it is attached to that version.
    ///
    /// # Errors
    /// As [`Publish::publish`].
    pub async fn publish_signed(
        &self,
        name: &ManifestName,
        (bytes, signature): (Bytes, NewAttachment),
        options: PublishOptions,
        by: &Author,
    ) -> Result<Receipt, PublishError> {
        let document = self.checked(bytes).await?;
        let annex = self.annex_with(&signature, by);
        let receipt = Box::pin(self.publish_document(name, document, options, by, (None, annex))).await?;
        self.also_attached(receipt, name, &signature, by).await
    }

    /// What a new version has attached that brings this signature along.
    pub(super) fn annex_with(&self, signature: &NewAttachment, by: &Author) -> Option<Annex> {
        Annex::default().with(signature.clone(), by.subject.clone(), self.heads.now())
    }

    /// Attaches the signature if the version was there before, and has it not.
    pub(super) async fn also_attached(
        &self,
        receipt: Receipt,
        name: &ManifestName,
        signature: &NewAttachment,
        by: &Author,
    ) -> Result<Receipt, PublishError> {
        if self.heads.annex(name, &receipt.row).await?.find(signature).is_some() {
            return Ok(receipt);
        }
        let selector = Selector::Number(receipt.row.number);
        let changed = Box::pin(self.heads.attach(name, &selector, signature, by)).await?;
        // The manifest was there already, whether or not the signature was.
        let unchanged = receipt.unchanged;
        Ok(if changed.unchanged { receipt } else { Receipt { unchanged, ..Receipt::new(changed) } })
    }

    /// Stores what a version has attached from the start, before the head that names it.
    pub(super) async fn attached(
        &self,
        name: &ManifestName,
        annex: Option<Box<Annex>>,
    ) -> Result<Option<Descriptor>, PublishError> {
        let Some(annex) = annex else { return Ok(None) };
        // No version has an annex too large to be stored again.
        let stored = self.heads.put_annex(name, *annex).await?;
        stored.map(Some).ok_or_else(|| ChangeError::Rejected(Rejection::AttachmentsFull(0)).into())
    }
}
