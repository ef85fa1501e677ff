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
    /// The caller may not change a name that has it; says which if the caller may read it.
    #[error("the caller may not change everything that has it")]
    Forbidden(Option<LogName>),
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
    /// while another manifest needs it, and if `may_change` forbids the change of any version that has it. Logs that
    /// `may_read` hides from the caller are not told of: if they are all that has it, it is unknown.
    ///
    /// # Errors
    /// A [`DeleteError`]. Repeating the deletion completes one that the store interrupted.
    pub async fn delete(
        &self,
        repository: &RepositoryName,
        manifest: Digest,
        (may_change, may_read): (impl Fn(&Member) -> bool + Send + Sync, impl Fn(&LogName) -> bool + Send + Sync),
        by: &Author,
    ) -> Result<(), DeleteError> {
        let members = self.holders(repository, manifest).await?;
        // Whoever may change a log knows of it.
        let is_told = |member: &Member| may_read(&member.log) || may_change(member);
        if !members.iter().any(is_told) {
            return Err(DeleteError::Unknown);
        }
        let parents: Vec<&Member> = members.iter().filter(|member| member.holding == Holding::Child).collect();
        if !parents.is_empty() {
            let told = parents.into_iter().filter(|parent| is_told(parent));
            let told: BTreeSet<String> = told.map(|parent| parent.row.digest().to_string()).take(NAMED).collect();
            return Err(DeleteError::Needed(told.into_iter().collect()));
        }
        if let Some(member) = members.iter().find(|member| !may_change(member)) {
            return Err(DeleteError::Forbidden(Some(member.log.clone()).filter(|log| may_read(log))));
        }
        if let Some(pinned) = members.iter().find(|member| member.row.is_pinned()) {
            return Err(DeleteError::Pinned(format!("{}@{}", pinned.log, pinned.row.number)));
        }
        for member in &members {
            self.retire(member, by).await?;
        }
        Ok(())
    }

    /// The versions through which clients get a manifest, or an index that lists it.
    async fn holders(&self, repository: &RepositoryName, manifest: Digest) -> Result<Vec<Member>, StoreError> {
        let mut members = Vec::new();
        for member in self.members.all(repository, manifest).await? {
            let is_shown = match member.holding {
                Holding::Child => true,
                Holding::Own | Holding::Rendering => {
                    self.shown(&member.row).await?.is_some_and(|shown| shown.digest == manifest)
                }
            };
            members.extend(is_shown.then_some(member));
        }
        Ok(members)
    }

    async fn retire(&self, Member { log, row, .. }: &Member, by: &Author) -> Result<(), ChangeError> {
        if row.state == State::Active {
            self.withdraw_if_active(log, row.number, by).await?;
        }
        let change = Change::Retire { selector: Selector::Number(row.number), reason: String::new() };
        match self.heads.change(log, &change, by.clone()).await {
            // Pushed again or retired by others meanwhile: the later one decides.
            Ok(_) | Err(ChangeError::Rejected(Rejection::WrongState { .. } | Rejection::Retired(_))) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Does nothing if another version is active by now, even one with the same manifest: that was pushed meanwhile.
    async fn withdraw_if_active(&self, log: &LogName, number: u64, by: &Author) -> Result<(), ChangeError> {
        let change = Change::Withdraw { expect: Expect::Anything, version: Some(number), reason: String::new() };
        match self.heads.change(log, &change, by.clone()).await {
            Ok(_) | Err(ChangeError::Rejected(Rejection::Precondition { .. } | Rejection::NoSuchVersion)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
