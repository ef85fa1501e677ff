//! Attachments of versions and manifests that describe others: the same statements, for clients of both kinds.
//!
//! What is attached to a version is shown in its repository as a manifest without a tag that has the version's manifest
//! as its subject, and stays there as long as that does. What a client pushes as such a manifest, the caller attaches to
//! the versions that are described. Only what is attached counts for policies.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{Repositories, ShownManifest};
use crate::domain::attestation::{Attachment, MAX_ATTACHMENT, NewAttachment, Role};
use crate::domain::manifest::{Descriptor, MAX_CHILD, oci, referrer};
use crate::domain::{Author, Digest, Expect, LogName, ManifestName, Reads, RepositoryName, VersionRow};
use crate::protocol::{AsOf, Holding};
use crate::service::publish::{PublishError, PublishOptions};
use crate::store::StoreError;

/// Limit on storing blobs again that were collected before they were protected.
const MAX_PUTS: u32 = 8;
/// Versions that a statement is attached to at most, of all that have the manifest it is about.
const MAX_DESCRIBED: usize = 16;

/// A statement that a client pushed, and what it is about.
#[derive(Debug)]
pub struct PushedStatement {
    /// Its bytes.
    pub bytes: Bytes,
    /// It, as an attachment.
    pub attachment: NewAttachment,
    /// The versions that have the manifest that it is about.
    pub about: Vec<(ManifestName, u64)>,
}

impl Repositories {
    /// Shows what is attached to the manifest of a complete version, or `only` what has this digest, in the repository of its name, unless it is
    /// shown already. Nothing happens where there is no repository, or where the name cannot be read without a token: whoever
    /// may read some tags of a repository sees what has none.
    ///
    /// # Errors
    /// A [`PublishError`]. Repeating it completes it.
    pub async fn show_attachments(
        &self,
        log: &LogName,
        row: &VersionRow,
        only: Option<Digest>,
        by: &Author,
    ) -> Result<(), PublishError> {
        let is_shown = row.annex.is_some() && row.state.is_complete() && self.heads.policy(log).read == Reads::Public;
        let Some(repository) = RepositoryName::of(log).filter(|_| is_shown) else { return Ok(()) };
        let annex = self.heads.annex(log, row).await?;
        let Some(subject) = self.shown(row).await? else { return Ok(()) };
        let is_wanted =
            |attachment: &&Attachment| attachment.file.is_none() && only.is_none_or(|only| attachment.digest == only);
        for attachment in annex.attachments.iter().filter(is_wanted) {
            Box::pin(self.show_attachment(&repository, &subject, attachment, by)).await?;
        }
        Ok(())
    }

    async fn show_attachment(
        &self,
        repository: &RepositoryName,
        subject: &ShownManifest,
        attachment: &Attachment,
        by: &Author,
    ) -> Result<(), PublishError> {
        // One that a client pushed has its own, which a copy takes to another repository.
        let pushed = match attachment.referrer {
            Some(referrer) => self.blob(referrer, MAX_CHILD).await?,
            None => None,
        };
        let blob = Descriptor { digest: attachment.digest, size: attachment.size };
        let described = (&*subject.media_type, Descriptor { digest: subject.digest, size: subject.size });
        let manifest = pushed.unwrap_or_else(|| referrer::render(described, &attachment.media_type, blob));
        let digest = Digest::of(&manifest);
        if self.members.find(repository, digest, AsOf::Now, |_| true).await?.is_some() {
            return Ok(());
        }
        let (log, inline) = ([repository.untagged(digest)], attachment.bytes().map(Bytes::from));
        let options = PublishOptions { activate: false, expect: Expect::Anything };
        for _ in 0..MAX_PUTS {
            if let Some(bytes) = &inline {
                self.blobs.put(bytes.clone()).await?;
            }
            self.blobs.put(Bytes::from_static(referrer::CONFIG)).await?;
            let document = (manifest.clone(), Some(oci::IMAGE));
            match Box::pin(self.publish.push(&log, document, (&options, None), by)).await {
                // They were collected in between; those that the version itself lacks stay missing.
                Err(PublishError::Blobs { .. }) => {}
                pushed => {
                    self.members.published(repository, digest);
                    return pushed?.failed.map_or(Ok(()), Err);
                }
            }
        }
        tracing::warn!(%digest, repository = repository.as_str(), "the bytes of an attachment are missing");
        Ok(())
    }

    /// What a pushed manifest states about others, if it is one of the statements that can be attached: an image manifest
    /// whose only layer is a signature, a provenance or a bill of materials of at most 256 KiB. With the complete versions
    /// in the repository that have its subject and that `may_attest` admits, at most 16.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pushed_statement(
        &self,
        repository: &RepositoryName,
        manifest: &[u8],
        may_attest: impl Fn(&ManifestName) -> bool + Send + Sync,
    ) -> Result<Option<PushedStatement>, StoreError> {
        let Some(oci::Statement { subject, layer, media_type }) = oci::Statement::read(manifest) else {
            return Ok(None);
        };
        let is_attested = matches!(Role::of(&media_type), Some(Role::Signature | Role::Provenance | Role::Sbom));
        if !is_attested || layer.size > MAX_ATTACHMENT.min(NewAttachment::limit(&media_type)) {
            return Ok(None);
        }
        let visible = |log: &LogName| log.visible().is_some_and(|name| may_attest(&name));
        let mut members = self.members.holders(repository, subject, &visible).boxed();
        let mut about = Vec::new();
        while about.len() < MAX_DESCRIBED
            && let Some(member) = members.try_next().await?
        {
            let is_about = match member.holding {
                Holding::Own => true,
                // Every release has an entry for its rendering; a draft had some for others.
                Holding::Rendering => self.shown(&member.row).await?.is_some_and(|shown| shown.digest == subject),
                Holding::Child => false,
            };
            about.extend(member.log.visible().filter(|_| is_about).map(|name| (name, member.row.number)));
        }
        drop(members);
        if about.is_empty() {
            return Ok(None);
        }
        let Some(bytes) = self.blob(layer, MAX_ATTACHMENT).await? else { return Ok(None) };
        let own = Descriptor { digest: Digest::of(manifest), size: manifest.len() as u64 };
        // What is no signature although it says so, stays a manifest like any other.
        let attachment = NewAttachment::new(&bytes, &media_type, None).ok();
        Ok(attachment.map(|new| PushedStatement { bytes, attachment: new.pushed_as(own), about }))
    }

    /// The bytes of a blob, if it is there with this size and not larger than `limit`.
    async fn blob(&self, wanted: Descriptor, limit: u64) -> Result<Option<Bytes>, StoreError> {
        let Some(object) = self.blobs.open(wanted.digest, None).await? else { return Ok(None) };
        if object.meta.size != wanted.size || wanted.size > limit {
            return Ok(None);
        }
        let bytes = object.bytes(wanted.size).await?;
        Ok((Digest::of(&bytes) == wanted.digest).then_some(bytes))
    }
}
