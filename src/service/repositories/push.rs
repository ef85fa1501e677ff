//! Pushing a manifest to a repository.

use bytes::Bytes;

use super::Repositories;
use crate::domain::manifest::{Descriptor, oci, rendering};
use crate::domain::{
    AnyDigest, Author, BothDigests, Digest, Expect, LogName, ManifestError, ManifestName, RepositoryName, Sha512,
};
use crate::protocol::long_work::work_on;
use crate::service::publish::PublishOptions;
use crate::service::{PublishError, Receipt};
use crate::store::{StoreError, StoreErrorKind};

/// A manifest that a client pushes.
#[derive(Debug)]
pub struct PushRequest {
    /// The repository.
    pub repository: RepositoryName,
    /// The tags that it gets. Without any it is found by its digest only.
    pub tags: Vec<ManifestName>,
    /// The manifest.
    pub bytes: Bytes,
    /// Its SHA-512 digest, if it is pushed by that.
    pub sha512: Option<Sha512>,
    /// The precondition on the state of each tag.
    pub expect: Expect,
}

/// What a push has led to.
#[derive(Debug)]
pub struct PushedManifest {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The manifest that it describes, as it states it.
    pub subject: Option<AnyDigest>,
    /// The logs that have it now, in the order of the tags.
    pub receipts: Vec<Receipt>,
    /// Why the tags that follow do not have it. Repeating the push completes it.
    pub failed: Option<PublishError>,
}

impl Repositories {
    /// Publishes a manifest under tags, or in the repository without one. A rendering is published as the release that it
    /// shows, if that is there. One that is pushed by its SHA-512 digest has an alias before it is published, so that it is
    /// found by that from then on.
    ///
    /// # Errors
    /// A [`PublishError`]; nothing is changed then.
    pub async fn push(&self, push: PushRequest, by: &Author) -> Result<PushedManifest, PublishError> {
        let PushRequest { repository, tags, bytes, sha512, expect } = push;
        let media_type = oci::media_type_of(&bytes).map_err(|error| ManifestError::Malformed(error.into_reason()))?;
        let digest = Digest::of(&bytes);
        let options = PublishOptions { activate: !tags.is_empty(), expect };
        let logs: Vec<LogName> = if tags.is_empty() {
            vec![repository.untagged(digest)]
        } else {
            tags.into_iter().map(LogName::from).collect()
        };
        if let Some(stated) = &sha512 {
            let both = BothDigests::of(&bytes);
            if both.sha512() != *stated {
                let why = "pushed by a digest that it does not have";
                return Err(StoreError::new(StoreErrorKind::Internal, stated, why).into());
            }
            self.blobs.aliases().add(&both).await?;
        }
        let subject = oci::subject(&bytes);
        let document = match self.release_of(&bytes).await? {
            Some(release) => (release, None),
            None => (bytes, Some(media_type)),
        };
        let pushed = self.publish.push(&logs, document, (&options, sha512), by).await?;
        self.members.published(&repository, digest);
        Ok(PushedManifest { digest, subject, receipts: pushed.receipts, failed: pushed.failed })
    }

    /// The release that a manifest is the rendering of: its configuration, if rendering that gives the same bytes.
    async fn release_of(&self, bytes: &Bytes) -> Result<Option<Bytes>, StoreError> {
        let Some(Descriptor { digest, size }) = rendering::claimed(bytes) else { return Ok(None) };
        if size > self.publish.limits().manifest_bytes {
            return Ok(None);
        }
        let Some(object) = self.blobs.open(digest, None).await?.filter(|object| object.meta.size == size) else {
            return Ok(None);
        };
        let release = object.bytes(size).await?;
        let is_same =
            work_on(bytes.len(), || Digest::of(&release) == digest && rendering::is_rendering(bytes, &release));
        Ok(is_same.then_some(release))
    }
}
