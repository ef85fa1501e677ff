//! Drafts: what the requests of one publish have sent so far, in the store and nowhere else, so that each of them may reach
//! another server.

use std::sync::Arc;

use super::{MAX_PUTS, Publish, PublishError};
use crate::domain::head::Change;
use crate::domain::manifest::Descriptor;
use crate::domain::manifest::Limits;
use crate::domain::manifest::parts::{MEDIA_TYPE, Parts};
use crate::domain::{Author, Head, ManifestName, Rejection, Summary, VersionRow};
use crate::protocol::ChangeError;
use crate::protocol::long_work::work_on;
use crate::store::{StoreError, StoreErrorKind};

/// How often a draft is read and merged again because another request of the same publish was faster.
pub(super) const MAX_MERGES: u32 = 100;

/// Where a draft is found.
#[derive(Debug, Clone)]
pub struct DraftKey {
    /// The name that will be published.
    pub name: ManifestName,
    /// What the requests of one publish have in common, at most 200 bytes.
    pub session: Box<str>,
}

impl Publish {
    /// The parts of a draft. Empty when there is no such draft, or not any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn draft(&self, key: &DraftKey) -> Result<Parts, PublishError> {
        for _ in 0..MAX_MERGES {
            let Some(row) = self.draft_row(key).await? else { return Ok(Parts::default()) };
            if let Some(parts) = self.parts(&row).await? {
                return Ok(parts);
            }
        }
        Err(ChangeError::Contended.into())
    }

    /// Changes the parts of a draft, which is begun if there is none, and given up if no part is left. `edit` is applied
    /// again to what others have made of it in the meantime; it returns whether it changed anything. On return the blobs
    /// of all parts are needed by a root (P1).
    ///
    /// # Errors
    /// A [`PublishError`].
    pub async fn amend(
        &self,
        key: &DraftKey,
        by: &Author,
        edit: impl Fn(&mut Parts) -> bool + Send + Sync,
    ) -> Result<(), PublishError> {
        for _ in 0..MAX_MERGES {
            let row = self.draft_row(key).await?;
            let mut parts = match &row {
                Some(row) => match self.parts(row).await? {
                    Some(parts) => parts,
                    // Given up and collected since the row was read.
                    None => continue,
                },
                None => Parts::default(),
            };
            if !edit(&mut parts) || (row.is_none() && parts.parts.is_empty()) {
                return Ok(());
            }
            if self.try_amend(key, by, row.as_ref(), &parts).await? {
                return Ok(());
            }
        }
        Err(ChangeError::Contended.into())
    }

    /// One attempt to store the parts of a draft; `false` if it has changed since `row` was read.
    pub(super) async fn try_amend(
        &self,
        key: &DraftKey,
        by: &Author,
        row: Option<&VersionRow>,
        parts: &Parts,
    ) -> Result<bool, PublishError> {
        let bytes = bytes::Bytes::from(parts.to_bytes());
        let limit = self.limits.manifest_bytes;
        if bytes.len() as u64 > limit {
            return Err(PublishError::TooLarge { limit });
        }
        let limits = Limits { files: self.limits.artifacts };
        work_on(bytes.len(), || self.manifests.check(&bytes, Some(MEDIA_TYPE), limits))?;
        let descriptor = self.blobs.put(bytes.clone()).await?;
        let summary = Summary::of(&parts.manifest(), descriptor);
        let session = key.session.clone();
        let change = match row {
            None => Change::BeginDraft { session, summary },
            Some(row) => {
                let summary = Some(summary).filter(|_| !parts.parts.is_empty());
                Change::Amend { number: row.number, generation: row.generation, summary }
            }
        };
        match self.heads.change(&key.name, &change, by).await {
            Ok(changed) if changed.unchanged => Ok(false),
            Ok(_) if parts.parts.is_empty() => Ok(true),
            Ok(_) => self.keep(descriptor, bytes).await.map(|()| true),
            Err(ChangeError::Rejected(Rejection::NoSuchVersion | Rejection::WrongState { .. })) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Step P2 for a parts document. Its blobs are looked at when they are stored, and once more when they are published.
    async fn keep(&self, descriptor: Descriptor, bytes: bytes::Bytes) -> Result<(), PublishError> {
        for _ in 0..MAX_PUTS {
            if self.blobs.secure(vec![descriptor]).await?.is_empty() {
                return Ok(());
            }
            self.blobs.put_hashed(descriptor.digest, bytes.clone()).await?;
        }
        let why = "the draft is being collected faster than it can be stored";
        Err(StoreError::new(StoreErrorKind::Unavailable, descriptor.digest, why).into())
    }

    async fn draft_row(&self, key: &DraftKey) -> Result<Option<VersionRow>, StoreError> {
        let head: Option<Arc<Head>> = self.heads.current_durable(&key.name).await?;
        Ok(head.and_then(|head| head.rows.iter().rfind(|row| row.is_draft_of(&key.session)).cloned()))
    }

    pub(super) async fn parts(&self, row: &VersionRow) -> Result<Option<Parts>, StoreError> {
        let descriptor = row.summary.manifest;
        let Some(loaded) = self.manifests.load(descriptor, row.summary.media_type.as_deref()).await? else {
            return Ok(None);
        };
        let malformed = |error| StoreError::new(StoreErrorKind::Corrupt, descriptor.digest, error);
        Parts::parse(&loaded.bytes).map(Some).map_err(malformed)
    }
}
