//! Signatures and other statements that are attached to versions.

use std::sync::Arc;

use bytes::Bytes;

use super::{Resolve, ResolveError, Resolved};
use crate::domain::attestation::{Annex, Attachment, AttachmentError, NewAttachment};
use crate::domain::{Author, Descriptor, Digest, FileName, LogName, Rejection, Target, VersionRow};
use crate::protocol::{AsOf, Blobs, ChangeError, Heads};
use crate::store::{StoreError, StoreErrorKind};

/// Limit on storing an attachment again because it was collected before it was protected.
const MAX_PUTS: u32 = 8;

/// Why something could not be attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// It is not what it is said to be.
    #[error(transparent)]
    Invalid(#[from] AttachmentError),
    /// The version that is meant cannot be found, or has no such file.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The name could not be changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl From<StoreError> for AttachError {
    fn from(error: StoreError) -> Self {
        Self::Change(error.into())
    }
}

/// Something that was attached.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The version, in its new state.
    pub row: VersionRow,
    /// What was attached.
    pub attachment: Attachment,
    /// Whether it was attached already.
    pub unchanged: bool,
}

/// The bytes of an attachment.
#[derive(Debug, Clone)]
pub enum AttachmentBytes {
    /// The bytes themselves, at most [`crate::domain::attestation::INLINE`].
    Inline(Bytes),
    /// The blob that they are.
    Blob(Descriptor),
}

/// The service for attachments.
#[derive(Debug)]
pub struct Attachments {
    heads: Arc<Heads>,
    blobs: Arc<Blobs>,
    resolve: Arc<Resolve>,
}

impl Attachments {
    /// Creates the service from the parts it uses.
    #[must_use]
    pub fn new(heads: Arc<Heads>, blobs: Arc<Blobs>, resolve: Arc<Resolve>) -> Self {
        Self { heads, blobs, resolve }
    }

    /// Attaches something to a version that is prepared or complete. A signature is parsed, but not judged: who may publish
    /// decides nothing about which signatures count. Repeating it repairs lost bytes.
    ///
    /// # Errors
    /// An [`AttachError`].
    pub async fn attach(
        &self,
        target: &Target,
        (bytes, media_type, file): (Bytes, &str, Option<FileName>),
        by: &Author,
    ) -> Result<Attached, AttachError> {
        let found = self.resolve.row(target, AsOf::Now).await?;
        if let Some(file) = &file {
            self.require_file(target, &found.row, file).await?;
        }
        let new = NewAttachment::new(&bytes, media_type, file)?;
        self.add(target, (bytes, &new), by).await
    }

    /// Attaches what was checked to a version that exists, as [`Attachments::attach`] does.
    ///
    /// # Errors
    /// An [`AttachError`].
    pub async fn add(
        &self,
        target: &Target,
        (bytes, new): (Bytes, &NewAttachment),
        by: &Author,
    ) -> Result<Attached, AttachError> {
        if !new.is_inline() {
            self.blobs.put(bytes.clone()).await?;
        }
        let changed = Box::pin(self.heads.attach(&target.name, &target.selector, new, by)).await?;
        if !new.is_inline() {
            self.secure(new.blob, bytes).await?;
        }
        let row = changed.row.ok_or(ChangeError::Rejected(Rejection::NoSuchVersion))?;
        let annex = self.heads.annex(&target.name, &row).await?;
        let attachment = annex.find(new).cloned().ok_or(ChangeError::Contended)?;
        Ok(Attached { row, attachment, unchanged: changed.unchanged })
    }

    /// Step P2 for the blob of an attachment.
    async fn secure(&self, blob: Descriptor, bytes: Bytes) -> Result<(), StoreError> {
        for _ in 0..MAX_PUTS {
            if self.blobs.secure(vec![blob]).await?.is_empty() {
                return Ok(());
            }
            self.blobs.put(bytes.clone()).await?;
        }
        let why = "the attachment is being collected faster than it can be stored";
        Err(StoreError::new(StoreErrorKind::Unavailable, blob.digest, why))
    }

    async fn require_file(&self, target: &Target, row: &VersionRow, file: &FileName) -> Result<(), AttachError> {
        let loaded = self.resolve.manifest_of(row).await?;
        match loaded {
            Some(loaded) if loaded.file(file)?.is_some() => Ok(()),
            _ => Err(ResolveError::NoSuchFile { target: target.clone(), file: file.clone() }.into()),
        }
    }

    /// A version in any state and what is attached to it.
    ///
    /// # Errors
    /// A [`ResolveError`].
    pub async fn list(&self, target: &Target, fresh: AsOf) -> Result<(Resolved, Arc<Annex>), ResolveError> {
        let found = self.resolve.row(target, fresh).await?;
        let annex = self.heads.annex(&target.name, &found.row).await?;
        Ok((found, annex))
    }

    /// What is attached to a version whose row was read already.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn of(&self, name: &LogName, row: &VersionRow) -> Result<Arc<Annex>, StoreError> {
        self.heads.annex(name, row).await
    }

    /// An attachment of a version, and where its bytes are. `None` if it has none with this digest.
    ///
    /// # Errors
    /// A [`ResolveError`].
    pub async fn open(
        &self,
        target: &Target,
        digest: Digest,
    ) -> Result<Option<(Attachment, AttachmentBytes)>, ResolveError> {
        let (_, annex) = self.list(target, AsOf::Recent).await?;
        let Some(attachment) = annex.attachments.iter().find(|attachment| attachment.digest == digest) else {
            return Ok(None);
        };
        let bytes = match (attachment.blob(), attachment.bytes()) {
            (Some(blob), _) => AttachmentBytes::Blob(blob),
            (None, Some(bytes)) => AttachmentBytes::Inline(bytes.into()),
            (None, None) => {
                let why = "the bytes of this attachment are damaged";
                return Err(StoreError::new(StoreErrorKind::Corrupt, digest, why).into());
            }
        };
        Ok(Some((attachment.clone(), bytes)))
    }
}
