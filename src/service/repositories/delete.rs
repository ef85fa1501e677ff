//! Deleting tags and manifests.

use std::collections::BTreeSet;

use super::Repositories;
use crate::domain::head::Change;
use crate::domain::{Author, Digest, Expect, LogName, ManifestName, Rejection, RepositoryName, Selector, State};
use crate::protocol::{ChangeError, Holding, Member};
use crate::store::StoreError;

/// Names that an error lists at most.
const NAMED: usize = 20;

/// Why a manifest was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The repository has no such manifest.
    #[error("there is no such manifest")]
    Unknown,
    /// Others that are there need it.
    #[error("{} need it", .0.join(", "))]
    Needed(Vec<String>),
    /// The caller may not change this name, which has it.
    #[error("{0} must not be changed")]
    Forbidden(LogName),
    /// A version of it is pinned.
    #[error("{} is pinned", .0)]
    Pinned(String),
    /// A name could not be changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl From<StoreError> for DeleteError {
    fn from(error: StoreError) -> Self {
        Self::Change(error.into())
    }
}

impl Repositories {
    /// Withdraws a tag: readers do not get it any more, and nothing else changes. A rollback restores it.
    ///
    /// # Errors
    /// A [`DeleteError`].
    pub async fn delete_tag(&self, tag: &ManifestName, expect: Expect, by: &Author) -> Result<(), DeleteError> {
        match self.versions.withdraw(tag, expect, String::new(), by.clone()).await {
            Ok(_) => Ok(()),
            Err(ChangeError::Rejected(Rejection::NoSuchVersion | Rejection::Retired(_) | Rejection::Deleted(_))) => {
                Err(DeleteError::Unknown)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Retires every version of a repository whose own manifest this is, withdrawing the tags that point to it. Refused
    /// while another manifest needs it, and if `may_change` forbids the change of any log that has it.
    ///
    /// # Errors
    /// A [`DeleteError`]. Repeating the deletion completes one that the store interrupted.
    pub async fn delete(
        &self,
        repository: &RepositoryName,
        manifest: Digest,
        may_change: impl Fn(&LogName) -> bool + Send + Sync,
        by: &Author,
    ) -> Result<(), DeleteError> {
        let members = self.members.all(repository, manifest).await?;
        if members.is_empty() {
            return Err(DeleteError::Unknown);
        }
        let parents = members.iter().filter(|member| member.holding == Holding::Child);
        let parents: BTreeSet<String> = parents.map(|member| member.row.digest().to_string()).take(NAMED).collect();
        if !parents.is_empty() {
            return Err(DeleteError::Needed(parents.into_iter().collect()));
        }
        if let Some(member) = members.iter().find(|member| !may_change(&member.log)) {
            return Err(DeleteError::Forbidden(member.log.clone()));
        }
        if let Some(pinned) = members.iter().find(|member| member.row.is_pinned()) {
            return Err(DeleteError::Pinned(format!("{}@{}", pinned.log, pinned.row.number)));
        }
        for member in &members {
            self.retire(member, by).await?;
        }
        Ok(())
    }

    async fn retire(&self, Member { log, row, .. }: &Member, by: &Author) -> Result<(), ChangeError> {
        if row.state == State::Active {
            self.withdraw_if_active(log, row.digest(), by).await?;
        }
        let change = Change::Retire { selector: Selector::Number(row.number), reason: String::new() };
        match self.heads.change(log, &change, by.clone()).await {
            // Pushed again or retired by others meanwhile: the later one decides.
            Ok(_) | Err(ChangeError::Rejected(Rejection::WrongState { .. } | Rejection::Retired(_))) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn withdraw_if_active(&self, log: &LogName, manifest: Digest, by: &Author) -> Result<(), ChangeError> {
        let change = Change::Withdraw { expect: Expect::OneOf(vec![manifest]), reason: String::new() };
        match self.heads.change(log, &change, by.clone()).await {
            Ok(_) | Err(ChangeError::Rejected(Rejection::Precondition { .. } | Rejection::NoSuchVersion)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
