//! The verified signatures of versions, for policies that require some.

use std::sync::Arc;

use super::Heads;
use crate::domain::attestation::{Attachment, Requirement, Signed};
use crate::domain::head::{Judgement, Signatures};
use crate::domain::{Change, Head, LogName, Selector, VersionRow};
use crate::protocol::Manifests;
use crate::store::{StoreError, StoreErrorKind};

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

    /// Verifies the signatures of a version's manifest with the keys of `requirement`.
    async fn signed(
        &self,
        name: &LogName,
        row: &VersionRow,
        requirement: &Arc<Requirement>,
    ) -> Result<Vec<Signed>, StoreError> {
        let annex = self.annex(name, row).await?;
        if !annex.attachments.iter().any(Attachment::is_signature) {
            return Ok(Vec::new());
        }
        let internal = |why: &str| StoreError::new(StoreErrorKind::Internal, name, why.to_owned());
        let manifests = self.manifests.as_ref().ok_or_else(|| internal("signatures are not verified here"))?;
        let loaded = manifests.load_alone(row.summary.manifest, row.summary.media_type.as_deref()).await?;
        // Without bytes there is nothing that a signature could be of. Such a version cannot become active anyway.
        let Some(loaded) = loaded else { return Ok(Vec::new()) };
        let requirement = Arc::clone(requirement);
        // A few dozen signatures of a manifest of some megabytes take a tenth of a second.
        let verified = tokio::task::spawn_blocking(move || {
            let signatures = annex.attachments.iter().filter(|attachment| attachment.is_signature());
            let bytes = signatures.filter_map(Attachment::bytes);
            bytes.map(|bytes| Signed::verify(&bytes, &loaded.bytes, requirement.keys())).collect()
        });
        verified.await.map_err(|error| internal(&error.to_string()))
    }
}
