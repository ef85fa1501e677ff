//! Managing versions: history, promotion, pins, retirement, copies, deletion of a name.

pub mod releases;

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::attestation::Annex;
use crate::domain::head::Change;
use crate::domain::{
    Action, Author, CatalogName, Expect, Head, ManifestName, Origin, PinOwner, Rejection, Selector, State, Target,
    VersionRow,
};
use crate::protocol::{AsOf, ChangeError, Heads};
use crate::service::publish::PublishOptions;
use crate::service::{Publish, PublishError, Receipt, Resolve, ResolveError};
use crate::store::StoreError;

/// Why a version could not be copied to another name.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The version to copy is not readable.
    #[error(transparent)]
    From(#[from] ResolveError),
    /// It could not be published under the other name.
    #[error(transparent)]
    To(#[from] PublishError),
}

/// Why a version could not be yanked.
#[derive(Debug, thiserror::Error)]
pub enum YankError {
    /// The version to use instead is not readable.
    #[error(transparent)]
    Instead(#[from] ResolveError),
    /// The version to use instead is yanked itself; holds its number.
    #[error("version {0} is yanked itself")]
    InsteadYanked(u64),
    /// The change is not possible.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// How to warn against a version.
#[derive(Debug, Clone)]
pub struct YankOptions {
    /// Why; every reader of the version is told.
    pub reason: String,
    /// The version to use instead.
    pub instead: Option<Target>,
    /// Whether to go back to the content before in the same step, if the version is active.
    pub rollback: bool,
}

/// Rows examined for one page, beyond those that it shows.
const MAX_EXAMINED: usize = 4096;

/// A page of a name's history.
#[derive(Debug, Clone)]
pub struct History {
    /// The newest head.
    pub head: Arc<Head>,
    /// Version rows, newest first. A page that is not the last may have fewer than requested.
    pub rows: Vec<VersionRow>,
    /// Where the next page begins: at rows with lower numbers than this. `None` on the last page.
    pub next: Option<u64>,
}

/// The service for existing versions.
#[derive(Debug)]
pub struct Versions {
    heads: Arc<Heads>,
    resolve: Arc<Resolve>,
    publish: Arc<Publish>,
}

impl Versions {
    /// Creates the service from the parts it uses.
    #[must_use]
    pub fn new(heads: Arc<Heads>, resolve: Arc<Resolve>, publish: Arc<Publish>) -> Self {
        Self { heads, resolve, publish }
    }

    /// The present time, by the corrected clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.heads.now()
    }

    /// A page of the history of a name, or `None` when it has never existed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn history(
        &self,
        name: &ManifestName,
        (before, limit): (Option<u64>, usize),
        fresh: AsOf,
    ) -> Result<Option<History>, StoreError> {
        let Some(head) = self.heads.look(name, fresh).await? else { return Ok(None) };
        let mut rows = Vec::new();
        let mut before = before.unwrap_or(u64::MAX);
        // One row more than requested shows whether there is a next page; rows that were never completed do not count.
        // A long run of them ends the page early.
        let mut examined = 0;
        while rows.len() <= limit {
            if examined >= MAX_EXAMINED {
                return Ok(Some(History { head, rows, next: Some(before) }));
            }
            let page = self.heads.rows(&head, before, limit + 1).await?;
            let Some(last) = page.last() else { break };
            before = last.number;
            examined += page.len();
            rows.extend(page.into_iter().filter(|row| row.state != State::Aborted));
        }
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| row.number);
        Ok(Some(History { head, rows, next }))
    }

    /// What the issuer of a version's publisher says of it, each as `NAME=VALUE`. Empty for publishers without an issuer
    /// of identity tokens.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claims(&self, name: &ManifestName, row: &VersionRow) -> Result<Vec<Box<str>>, StoreError> {
        if !row.created_by.has_claims() {
            return Ok(Vec::new());
        }
        // Kept once, in the operation that began the version; heads have no index but their times.
        let Some(head) = self.heads.look(name, AsOf::Recent).await? else { return Ok(Vec::new()) };
        let begun = self.heads.at(&head, row.prepared_at).await?.map(|head| head.operation);
        let begun = begun.filter(|begun| begun.action == Action::Prepare && begun.version == Some(row.number));
        Ok(begun.map(|begun| begun.claims).unwrap_or_default())
    }

    /// Makes an existing version active, without upload or rebuild. `@previous` is a rollback.
    ///
    /// # Errors
    /// A [`ChangeError`].
    pub async fn promote(
        &self,
        target: &Target,
        expect: Expect,
        by: impl Into<Author> + Send,
    ) -> Result<Receipt, ChangeError> {
        self.change(target, |selector| Change::Promote { selector, expect }, by).await
    }

    /// Goes back to the content that was active last before the present one, whatever versions of the present content
    /// were active in between.
    ///
    /// # Errors
    /// A [`ChangeError`]; [`Rejection::NoOtherContent`] when there is nothing to go back to.
    pub async fn rollback(
        &self,
        name: &ManifestName,
        expect: Expect,
        by: impl Into<Author> + Send,
    ) -> Result<Receipt, ChangeError> {
        self.heads.change(name, &Change::Rollback { expect }, by).await.map(Receipt::new)
    }

    /// The version that [`Versions::rollback`] would make active at present.
    ///
    /// # Errors
    /// As [`Versions::rollback`].
    pub async fn rollback_target(&self, name: &ManifestName) -> Result<VersionRow, ChangeError> {
        let head = self.heads.current(name).await?.ok_or(Rejection::NoSuchVersion)?;
        Ok(self.heads.rollback_target(&head).await?.ok_or(Rejection::NoOtherContent)?)
    }

    /// Pins or unpins a version.
    ///
    /// # Errors
    /// A [`ChangeError`].
    pub async fn pin(
        &self,
        target: &Target,
        pinned: bool,
        by: impl Into<Author> + Send,
    ) -> Result<Receipt, ChangeError> {
        let owner = PinOwner::User;
        self.change(target, |selector| Change::Pin { selector, pinned, owner, force: false }, by).await
    }

    /// Adds or removes the pin of a catalog on a version that it lists. `force`, with a reason, removes it although it
    /// guards what the catalog lists.
    ///
    /// # Errors
    /// A [`ChangeError`].
    pub async fn pin_for(
        &self,
        target: &Target,
        catalog: CatalogName,
        (pinned, force): (bool, bool),
        by: impl Into<Author> + Send,
    ) -> Result<Receipt, ChangeError> {
        let owner = PinOwner::Catalog(catalog);
        self.change(target, |selector| Change::Pin { selector, pinned, owner, force }, by).await
    }

    /// Retires a version manually: its content answers 410 from now on.
    ///
    /// # Errors
    /// A [`ChangeError`].
    pub async fn retire(
        &self,
        target: &Target,
        reason: String,
        by: impl Into<Author> + Send,
    ) -> Result<Receipt, ChangeError> {
        self.change(target, |selector| Change::Retire { selector, reason }, by).await
    }

    /// Warns against a version. Its bytes stay.
    ///
    /// # Errors
    /// A [`ResolveError`] about the version to use instead, or a [`ChangeError`].
    pub async fn yank(
        &self,
        target: &Target,
        YankOptions { reason, instead, rollback }: YankOptions,
        by: impl Into<Author> + Send,
    ) -> Result<Receipt, YankError> {
        let instead = match instead {
            Some(instead) => Some(self.resolve.readable(&instead, AsOf::Now).await?.row),
            None => None,
        };
        if instead.as_ref().is_some_and(|row| row.yanked.is_some()) {
            return Err(YankError::InsteadYanked(instead.map_or(0, |row| row.number)));
        }
        let instead = instead.map(|row| row.number);
        let change = |selector| Change::Yank { selector, reason, instead, rollback };
        Ok(self.change(target, change, by).await?)
    }

    /// Takes the warning against a version away.
    ///
    /// # Errors
    /// A [`ChangeError`].
    pub async fn unyank(&self, target: &Target, by: impl Into<Author> + Send) -> Result<Receipt, ChangeError> {
        self.change(target, |selector| Change::Unyank { selector }, by).await
    }

    /// States that a version is the lowest that clients should run.
    ///
    /// # Errors
    /// A [`ChangeError`].
    pub async fn set_floor(
        &self,
        target: &Target,
        reason: String,
        by: impl Into<Author> + Send,
    ) -> Result<Arc<Head>, ChangeError> {
        let change = Change::Floor { selector: target.selector.clone(), reason };
        Ok(self.heads.change(&target.name, &change, by).await?.head)
    }

    /// Takes the floor of a name away, if it is `version` or that is `None`.
    ///
    /// # Errors
    /// A [`ChangeError`].
    pub async fn clear_floor(
        &self,
        name: &ManifestName,
        version: Option<u64>,
        by: impl Into<Author> + Send,
    ) -> Result<Arc<Head>, ChangeError> {
        Ok(self.heads.change(name, &Change::Unfloor { version }, by).await?.head)
    }

    async fn change(
        &self,
        target: &Target,
        change: impl FnOnce(Selector) -> Change + Send,
        by: impl Into<Author> + Send,
    ) -> Result<Receipt, ChangeError> {
        self.heads.change(&target.name, &change(target.selector.clone()), by).await.map(Receipt::new)
    }

    /// Withdraws a name from its readers. No version is retired: a rollback restores the name.
    ///
    /// # Errors
    /// A [`ChangeError`].
    pub async fn withdraw(
        &self,
        name: &ManifestName,
        expect: Expect,
        reason: String,
        by: impl Into<Author> + Send,
    ) -> Result<Receipt, ChangeError> {
        self.heads.change(name, &Change::Withdraw { expect, version: None, reason }, by).await.map(Receipt::new)
    }

    /// Retires every version of a name and stops listing it. Its history is kept, and the name can be published to
    /// again.
    ///
    /// # Errors
    /// A [`ChangeError`].
    pub async fn delete(
        &self,
        name: &ManifestName,
        expect: Expect,
        reason: String,
        by: impl Into<Author> + Send,
    ) -> Result<Arc<Head>, ChangeError> {
        let change = Change::Delete { expect, reason };
        Ok(self.heads.change(name, &change, by).await?.head)
    }

    /// Publishes a version's manifest under another name, without copying bytes.
    ///
    /// # Errors
    /// A [`CopyError`].
    pub async fn copy(
        &self,
        from: &Target,
        to: &ManifestName,
        options: PublishOptions,
        by: impl Into<Author> + Send,
    ) -> Result<Receipt, CopyError> {
        let (found, loaded) = self.resolve.manifest(from, AsOf::Now).await?;
        let origin = Origin {
            name: Some(from.name.as_str().into()),
            version: Some(found.row.number),
            manifest: Some(found.row.digest()),
            generation: Some(found.generation),
            ..Origin::default()
        };
        let media_type = found.row.summary.media_type.as_deref();
        let annex = match found.row.annex {
            Some(_) => {
                Some(Annex::clone(&*self.heads.annex(&from.name, &found.row).await.map_err(ResolveError::from)?))
            }
            None => None,
        };
        Ok(self.publish.republish(to, loaded.bytes.clone(), (media_type, origin, annex), options, by).await?)
    }
}
