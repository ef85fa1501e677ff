//! Sessions: how they begin, and those of a name that are open.

use bytes::Bytes;

use super::error::to_upload;
use super::{Prepared, Publish, PublishError, PublishOptions, Resume};
use crate::domain::attestation::NewAttachment;
use crate::domain::{Author, ManifestName, Origin, State, VersionRow};

/// Number of newest versions among which open sessions are sought.
pub(super) const SESSIONS_SOUGHT: usize = 1000;

impl Publish {
    /// Prepares a session: protects the blobs of the manifest and returns those that must be uploaded.
    ///
    /// # Errors
    /// A [`PublishError`]; the name is then unchanged.
    pub async fn prepare(
        &self,
        name: &ManifestName,
        bytes: Bytes,
        options: &PublishOptions,
        by: impl Into<Author> + Send,
    ) -> Result<Prepared, PublishError> {
        self.prepare_from((None, None), name, bytes, options, by).await
    }

    /// Like [`Publish::prepare`], and records where an imported release comes from, and attaches a signature before the
    /// version is complete.
    ///
    /// # Errors
    /// As [`Publish::prepare`].
    pub async fn prepare_from(
        &self,
        (from, signature): (Option<Origin>, Option<NewAttachment>),
        name: &ManifestName,
        bytes: Bytes,
        options: &PublishOptions,
        by: impl Into<Author> + Send,
    ) -> Result<Prepared, PublishError> {
        let document = self.checked(bytes).await?;
        let by = by.into();
        let annex = signature.as_ref().and_then(|signature| self.annex_with(signature, &by));
        let resume = Resume::OwnSession(from, annex.map(Box::new));
        let (mut receipt, secured) = Box::pin(self.protect(name, document, options, &by, resume)).await?;
        if let Some(signature) = &signature {
            // What was there already, a session of the same caller included, may be without it.
            receipt = self.also_attached(receipt, name, signature, &by).await?;
        }
        if receipt.unchanged {
            return Ok(Prepared::Unchanged(receipt));
        }
        Ok(Prepared::Session(receipt, to_upload(secured.bad)))
    }

    /// The sessions of a name that are open, oldest first, among its newest `SESSIONS_SOUGHT` versions.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sessions(&self, name: &ManifestName) -> Result<Vec<VersionRow>, PublishError> {
        let Some(head) = self.heads.current(name).await? else { return Ok(Vec::new()) };
        let mut rows = self.heads.rows(&head, u64::MAX, SESSIONS_SOUGHT).await?;
        rows.retain(|row| row.state == State::Prepared);
        rows.reverse();
        Ok(rows)
    }
}
