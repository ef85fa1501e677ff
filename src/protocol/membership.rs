//! Which manifests belong to a repository. Whatever their bytes, a repository has a manifest only through a version that
//! is complete: clients skip what a manifest refers to if they find the manifest itself.

use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use moka::sync::Cache;

use super::absences::Absences;
use super::{AsOf, Heads, MemberIndex};
use crate::domain::{Digest, LogName, RepositoryName, Selector, VersionRow, manifest};
use crate::layout::{MEMBERS, REFERRERS, VersionIndex};
use crate::store::StoreError;

/// Entries whose heads are looked at concurrently.
const LOOKUPS: usize = 16;
/// Manifests whose version is remembered, at less than 1 KiB each.
const REMEMBERED: u64 = 16 << 10;

/// How a version holds a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// It is the manifest of the version.
    Own,
    /// It is among those that the version's manifest names, directly or not.
    Child,
    /// It shows the files of the version to container clients.
    Rendering,
}

/// A complete version through which a repository has a manifest.
#[derive(Debug, Clone)]
pub struct Member {
    /// The log of the version: a tag, or one that is hidden.
    pub log: LogName,
    /// The generation of the head that the row was read from.
    pub generation: u64,
    /// The version.
    pub row: VersionRow,
    /// How it holds the manifest.
    pub holding: Holding,
}

/// The members of repositories.
#[derive(Debug)]
pub struct Membership {
    heads: Arc<Heads>,
    index: MemberIndex,
    /// Where a manifest was found last. Versions end, so each is looked at again.
    known: Cache<(RepositoryName, Digest), (LogName, u64)>,
    absent: Absences<(RepositoryName, Digest)>,
}

impl Membership {
    /// The members of the repositories whose heads these are.
    #[must_use]
    pub fn new(heads: Arc<Heads>) -> Self {
        let index = MemberIndex::new(heads.store());
        let known = Cache::builder().max_capacity(REMEMBERED).build();
        Self { heads, index, known, absent: Absences::default() }
    }

    /// A version through which a repository has a manifest, among those in logs that `visible` lets the caller see.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(
        &self,
        repository: &RepositoryName,
        manifest: Digest,
        fresh: AsOf,
        visible: impl Fn(&LogName) -> bool + Send + Sync,
    ) -> Result<Option<Member>, StoreError> {
        let key = (repository.clone(), manifest);
        if let Some((log, number)) = self.known.get(&key).filter(|(log, _)| visible(log))
            && let Some(member) = self.member(&log, number, manifest, fresh).await?
        {
            return Ok(Some(member));
        }
        let found = self.members(MEMBERS, repository, manifest, AsOf::Now, &visible).boxed().try_next().await?;
        if let Some(member) = &found {
            self.known.insert(key, (member.log.clone(), member.row.number));
        }
        Ok(found)
    }

    /// As [`Membership::find`], for callers who may be anybody: what was found absent lately is not looked for again, and
    /// few look at once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_for_anybody(
        &self,
        repository: &RepositoryName,
        manifest: Digest,
        visible: impl Fn(&LogName) -> bool + Send + Sync,
    ) -> Result<Option<Member>, StoreError> {
        let key = (repository.clone(), manifest);
        // One that the caller must not see is looked for as one that nobody has, also in the time that it takes.
        if self.known.get(&key).is_some_and(|(log, _)| visible(&log)) {
            return self.find(repository, manifest, AsOf::Recent, visible).await;
        }
        if self.absent.holds(&key, self.heads.max_staleness()) {
            return Ok(None);
        }
        let search = self.absent.search().await;
        let found = self.find(repository, manifest, AsOf::Recent, visible).await?;
        if found.is_none() {
            self.absent.add(&key, &search);
        }
        Ok(found)
    }

    /// To be called when this process has published a manifest in a repository: it is found at once.
    pub fn published(&self, repository: &RepositoryName, manifest: Digest) {
        self.absent.remove(&(repository.clone(), manifest));
    }

    /// Every version through which a repository has a manifest.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn all(&self, repository: &RepositoryName, manifest: Digest) -> Result<Vec<Member>, StoreError> {
        self.holders(repository, manifest, &|_: &LogName| true).try_collect().await
    }

    /// The same for those in logs that `visible` lets the caller see, one after the other.
    pub fn holders<'a>(
        &'a self,
        repository: &'a RepositoryName,
        manifest: Digest,
        visible: &'a (impl Fn(&LogName) -> bool + Sync),
    ) -> impl Stream<Item = Result<Member, StoreError>> + Send + 'a {
        self.members(MEMBERS, repository, manifest, AsOf::Now, visible)
    }

    /// The complete versions of a repository whose manifests describe `subject`, in logs that `visible` lets the caller
    /// see. The same manifest may occur several times.
    pub fn referrers<'a>(
        &'a self,
        repository: &'a RepositoryName,
        subject: Digest,
        visible: &'a (impl Fn(&LogName) -> bool + Sync),
    ) -> impl Stream<Item = Result<Member, StoreError>> + Send + 'a {
        self.members(REFERRERS, repository, subject, AsOf::Now, visible)
    }

    fn members<'a>(
        &'a self,
        index: VersionIndex,
        repository: &'a RepositoryName,
        manifest: Digest,
        fresh: AsOf,
        visible: &'a (impl Fn(&LogName) -> bool + Sync),
    ) -> impl Stream<Item = Result<Member, StoreError>> + Send + 'a {
        self.index
            .entries(index, manifest, repository)
            .try_filter(move |(log, _)| std::future::ready(visible(log)))
            .map_ok(move |(log, number)| async move {
                let member = self.version(&log, number, fresh).await?;
                Ok(member.filter(|member| match index {
                    REFERRERS => member.row.summary.subject == Some(manifest),
                    _ => holding(&member.row, manifest).is_some(),
                }))
            })
            .try_buffered(LOOKUPS)
            .try_filter_map(move |member| {
                let held = member
                    .map(|member| Member { holding: holding(&member.row, manifest).unwrap_or(Holding::Own), ..member });
                std::future::ready(Ok(held))
            })
    }

    async fn member(
        &self,
        log: &LogName,
        number: u64,
        manifest: Digest,
        fresh: AsOf,
    ) -> Result<Option<Member>, StoreError> {
        let member = self.version(log, number, fresh).await?;
        Ok(member.and_then(|member| {
            let holding = holding(&member.row, manifest)?;
            Some(Member { holding, ..member })
        }))
    }

    /// A version, if it is complete.
    async fn version(&self, log: &LogName, number: u64, fresh: AsOf) -> Result<Option<Member>, StoreError> {
        let Some(head) = self.heads.look(log, fresh).await? else { return Ok(None) };
        let row = self.heads.select(&head, Selector::Number(number)).await?.filter(|row| row.state.is_complete());
        let generation = head.generation;
        Ok(row.map(|row| Member { log: log.clone(), generation, row, holding: Holding::Own }))
    }
}

/// How a version holds a manifest for which it has an entry. What a draft held before it was completed does not count.
fn holding(row: &VersionRow, manifest: Digest) -> Option<Holding> {
    if row.digest() == manifest {
        return Some(Holding::Own);
    }
    match row.summary.media_type.as_deref() {
        None => Some(Holding::Rendering),
        Some(media_type) if manifest::oci::is_index(media_type) => Some(Holding::Child),
        Some(_) => None,
    }
}
