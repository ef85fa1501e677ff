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
        let annex = Annex::default().with(signature.clone(), by.subject.clone(), self.heads.now());
        let receipt = Box::pin(self.publish_document(name, document, options, by, (None, annex))).await?;
        if !receipt.unchanged {
            return Ok(receipt);
        }
        let selector = Selector::Number(receipt.row.number);
        let changed = Box::pin(self.heads.attach(name, &selector, &signature, by)).await?;
        // The manifest was there already, whether or not the signature was.
        Ok(if changed.unchanged { receipt } else { Receipt { unchanged: true, ..Receipt::new(changed) } })
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
