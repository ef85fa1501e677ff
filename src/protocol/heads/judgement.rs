//! What a change is judged by, besides the newest head.

use super::{ChangeError, Heads};
use crate::domain::head::Judgement;
use crate::domain::policy::{Labels, Tags};
use crate::domain::{
    CatalogName, Change, Digest, Head, LivePolicies, LogName, NamePolicy, Operation, Rejection, Summary, VersionRow,
};
use crate::store::StoreError;

impl Heads {
    /// Sets the policies that changes are judged by.
    #[must_use]
    pub fn with_policies(self, policies: LivePolicies) -> Self {
        Self { policies, ..self }
    }

    /// The policy of a log, as it is now.
    #[must_use]
    pub fn policy(&self, name: &LogName) -> std::sync::Arc<NamePolicy> {
        self.policies.current().of_log(name)
    }

    /// Reads what the change needs to be judged by.
    pub(super) async fn judgement(
        &self,
        name: &LogName,
        current: Option<&Head>,
        change: &Change,
        operation: Operation,
    ) -> Result<Judgement, StoreError> {
        let mut judgement = Judgement::new(operation, self.clock.now());
        let Some(head) = current else { return Ok(judgement) };
        let policy = self.policy(name);
        judgement.tags = policy.tags;
        judgement.rolls_forward = policy.catalog && name.visible().is_some_and(|name| CatalogName::of(&name).is_some());
        let founders = &policy.catalog_founders;
        judgement.is_founder = founders.iter().any(|glob| glob.matches(judgement.operation.by.as_str()));
        match change {
            Change::Delete { .. } => judgement.everything = self.segments.everything(head).await?,
            Change::Expire { due } => {
                for due in due {
                    judgement.everything.extend(self.segments.row(head, due.number).await?);
                }
            }
            Change::Rollback { .. } => judgement.row = self.rollback_target(head).await?,
            Change::Yank { rollback: true, .. } => judgement.instead = self.rollback_target(head).await?,
            _ => {}
        }
        judgement.row = match (change, change.selector()) {
            (Change::Promote { .. }, Some(selector)) => self.select_to_promote(head, &selector).await?,
            (_, Some(selector)) => self.select(head, &selector).await?,
            (_, None) => judgement.row,
        };
        judgement.signatures = self.signatures(name, head, change, &judgement).await?;
        judgement.label_holder = self.holder(name, head, change, judgement.row.as_ref()).await?;
        Ok(judgement)
    }

    /// The newest version that ever had the label of what the change publishes, if the policy of the name allows each
    /// label only once. A label that is too long to be kept whole is not compared.
    async fn holder(
        &self,
        name: &LogName,
        head: &Head,
        change: &Change,
        row: Option<&VersionRow>,
    ) -> Result<Option<VersionRow>, StoreError> {
        match change.published(row) {
            Some(published) => self.holder_of(name, head, published).await,
            None => Ok(None),
        }
    }

    async fn holder_of(
        &self,
        name: &LogName,
        head: &Head,
        published: &Summary,
    ) -> Result<Option<VersionRow>, StoreError> {
        match published.label.as_deref().filter(|_| !published.label_cut) {
            // Of what is untagged, labels select nothing, and parts of one release have the same.
            Some(label) if name.visible().is_some() && self.policy(name).labels == Labels::Once => {
                self.label_holder(head, label).await
            }
            _ => Ok(None),
        }
    }

    /// Fails if a manifest with this digest could not become active because the name is immutable. Only saves work: the
    /// change itself is judged by what is active then.
    ///
    /// # Errors
    /// [`Rejection::TagImmutable`], or when the store fails.
    pub async fn require_movable(&self, name: &LogName, manifest: Digest) -> Result<(), ChangeError> {
        if self.policy(name).tags == Tags::Mutable {
            return Ok(());
        }
        let head = self.current(name).await?;
        match head.as_deref().and_then(Head::active) {
            Some(active) if active.digest() != manifest => Err(Rejection::immutable(active).into()),
            _ => Ok(()),
        }
    }

    /// Fails if a publish of a manifest with this summary would be refused because of its label.
    ///
    /// # Errors
    /// [`Rejection::LabelTaken`], or when the store fails.
    pub async fn require_label(&self, name: &LogName, head: &Head, published: &Summary) -> Result<(), ChangeError> {
        match self.holder_of(name, head, published).await? {
            Some(holder) if holder.digest() != published.manifest.digest => Err(Rejection::taken(holder).into()),
            _ => Ok(()),
        }
    }
}
